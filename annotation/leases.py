"""What labelers hold: kept while they are at work on it, and given back."""

from collections.abc import Callable
from datetime import timedelta
from typing import Final, TypeVar

from django.db import IntegrityError, transaction
from django.db.models import ProtectedError, QuerySet
from django.db.models.functions import Now
from psycopg.errors import UniqueViolation

from annotation.models import Assignment, AssignmentState, Membership
from annotation.queue_statements import KEEP
from annotation.slots import HELD, give_back, lock_prompt

PREFETCH_LEASE: Final = timedelta(minutes=2)
MOST_TRIES: Final = 5
# What keeps one labeler's claims apart when they overtake each other.
HELD_APART_BY: Final = (
    "a_labeler_holds_one_prompt_at_a_time",
    "one_prompt_is_prefetched_for_a_labeler",
    "a_prompt_comes_once_to_a_labeler",
)
T = TypeVar("T")


def held_by(membership: Membership) -> QuerySet[Assignment]:
    """What this labeler has claimed (at most one), whether or not its lease runs."""
    return Assignment.objects.filter(labeler=membership, state=AssignmentState.CLAIMED)


def until_it_holds(attempt: Callable[[], T]) -> T:
    """Try again when the labeler's own other request came first."""
    for _ in range(MOST_TRIES - 1):
        try:
            return attempt()
        except IntegrityError as error:
            if not _is_of_their_own_doing(error):
                raise
    return attempt()


def _is_of_their_own_doing(error: IntegrityError) -> bool:
    cause = error.__cause__
    return (
        isinstance(cause, UniqueViolation)
        and cause.diag.constraint_name in HELD_APART_BY
    )


def keep(assignment: int, labeler: int, *, shown: bool) -> Assignment | None:
    """Start a lease anew, as the labeler's claim; None if it is not theirs any more."""
    keys = {"id": assignment, "labeler": labeler, "shown": shown}
    return next(iter(Assignment.objects.raw(KEEP, keys)), None)


def renew(assignment: Assignment) -> bool:
    """Somebody is looking at it: start the lease anew; False if it is not theirs now.

    What was loaded ahead becomes their claim, unless they have another one; then it
    stays loaded ahead with a full lease. Not to be called inside a transaction.
    """
    labeler = assignment.labeler_id
    if labeler is None:
        return False
    kept = until_it_holds(lambda: keep(assignment.pk, labeler, shown=True))
    now = kept or Assignment.objects.filter(pk=assignment.pk).first()
    if now is not None:
        assignment.state, assignment.lease_until = now.state, now.lease_until
        assignment.shown_at = now.shown_at
    return kept is not None


def release(assignment: Assignment) -> bool:
    """Give a prompt back; False if it was not held any more.

    1. Lock the labeler's row, then the prompt.
    2. The row goes, and with it what hangs on it, such as a draft: the next labeler
       must not find it, and the prompt may come to this one again. A row that others
       point to (a reported problem) stays as `expired`, with its labeler.
    3. The slot is opened again at the end of its priority, under a new token.
    """
    with transaction.atomic():
        mine = Assignment.objects.filter(
            pk=assignment.pk, labeler=assignment.labeler_id, state__in=HELD
        )
        held = mine.select_for_update(no_key=True, of=("self",)).first()
        if held is None:
            return False
        prompt = lock_prompt(held.prompt_id)
        _remove(held)
        give_back(held, prompt)
    return True


def _remove(held: Assignment) -> None:
    try:
        Assignment.objects.filter(pk=held.pk).delete()
    except ProtectedError:
        Assignment.objects.filter(pk=held.pk).update(
            state=AssignmentState.EXPIRED, closed_at=Now()
        )
