"""The queue: the one place that hands out work, takes it back and closes it.

Assignment rows are made ahead, one for each labeler a prompt is to have, so handing
out work is taking a row under a lock and no count has to be kept. Each labeler has a
cursor: no open slot up to it is theirs to take, as long as the project's queue keeps
its version, so a claim costs the same however long the queue is. All times are the
database's. The order of locks is written in `annotation.slots`.
"""

from datetime import timedelta
from typing import Any, Final

from django.db import connection, transaction
from django.db.models import Value
from django.db.models.functions import Now

from annotation.asking import (
    NothingIsServed,
    TermsAwaitConsent,
    asking,
    check_served,
    keys_of,
)
from annotation.closing import SlotAfter, complete, lock_for_answer
from annotation.direct import next_direct
from annotation.leases import (
    PREFETCH_LEASE,
    held_by,
    keep,
    release,
    renew,
    until_it_holds,
)
from annotation.models import (
    Assignment,
    AssignmentSource,
    AssignmentState,
    Membership,
    Prompt,
    Purpose,
    Qualification,
)
from annotation.overlap import OverlapIsBusyError, change_overlap, choose_overlap
from annotation.queue_statements import LOCK_LAPSED, PEEK, TAKE
from annotation.skips import (
    RankedAlreadyError,
    ReasonMissingError,
    SkipRefusedError,
    reject_prompt,
    restore_prompt,
    skip,
)
from annotation.slots import (
    HELD,
    change_priority,
    drawn_order,
    is_wanted,
    lock_prompt,
    new_row,
    open_slots,
)

__all__ = [
    "HELD",
    "NothingIsServed",
    "OverlapIsBusyError",
    "RankedAlreadyError",
    "ReasonMissingError",
    "SkipRefusedError",
    "SlotAfter",
    "TermsAwaitConsent",
    "change_overlap",
    "change_priority",
    "choose_overlap",
    "claim",
    "complete",
    "has_work_for",
    "held_by",
    "lock_for_answer",
    "open_slots",
    "prefetch",
    "reject_prompt",
    "release",
    "renew",
    "restore_prompt",
    "skip",
]

ROWS_PEEKED_AT: Final = 1_000

# --- Handing out ------------------------------------------------------------------


def claim(membership: Membership) -> Assignment | None:
    """Hand this labeler a prompt to rank; None when nothing is left for them.

    1. What they hold comes again, with a new lease: their claim, else what was loaded
       ahead for them.
    2. Else work that is made for them; else a slot whose holder's lease is over; else
       the next open slot. One statement asks, the next takes.
    3. When a second claim of theirs overtakes this one, the unique constraints
       HELD_APART_BY refuse it, and it starts again at 1.

    Not to be called inside a transaction. Errors: NothingIsServed in an archive, and
    for members who do not rank, are paused, have not qualified, or have not agreed to
    the terms (TermsAwaitConsent).
    """

    def attempt() -> Assignment | None:
        labeler = asking(membership)
        check_served(labeler)
        return _kept(labeler) or _next(labeler, AssignmentState.CLAIMED)

    return until_it_holds(attempt)


def prefetch(membership: Membership) -> Assignment | None:
    """Load one prompt ahead for this labeler, for two minutes; None if there is none.

    What is loaded already comes again; its lease is started anew only if it is over
    and nobody took the slot. Members who are handed nothing get None: a claim tells
    them why. Not to be called inside a transaction.
    """

    def attempt() -> Assignment | None:
        labeler = asking(membership)
        check_served(labeler)
        return _prefetched(labeler) or _next(labeler, AssignmentState.PREFETCHED)

    try:
        return until_it_holds(attempt)
    except NothingIsServed:
        return None


def has_work_for(membership: Membership) -> bool:
    """Whether a claim would find something now. Changes nothing; at most four queries.

    It looks at a thousand open slots ahead of the labeler. When none of these is
    theirs to take and there are more, it says yes: their claim will know.
    """
    labeler = asking(membership)
    if labeler.claimed or labeler.prefetched or labeler.something_lapsed:
        return True
    if _peek(labeler) or (labeler.may_look_again and _peek(labeler, anew=True)):
        return True
    return labeler.qualification == Qualification.PENDING and _has_tests(labeler)


def _has_tests(labeler: Membership) -> bool:
    tests = [Purpose.TRAINING, Purpose.QUALIFICATION]
    prompts = Prompt.objects.filter(project=labeler.project_id, purpose__in=tests)
    return prompts.exists()


def _peek(labeler: Membership, *, anew: bool = False) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(PEEK, keys_of(labeler) | {"anew": anew, "most": ROWS_PEEKED_AT})
        found, goes_on = cursor.fetchone()
    return bool(found or goes_on)


def _kept(labeler: Any) -> Assignment | None:
    """What they hold, as their claim; None if there is nothing, or not any more."""
    for held in filter(None, (labeler.claimed, labeler.prefetched)):
        kept = keep(held, labeler.pk, shown=False)
        if kept is not None:
            return kept
    _drop_rejected(labeler)
    return None


def _prefetched(labeler: Any) -> Assignment | None:
    if labeler.prefetched is None:
        return None
    _drop_rejected(labeler)
    mine = Assignment.objects.filter(
        pk=labeler.prefetched, labeler=labeler.pk, state=AssignmentState.PREFETCHED
    )
    mine.filter(lease_until__lt=Now()).update(lease_until=Now() + Value(PREFETCH_LEASE))
    return mine.first()


def _drop_rejected(labeler: Any) -> None:
    """What was loaded ahead and never seen goes when its prompt was taken out."""
    if labeler.prefetched is None:
        return
    unseen = Assignment.objects.filter(
        pk=labeler.prefetched, shown_at=None, prompt__rejection__isnull=False
    )
    for assignment in unseen:
        release(assignment)


# --- What comes next --------------------------------------------------------------


def _next(labeler: Any, state: AssignmentState) -> Assignment | None:
    """Take the next work for somebody who holds nothing of this state."""
    made = _take_direct(labeler, state)
    if made is not None:
        return made
    if labeler.qualification == Qualification.PENDING:
        raise NothingIsServed(
            "Your qualification test is being looked at. What you have ranked is kept;"
            " come back when you have heard from an admin of the project."
        )
    taken = _take_over(labeler, state) if labeler.something_lapsed else None
    if taken is None:
        taken = _take_open(labeler, state)
    if taken is None and labeler.may_look_again:
        taken = _take_open(labeler, state, anew=True)
    return taken


def _take_direct(labeler: Any, state: AssignmentState) -> Assignment | None:
    """Make the row of work that is theirs alone; it is no slot of the queue."""
    direct = next_direct(labeler)
    if direct is None:
        return None
    prompt, repeat = direct
    row = new_row(
        prompt_id=prompt.pk,
        responses=prompt.responses.count(),
        project_id=labeler.project_id,
        slot=0,
        repeat=repeat,
        source=AssignmentSource.DIRECT,
        **_held_since_now(labeler, state),
    )
    row.save(force_insert=True)
    return row


def _take_over(labeler: Any, state: AssignmentState) -> Assignment | None:
    """Take a slot whose holder's lease is over.

    1. Lock the membership, then the longest lapsed row; claims pass over each other's.
    2. The row stays as `expired` with its labeler, so that a late answer finds its
       place.
    3. Lock the prompt. If the slot is still wanted, a new row takes it.
    """
    with transaction.atomic():
        Membership.objects.select_for_update(no_key=True, of=("self",)).get(
            pk=labeler.pk
        )
        for lapsed in iter(lambda: _lock_lapsed(labeler), None):
            Assignment.objects.filter(pk=lapsed.pk).update(
                state=AssignmentState.EXPIRED, closed_at=Now()
            )
            prompt = lock_prompt(lapsed.prompt_id)
            if is_wanted(prompt):
                return _succeed(lapsed, labeler, state)
    return None


def _lock_lapsed(labeler: Membership) -> Assignment | None:
    return next(iter(Assignment.objects.raw(LOCK_LAPSED, keys_of(labeler))), None)


def _succeed(lapsed: Assignment, labeler: Any, state: AssignmentState) -> Assignment:
    row = new_row(
        prompt_id=lapsed.prompt_id,
        responses=len(lapsed.display_order or ()),
        project_id=lapsed.project_id,
        slot=lapsed.slot,
        pool=lapsed.pool,
        seq=lapsed.seq,
        **_held_since_now(labeler, state),
    )
    row.save(force_insert=True)
    return row


def _held_since_now(labeler: Any, state: AssignmentState) -> dict[str, Any]:
    ahead = state == AssignmentState.PREFETCHED
    lease = PREFETCH_LEASE if ahead else timedelta(minutes=labeler.lease_minutes)
    return {
        "state": state,
        "labeler_id": labeler.pk,
        "instructions_id": labeler.newest_instructions,
        "claimed_at": labeler.asked_at,
        "lease_until": labeler.asked_at + lease,
    }


def _take_open(
    labeler: Membership, state: AssignmentState, *, anew: bool = False
) -> Assignment | None:
    """Take the next open slot; remember how far the look has gone. One statement."""
    keys = keys_of(labeler) | {
        "state": str(state),
        "prefetch_lease": PREFETCH_LEASE,
        "anew": anew,
    }
    taken = next(iter(Assignment.objects.raw(TAKE, keys)), None)
    if taken is not None and taken.display_order is None:
        _draw_order(taken)
    return taken


def _draw_order(taken: Assignment) -> None:
    """Draw the order of a row that was made before orders were drawn with the row."""
    taken.display_order = drawn_order(taken.token, taken.prompt.responses.count())
    taken.save(update_fields=["display_order"])
