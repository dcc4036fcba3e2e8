"""Pages of a project that need no later room: where one starts, how far it is, what
labelers are told, and having responses written."""

from typing import Any, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from annotation.access import Member, SignedInRequest, for_members, memberships_of
from annotation.changes import acting
from annotation.forms import GenerationForm, InstructionsForm, NewProjectForm
from annotation.generation import (
    GenerationRefusedError,
    cancel_generation,
    failed_prompts,
    forgive_failures,
    latest_run,
    request_generation,
)
from annotation.headings import as_sections
from annotation.instructions import current_instructions, write_instructions
from annotation.models import Instructions, Membership, Role, User
from annotation.progress import prompt_progress, rankings_by_day
from annotation.rendered import html_of

FAILURES_SHOWN = 20


# --- Where one starts -------------------------------------------------------------


@require_safe
@login_required
def home(request: HttpRequest) -> HttpResponse:
    """The signed-in person's projects; site admins can make one."""
    form = NewProjectForm() if _user(request).is_site_admin else None
    return _home_page(request, form)


@require_POST
@login_required
def create_project(request: HttpRequest) -> HttpResponseBase:
    """Make a project whose admin is the site admin who made it."""
    user = _user(request)
    if not user.is_site_admin:
        raise PermissionDenied("Only site admins make projects.")
    form = NewProjectForm(request.POST)
    if not form.is_valid():
        return _home_page(request, form, status=422)
    with acting(user), transaction.atomic():
        form.instance.created_by = user
        project = form.save()
        Membership.objects.create(
            project=project, user=user, name=user.email, role=Role.ADMIN
        )
    messages.success(request, f"{project.title} is ready. Now import prompts into it.")
    return redirect("project", project.slug)


def _user(request: HttpRequest) -> User:
    return cast(SignedInRequest, request).user


def _home_page(
    request: HttpRequest, form: NewProjectForm | None, status: int = 200
) -> HttpResponse:
    theirs = memberships_of(_user(request)).order_by("project__title", "project__pk")
    context = {"memberships": theirs, "form": form}
    return render(request, "annotation/home.html", context, status=status)


# --- A project, for each of its roles ---------------------------------------------


@require_safe
@for_members()
def project(member: Member) -> HttpResponseBase:
    """How far the project is. Labelers have a page of their own, in a later room."""
    if member.role == Role.LABELER:
        return redirect("labeler_home", member.project.slug)
    if member.role == Role.RESEARCHER:
        context = {
            "member": member,
            "progress": prompt_progress(member.project),
            "days": rankings_by_day(member.project),
        }
        return render(member.request, "annotation/project_researcher.html", context)
    return _admin_page(member, GenerationForm(project=member.project))


def _admin_page(
    member: Member, form: GenerationForm, status: int = 200
) -> HttpResponse:
    context = {
        **_generation_context(member),
        "form": form,
        "days": rankings_by_day(member.project),
    }
    return render(
        member.request, "annotation/project_admin.html", context, status=status
    )


# --- Instructions -----------------------------------------------------------------


@require_safe
@for_members()
def instructions(member: Member) -> HttpResponse:
    """All versions, newest first; admins may write the next one."""
    current = current_instructions(member.project)
    form = InstructionsForm(initial={"text": current.text if current else ""})
    return _instructions_page(member, form)


@require_POST
@for_members(Role.ADMIN)
def add_instructions(member: Member) -> HttpResponseBase:
    """Write a new version."""
    form = InstructionsForm(member.request.POST)
    if not form.is_valid():
        return _instructions_page(member, form, status=422)
    written = write_instructions(
        member.project, text=form.cleaned_data["text"], user=member.user
    )
    messages.success(member.request, f"Version {written.version} is in force.")
    return redirect("instructions", member.project.slug)


def _instructions_page(
    member: Member, form: InstructionsForm, status: int = 200
) -> HttpResponse:
    versions = Instructions.objects.filter(project=member.project).order_by("-version")
    html = html_of([version.text for version in versions])
    shown = [
        {"version": version, "html": as_sections(html[version.text])}
        for version in versions
    ]
    context = {"member": member, "current": shown[:1], "earlier": shown[1:]}
    context["form"] = form if member.role == Role.ADMIN else None
    return render(
        member.request, "annotation/instructions.html", context, status=status
    )


# --- Having responses written -----------------------------------------------------


@require_POST
@for_members(Role.ADMIN)
def start_generation(member: Member) -> HttpResponseBase:
    """Queue a run that samples responses for the prompts that wait."""
    form = GenerationForm(member.request.POST, project=member.project)
    if not form.is_valid():
        return _admin_page(member, form, status=422)
    try:
        with transaction.atomic():
            if form.cleaned_data["retry_failed"]:
                forgive_failures(member.project)
            request_generation(
                member.project, settings=form.cleaned_data["settings"], user=member.user
            )
    except GenerationRefusedError as error:
        form.add_error(None, str(error))
        return _admin_page(member, form, status=409)
    messages.success(member.request, "Responses are on their way.")
    return redirect("project", member.project.slug)


@require_POST
@for_members(Role.ADMIN)
def stop_generation(member: Member) -> HttpResponseBase:
    """Cancel the run under way; responses that were written stay."""
    if cancel_generation(member.project):
        messages.success(
            member.request, "Cancelled. Responses that were written before stay."
        )
    else:
        messages.info(member.request, "No run was under way.")
    return redirect("project", member.project.slug)


@require_safe
@for_members(Role.ADMIN)
def generation_progress(member: Member) -> HttpResponse:
    """The part of the admin's page that changes while a run is under way."""
    return render(
        member.request, "annotation/_generation.html", _generation_context(member)
    )


def _generation_context(member: Member) -> dict[str, Any]:
    failed = failed_prompts(member.project)
    return {
        "member": member,
        "progress": prompt_progress(member.project),
        "run": latest_run(member.project),
        "failed": failed[:FAILURES_SHOWN],
    }
