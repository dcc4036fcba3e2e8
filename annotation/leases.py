"""What labelers hold: kept while they are at work on it, and given back."""

from collections.abc import Callable
from datetime import timedelta
from typing import Final, TypeVar

from django.db import IntegrityError, transaction
from django.db.models import Case, F, ProtectedError, QuerySet, When
from django.db.models.functions import Coalesce, Now
from psycopg.errors import UniqueViolation

from annotation.models import (
    Assignment,
    AssignmentSource,
    AssignmentState,
    Membership,
    Prompt,
    Purpose,
)
from annotation.prepared import instances
from annotation.queue_statements import KEEP
from annotation.slots import (
    HELD,
    call_back_labeler,
    drawn_order,
    give_back,
    lock_prompt,
    responses_of,
)

PREFETCH_LEASE: Final = timedelta(minutes=2)
MOST_TRIES: Final = 5
ENTRY: Final = (Purpose.TRAINING, Purpose.QUALIFICATION)
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
    keys = {
        "id": assignment,
        "labeler": labeler,
        "shown": shown,
        "prefetch_lease": PREFETCH_LEASE,
    }
    kept = next(iter(instances(Assignment, KEEP, keys)), None)
    if kept is not None and kept.display_order is None:
        draw_order(kept)
    return kept


def draw_order(held: Assignment) -> None:
    """Draw the order of a row that was made before orders were drawn with the row."""
    held.display_order = drawn_order(held.token, responses_of(held))
    held.save(update_fields=["display_order"])


def expire(held: Assignment) -> None:
    """Close a locked row that somebody holds; it stays theirs, for a late answer.

    What they claimed was handed to them, and counts as shown even if its page never
    said so. What was only loaded ahead does not: see NOT_MINE.
    """
    claimed = When(
        state=AssignmentState.CLAIMED, then=Coalesce("shown_at", "claimed_at", Now())
    )
    Assignment.objects.filter(pk=held.pk).update(
        state=AssignmentState.EXPIRED,
        closed_at=Now(),
        shown_at=Case(claimed, default=F("shown_at")),
    )
    held.refresh_from_db(fields=["state", "shown_at"])


def renew(assignment: Assignment) -> bool:
    """Somebody is looking at it: start the lease anew; False if it is not theirs now.

    What was loaded ahead becomes their claim, unless they have another one; then it
    stays loaded ahead with a full lease. What waits behind a claim is kept for two
    minutes more. Not to be called inside a transaction.
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

    What they have seen stays as `expired`, with their name, token and draft: an answer
    that is under way is kept. They are not handed the prompt again. What they have not
    seen goes, and may come to them again. Training and tests, without which they are
    handed nothing else, wait for them as they left them: only the lease ends. For the
    steps see `_let_go`.
    """

    def close(held: Assignment, prompt: Prompt) -> bool:
        if prompt.purpose in ENTRY:
            Assignment.objects.filter(pk=held.pk).update(lease_until=Now())
        elif held.shown_at is not None:
            expire(held)
        else:
            _remove(held)
        return True

    return _let_go(assignment, close)


def take_back(assignment: Assignment) -> bool:
    """Have others rank what a labeler holds; False if it is not held any more.

    The row stays as `expired`, so what they have done with it is kept. Work of their
    own takes no slot from others and stays with them.
    """

    def close(held: Assignment, _: Prompt) -> bool:
        if held.source != AssignmentSource.QUEUE:
            return False
        expire(held)
        return True

    return _let_go(assignment, close)


def _let_go(
    assignment: Assignment, close: Callable[[Assignment, Prompt], bool]
) -> bool:
    """Have a held row closed and open its slot again; False if it was not.

    1. Lock the labeler's row, then the prompt.
    2. `close` says what becomes of the row, if anything.
    3. The slot is opened again at the end of its priority, under a new token: the next
       labeler finds nothing that hangs on the old row, such as a draft.
    4. Who never saw it may be handed the prompt again: call them back to it.
    """
    with transaction.atomic():
        mine = Assignment.objects.filter(
            pk=assignment.pk, labeler=assignment.labeler_id, state__in=HELD
        )
        held = mine.select_for_update(no_key=True, of=("self",)).first()
        if held is None:
            return False
        prompt = lock_prompt(held.prompt_id)
        closed = close(held, prompt)
        if closed:
            give_back(held, prompt)
            if held.shown_at is None:
                call_back_labeler(held)
    return closed


def _remove(held: Assignment) -> None:
    """The row goes. One that others point to (a reported problem) stays, as seen."""
    try:
        Assignment.objects.filter(pk=held.pk).delete()
    except ProtectedError:
        Assignment.objects.filter(pk=held.pk).update(
            state=AssignmentState.EXPIRED,
            closed_at=Now(),
            shown_at=Coalesce("shown_at", Now()),
        )
