"""The ranking page as HTML: what is a prompt's own, in a frame that many prompts share.

Django's templates take a third of the work on a page, and for two prompts of a project
they write the same but for the texts, the token and what the labeler has done so far.
So the whole page is a frame (`ranking.templatetags.parts`) around these. A page that
has something to tell besides is written by the same template as a whole.
"""

import re
from collections.abc import Hashable
from datetime import datetime
from html import unescape
from http import HTTPStatus
from typing import Any, Final, NamedTuple

from django.contrib.messages import get_messages
from django.http import HttpResponse
from django.middleware.csrf import get_token
from django.shortcuts import render
from django.utils.safestring import SafeString

from annotation.access import Member
from annotation.models import Assignment, AssignmentState, SkipReason
from ranking.asked import seal
from ranking.desk import seconds_left
from ranking.kept_work import KeptWork, draft_text
from ranking.rank_page import Card, Contents, Kept, Problem, Turn, contents_of
from ranking.templatetags.parts import frame

TEMPLATE: Final = "ranking/rank.html"
TAG: Final = re.compile("<[^>]*>")  # of HTML that we made
EXCERPT: Final = 200  # characters of the prompt, for the line that stays in sight


class ProjectShown(NamedTuple):
    """What the page needs to know of the project."""

    slug: str
    title: str
    lease_minutes: int
    editable_rankings: int


class MemberShown(NamedTuple):
    """Whose page it is, as far as pages of the project's labelers do not differ."""

    project: ProjectShown
    role: str


class UserShown(NamedTuple):
    """Anybody who is signed in; their address is the page's own."""

    is_authenticated: bool = True


class RequestShown(NamedTuple):
    """What a frame knows of a request."""

    user: UserShown = UserShown()


def ranking_page(
    member: Member,
    assignment: Assignment,
    work: KeptWork,
    problem: Problem | None = None,
    status: HTTPStatus = HTTPStatus.OK,
) -> HttpResponse:
    """The page on which this prompt is ranked, with the labeler's work so far."""
    request = member.request
    contents = contents_of(assignment, work.kept, problem)
    common = _common(member, assignment, contents, work.kept)
    own = _own(member, assignment, contents, work)
    notices: dict[str, datetime | Problem | bool | None] = {
        "problem": problem,
        "editable_until": work.editable_until,
        # Of a prompt that is ranked it does not matter any more.
        "lost": assignment.state == AssignmentState.EXPIRED and not work.ranked,
    }
    if any(notices.values()) or len(get_messages(request)):
        return render(request, TEMPLATE, {**common, **own, **notices}, status=status)
    html = frame(TEMPLATE, own, request=RequestShown(), **common)
    return HttpResponse(html, status=status)


def readonly_page(
    member: Member, assignment: Assignment, work: KeptWork
) -> HttpResponse:
    """What was ranked and cannot be changed any more, and why."""
    contents = contents_of(assignment, work.kept)
    context = {
        "member": member,
        "turns": contents.turns,
        "cards": contents.cards,
        "closed": work.closed,
    }
    return render(member.request, "ranking/rank_readonly.html", context)


def _common(
    member: Member, assignment: Assignment, contents: Contents, kept: Kept
) -> dict[str, Hashable]:
    """What the page has in common with others."""
    project, told = member.project, assignment.instructions
    return {
        "member": MemberShown(
            ProjectShown(
                project.slug,
                project.title,
                project.lease_minutes,
                project.editable_rankings,
            ),
            member.role,
        ),
        "letters": tuple(card.frame.letter for card in contents.cards),
        "tiers": _tiers(contents.cards),
        "rate_first": project.rate_first,
        "with_flags": bool(project.flags),
        "instructions_version": told.version
        if told and contents.instructions
        else None,
        "ahead": assignment.state == AssignmentState.PREFETCHED,
        "raw": kept.raw,
        "replace": kept.replace,
        "noted": bool(kept.note),
        "skip_reasons": tuple(SkipReason.choices),
    }


def _own(
    member: Member, assignment: Assignment, contents: Contents, work: KeptWork
) -> dict[str, str]:
    """What differs from page to page; HTML where it says so, else text."""
    return {
        "email": member.user.email,
        "csrf_token": get_token(member.request),
        "token": assignment.token,
        "instructions_html": SafeString(contents.instructions),
        "turns_html": _joined(map(_turn, contents.turns)),
        "excerpt": _excerpt(contents.turns),
        "cards_html": _joined(_card(card, member, contents) for card in contents.cards),
        "submission_uuid": str(work.kept.submission_uuid),
        "asked": seal(assignment.project, assignment.token),
        "telemetry": work.kept.telemetry or "{}",
        "note": work.kept.note,
        "draft": draft_text(work),
        "seconds_left": str(seconds_left(assignment)),
    }


def _tiers(cards: list[Card]) -> tuple[str, ...]:
    return tuple(str(tier) for tier in range(1, len(cards) + 1))


def _turn(turn: Turn) -> SafeString:
    texts = {"html": SafeString(turn.html)}
    return frame("ranking/_turn.html", texts, role=turn.role)


def _card(card: Card, member: Member, contents: Contents) -> SafeString:
    return frame(
        "ranking/_response.html",
        card.texts,
        card=card.frame,
        tiers=_tiers(contents.cards),
        rate_first=member.project.rate_first,
    )


def _excerpt(turns: list[Turn]) -> str:
    """How the prompt's last message begins, without its markup."""
    if not turns:
        return ""
    text = " ".join(unescape(TAG.sub("", turns[-1].html)).split())
    return text if len(text) <= EXCERPT else f"{text[: EXCERPT - 1]}…"


def _joined(pieces: Any) -> SafeString:
    return SafeString("".join(pieces))
