"""What a labeler ranked last, and what of it they may still correct."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import (
    BooleanField,
    DateTimeField,
    ExpressionWrapper,
    F,
    OuterRef,
    Q,
    Subquery,
    Value,
)
from django.db.models.functions import Now

from annotation.models import Assignment, AssignmentSource, Membership, Purpose
from ranking.desk import labeler_of
from ranking.models import Ranking, RankingQuerySet, RankingStatus

LONGEST_HISTORY = 50  # rankings


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """A prompt that a labeler ranked: its current ranking, without texts.

    `editable_until` is None when it is too late for a correction, or when too many
    rankings came after it. `has_feedback`: it was training, and they may read the right
    order again.
    """

    token: str
    submitted_at: datetime
    status: RankingStatus
    editable_until: datetime | None
    has_feedback: bool


def latest_rankings(labeler: Membership) -> list[Ranked]:
    """Their last 50 prompts, the latest first. Two queries."""
    editable = _editable(labeler)
    first = _first_rankings(labeler).filter(assignment=OuterRef("assignment"))
    rankings = (
        Ranking.objects.current()
        .filter(assignment__labeler=labeler)
        .annotate(first_at=Subquery(first.values("submitted_at")[:1]))
        .order_by("-first_at", "-pk")
        .values_list(
            *("assignment_id", "assignment__token", "submitted_at", "status"),
            *("assignment__source", "assignment__prompt__purpose"),
        )
    )
    return [
        Ranked(
            token=token,
            submitted_at=submitted_at,
            status=RankingStatus(status),
            editable_until=editable.get(assignment),
            has_feedback=(source, purpose)
            == (AssignmentSource.DIRECT, Purpose.TRAINING),
        )
        for assignment, token, submitted_at, status, source, purpose in rankings[
            :LONGEST_HISTORY
        ]
    ]


def why_closed(assignment: Assignment) -> str | None:
    """Why the ranking of this assignment cannot be corrected any more; None if it can.

    For an assignment that is ranked, with its labeler and their project. One query.
    """
    labeler = labeler_of(assignment)
    if assignment.pk in _editable(labeler):
        return None
    project = labeler.project
    if not project.editable_rankings or not project.editable_minutes:
        return "In this project a submitted ranking is not changed any more."
    last = project.editable_rankings
    which = "last ranking" if last == 1 else f"last {last} rankings"
    minutes = project.editable_minutes
    return (
        f"It can no longer be changed: that is possible for your {which}, for"
        f" {minutes} {'minute' if minutes == 1 else 'minutes'} after each."
    )


def editable_until(assignment: Assignment) -> datetime | None:
    """Until when the ranking of this assignment may be corrected; None if it may not.

    For an assignment that is ranked, with its labeler and their project. One query.
    """
    return _editable(labeler_of(assignment)).get(assignment.pk)


def _editable(labeler: Membership) -> dict[int, datetime]:
    """Assignment → until when it may be ranked anew, by the database's clock.

    The time runs from the first ranking: correcting it does not prolong it.
    """
    project = labeler.project
    ends = F("submitted_at") + Value(timedelta(minutes=project.editable_minutes))
    last = _first_rankings(labeler).annotate(
        until=ExpressionWrapper(ends, output_field=DateTimeField()),
        is_open=ExpressionWrapper(Q(until__gt=Now()), output_field=BooleanField()),
    )
    found = last.order_by("-submitted_at", "-pk")[: project.editable_rankings]
    return {
        assignment: until
        for assignment, until, is_open in found.values_list(
            "assignment_id", "until", "is_open"
        )
        if is_open
    }


def _first_rankings(labeler: Membership) -> RankingQuerySet:
    """One for each prompt that they ranked."""
    return Ranking.objects.filter(assignment__labeler=labeler, revises__isnull=True)
