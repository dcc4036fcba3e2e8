"""Work that is made for one labeler: training, qualification, gold and repeats."""

import random

from django.db.models.functions import Now

from annotation.models import Membership, Prompt, Qualification


def next_direct(
    labeler: Membership, *, rng: random.Random | None = None
) -> tuple[Prompt, int] | None:
    """The prompt that this labeler is to rank before any of the queue, and which
    repeat of it; None when the queue is next.

    A labeler whose project asks for no test passes at their first prompt.
    """
    pending = labeler.qualification == Qualification.PENDING
    if pending and labeler.project.qualification_threshold is None:
        Membership.objects.filter(pk=labeler.pk).update(
            qualification=Qualification.PASSED, qualification_decided_at=Now()
        )
        labeler.qualification = Qualification.PASSED
    return None
