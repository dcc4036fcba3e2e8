"""For admins: archive a project, open it again, copy it."""

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from annotation.access import Member, for_members
from annotation.lifecycle import (
    Copied,
    SlugTakenError,
    archive_project,
    clone_project,
    reopen_project,
)
from annotation.models import Project, Role


class CloneForm(forms.ModelForm):  # type: ignore[type-arg]  # not at run time
    """What the copy is called, and what it gets."""

    prompts = forms.BooleanField(
        required=False,
        label="With prompts",
        help_text="And their responses; not those that were taken out.",
    )
    people = forms.BooleanField(
        required=False,
        label="With members",
        help_text="Everybody who can sign in, in the role they have here.",
    )

    class Meta:
        model = Project
        fields = ["title", "slug"]
        labels = {"slug": "Name in addresses"}
        help_texts = {"slug": "Letters, digits, hyphens and underscores."}


@require_POST
@for_members(Role.ADMIN)
def archive(member: Member) -> HttpResponseBase:
    """Hand out nothing more."""
    if archive_project(member.project):
        messages.success(
            member.request,
            "Archived. Nothing more is handed out; what people have open they can still"
            " submit, and all pages stay.",
        )
    else:
        messages.info(member.request, "The project was archived already.")
    return redirect("project_settings", member.project.slug)


@require_POST
@for_members(Role.ADMIN)
def reopen(member: Member) -> HttpResponseBase:
    """Hand out work again."""
    if reopen_project(member.project):
        messages.success(member.request, "Open again: work goes on where it stopped.")
    else:
        messages.info(member.request, "The project was not archived.")
    return redirect("project_settings", member.project.slug)


@require_http_methods(["GET", "HEAD", "POST"])
@for_members(Role.ADMIN)
def clone(member: Member) -> HttpResponseBase:
    """Make a project like this one. Only site admins make projects."""
    posted = member.request.method == "POST"
    if posted and not member.user.is_site_admin:
        raise PermissionDenied("Only site admins make projects.")
    form = CloneForm(member.request.POST if posted else None)
    if not posted or not form.is_valid():
        return _clone_page(member, form, status=422 if posted else 200)
    wanted = form.cleaned_data
    try:
        made = clone_project(
            member.project,
            slug=wanted["slug"],
            title=wanted["title"],
            user=member.user,
            copied=Copied(prompts=wanted["prompts"], people=wanted["people"]),
        )
    except SlugTakenError as error:
        form.add_error("slug", str(error))
        return _clone_page(member, form, status=409)
    messages.success(member.request, f"{made.title} is ready.")
    return redirect("project", made.slug)


def _clone_page(member: Member, form: CloneForm, *, status: int) -> HttpResponse:
    context = {"member": member, "form": form, "may": member.user.is_site_admin}
    return render(member.request, "annotation/clone.html", context, status=status)
