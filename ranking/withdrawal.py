"""A labeler's rankings are withdrawn: from datasets to come, agreement and the queue.

Nothing is deleted. The rankings stay, frozen datasets and the models made of them stay,
and a withdrawal can be ended.
"""

from collections.abc import Iterable, Sequence

from django.db import IntegrityError, transaction
from django.db.models import Exists
from django.db.models.functions import Coalesce, Now

from annotation.models import Assignment, AssignmentState, Membership, Response, User
from annotation.prepared import Given, Prepared
from annotation.withdrawn_slots import fill_slots_again, leave_slots
from ranking.models import (
    Dataset,
    DatasetRanking,
    Ranking,
    RankingStatus,
    Withdrawal,
)

_RESPONSES = Prepared(
    lambda: (
        Response.objects.only("external_id", "prompt_id")
        .filter(prompt=Given("prompt"))
        .annotate(
            labeler_is_withdrawn=Exists(
                Withdrawal.objects.in_force().filter(labeler=Given("labeler"))
            )
        )
    )
)


class AlreadyWithdrawnError(Exception):
    """Their rankings are withdrawn; the reason that was given stays."""


class NotWithdrawnError(Exception):
    """There is no withdrawal to end."""


def withdraw(labeler: Membership, *, reason: str, user: User) -> int:
    """Have all that this labeler ranked count for nothing; how many slots opened.

    1. Lock the membership: claims of theirs come before this or after it.
    2. Pause them, and note the withdrawal: every count, and every answer of theirs that
       is locked after this commit, leaves them out.
    3. Lock their rows of the queue, so that an answer under way is either seen here or
       sees the withdrawal. Slots that they filled or hold go to others.

    A claim that was under way may leave them one prompt; `submit` gives its slot back.
    Datasets that are frozen hold what they held. Raises AlreadyWithdrawnError.
    """
    try:
        with transaction.atomic():
            _lock(labeler)
            Membership.objects.filter(pk=labeler.pk).update(
                paused_at=Coalesce("paused_at", Now())
            )
            Withdrawal.objects.create(labeler=labeler, reason=reason, withdrawn_by=user)
            return leave_slots(labeler)
    except IntegrityError as error:
        if "a_labeler_is_withdrawn_once_at_a_time" not in str(error):
            raise
        raise AlreadyWithdrawnError(
            f"The rankings of {labeler.name} are withdrawn already."
        ) from error


def reinstate(labeler: Membership, *, user: User) -> int:
    """Have this labeler's rankings count again; how many of them fill a slot again.

    Where others have ranked in their place meanwhile, both count. They stay paused
    until somebody resumes them. Raises NotWithdrawnError.
    """
    with transaction.atomic():
        _lock(labeler)
        in_force = Withdrawal.objects.in_force().filter(labeler=labeler)
        if not in_force.update(ended_at=Now(), ended_by=user):
            raise NotWithdrawnError(
                f"The rankings of {labeler.name} are not withdrawn."
            )
        counted = Ranking.objects.current().filter(
            assignment__labeler=labeler,
            assignment__state=AssignmentState.EXPIRED,
            status=RankingStatus.COUNTED,
        )
        answered = set(counted.values_list("assignment", flat=True))
        return fill_slots_again(labeler, answered)


def _lock(labeler: Membership) -> None:
    Membership.objects.select_for_update(no_key=True, of=("self",)).get(pk=labeler.pk)


def responses_with_withdrawal(assignment: Assignment) -> Sequence[Response]:
    """The responses to rank, each with whether the assignment's labeler is withdrawn:
    asked with a statement that submit makes anyway, after it has locked the assignment.
    """
    return _RESPONSES.run(prompt=assignment.prompt_id, labeler=assignment.labeler_id)


def is_withdrawn(responses: Iterable[Response]) -> bool:
    """What `responses_with_withdrawal` noted."""
    return any(getattr(one, "labeler_is_withdrawn", False) for one in responses)


def withdrawn_from(dataset: Dataset) -> int:
    """How many rankings a frozen dataset holds that would not enter it today, because
    their labelers are withdrawn."""
    held = DatasetRanking.objects.filter(dataset=dataset)
    withdrawn = Withdrawal.objects.in_force().values("labeler")
    return held.filter(ranking__assignment__labeler__in=withdrawn).count()
