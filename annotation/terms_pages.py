"""The page on which labelers agree to the terms, and admins write them."""

import re
from typing import Any

from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from annotation.access import Member, for_members
from annotation.forms import TermsForm
from annotation.headings import as_sections
from annotation.models import Role, Terms
from annotation.rendering import render as markdown
from annotation.terms import (
    SupersededError,
    agree,
    consents_of,
    current_terms,
    newest_consents,
    write_terms,
)


@require_safe
@for_members(Role.LABELER, Role.ADMIN)
def consent(member: Member) -> HttpResponse:
    """The terms in every version; labelers agree here, admins see who has."""
    current = current_terms(member.project)
    return _terms_page(member, TermsForm(initial={"text": current and current.text}))


@require_POST
@for_members(Role.LABELER)
def agree_to_terms(member: Member) -> HttpResponseBase:
    """Agree to the version that was read, then on to the work."""
    version = member.request.POST.get("version", "")
    try:
        agree(member.membership, version=int(version) if _is_number(version) else 0)
    except (Terms.DoesNotExist, SupersededError) as error:
        newer = f"{error} " if isinstance(error, SupersededError) else ""
        messages.warning(
            member.request, f"{newer}Nothing was agreed to: read what is in force."
        )
        return _terms_page(member, TermsForm(), status=422)
    messages.success(member.request, "Thank you. Your consent is on record.")
    return redirect("project", member.project.slug)


def _is_number(word: str) -> bool:
    """Whether it is a number of a version, as our form sends it."""
    return re.fullmatch(r"[1-9]\d{0,8}", word, re.ASCII) is not None


@require_POST
@for_members(Role.ADMIN)
def add_terms(member: Member) -> HttpResponseBase:
    """Write a new version."""
    form = TermsForm(member.request.POST)
    if not form.is_valid():
        return _terms_page(member, form, status=422)
    written = write_terms(
        member.project, text=form.cleaned_data["text"], user=member.user
    )
    messages.success(member.request, f"Version {written.version} is in force.")
    return redirect("consent", member.project.slug)


def _terms_page(member: Member, form: TermsForm, status: int = 200) -> HttpResponse:
    """Three queries for a labeler, three for an admin."""
    versions = Terms.objects.filter(project=member.project).order_by("-version")
    shown: list[dict[str, Any]] = [
        {"version": terms, "html": as_sections(markdown(terms.text))}
        for terms in versions
    ]
    context: dict[str, Any] = {
        "member": member,
        "current": shown[:1],
        "earlier": shown[1:],
    }
    if member.role == Role.ADMIN:
        context |= {"form": form, "labelers": newest_consents(member.project)}
    else:
        given = list(consents_of(member.membership))
        newest = shown[0]["version"].pk if shown else None
        context |= {
            "consents": given,
            "agreed": newest in {consent.terms_id for consent in given},
        }
    return render(member.request, "annotation/terms.html", context, status=status)
