"""The dashboards: how far a project is, how far people agree, what splits them.

Every number is summed from the prompts' summary rows; no page reads the rankings.
"""

import csv
import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
from django.db import connection
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.utils.cache import get_conditional_response
from django.utils.html import format_html_join
from django.utils.http import quote_etag
from django.utils.safestring import SafeString
from django.views.decorators.http import require_safe

from annotation.access import Member, for_members
from annotation.models import Membership, Role
from ranking.agreement import accuracy_band
from ranking.csv_cells import neutral
from ranking.dashboard_numbers import (
    Cell,
    Estimate,
    matrix,
    strict,
    tie_rate,
    vs_others,
)
from ranking.dashboards import distinct_names
from ranking.filters import Filters, InvalidFilter, filters_from_query
from ranking.forecast import forecast
from ranking.pictures import OF_AGREEMENT, OF_HABITS, PICTURES, Picture, Source
from ranking.pictures import throughput as throughput_picture
from ranking.queue_health import done_by_day, work_of
from ranking.rank_table import IntArray
from ranking.summaries import tallies_of
from ranking.tallies import Tallies
from ranking.templatetags.numbers import percent

READERS: Final = (Role.RESEARCHER, Role.ADMIN)
THEMES: Final = ("light", "dark")
WIDTHS: Final = ("wide", "narrow")
DRIFT_DAYS: Final = 28
MOST_IN_MATRIX: Final = 40
TAGS: Final = """
SELECT tag, string_agg(int8send(prompt.id), '')
FROM annotation_prompt prompt, unnest(prompt.tags) AS tag
WHERE prompt.project_id = %s GROUP BY tag
"""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A page's member, what they asked for, and the sums that answer it."""

    member: Member
    filters: Filters
    tallies: Tallies

    @property
    def context(self) -> dict[str, Any]:
        """What every dashboard shows."""
        return {
            "member": self.member,
            "query": self.member.request.GET,
            "asked": self.member.request.GET.urlencode(),
            "rankings": len(self.tallies.judged),
        }


Page = Callable[[Asked], HttpResponse]


def answered(member: Member, page: Page) -> HttpResponse:
    """The page over the rankings that were asked for; 400 for an unknown filter."""
    query = member.request.GET
    by_name = member.role == Role.ADMIN
    try:
        filters = filters_from_query(
            member.project, query, pool="random", by_name=by_name
        )
    except InvalidFilter as error:
        context = {"member": member, "query": query, "invalid": str(error)}
        return render(member.request, "ranking/dashboard.html", context, status=400)
    tallies = tallies_of(member.project, filters)
    return page(Asked(member=member, filters=filters, tallies=tallies))


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
        "picture": throughput_picture(_source(asked, names={}, tags={})),
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
    source = _source(asked, names=names, tags=_tags(asked))
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
        return format_html_join(
            "",
            '<td class="{}">{}<small>{}</small></td>',
            ((c.colour, c.share, c.n) if c else ("none", "", "") for c in self.cells),
        )


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
    source = _source(asked, names=names_of(asked), tags={})
    context = asked.context | {
        "here": "habits",
        "tie_rate": tie_rate(asked.tallies),
        "pictures": [picture(source) for picture in OF_HABITS],
    }
    return render(asked.member.request, "ranking/habits.html", context)


@require_safe
@for_members(*READERS)
def dashboard_figure(
    member: Member, picture: str, theme: str, width: str
) -> HttpResponse:
    """A picture as an image; 304 while its rows are what the browser has."""
    # matplotlib takes half a second to load: most web processes never need it.
    from ranking import charts  # noqa: PLC0415
    from ranking.drawing import svg  # noqa: PLC0415

    if picture not in PICTURES or theme not in THEMES or width not in WIDTHS:
        raise Http404("No such figure.")

    def page(asked: Asked) -> HttpResponse:
        drawn = _picture(asked, picture)
        etag = quote_etag(_version(drawn, f"{charts.STYLE_VERSION}.{theme}.{width}"))
        response = get_conditional_response(member.request, etag=etag)
        if response is None:
            figure = charts.draw(drawn, dark=theme == "dark", narrow=width == "narrow")
            response = HttpResponse(svg(figure), content_type="image/svg+xml")
            response["ETag"] = etag
        response["Cache-Control"] = "private, no-cache"
        return response

    return answered(member, page)


def _version(picture: Picture, style: str) -> str:
    said = f"{style}{picture!r}".encode()
    return hashlib.sha256(said).hexdigest()[:16]


@require_safe
@for_members(*READERS)
def dashboard_csv(member: Member, picture: str) -> HttpResponse:
    """The rows of a picture as a file; an undefined number is an empty cell."""
    if picture not in PICTURES:
        raise Http404("No such picture.")

    def page(asked: Asked) -> HttpResponse:
        drawn = _picture(asked, picture)
        response = HttpResponse(content_type="text/csv; charset=utf-8")
        name = f"{member.project.slug}-{picture}.csv"
        response["Content-Disposition"] = f'attachment; filename="{name}"'
        lines = csv.writer(response)
        if drawn.counts:
            lines.writerow([drawn.axis.lower(), drawn.unit])
            lines.writerows([neutral(r.label), f"{r.part:.0f}"] for r in drawn.rows)
            return response
        lines.writerow(
            [drawn.axis.lower(), *("value", "low", "high", "part", "of", "prompts")]
        )
        for row in drawn.rows:
            low, high = row.interval or ("", "")
            value = "" if row.value is None else row.value
            lines.writerow(
                [neutral(row.label), value, low, high, row.part, row.whole, row.prompts]
            )
        return response

    return answered(member, page)


def _picture(asked: Asked, name: str) -> Picture:
    names = names_of(asked) if name == "ties-by-labeler" else {}
    tags = _tags(asked) if name == "agreement-by-tag" else {}
    return PICTURES[name](_source(asked, names=names, tags=tags))


def _source(
    asked: Asked, *, names: Mapping[int, str], tags: Mapping[str, IntArray]
) -> Source:
    return Source(tallies=asked.tallies, names=names, tags=tags)


def names_of(asked: Asked) -> dict[int, str]:
    """Everybody whose rankings are looked at. One query."""
    keys = np.unique(asked.tallies.judged.labeler).tolist()
    return names_for(asked.member, keys)


def names_for(member: Member, labelers: Collection[int]) -> dict[int, str]:
    """What the reader may call each labeler: admins read names, others pseudonyms.
    One query."""
    found = Membership.objects.select_related("project").in_bulk(labelers)
    if member.role == Role.ADMIN:
        return distinct_names(found.values(), lambda labeler: labeler.name)
    return distinct_names(
        found.values(), lambda labeler: labeler.project.pseudonym(labeler.pk)
    )


def _tags(asked: Asked) -> dict[str, IntArray]:
    """Keys of the prompts that carry each tag. One query."""
    with connection.cursor() as cursor:
        cursor.execute(TAGS, [asked.member.project.pk])
        return {
            tag: np.frombuffer(keys, ">i8").astype(np.int64)
            for tag, keys in cursor.fetchall()
        }
