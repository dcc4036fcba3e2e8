"""How an assignment is closed with an answer, and whose its slot is then."""

from enum import Enum

from django.db.models.functions import Now

from annotation.models import Assignment, AssignmentSource, AssignmentState, Membership
from annotation.slots import HELD, holding, lock_prompt


class SlotAfter(Enum):
    """Whose a slot is once its labeler has answered."""

    FILLED = "filled"  # this answer's
    TAKEN = "taken"  # somebody else is working on it: the lease was over
    FULL = "full"  # somebody else's answer's


def lock_for_answer(*, membership: Membership, token: str) -> Assignment:
    """The labeler's own assignment, locked until the end of the transaction.

    Errors: Assignment.DoesNotExist for a token that is not theirs.
    """
    return (
        Assignment.objects.select_for_update(no_key=True, of=("self",))
        .select_related("prompt")
        .get(labeler=membership, token=token)
    )


def complete(assignment: Assignment) -> SlotAfter:
    """Close a locked assignment with its labeler's answer; say whose the slot is.

    A claim is completed even when its lease is over, as long as nobody took it. One
    that somebody took stays `expired`, and one that was skipped `skipped`, unless the
    slot lies open again: then the open row goes and the answer fills the slot after
    all. An answer outside the queue takes no slot and is always filed.
    """
    if assignment.state == AssignmentState.COMPLETED:
        return SlotAfter.FILLED
    of_the_queue = assignment.source == AssignmentSource.QUEUE
    if of_the_queue and assignment.state not in HELD:
        slot = _win_back(assignment)
        if slot is not SlotAfter.FILLED:
            return slot
    Assignment.objects.filter(pk=assignment.pk).update(
        state=AssignmentState.COMPLETED, closed_at=Now()
    )
    assignment.state = AssignmentState.COMPLETED
    return SlotAfter.FILLED


def _win_back(assignment: Assignment) -> SlotAfter:
    """Whether a slot that its labeler lost can still be theirs.

    1. The prompt is locked: nobody opens, returns or takes over one of its slots.
    2. Whoever holds the slot is looked at without waiting for them.
    3. An open row goes, unless a claim has taken it: the state is looked at again
       under its lock.
    4. Without any row the slot was closed: it is free as long as the prompt has fewer
       rankings than its overlap, which may have been lowered.
    """
    prompt = lock_prompt(assignment.prompt_id)
    rows = holding([prompt.pk])
    holder = rows.filter(slot=assignment.slot).first()
    if holder is None:
        free = rows.count() < prompt.overlap
        return SlotAfter.FILLED if free else SlotAfter.FULL
    if holder.state == AssignmentState.COMPLETED:
        return SlotAfter.FULL
    lying_open = Assignment.objects.filter(pk=holder.pk, state=AssignmentState.OPEN)
    if holder.state == AssignmentState.OPEN and lying_open.delete()[0]:
        return SlotAfter.FILLED
    return SlotAfter.TAKEN
