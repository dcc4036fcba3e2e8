"""What comes next in the queue for a labeler who holds nothing: the taking of it.

Work that is made for them, else a slot whose holder went away, else the next open
slot, else what was loaded ahead for somebody who did not come to it. The public door
is `annotation.queue`; the order of locks is written in `annotation.slots`.
"""

from datetime import timedelta
from typing import Any, Final

from django.db import connection, transaction

from annotation.asking import NothingIsServed, keys_of
from annotation.direct import next_direct
from annotation.leases import PREFETCH_LEASE, draw_order, expire
from annotation.models import (
    Assignment,
    AssignmentSource,
    AssignmentState,
    Membership,
    Qualification,
)
from annotation.prepared import instances
from annotation.queue_statements import (
    LOCK_ABANDONED,
    LOCK_UNSEEN,
    PEEK,
    PEEK_ANEW,
    TAKE,
    TAKE_ANEW,
)
from annotation.slots import (
    call_back_labeler,
    is_wanted,
    lock_prompt,
    new_row,
    responses_of,
)

ROWS_PEEKED_AT: Final = 1_000
UNDECIDED: Final = (
    "Your qualification test is being looked at. What you have ranked is kept; come"
    " back when you have heard from an admin of the project."
)


def take_next(labeler: Any, state: AssignmentState) -> Assignment | None:
    """Take the next work for somebody who holds nothing of this state."""
    made = _take_direct(labeler, state)
    if made is not None:
        return made
    if labeler.qualification == Qualification.PENDING:
        raise NothingIsServed(UNDECIDED)
    return _take_slot(labeler, state)


def queue_has_work(labeler: Any) -> bool:
    """Whether the queue, gold and repeats apart, has something for them. Two queries.

    Of the open slots it looks at a thousand. When none of these is theirs to take and
    there are more, it says yes: their claim will know.
    """
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
    if direct is None or (is_in and not queue_has_work(labeler)):
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
