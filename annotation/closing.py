"""How an assignment is closed with an answer, and whose its slot is then."""

from enum import Enum
from typing import Final

from django.db import IntegrityError, connection, transaction
from django.db.models.functions import Now

from annotation.models import (
    Assignment,
    AssignmentSource,
    AssignmentState,
    Membership,
    Prompt,
)
from annotation.prepared import Given, Prepared
from annotation.slots import HELD, close_open_slot, holding

_OWN_LOCKED = Prepared(
    lambda: (
        Assignment.objects.select_for_update(no_key=True, of=("self", "prompt"))
        .select_related("prompt")
        .filter(labeler=Given("labeler"), token=Given("token"))
    )
)
# What the ORM would write, which takes it five times as long as the database.
COMPLETE: Final = """
UPDATE annotation_assignment
SET state = 'completed', slot = %s, closed_at = statement_timestamp()
WHERE id = %s
"""


class SlotAfter(Enum):
    """Whose a slot is once its labeler has answered."""

    FILLED = "filled"  # this answer's
    TAKEN = "taken"  # somebody else is working on it: the lease was over
    FULL = "full"  # somebody else's answer's


def lock_for_answer(*, membership: Membership, token: str) -> Assignment:
    """The labeler's own assignment, and then its prompt, locked until the end of the
    transaction: who answers a prompt sees all answers that came before.

    Errors: Assignment.DoesNotExist for a token that is not theirs.
    """
    locked = _OWN_LOCKED.first(labeler=membership.pk, token=token)
    if locked is None:
        raise Assignment.DoesNotExist
    return locked


def lock_begun(assignment: Assignment) -> bool:
    """Lock an assignment of one's own that one has begun to work on, until the end of
    the transaction; False if it is gone.

    If it is held, it was seen: who gives it back then is not handed it again, and what
    they have done with it stays (`annotation.leases.release`).
    """
    mine = Assignment.objects.select_for_update(no_key=True, of=("self",))
    held = mine.only("state", "shown_at").filter(pk=assignment.pk).first()
    if held is None:
        return False
    if held.state in HELD and held.shown_at is None:
        Assignment.objects.filter(pk=held.pk).update(shown_at=Now())
    return True


def complete(assignment: Assignment) -> SlotAfter:
    """Close a locked assignment with its labeler's answer; say whose the slot is.

    A claim is completed even when its lease is over, as long as nobody took it. One
    that somebody took stays `expired`, and one that was skipped `skipped`, unless a
    slot of the prompt lies open: then the open row goes and the answer fills the slot
    after all, for its labeler could never take it. An answer outside the queue takes
    no slot and is always filed.
    """
    if assignment.state == AssignmentState.COMPLETED:
        return SlotAfter.FILLED
    of_the_queue = assignment.source == AssignmentSource.QUEUE
    if of_the_queue and assignment.state not in HELD:
        slot = _win_back(assignment)
        if slot is not SlotAfter.FILLED:
            return slot
    with connection.cursor() as cursor:
        cursor.execute(COMPLETE, [assignment.slot, assignment.pk])
    assignment.state = AssignmentState.COMPLETED
    return SlotAfter.FILLED


def _win_back(assignment: Assignment) -> SlotAfter:
    """Whether an answer to a slot that its labeler lost can still have one.

    1. `lock_for_answer` has locked the prompt: nobody opens, returns or takes over one
       of its slots.
    2. Who has been handed the prompt again has one answer to it, that one.
    3. A slot without any row was closed: it is free as long as the prompt has fewer
       rankings than its overlap, which may have been lowered.
    4. Else an open row goes, their own slot's first, unless a claim has taken it: the
       state is looked at again under its lock. The answer has its slot.
    5. Whoever holds the slot is looked at without waiting for them.
    """
    prompt = assignment.prompt
    if not mark_seen(assignment):
        return _of_their_other_row(assignment)
    rows = holding([prompt.pk])
    holder = rows.filter(slot=assignment.slot).first()
    if holder is None and rows.count() < prompt.overlap:
        return SlotAfter.FILLED
    if _take_open_slot(assignment, prompt):
        return SlotAfter.FILLED
    over = holder is None or holder.state == AssignmentState.COMPLETED
    return SlotAfter.FULL if over else SlotAfter.TAKEN


def _take_open_slot(assignment: Assignment, prompt: Prompt) -> bool:
    lying_open = holding([prompt.pk]).filter(state=AssignmentState.OPEN)
    slots = lying_open.values_list("slot", flat=True)
    for slot in sorted(slots, key=lambda slot: (slot != assignment.slot, slot)):
        if close_open_slot(prompt, slot):
            assignment.slot = slot
            return True
    return False


def mark_seen(assignment: Assignment) -> bool:
    """Their answer says that they saw it; False if they were handed the prompt again.

    That can be only of a row that expired before it was shown, and the constraint
    a_prompt_comes_once_to_a_labeler tells, at whatever moment the other row comes. The
    assignment is locked, and so is the prompt, which a claim of the other row may hold.
    """
    if assignment.state != AssignmentState.EXPIRED or assignment.shown_at is not None:
        return True
    try:
        with transaction.atomic():
            Assignment.objects.filter(pk=assignment.pk).update(shown_at=Now())
    except IntegrityError:
        return False
    return True


def _of_their_other_row(assignment: Assignment) -> SlotAfter:
    theirs = Assignment.objects.filter(
        labeler=assignment.labeler_id, prompt=assignment.prompt_id, state__in=HELD
    )
    return SlotAfter.TAKEN if theirs.exists() else SlotAfter.FULL
