"""The agreement report as a page."""

from collections.abc import Iterator
from typing import Any

from django.http import HttpResponse, QueryDict
from django.shortcuts import render
from django.views.decorators.http import require_safe

from annotation.access import Member, for_members
from annotation.models import Membership, Role
from ranking.agreement import accuracy_band
from ranking.dashboards import agreement_report
from ranking.filter_words import filters_from_query
from ranking.filters import InvalidFilter


@require_safe
@for_members(Role.ADMIN, Role.RESEARCHER)
def agreement(member: Member) -> HttpResponse:
    """How far people agree, each number with its n and its interval."""
    query = member.request.GET
    context: dict[str, Any] = {"member": member, "query": query, "here": "report"}
    context["asked"] = query.urlencode()
    try:
        report = report_for(member.membership, query)
    except InvalidFilter as error:
        context["invalid"] = str(error)
        return render(member.request, "ranking/agreement.html", context, status=400)
    context |= {
        "report": report,
        "band": accuracy_band(report["strict"]["value"]),
        "slices": list(_slices(report)),
    }
    return render(member.request, "ranking/agreement.html", context)


def report_for(reader: Membership, query: QueryDict) -> dict[str, Any]:
    """The report that the query asks for: admins read names, others pseudonyms.

    Raises InvalidFilter, also for who asks by a name that they may not know.
    """
    knows_names = reader.role == Role.ADMIN
    filters = filters_from_query(
        reader.project, query, pool="random", by_name=knows_names
    )
    name = None if knows_names else _pseudonym
    return agreement_report(reader.project, filters, name=name)


def _pseudonym(labeler: Membership) -> str:
    """What researchers read instead of a name."""
    return labeler.project.pseudonym(labeler.pk)


SLICES = {
    "by_k": ("Responses per prompt", "k"),
    "by_rank_distance": ("Rank distance", "distance"),
    "by_tag": ("Tag", "tag"),
    "by_version": ("Instructions version", "version"),
    "by_week": ("Week", "week"),
}


def _slices(report: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Tables of `strict` by something, those that have a row."""
    for name, (title, key) in SLICES.items():
        rows = [{"label": row[key], "strict": row} for row in report[name]]
        if rows:
            yield {"name": name, "title": title, "rows": rows}
