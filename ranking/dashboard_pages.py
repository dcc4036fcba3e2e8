"""The dashboards: how far a project is, how far people agree, and their habits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

import numpy as np
from django.http import HttpResponse
from django.shortcuts import render
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_safe

from annotation.access import Member, for_members
from ranking.agreement import accuracy_band
from ranking.dashboard_numbers import (
    Cell,
    Estimate,
    matrix,
    strict,
    tie_rate,
    vs_others,
)
from ranking.dashboard_sums import (
    READERS,
    Asked,
    answered,
    names_of,
    source_of,
)
from ranking.forecast import forecast
from ranking.judgements import tags
from ranking.pictures import OF_AGREEMENT, OF_HABITS
from ranking.pictures import throughput as throughput_picture
from ranking.queue_health import done_by_day, work_of
from ranking.tallies import Tallies
from ranking.templatetags.numbers import percent

DRIFT_DAYS: Final = 28
MOST_IN_MATRIX: Final = 40


@require_safe
@for_members(*READERS)
def overview(member: Member) -> HttpResponse:
    """How far the project is, when it will be done, and what needs somebody."""
    return answered(member, _overview)


def _overview(asked: Asked) -> HttpResponse:
    project, today = asked.member.project, datetime.now(UTC).date()
    work = work_of(project)
    done = done_by_day(project, work, today=today)
    headline = strict(asked.tallies)
    context = asked.context | {
        "here": "overview",
        "work": work,
        "forecast": forecast(work.left, done, today=today),
        "last_week": sum(done[-7:]),
        "known_days": min(len(done), 7),
        "headline": headline,
        "tie_rate": tie_rate(asked.tallies),
        "drift": drift(asked.tallies),
        "picture": throughput_picture(source_of(asked, names={}, tags={})),
    }
    return render(asked.member.request, "ranking/overview.html", context)


@dataclass(frozen=True, kw_only=True)
class Drift:
    """Agreement of the last four weeks beside that of all time before."""

    before: Estimate
    lately: Estimate

    @property
    def moved(self) -> str:
        """`down`, `up`, or nothing while the two intervals overlap."""
        before, lately = self.before.interval, self.lately.interval
        if before is None or lately is None:
            return ""
        if lately[1] < before[0]:
            return "down"
        return "up" if lately[0] > before[1] else ""


def drift(tallies: Tallies) -> Drift:
    """A comparison belongs to the later of its two rankings; the last four weeks end
    with the newest ranking."""
    moments = tallies.judged.submitted
    later = np.maximum(
        moments[tallies.compared.first], moments[tallies.compared.second]
    )
    newest = moments.max() if len(moments) else np.datetime64("now", "us")
    lately = later > newest - np.timedelta64(DRIFT_DAYS, "D")
    return Drift(before=strict(tallies, ~lately), lately=strict(tallies, lately))


@require_safe
@for_members(*READERS)
def agreement_pictures(member: Member) -> HttpResponse:
    """Agreement over time, by slice, and labeler by labeler."""
    return answered(member, _agreement)


def _agreement(asked: Asked) -> HttpResponse:
    names = names_of(asked)
    source = source_of(asked, names=names, tags=tags(asked.member.project))
    headline = source.overall
    people = vs_others(asked.tallies, names)
    context = asked.context | {
        "here": "agreement",
        "headline": headline,
        "tie_rate": tie_rate(asked.tallies),
        "band": accuracy_band(headline.value),
        "pictures": [picture(source) for picture in OF_AGREEMENT if headline.whole],
        **_heat_map(asked.tallies, names, people, headline),
    }
    return render(asked.member.request, "ranking/agreement_pictures.html", context)


def _heat_map(
    tallies: Tallies,
    names: Mapping[int, str],
    people: list[Estimate],
    headline: Estimate,
) -> dict[str, Any]:
    """Labelers in the order of their agreement with all others, at most forty."""
    keys = {name: pk for pk, name in names.items()}
    shown = people[:MOST_IN_MATRIX]
    cells = matrix(tallies, [keys[one.label] for one in people])
    return {
        "people": shown,
        "people_left_out": len(people) - len(shown),
        "heat": [
            HeatRow(
                one,
                [
                    _coloured(cell, headline.value or 0.0) if cell else None
                    for cell in row
                ],
            )
            for one, row in zip(shown, cells, strict=True)
        ],
    }


@dataclass(frozen=True, slots=True)
class Coloured:
    """A cell of the heat map as it is written: there may be 1,600 of them."""

    cell: Cell
    colour: str  # its class
    share: str
    n: str


@dataclass(frozen=True, slots=True)
class HeatRow:
    """A labeler beside all others; None where they ordered no pair both."""

    labeler: Estimate
    cells: Sequence[Coloured | None]

    @property
    def html(self) -> SafeString:
        """The cells. As a template's loop they took longer than the rest of a page."""
        drawn = [
            _drawn(c.colour, c.share, c.n) if c else UNCOMPARED for c in self.cells
        ]
        return SafeString("".join(drawn))


@lru_cache(maxsize=4096)
def _drawn(colour: str, share: str, n: str) -> SafeString:
    """A cell; kept, for each stands on both sides of the diagonal, and on the page that
    refreshes itself."""
    return format_html('<td class="{}">{}<small>{}</small></td>', colour, share, n)


UNCOMPARED: Final = _drawn("none", "", "")


def _coloured(cell: Cell, middle: float) -> Coloured:
    """In one of nine colours: the fifth is the pool's own agreement, a step is three
    points. Grey says nothing."""
    step = min(max(round((cell.value - middle) / 0.03), -4), 4) + 5
    return Coloured(
        cell=cell,
        colour="few" if cell.few else f"step-{step}",
        share=percent(cell.value),
        n=f"{cell.comparable:,}",
    )


@require_safe
@for_members(*READERS)
def habits(member: Member) -> HttpResponse:
    """Who ties how often, and whether the place on the page says something."""
    return answered(member, _habits)


def _habits(asked: Asked) -> HttpResponse:
    source = source_of(asked, names=names_of(asked), tags={})
    context = asked.context | {
        "here": "habits",
        "tie_rate": tie_rate(asked.tallies),
        "pictures": [picture(source) for picture in OF_HABITS],
    }
    return render(asked.member.request, "ranking/habits.html", context)
