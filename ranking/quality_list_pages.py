"""All labelers on one page, for admins, and as a file."""

import csv
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from django.http import HttpResponse, HttpResponseBadRequest, QueryDict
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from annotation.access import Member, for_members
from annotation.models import Role
from ranking.filter_words import filters_from_query
from ranking.filters import Filters, InvalidFilter
from ranking.quality_cards import MOST_LISTED
from ranking.quality_list import COLUMNS, KEYS, cells, in_order, labelers_list

HEADINGS: Final = {
    "name": "Labeler",
    "flagged": "Look at",
    "rankings": "Rankings",
    "recent": "In 7 days",
    "active": "Last active",
    "agreement": "Agrees with others",
    "ties": "Ties",
    "pace": "Time for 100 words",
    "gold": "Gold",
    "self": "Agrees with self",
}
# Names and times are looked for from the start, counts from the largest.
FROM_THE_SMALLEST: Final = frozenset({"name", "agreement", "pace", "gold", "self"})
NUMBERS: Final = frozenset({"rankings", "recent"})


class Heading(NamedTuple):
    """A column of the list, and the address that sorts by it."""

    title: str
    address: str
    sorted: str  # ascending, descending or nothing, as ARIA calls it
    number: bool


@require_safe
@never_cache
@for_members(Role.ADMIN)
def labelers(member: Member) -> HttpResponse:
    """A row for each labeler: activity, agreement, pace, flags. Seven queries, and
    one more where a filter names labelers."""
    query = member.request.GET
    context: dict[str, Any] = {"member": member, "query": query}
    try:
        filters = _filters(member)
    except InvalidFilter as error:
        context["invalid"] = str(error)
        return render(member.request, "ranking/labelers.html", context, status=400)
    wanted = query.get("sort", "name")
    rows = labelers_list(member.project, filters)
    context |= {
        "rows": in_order(rows, wanted),
        "headings": list(_headings(query, wanted)),
        "flagged": sum(bool(row.flagged) for row in rows),
        "most": MOST_LISTED,
        "threshold": member.project.qualification_threshold,
    }
    return render(member.request, "ranking/labelers.html", context)


@require_safe
@never_cache
@for_members(Role.ADMIN)
def labelers_csv(member: Member) -> HttpResponse:
    """The same list as a file, in the same order."""
    try:
        filters = _filters(member)
    except InvalidFilter as error:
        return HttpResponseBadRequest(str(error), content_type="text/plain")
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    named = f"{member.project.slug}-labelers.csv"
    response["Content-Disposition"] = f'attachment; filename="{named}"'
    lines = csv.writer(response)
    lines.writerow(COLUMNS)
    rows = labelers_list(member.project, filters)
    for row in in_order(rows, member.request.GET.get("sort", "name")):
        lines.writerow(cells(row))
    return response


def _filters(member: Member) -> Filters:
    return filters_from_query(member.project, member.request.GET, by_name=True)


def _headings(query: QueryDict, wanted: str) -> Iterator[Heading]:
    """Pressed once more, a heading sorts the other way round. Filters stay."""
    key = wanted.removeprefix("-")
    sorted_by = wanted if key in KEYS or key == "name" else "name"
    for name, title in HEADINGS.items():
        first, second = name, f"-{name}"
        if name not in FROM_THE_SMALLEST:
            first, second = second, first
        address = query.copy()
        address["sort"] = second if sorted_by == first else first
        direction = {name: "ascending", f"-{name}": "descending"}.get(sorted_by, "")
        yield Heading(title, f"?{address.urlencode()}", direction, name in NUMBERS)
