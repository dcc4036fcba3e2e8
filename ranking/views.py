"""The labeler's pages: start, rank, submit, give back.

A ranking that cannot be stored never takes the labeler's work with it: the page comes
back as it was sent, with what is wrong above it. The page's own script asks for JSON
and keeps the page it has.
"""

from http import HTTPStatus
from uuid import uuid4

from django.contrib import messages
from django.db.models.functions import Now
from django.http import Http404, HttpResponse, JsonResponse
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
from ranking.feedback_pages import feedback_address
from ranking.forms import RankingForm
from ranking.models import Ranking, RankingStatus
from ranking.rank_page import Kept, Problem, page_of
from ranking.submit import BusyError, ConflictError, Submitted, submit
from ranking.weak_order import IncompleteRanking

WHAT_BECAME_OF_IT = {
    RankingStatus.COUNTED: "Ranking submitted.",
    RankingStatus.LATE: "Ranking kept, marked as late: your time on that prompt had"
    " run out, and somebody else is ranking it now.",
    RankingStatus.SURPLUS: "Ranking kept, marked as surplus: your time on that prompt"
    " had run out, and somebody else has ranked it meanwhile.",
}
RETRY_AFTER = 3  # seconds


@require_safe
@for_members(Role.LABELER)
def rank(member: Member) -> HttpResponse:
    """What the labeler holds, else where they ask for a prompt. Changes nothing."""
    mine = queue.held_by(member.membership)
    held = mine.filter(lease_until__gte=Now()).first()
    if held is not None:
        return redirect("rank_prompt", member.project.slug, held.token)
    context = {"member": member, "has_work": queue.has_work_for(member.membership)}
    return render(member.request, "ranking/rank_start.html", context)


@require_POST
@for_members(Role.LABELER)
def rank_claim(member: Member) -> HttpResponse:
    """Hand out a prompt, and show it."""
    return redirect(_next_page(member))


@require_http_methods(["GET", "HEAD", "POST"])
@for_members(Role.LABELER)
def rank_prompt(member: Member, token: str) -> HttpResponse:
    """The page on which a prompt's responses are ranked; POST submits it."""
    if member.request.method == "POST":
        return _submit(member, token)
    assignment = _own(member, token)
    if _is_ranked(assignment):
        messages.info(member.request, "You have ranked that prompt.")
        return redirect("rank", member.project.slug)
    context = {"member": member, **page_of(assignment, Kept())}
    return render(member.request, "ranking/rank.html", context)


@require_POST
@for_members(Role.LABELER)
def rank_renew(member: Member, token: str) -> JsonResponse:
    """The page says that somebody is at work on it: the lease starts anew."""
    return JsonResponse({"held": queue.renew(_own(member, token))})


@require_POST
@for_members(Role.LABELER)
def rank_release(member: Member, token: str) -> HttpResponse:
    """Give a prompt back to the queue."""
    if queue.release(_own(member, token)):
        messages.success(member.request, "You gave the prompt back.")
    else:
        messages.info(member.request, "You did not hold that prompt any more.")
    return redirect("rank", member.project.slug)


def _own(member: Member, token: str) -> Assignment:
    """The labeler's assignment with all that the page needs; 404 if not theirs."""
    mine = Assignment.objects.filter(labeler=member.membership, token=token)
    assignment = mine.select_related("project", "prompt", "instructions").first()
    if assignment is None:
        raise Http404("No such prompt of yours.")
    return assignment


def _is_ranked(assignment: Assignment) -> bool:
    """Whether it has a ranking, be it late. What is still held has none: no query."""
    held = assignment.state == AssignmentState.CLAIMED
    return not held and Ranking.objects.filter(assignment=assignment).exists()


def _submit(member: Member, token: str) -> HttpResponse:
    form = RankingForm(member.request.POST)
    if not form.is_valid():
        said = [str(error) for errors in form.errors.values() for error in errors]
        problem = Problem(message=f"Not submitted: {' '.join(said)}")
        return _refused(member, token, problem, HTTPStatus.UNPROCESSABLE_ENTITY)
    try:
        done = submit(
            membership=member.membership, token=token, submission=form.submission()
        )
    except Assignment.DoesNotExist as error:
        raise Http404("No such prompt of yours.") from error
    except IncompleteRanking as error:
        problem = _incomplete(error)
        return _refused(member, token, problem, HTTPStatus.UNPROCESSABLE_ENTITY)
    except ConflictError as error:
        message = f"{error} It is kept. Submit again to replace it with this one."
        problem = Problem(message=message, may_replace=True)
        return _refused(member, token, problem, HTTPStatus.CONFLICT)
    except BusyError as error:
        problem = Problem(message=f"{error} Submit again in a moment.")
        return _refused(member, token, problem, HTTPStatus.SERVICE_UNAVAILABLE)
    return _stored(member, done)


def _stored(member: Member, done: Submitted) -> HttpResponse:
    """Say what became of the ranking, and go on to the next prompt."""
    level = (
        messages.SUCCESS if done.status == RankingStatus.COUNTED else messages.WARNING
    )
    messages.add_message(member.request, level, WHAT_BECAME_OF_IT[done.status])
    address = feedback_address(done.ranking) or _next_page(member)
    if _wants_json(member):
        answer = {"next": address, "status": done.status, "replayed": done.replayed}
        created = HTTPStatus.OK if done.replayed else HTTPStatus.CREATED
        return JsonResponse(answer, status=created)
    return redirect(address)


def _next_page(member: Member) -> str:
    """Claim the next prompt; its address, or the start page's when there is none."""
    slug = member.project.slug
    try:
        assignment = queue.claim(member.membership)
    except queue.NothingIsServed as error:
        messages.error(member.request, str(error))
        return reverse("rank", args=[slug])
    if assignment is None:
        return reverse("rank", args=[slug])
    return reverse("rank_prompt", args=[slug, assignment.token])


def _incomplete(error: IncompleteRanking) -> Problem:
    """What to do about a ranking with holes or strangers, in the page's letters."""
    said = []
    if error.missing:
        said.append(f"{_listed(error.missing)} unranked.")
    if error.unknown:
        names = ", ".join(map(str, error.unknown))
        said.append(f"This page has no response {names}.")
    letters = [str(letter) for letter in error.missing]
    return Problem(message=f"Not submitted: {' '.join(said)}", letters=letters)


def _listed(letters: list[object]) -> str:
    """`D is`, `D, F and H are`."""
    *most, last = map(str, letters)
    return f"{', '.join(most)} and {last} are" if most else f"{last} is"


def _refused(
    member: Member, token: str, problem: Problem, status: HTTPStatus
) -> HttpResponse:
    """The page again, with the work still on it; or the reason, for its script."""
    form = RankingForm(member.request.POST)
    form.is_valid()
    key = None if problem.may_replace else form.cleaned_data.get("submission_uuid")
    kept = Kept(
        tiers=form.tiers(),
        submission_uuid=key or uuid4(),
        telemetry=str(form.data.get("telemetry", "")),
        replace=problem.may_replace or bool(form.cleaned_data.get("replace")),
    )
    response: HttpResponse
    if _wants_json(member):
        answer = {
            "message": problem.message,
            "letters": list(problem.letters),
            "submission_uuid": str(kept.submission_uuid),
            "replace": kept.replace,
        }
        response = JsonResponse(answer, status=status)
    else:
        context = {"member": member, **page_of(_own(member, token), kept, problem)}
        response = render(member.request, "ranking/rank.html", context, status=status)
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        response["Retry-After"] = str(RETRY_AFTER)
    return response


def _wants_json(member: Member) -> bool:
    return member.request.headers.get("Accept") == "application/json"
