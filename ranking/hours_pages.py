"""Hours as pages and as a file for the payroll."""

import csv
from datetime import UTC, date, datetime
from typing import Any

from django import forms
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from annotation.access import Member, for_members
from annotation.models import Role
from ranking.csv_cells import neutral
from ranking.hours import Period, WorkedDay, by_worker, total, worked_days

MOST_DAYS = 366
FIRST_YEAR, LAST_YEAR = 2000, 2999
COLUMNS = (
    *("day", "labeler", "email", "rankings", "skips", "without_time"),
    "active_seconds",
)


class PeriodForm(forms.Form):
    """The first and the last day, UTC; this month unless said otherwise."""

    since = forms.DateField(
        label="From",
        input_formats=["%Y-%m-%d"],
        widget=forms.DateInput(attrs={"type": "date"}),
    )
    until = forms.DateField(
        label="Up to and including",
        input_formats=["%Y-%m-%d"],
        widget=forms.DateInput(attrs={"type": "date"}),
    )

    def clean(self) -> dict[str, Any]:
        """Adds `period`: at most a year, the first day not after the last."""
        cleaned: dict[str, Any] = super().clean() or {}
        since, until = cleaned.get("since"), cleaned.get("until")
        if since is None or until is None:
            return cleaned
        if not FIRST_YEAR <= since.year <= until.year <= LAST_YEAR:
            raise forms.ValidationError(
                f"Choose days of the years {FIRST_YEAR} to {LAST_YEAR}, the first not"
                " after the last."
            )
        if not 0 <= (until - since).days < MOST_DAYS:
            raise forms.ValidationError(
                f"Choose at most {MOST_DAYS} days, the first not after the last."
            )
        cleaned["period"] = Period(since, until)
        return cleaned


def _this_month() -> dict[str, str]:
    today = datetime.now(UTC).date()
    return {"since": today.replace(day=1).isoformat(), "until": today.isoformat()}


@require_safe
@for_members(Role.LABELER, Role.ADMIN)
def hours(member: Member) -> HttpResponse:
    """A labeler's own days; everybody's sums for an admin. Two queries of its own."""
    form = PeriodForm(_this_month() | member.request.GET.dict())
    if not form.is_valid():
        return _page(member, form, [], status=400)
    mine = member.membership if member.role == Role.LABELER else None
    rows = worked_days(member.project, form.cleaned_data["period"], labeler=mine)
    return _page(member, form, rows)


@require_safe
@for_members(Role.ADMIN)
def hours_csv(member: Member) -> HttpResponse:
    """Everybody's days in one file: the same rows that the page sums up."""
    form = PeriodForm(_this_month() | member.request.GET.dict())
    if not form.is_valid():
        return _page(member, form, [], status=400)
    period = form.cleaned_data["period"]
    name = f"hours-{member.project.slug}-{period.since}-to-{period.until}.csv"
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    lines = csv.writer(response)
    lines.writerow(COLUMNS)
    lines.writerows(_line(row) for row in worked_days(member.project, period))
    return response


def _line(row: WorkedDay) -> tuple[date | str | int, ...]:
    worked = row.worked
    return (
        row.day.isoformat(),
        neutral(row.name),
        neutral(row.email),
        worked.rankings,
        worked.skips,
        worked.untimed,
        f"{worked.seconds:.3f}",
    )


def _page(
    member: Member, form: PeriodForm, rows: list[WorkedDay], status: int = 200
) -> HttpResponse:
    context = {"member": member, "form": form, "total": total(rows)}
    template = "ranking/labeler_hours.html"
    if member.role == Role.ADMIN:
        template = "ranking/hours.html"
        context["workers"] = by_worker(rows)
    else:
        context["days"] = rows[::-1]
    return render(member.request, template, context, status=status)
