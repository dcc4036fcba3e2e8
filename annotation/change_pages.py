"""For admins: who changed what in a project."""

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from annotation.access import Member, for_members
from annotation.changes import changes_of
from annotation.models import ChangeKind, Role
from annotation.paging import cursor_of


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
        "kind": kind,
        "kinds": [("", "All"), *ChangeKind.choices],
    }
    return render(member.request, "annotation/changes.html", context)
