"""The agreement report as a page."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render

from annotation.access import Member, for_members
from annotation.models import Membership, Role
from ranking.agreement import accuracy_band
from ranking.dashboards import agreement_report
from ranking.filters import FilterForm, Filters


@for_members(Role.ADMIN, Role.RESEARCHER)
def agreement(member: Member) -> HttpResponse:
    """How far people agree, each number with its n and its interval."""
    form = FilterForm(member.request.GET)
    filters = form.filters() if form.is_valid() else Filters()
    report = agreement_report(member.project, filters, name=naming(member))
    context = {
        "member": member,
        "form": form,
        "report": report,
        "band": accuracy_band(report["strict"]["value"]),
        "slices": list(_slices(report)),
    }
    return render(member.request, "ranking/agreement.html", context)


def naming(member: Member) -> Any:
    """What labelers are called on this person's pages: admins read names,
    researchers pseudonyms."""
    if member.role == Role.ADMIN:
        return lambda labeler: labeler.name

    def pseudonym(labeler: Membership) -> str:
        return member.project.pseudonym(labeler.pk)

    return pseudonym


SLICES = {
    "by_k": ("Responses per prompt", "k"),
    "by_rank_distance": ("Rank distance", "distance"),
    "by_tag": ("Tag", "tag"),
    "by_version": ("Instructions version", "version"),
    "by_week": ("Week", "week"),
}


def _slices(report: dict[str, Any]) -> Any:
    """Tables of `strict` by something, those that have a row."""
    for name, (title, key) in SLICES.items():
        rows = [{"label": row[key], "strict": row} for row in report[name]]
        if rows:
            yield {"name": name, "title": title, "rows": rows}
