"""The queue: the one place that hands out work, takes it back and closes it.

Assignment rows are made ahead, one for each labeler a prompt is to have, so handing
out work is taking a row under a lock and no count has to be kept. Each labeler has a
cursor: no open slot up to it is theirs to take, as long as the project's queue keeps
its version, so a claim costs the same however long the queue is. All times are the
database's. The order of locks is written in `annotation.slots`.
"""

from typing import Any

from django.db.models import Value
from django.db.models.functions import Now

from annotation.asking import (
    NothingIsServed,
    TermsAwaitConsent,
    asking,
    check_served,
)
from annotation.closing import SlotAfter, complete, lock_for_answer
from annotation.direct import is_checked_first
from annotation.leases import (
    PREFETCH_LEASE,
    held_by,
    keep,
    release,
    renew,
    take_back,
    until_it_holds,
)
from annotation.models import (
    Assignment,
    AssignmentState,
    Membership,
    Qualification,
)
from annotation.overlap import OverlapIsBusyError, change_overlap, choose_overlap
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
    change_priority,
    open_slots,
)
from annotation.taking import UNDECIDED, queue_has_work, take_next

__all__ = [
    "HELD",
    "UNDECIDED",
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
        return _kept(labeler) or take_next(labeler, AssignmentState.CLAIMED)

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
        return _prefetched(labeler) or take_next(labeler, AssignmentState.PREFETCHED)

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
    if not awaits_decision(labeler) and queue_has_work(labeler):
        return True
    return labeler.qualification == Qualification.PENDING and is_checked_first(labeler)


def awaits_decision(labeler: Membership) -> bool:
    """Whether only the test's outcome lets this labeler in, once they did all of it."""
    tested = labeler.project.qualification_threshold is not None
    return tested and labeler.qualification == Qualification.PENDING


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
