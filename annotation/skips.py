"""Prompts that labelers will not rank, and prompts that nobody is to rank any more."""

from django.db import transaction
from django.db.models.functions import Now

from annotation.closing import lock_for_answer, mark_seen
from annotation.models import (
    Assignment,
    AssignmentState,
    Membership,
    Project,
    Prompt,
    PromptRejection,
    Skip,
    SkipReason,
    Takedown,
    User,
)
from annotation.slots import (
    HELD,
    close_open_slots,
    give_back,
    lock_prompt,
    open_slots,
)


class SkipRefusedError(Exception):
    """The prompt was not skipped, and nothing was stored; the message says why."""


class ReasonMissingError(SkipRefusedError):
    """`other` is no reason without words."""


class RankedAlreadyError(SkipRefusedError):
    """There is a ranking, which stays."""


def skip(
    *,
    membership: Membership,
    token: str,
    reason: str,
    text: str = "",
    active_seconds: float | None = None,
) -> Skip:
    """Record that a labeler will not rank their prompt, and give the slot to others.

    1. Lock their assignment and its prompt; the same token again finds the stored
       skip, unchanged.
    2. Close it with their name on it, so that the prompt never comes to them again.
    3. Enough labelers that called it bad take it out.
    4. Else the slot is opened again, at the end of its priority. One that was lost to
       somebody else before is not theirs to give back.

    `reason` is a SkipReason, `active_seconds` the time spent at work on it. Errors:
    Assignment.DoesNotExist for somebody else's token; ReasonMissingError for the
    reason `other` without a text; RankedAlreadyError.
    """
    text = text.strip()
    if reason == SkipReason.OTHER and not text:
        raise ReasonMissingError("Not skipped: say in a few words why.")
    with transaction.atomic():
        assignment = lock_for_answer(membership=membership, token=token)
        stored = Skip.objects.filter(assignment=assignment).first()
        if stored is not None:
            return stored
        was_held = _close(assignment)
        skipped = Skip.objects.create(
            assignment=assignment,
            reason=reason,
            text=text,
            active_seconds=active_seconds,
        )
        if reason == SkipReason.BAD_PROMPT:
            _count_votes(assignment.prompt)
        if was_held:
            give_back(assignment, assignment.prompt)
    return skipped


def _close(assignment: Assignment) -> bool:
    """Mark a locked assignment as skipped; whether its labeler still held it."""
    if assignment.state == AssignmentState.COMPLETED:
        raise RankedAlreadyError(
            "Not skipped: you have ranked this prompt already, and the ranking is kept."
        )
    was_held = assignment.state in HELD
    if not was_held and not mark_seen(assignment):
        return False  # they have been handed it again, and that row stays theirs
    Assignment.objects.filter(pk=assignment.pk).update(
        state=AssignmentState.SKIPPED, closed_at=Now()
    )
    return was_held


class TakenDownError(Exception):
    """There is nothing left to put back."""


def _count_votes(prompt: Prompt) -> None:
    """Take a locked prompt out when enough labelers have called it bad.

    Its lock puts the votes in order, so the last one sees all others. A labeler has
    one vote however often the prompt came; votes of before an admin put the prompt
    back do not count.
    """
    votes = Skip.objects.filter(assignment__prompt=prompt, reason=SkipReason.BAD_PROMPT)
    if prompt.restored_at is not None:
        votes = votes.filter(skipped_at__gt=prompt.restored_at)
    labelers = votes.values("assignment__labeler").distinct().count()
    needed = Project.objects.values_list("bad_prompt_votes", flat=True)
    if labelers >= needed.get(pk=prompt.project_id):
        people = "1 labeler" if labelers == 1 else f"{labelers} labelers"
        _take_out(prompt, reason=f"{people} called the prompt bad.", user=None)


def reject_prompt(
    prompt: Prompt, *, reason: str, user: User | None = None
) -> PromptRejection:
    """Take a prompt out of the queue, and of datasets that are frozen from now on.

    Its open slots go, and none comes back. Who has seen it may finish: their ranking
    is kept. A prompt that is out already keeps the reason it has.
    """
    with transaction.atomic():
        return _take_out(lock_prompt(prompt.pk), reason=reason, user=user)


def _take_out(prompt: Prompt, *, reason: str, user: User | None) -> PromptRejection:
    longest = PromptRejection._meta.get_field("reason").max_length
    rejection, _ = PromptRejection.objects.get_or_create(
        prompt=prompt, defaults={"reason": reason[:longest], "rejected_by": user}
    )
    close_open_slots(prompt)
    return rejection


def restore_prompt(prompt: Prompt) -> bool:
    """Put a prompt back that was taken out; False if it was not.

    The slots that its overlap still asks for open at the end of its priority. It takes
    a full number of new votes to take it out again. What was taken down stays out, and
    a trigger has the last word on that: TakenDownError.
    """
    with transaction.atomic():
        locked = lock_prompt(prompt.pk)
        if Takedown.objects.filter(prompt=locked).exists():
            raise TakenDownError("The prompt was taken down: its text is gone.")
        if not PromptRejection.objects.filter(prompt=locked).delete()[0]:
            return False
        Prompt.objects.filter(pk=locked.pk).update(restored_at=Now())
        open_slots([locked])
    return True
