"""How far a project is: counts from its prompts and assignments alone."""

from dataclasses import dataclass
from datetime import UTC, date

from django.db.models import Count, Exists, OuterRef, Q
from django.db.models.functions import TruncDate

from annotation.models import (
    Assignment,
    AssignmentSource,
    AssignmentState,
    Membership,
    Project,
    Prompt,
    Response,
)
from annotation.slots import HELD

DAYS_SHOWN = 14


@dataclass(frozen=True)
class PromptProgress:
    """Prompts of a project by where they stand; the parts add up to `total`."""

    total: int
    awaiting: int  # responses
    failed: int  # no responses could be sampled
    being_ranked: int  # at least one slot is open or held
    completed: int  # every slot holds a ranking that counts
    not_queued: int  # they have responses but no slots: imported, gold, training


def prompt_progress(project: Project) -> PromptProgress:
    """One query."""
    has_response = Exists(Response.objects.filter(prompt=OuterRef("pk")))
    slots = Assignment.objects.filter(
        prompt=OuterRef("pk"), source=AssignmentSource.QUEUE
    )
    unfinished = [AssignmentState.OPEN, *HELD]
    counts = (
        Prompt.objects.filter(project=project)
        .annotate(
            answered=has_response,
            in_queue=Exists(slots.filter(state__in=unfinished)),
            ranked=Exists(slots.filter(state=AssignmentState.COMPLETED)),
        )
        .aggregate(
            total=Count("pk"),
            awaiting=Count("pk", filter=Q(answered=False, failure="")),
            failed=Count("pk", filter=Q(answered=False) & ~Q(failure="")),
            being_ranked=Count("pk", filter=Q(answered=True, in_queue=True)),
            completed=Count("pk", filter=Q(answered=True, in_queue=False, ranked=True)),
            not_queued=Count(
                "pk", filter=Q(answered=True, in_queue=False, ranked=False)
            ),
        )
    )
    return PromptProgress(**counts)


@dataclass(frozen=True)
class Day:
    """Rankings that filled a slot on one day (UTC)."""

    date: date
    rankings: int
    share: float  # of the busiest day shown


def rankings_by_day(project: Project) -> list[Day]:
    """The last 14 days on which something was ranked, newest first. One query."""
    rows = (
        Assignment.objects.filter(
            project=project,
            source=AssignmentSource.QUEUE,
            state=AssignmentState.COMPLETED,
        )
        .annotate(day=TruncDate("closed_at", tzinfo=UTC))
        .values("day")
        .annotate(rankings=Count("pk"))
        .order_by("-day")[:DAYS_SHOWN]
    )
    busiest = max((row["rankings"] for row in rows), default=1)
    return [Day(r["day"], r["rankings"], r["rankings"] / busiest) for r in rows]


def ranked_by(membership: Membership) -> int:
    """Prompts that this labeler has ranked. One query."""
    return Assignment.objects.filter(
        labeler=membership,
        source=AssignmentSource.QUEUE,
        state=AssignmentState.COMPLETED,
    ).count()
