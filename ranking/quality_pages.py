"""A labeler's card, for admins: its numbers, pictures, and the files behind them."""

import csv
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from django.db.models import Exists, OuterRef
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from annotation.access import Member, for_members
from annotation.models import Membership, Role
from ranking.answers import Answers
from ranking.figure_answers import figure_answer
from ranking.filters import Filters, rankings_that_count
from ranking.models import RankingQuerySet, Withdrawal
from ranking.quality_cards import MOST_RANKINGS, answers_of, labeler_card
from ranking.quality_list import state_of
from ranking.quality_pictures import (
    Dot,
    PlaceMean,
    agreement_finding,
    commonest_k,
    dots,
    pace_bands,
    pace_finding,
    place_means,
    position_finding,
)
from ranking.quality_sittings import Window, windows
from ranking.quality_words import readings

if TYPE_CHECKING:
    pass

LATEST_SHOWN: Final = 10


@require_safe
@never_cache
@for_members(Role.ADMIN)
def card(member: Member, membership_id: int) -> HttpResponse:
    """Everything known of how one labeler works. Eleven queries."""
    labeler = _labeler_of(member, membership_id)
    found = labeler_card(labeler)
    work = found.work
    over_time, means = list(windows(work)), place_means(work)
    context = {
        "member": member,
        "labeler": labeler,
        "card": found,
        "state": state_of(labeler, member.project),
        "flagged": list(found.flagged()),
        "readings": list(readings(found)),
        "windows": [_dated(window) for window in over_time],
        "agreement_finding": agreement_finding(over_time),
        "bands": pace_bands(work),
        "pace_finding": pace_finding(work),
        "means": means,
        "position_finding": position_finding(commonest_k(means)),
        "history": _withdrawals(labeler),
        "latest": _latest(labeler),
        "most": MOST_RANKINGS,
    }
    return render(member.request, "ranking/labeler_card.html", context)


@require_safe
@for_members(Role.ADMIN)
def card_figure(
    member: Member, membership_id: int, picture: str, theme: str, width: str
) -> HttpResponse:
    """A picture of the card; 304 while it shows what the browser has. Four queries."""
    # matplotlib takes half a second to load: most web processes never need it.
    from ranking import quality_charts  # noqa: PLC0415

    if picture not in PICTURES:
        raise Http404("No such figure.")
    work = answers_of(_labeler_of(member, membership_id)).work
    data = PICTURES[picture].data(work)
    return figure_answer(
        member.request,
        partial(getattr(quality_charts, f"{picture}_chart"), data),
        said=f"{quality_charts.STYLE_VERSION} {picture} {data!r}",
        theme=theme,
        width=width,
    )


@require_safe
@never_cache
@for_members(Role.ADMIN)
def card_csv(member: Member, membership_id: int, picture: str) -> HttpResponse:
    """What a picture shows, as a file; an undefined number is an empty cell."""
    if picture not in PICTURES:
        raise Http404("No such file.")
    labeler = _labeler_of(member, membership_id)
    chosen = PICTURES[picture]
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    named = f"labeler-{labeler.pk}-{picture}.csv"
    response["Content-Disposition"] = f'attachment; filename="{named}"'
    lines = csv.writer(response)
    lines.writerow(chosen.columns)
    lines.writerows(chosen.lines(chosen.data(answers_of(labeler).work)))
    return response


def _labeler_of(member: Member, membership_id: int) -> Membership:
    """Anybody who ranks, also one who came with imported rankings."""
    in_force = Withdrawal.objects.in_force().filter(labeler=OuterRef("pk"))
    people = Membership.objects.annotate(is_withdrawn=Exists(in_force))
    return get_object_or_404(
        people.select_related("project", "user", "qualification_decided_by"),
        pk=membership_id,
        project=member.project,
        role=Role.LABELER,
    )


def _withdrawals(labeler: Membership) -> list[Withdrawal]:
    """What admins did before, the latest first."""
    history = Withdrawal.objects.filter(labeler=labeler).order_by("-pk")
    return list(history.select_related("withdrawn_by", "ended_by"))


def _latest(labeler: Membership) -> RankingQuerySet:
    """Their latest rankings that count, with the prompt of each."""
    filters = Filters(labelers=frozenset({labeler.pk}))
    counting = rankings_that_count(labeler.project, filters, even_of=labeler.pk)
    in_turn = counting.order_by("-submitted_at", "-pk")
    return in_turn.select_related("assignment__prompt")[:LATEST_SHOWN]


# --- Pictures and the files behind them -------------------------------------------


def _dated(window: Window) -> dict[str, Any]:
    return {
        "first_at": datetime.fromtimestamp(window.first_at, UTC),
        "last_at": datetime.fromtimestamp(window.last_at, UTC),
        "agreement": window.agreement,
    }


@dataclass(frozen=True, slots=True)
class Picture:
    """`data` of the answers is drawn by `quality_charts`; `lines` are its file."""

    data: Callable[[Answers], Sequence[Any]]
    columns: tuple[str, ...]
    lines: Callable[[Sequence[Any]], Iterable[tuple[object, ...]]]


def _window_lines(over_time: Sequence[Window]) -> Iterable[tuple[object, ...]]:
    for window in over_time:
        share, dated = window.agreement, _dated(window)
        ends = share.interval or (None, None)
        counted = (share.agree, share.comparable, share.prompts)
        moments = (dated["first_at"].isoformat(), dated["last_at"].isoformat())
        yield (*moments, share.value, *ends, *counted)


def _pace_lines(ranked: Sequence[Dot]) -> Iterable[tuple[object, ...]]:
    for dot in ranked:
        at = datetime.fromtimestamp(dot.at, UTC).isoformat()
        yield at, round(dot.words, 1), dot.seconds, dot.agree, dot.comparable


def _place_lines(means: Sequence[PlaceMean]) -> Iterable[tuple[object, ...]]:
    for one in means:
        yield one.k, one.place, one.mean, *(one.interval or (None, None)), one.prompts


PICTURES: Final = {
    "agreement": Picture(
        lambda work: list(windows(work)),
        (
            *("first_at", "last_at", "agreement", "low", "high"),
            *("agree", "comparable", "prompts"),
        ),
        _window_lines,
    ),
    "pace": Picture(
        dots,
        ("at", "words", "seconds", "agree", "comparable"),
        _pace_lines,
    ),
    "position": Picture(
        place_means,
        ("responses", "place", "mean_rank", "low", "high", "prompts"),
        _place_lines,
    ),
}
