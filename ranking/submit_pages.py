"""The ranking form, sent without script.

A ranking that cannot be stored never takes the labeler's work with it: the page comes
back as it was sent, with what is wrong above it.
"""

from http import HTTPStatus
from uuid import uuid4

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect

from annotation import queue
from annotation.access import Member, for_members
from annotation.models import Assignment, Role
from ranking.desk import NOT_THEIRS, PAGE, own_assignment
from ranking.entry import decide_late
from ranking.feedback import order_line
from ranking.feedback_pages import feedback_address
from ranking.forms import RankingForm
from ranking.kept_work import KeptWork, draft_of
from ranking.models import RankingStatus, RenderMode
from ranking.page_html import ranking_page
from ranking.rank_page import Kept, Problem
from ranking.refusals import REFUSED, RETRY_AFTER, Refusal, refusal_of
from ranking.submit import Submitted, submit

WHAT_BECAME_OF_IT = {
    RankingStatus.COUNTED: "Ranking submitted.",
    RankingStatus.LATE: "Ranking kept, marked as late: your time on that prompt had"
    " run out, and somebody else is ranking it now.",
    RankingStatus.SURPLUS: "Ranking kept, marked as surplus: your time on that prompt"
    " had run out, and somebody else has ranked it meanwhile.",
}


@for_members(Role.LABELER)
def submit_form(member: Member, token: str) -> HttpResponse:
    """Store what the form says, and go on to the next prompt."""
    form = RankingForm(member.request.POST)
    if not form.is_valid():
        said = [str(error) for errors in form.errors.values() for error in errors]
        message = f"Not submitted: {' '.join(said)}"
        status = HTTPStatus.UNPROCESSABLE_ENTITY
        return _refused(member, token, form, Refusal(status=status, message=message))
    try:
        done = submit(
            membership=member.membership, token=token, submission=form.submission()
        )
    except Assignment.DoesNotExist as error:
        raise Http404(NOT_THEIRS) from error
    except REFUSED as error:
        return _refused(member, token, form, refusal_of(error))
    return _stored(member, done)


def next_prompt(member: Member) -> Assignment | None:
    """Claim the next prompt; None when there is none, and why as a message."""
    decide_late(member.membership)
    try:
        return queue.claim(member.membership)
    except queue.NothingIsServed as error:
        messages.error(member.request, str(error))
        return None


def _stored(member: Member, done: Submitted) -> HttpResponse:
    """Say what became of the ranking."""
    level = (
        messages.SUCCESS if done.status == RankingStatus.COUNTED else messages.WARNING
    )
    messages.add_message(member.request, level, WHAT_BECAME_OF_IT[done.status])
    feedback = feedback_address(done.ranking)
    if feedback is not None:
        return redirect(feedback)
    claimed = next_prompt(member)
    if claimed is None:
        return redirect("rank", member.project.slug)
    return redirect("rank_prompt", member.project.slug, claimed.token)


def _refused(
    member: Member, token: str, form: RankingForm, refusal: Refusal
) -> HttpResponse:
    """The page again, with the work still on it and the reason above it."""
    assignment = own_assignment(member.user, token, *PAGE)
    kept = _kept(form, refusal)
    problem = Problem(
        message=refusal.message,
        letters=refusal.missing,
        stored=order_line(refusal.stored),
        sent=order_line(form.cleaned_data.get("ranks", {})),
        may_replace=refusal.may_replace,
    )
    work = KeptWork(kept=kept, draft=draft_of(assignment))
    response = ranking_page(member, assignment, work, problem, refusal.status)
    if refusal.status == HTTPStatus.SERVICE_UNAVAILABLE:
        response["Retry-After"] = str(RETRY_AFTER)
    return response


def _kept(form: RankingForm, refusal: Refusal) -> Kept:
    """What the form said. A key that stored nothing is used again: a mended form is
    still the same act; to replace what stands is another one."""
    key = form.cleaned_data.get("submission_uuid")
    conflict = refusal.status == HTTPStatus.CONFLICT
    asked = bool(form.cleaned_data.get("replace"))
    return Kept(
        tiers=form.tiers(),
        ratings=form.ratings(),
        flags=form.flags(),
        note=str(form.data.get("note", "")),
        raw=form.render_mode() == RenderMode.RAW,
        submission_uuid=uuid4() if conflict or key is None else key,
        telemetry=str(form.data.get("telemetry", "")),
        replace=refusal.may_replace if conflict else asked,
    )
