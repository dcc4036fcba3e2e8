"""How long people worked: active time of what they submitted and skipped, by UTC day.

All of it is work: rankings that came late, corrections (each with its own time), and
training, gold and repeated prompts. What an import brought along is not. The page
measures time in milliseconds, so sums are made of whole milliseconds and are exact.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import BigIntegerField, Count, F, Q, QuerySet, Sum
from django.db.models.functions import Cast, Coalesce, TruncDate

from annotation.models import AssignmentSource, Membership, Project, Skip
from ranking.models import Ranking


@dataclass(frozen=True)
class Period:
    """Whole days in UTC, both ends included."""

    since: date
    until: date

    def of(self, moment: str) -> Q:
        """Rows whose field `moment` lies in the period."""
        midnight = time(tzinfo=UTC)
        return Q(
            **{
                f"{moment}__gte": datetime.combine(self.since, midnight),
                f"{moment}__lt": datetime.combine(self.until, midnight)
                + timedelta(days=1),
            }
        )


@dataclass(frozen=True, kw_only=True)
class Worked:
    """What was done, and the time it took as far as it was measured."""

    rankings: int = 0  # corrections included
    skips: int = 0
    untimed: int = 0  # of both, those whose time was not measured
    milliseconds: int = 0

    def __add__(self, other: "Worked") -> "Worked":
        return Worked(
            rankings=self.rankings + other.rankings,
            skips=self.skips + other.skips,
            untimed=self.untimed + other.untimed,
            milliseconds=self.milliseconds + other.milliseconds,
        )

    @property
    def seconds(self) -> Decimal:
        """Exact, with three decimals."""
        return Decimal(self.milliseconds).scaleb(-3)

    @property
    def clock(self) -> str:
        """`12:05:03`: hours, minutes and seconds, to the nearest second."""
        minutes, seconds = divmod((self.milliseconds + 500) // 1000, 60)
        return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"


Worker = tuple[int, str, str]  # membership, name, e-mail address


@dataclass(frozen=True)
class WorkedDay:
    """What one person did on one day."""

    day: date
    worker: Worker
    worked: Worked

    @property
    def name(self) -> str:
        """What admins call them."""
        return self.worker[1]

    @property
    def email(self) -> str:
        """Where they sign in."""
        return self.worker[2]


def worked_days(
    project: Project, period: Period, *, labeler: Membership | None = None
) -> list[WorkedDay]:
    """Everybody's days with work on them (or one labeler's), by day and name.

    Two queries.
    """
    rankings = Ranking.objects.filter(period.of("submitted_at"), project=project)
    rankings = rankings.exclude(assignment__source=AssignmentSource.IMPORTED)
    skips = Skip.objects.filter(period.of("skipped_at"), assignment__project=project)
    found: dict[tuple[date, Worker], Worked] = {}
    for rows, moment, kind in (
        (rankings, "submitted_at", "rankings"),
        (skips, "skipped_at", "skips"),
    ):
        if labeler is not None:
            rows = rows.filter(assignment__labeler=labeler)
        for key, worked in _by_day(rows, moment, kind):
            found[key] = found.get(key, Worked()) + worked
    days = [WorkedDay(*key, worked) for key, worked in found.items()]
    return sorted(days, key=lambda row: (row.day, row.name, row.worker[0]))


def _by_day(
    rows: QuerySet[Any], moment: str, kind: str
) -> Iterable[tuple[tuple[date, Worker], Worked]]:
    """Sums of each person and day. One query."""
    labeler = "assignment__labeler"
    milliseconds = Cast(F("active_seconds") * 1000, BigIntegerField())  # rounds
    sums = (
        rows.annotate(day=TruncDate(moment, tzinfo=UTC))
        .values_list("day", labeler, f"{labeler}__name", f"{labeler}__user__email")
        .annotate(
            number=Count("pk"),
            untimed=Count("pk", filter=Q(active_seconds__isnull=True)),
            time=Coalesce(Sum(milliseconds), 0),
        )
        .order_by()
    )
    for day, pk, name, email, number, untimed, time_ms in sums:
        worked = Worked(untimed=untimed, milliseconds=int(time_ms), **{kind: number})
        yield (day, (pk, name, email)), worked


def total(rows: Iterable[WorkedDay]) -> Worked:
    """The sum of some days."""
    return sum((row.worked for row in rows), Worked())


def by_worker(rows: Iterable[WorkedDay]) -> list[tuple[Worker, int, Worked]]:
    """Each person with the number of days and the sum of them, by name."""
    days: dict[Worker, list[WorkedDay]] = {}
    for row in rows:
        days.setdefault(row.worker, []).append(row)
    sums = [(worker, len(some), total(some)) for worker, some in days.items()]
    return sorted(sums, key=lambda row: (row[0][1], row[0][0]))
