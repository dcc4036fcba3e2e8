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
from annotation.direct import is_checked_first, next_direct
from annotation.leases import (
    PREFETCH_LEASE,
    draw_order,
    expire,
    held_by,
    keep,
    release,
    renew,
    take_back,
    until_it_holds,
)
from annotation.models import (
    Assignment,
    AssignmentSource,
    AssignmentState,
    Membership,
    Qualification,
)
from annotation.overlap import OverlapIsBusyError, change_overlap, choose_overlap
from annotation.prepared import instances
from annotation.queue_statements import (
    LOCK_ABANDONED,
    LOCK_UNSEEN,
    PEEK,
    PEEK_ANEW,
    TAKE,
    TAKE_ANEW,
)
from annotation.skips import (
    RankedAlreadyError,
    ReasonMissingError,
    SkipRefusedError,
    TakenDownError,
    reject_prompt,
    restore_prompt,
    skip,
)
from annotation.slots import (
    HELD,
    call_back_labeler,
    change_priority,
    is_wanted,
    lock_prompt,
    new_row,
    open_slots,
    responses_of,
)

__all__ = [
    "HELD",
    "NothingIsServed",
    "OverlapIsBusyError",
    "RankedAlreadyError",
    "ReasonMissingError",
    "SkipRefusedError",
    "SlotAfter",
    "TakenDownError",
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
    "take_back",
]

ROWS_PEEKED_AT: Final = 1_000
UNDECIDED: Final = (
    "Your qualification test is being looked at. What you have ranked is kept; come"
    " back when you have heard from an admin of the project."
)

# --- Handing out ------------------------------------------------------------------


def claim(membership: Membership) -> Assignment | None:
    """Hand this labeler a prompt to rank; None when nothing is left for them.

    1. What they hold comes again, with a new lease: their claim, else what was loaded
       ahead for them.
    2. Else work that is made for them; else a slot whose holder went away; else the
       next open slot; else what was loaded ahead for somebody who did not come to it.
       One statement asks, the next takes.
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

    For who is served at all: see `annotation.asking.check_served`.

    It looks at a thousand open slots ahead of the labeler. When none of these is
    theirs to take and there are more, it says yes: their claim will know.
    """
    labeler = asking(membership)
    if labeler.claimed or labeler.prefetched:
        return True
    if not awaits_decision(labeler) and _queue_has_work(labeler):
        return True
    return labeler.qualification == Qualification.PENDING and is_checked_first(labeler)


def awaits_decision(labeler: Membership) -> bool:
    """Whether only the test's outcome lets this labeler in, once they did all of it."""
    tested = labeler.project.qualification_threshold is not None
    return tested and labeler.qualification == Qualification.PENDING


def _queue_has_work(labeler: Any) -> bool:
    return bool(
        labeler.something_abandoned
        or labeler.something_unseen
        or _peek(labeler)
        or (labeler.may_look_again and _peek(labeler, anew=True))
    )


def _peek(labeler: Membership, *, anew: bool = False) -> bool:
    with connection.cursor() as cursor:
        keys = keys_of(labeler) | {"most": ROWS_PEEKED_AT}
        cursor.execute(PEEK_ANEW if anew else PEEK, keys)
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
        raise NothingIsServed(UNDECIDED)
    return _take_slot(labeler, state)


def _take_slot(labeler: Any, state: AssignmentState) -> Assignment | None:
    """What was abandoned, then the open slots, then what somebody may yet come to."""
    taken = None
    if labeler.something_abandoned:
        taken = _take_over(labeler, state, LOCK_ABANDONED)
    if taken is None:
        taken = _take_open(labeler, state)
    if taken is None and labeler.may_look_again:
        taken = _take_open(labeler, state, anew=True)
    if taken is None and labeler.something_unseen:
        taken = _take_over(labeler, state, LOCK_UNSEEN)
    return taken


def _take_direct(labeler: Any, state: AssignmentState) -> Assignment | None:
    """Make the row of work that is theirs alone; it is no slot of the queue.

    Gold and repeats come only while the queue has work for them as well: what comes
    after the queue's end would be known for what it is.
    """
    is_in = labeler.qualification == Qualification.PASSED
    direct = next_direct(labeler)
    if direct is None or (is_in and not _queue_has_work(labeler)):
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


def _take_over(
    labeler: Any, state: AssignmentState, lock_lapsed: str
) -> Assignment | None:
    """Take a slot whose holder's lease is over: the first that is still wanted."""
    tried = iter(lambda: _take_one_over(labeler, state, lock_lapsed), None)
    return next((row for row in tried if row.labeler_id == labeler.pk), None)


def _take_one_over(
    labeler: Any, state: AssignmentState, lock_lapsed: str
) -> Assignment | None:
    """The row that takes a lapsed one's slot; that one itself if nobody wants the slot.

    A transaction of its own, so that no two prompts are ever locked together.

    1. Lock the membership, then the longest lapsed row; claims pass over each other's.
    2. The row stays as `expired` with its labeler, so that a late answer finds its
       place.
    3. Lock the prompt. If the slot is still wanted, a new row takes it.
    4. Who never saw it may be handed the prompt again: call them back to it.
    """
    with transaction.atomic():
        Membership.objects.select_for_update(no_key=True, of=("self",)).get(
            pk=labeler.pk
        )
        found = instances(Assignment, lock_lapsed, keys_of(labeler))
        lapsed = next(iter(found), None)
        if lapsed is None:
            return None
        expire(lapsed)
        prompt = lock_prompt(lapsed.prompt_id)
        taken = _succeed(lapsed, labeler, state) if is_wanted(prompt) else lapsed
        if lapsed.shown_at is None:
            call_back_labeler(lapsed)
    return taken


def _succeed(lapsed: Assignment, labeler: Any, state: AssignmentState) -> Assignment:
    row = new_row(
        prompt_id=lapsed.prompt_id,
        responses=responses_of(lapsed),
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
    }
    statement = TAKE_ANEW if anew else TAKE
    taken = next(iter(instances(Assignment, statement, keys)), None)
    if taken is not None and taken.display_order is None:
        draw_order(taken)
    return taken
