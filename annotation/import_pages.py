"""For admins: the imports of a project, and undoing one."""

from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from annotation.access import Member, for_members
from annotation.models import PromptImport, Role
from annotation.paging import cursor_of
from annotation.undo_import import UndoRefusedError, imports_of, plan, undo


@require_safe
@for_members(Role.ADMIN)
def imports(member: Member) -> HttpResponse:
    """The imports that added prompts, newest first."""
    before = cursor_of(member.request.GET.get("before", ""))
    page, older = imports_of(member.project, before=before)
    context = {
        "member": member,
        "imports": page,
        "older": older,
    }
    return render(member.request, "annotation/imports.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@for_members(Role.ADMIN)
def undo_import(member: Member, pk: int) -> HttpResponseBase:
    """What undoing would do now; POST does it."""
    kept = PromptImport.objects.filter(project=member.project)
    found = get_object_or_404(kept.select_related("created_by"), pk=pk)
    if member.request.method != "POST":
        return _page(member, found)
    try:
        done = undo(found, user=member.user)
    except UndoRefusedError as error:
        return _page(member, found, refusal=str(error), status=409)
    if done is None:
        messages.info(member.request, "It was undone before. Nothing changed.")
    else:
        messages.success(
            member.request,
            f"Undone. Prompts removed: {done.removed}. Taken out, because somebody was"
            f" shown them: {done.taken_out}. Out before: {done.out_already}.",
        )
    return redirect("imports", member.project.slug)


def _page(
    member: Member, found: PromptImport, *, refusal: str = "", status: int = 200
) -> HttpResponse:
    context = {
        "member": member,
        "import": found,
        "plan": None if found.undone_at else plan(found),
        "refusal": refusal,
    }
    return render(member.request, "annotation/undo_import.html", context, status=status)
