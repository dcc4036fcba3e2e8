"""For admins: who changed what in a project."""

import re

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from annotation.access import Member, for_members
from annotation.changes import changes_of
from annotation.models import ChangeKind, Role


@require_safe
@for_members(Role.ADMIN)
def changes(member: Member) -> HttpResponse:
    """The history, newest first, fifty changes a page."""
    asked = member.request.GET.get("kind", "")
    kind = asked if asked in ChangeKind.values else ""
    before = cursor_of(member.request.GET.get("before", ""))
    lines, older = changes_of(member.project, kind=kind, before=before)
    context = {
        "member": member,
        "lines": lines,
        "older": older,
        "is_first": before is None,
        "kind": kind,
        "kinds": [("", "All"), *ChangeKind.choices],
    }
    return render(member.request, "annotation/changes.html", context)


def cursor_of(word: str) -> int | None:
    """The key in an address; None for a word that is none."""
    return int(word) if re.fullmatch(r"\d{1,18}", word) else None
