"""The labeler's pages: start, rank, give back. What they send is stored by
`ranking.submit_pages`."""

from django.contrib import messages
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import (
    require_http_methods,
    require_POST,
    require_safe,
)

from annotation import queue
from annotation.access import Member, for_members
from annotation.models import Assignment, AssignmentState, Role
from ranking.desk import PAGE, for_its_labeler, own_assignment
from ranking.entry import decide_late
from ranking.kept_work import kept_work
from ranking.labeler_pages import what_waits
from ranking.page_html import ranking_page, readonly_page
from ranking.submit_pages import next_prompt, submit_form

# A script that asks for this gets the page itself in answer to its claim, and is spared
# a second request (RFC 7240).
THE_PAGE_ITSELF = "return=representation"


@require_safe
@for_members(Role.LABELER)
def rank(member: Member) -> HttpResponse:
    """What the labeler holds, else where they ask for a prompt."""
    mine = queue.held_by(member.membership)
    held = mine.filter(lease_until__gte=Now()).first()
    if held is not None:
        return redirect("rank_prompt", member.project.slug, held.token)
    decide_late(member.membership)
    context = {"member": member, **what_waits(member.membership)}
    return render(member.request, "ranking/rank_start.html", context)


@require_POST
@for_members(Role.LABELER)
def rank_claim(member: Member) -> HttpResponse:
    """Hand out a prompt, and show it."""
    claimed = next_prompt(member)
    if claimed is None:
        return redirect("rank", member.project.slug)
    address = reverse("rank_prompt", args=[member.project.slug, claimed.token])
    if member.request.headers.get("Prefer") != THE_PAGE_ITSELF:
        return redirect(address)
    page = _page(member, own_assignment(member.user, claimed.token, *PAGE))
    page["Content-Location"] = address
    page["Preference-Applied"] = THE_PAGE_ITSELF
    return page


@require_http_methods(["GET", "HEAD", "POST"])
def rank_prompt(request: HttpRequest, slug: str, token: str) -> HttpResponseBase:
    """The page on which a prompt's responses are ranked; POST submits it."""
    view = submit_form if request.method == "POST" else show_prompt
    return view(request, slug, token)


@for_its_labeler(*PAGE)
def show_prompt(member: Member, assignment: Assignment) -> HttpResponse:
    """The prompt, with the draft of its ranking. Changes nothing.

    A ranking that is stored is filled in, to be corrected while there is time, and then
    to be looked at.
    """
    return _page(member, assignment)


@require_POST
@for_its_labeler()
def rank_renew(member: Member, assignment: Assignment) -> JsonResponse:
    """The page says that somebody is at work on it: the lease starts anew."""
    return JsonResponse({"held": queue.renew(assignment)})


@require_POST
@for_its_labeler()
def rank_release(member: Member, assignment: Assignment) -> HttpResponse:
    """Give a prompt back to the queue."""
    if queue.release(assignment):
        messages.success(member.request, "You gave the prompt back.")
    else:
        messages.info(member.request, "You did not hold that prompt any more.")
    return redirect("rank", member.project.slug)


def _page(member: Member, assignment: Assignment) -> HttpResponse:
    work = kept_work(assignment)
    if assignment.state == AssignmentState.SKIPPED and not work.ranked:
        messages.info(member.request, "You have skipped that prompt.")
        return redirect("rank", member.project.slug)
    show = readonly_page if work.closed else ranking_page
    return show(member, assignment, work)
