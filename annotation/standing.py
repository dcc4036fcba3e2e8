"""Whether a labeler is handed work: paused by an admin, qualified or not."""

from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from psycopg.errors import RestrictViolation

from annotation import queue
from annotation.models import Assignment, Membership, Qualification, User


def pause(labeler: Membership) -> int:
    """Hand this labeler nothing more, and take back what they hold: how many prompts.

    1. The pause is committed first, so every claim that begins later is refused.
    2. Then the slots that they hold go to others. The rows stay theirs: a ranking that
       is under way, and its draft, are kept and may still be sent. A claim that was
       under way at that moment may leave them one prompt: they may rank it, or its
       lease runs out. Training, tests, gold and repeats stay with them until then.

    What they have ranked stays and counts. Not to be called inside a transaction.
    """
    with transaction.atomic(durable=True):
        Membership.objects.filter(pk=labeler.pk, paused_at=None).update(paused_at=Now())
    held = Assignment.objects.filter(labeler=labeler, state__in=queue.HELD)
    return sum(queue.take_back(assignment) for assignment in held)


class StillWithdrawnError(Exception):
    """What they rank would count for nothing: their work is withdrawn."""


def resume(labeler: Membership) -> None:
    """Hand this labeler work again.

    Raises StillWithdrawnError where a trigger (a_withdrawn_labeler_stays_paused) says
    so: withdrawals are known to a later room.
    """
    try:
        with transaction.atomic():
            Membership.objects.filter(pk=labeler.pk).update(paused_at=None)
    except IntegrityError as error:
        if not isinstance(error.__cause__, RestrictViolation):
            raise
        raise StillWithdrawnError(
            f"{labeler.name} stays paused: their rankings are withdrawn, and new ones"
            " would count for nothing. Reinstate them first."
        ) from error


def decide_qualification(
    labeler: Membership, *, decision: Qualification, user: User
) -> None:
    """An admin's own word on whether somebody qualified; PENDING: the test decides."""
    pending = decision == Qualification.PENDING
    Membership.objects.filter(pk=labeler.pk).update(
        qualification=decision,
        qualification_decided_at=None if pending else Now(),
        qualification_decided_by=None if pending else user,
    )
