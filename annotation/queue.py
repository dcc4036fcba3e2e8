"""The queue: the one place that hands out work, takes it back and closes it.

Assignment rows are made ahead, one for each labeler a prompt is to have, so handing
out work is taking a row under a lock and no count has to be kept. All times are the
database's. Locks are taken in this order: the labeler's membership, their own
assignment, the other assignment of the same slot.
"""

import random
import secrets
from collections.abc import Collection, Iterable
from datetime import timedelta
from enum import Enum
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Count, Exists, OuterRef, Q, QuerySet, Value
from django.db.models.functions import Now

from annotation.models import (
    Assignment,
    AssignmentSource,
    AssignmentState,
    Membership,
    Project,
    Prompt,
    Purpose,
    Response,
    Role,
    random_token,
)
from annotation.shuffle import display_order

HOLDING_A_SLOT = (
    AssignmentState.OPEN,
    AssignmentState.CLAIMED,
    AssignmentState.COMPLETED,
)
# `seq` orders the queue. New slots get a place in the lower half of the range, what
# was given back goes to the upper half: behind the work that nobody has seen.
HALF_OF_THE_QUEUE = 2**62

# The next row for a labeler: free, or claimed by somebody whose time is over, and of
# a prompt that never came to them. `OFFSET 0` keeps the planner from turning the
# NOT EXISTS into a join over the whole index, which costs as much as the queue is
# long. now() is the same through a transaction, so it can be written back.
NEXT_FOR = """
SELECT queued.*, now() AS now,
    (SELECT count(*) FROM annotation_response
     WHERE prompt_id = queued.prompt_id) AS responses,
    (SELECT id FROM annotation_instructions
     WHERE project_id = queued.project_id
     ORDER BY version DESC LIMIT 1) AS newest_instructions
FROM annotation_assignment queued
WHERE queued.project_id = %(project)s
  AND (queued.state = 'open'
       OR (queued.state = 'claimed' AND queued.lease_until < now()))
  AND NOT EXISTS (
      SELECT 1 FROM annotation_assignment mine
      WHERE mine.labeler_id = %(labeler)s AND mine.prompt_id = queued.prompt_id
      OFFSET 0)
ORDER BY queued.seq, queued.slot
LIMIT 1
"""
# Passes over rows that another claim is taking at this moment.
LOCKED = "FOR NO KEY UPDATE OF queued SKIP LOCKED"


class NothingIsServed(Exception):  # noqa: N818 - reads as what happened
    """This member cannot be handed work here; the message says why."""


class SlotAfter(Enum):
    """Whose a slot is once its labeler has answered."""

    FILLED = "filled"  # this answer's
    TAKEN = "taken"  # somebody else is working on it: the lease was over
    FULL = "full"  # somebody else's answer's


# --- Making slots -----------------------------------------------------------------


def choose_overlap(
    *, project: Project, prompts: Collection[Prompt], rng: random.Random | None = None
) -> None:
    """Set `overlap` on new, unsaved work prompts: the project's, or 1.

    Over the project's work prompts as a whole, round(fraction · all) have the
    overlap: an exact count, also when prompts come in batches. Which ones is chosen
    by `rng`, by default one that nobody can guess. One query.
    """
    rng = rng or secrets.SystemRandom()
    work = [prompt for prompt in prompts if prompt.purpose == Purpose.WORK]
    before = Prompt.objects.filter(project=project, purpose=Purpose.WORK)
    counts = before.aggregate(
        all=Count("pk"), overlapping=Count("pk", filter=Q(overlap__gt=1))
    )
    wanted = round(project.overlap_fraction * (counts["all"] + len(work)))
    missing = wanted - counts["overlapping"]
    chosen = set(rng.sample(range(len(work)), min(max(missing, 0), len(work))))
    for number, prompt in enumerate(work):
        prompt.overlap = project.overlap if number in chosen else 1


def open_slots(prompts: Iterable[Prompt]) -> None:
    """Make the open assignments of those prompts that have responses.

    Each work prompt gets `overlap` slots, at random places of the queue. Slots that
    are there already stay as they are, so calling it again changes nothing. Archives
    serve nothing, and training, qualification and gold prompts are not queued.
    """
    served = Prompt.objects.filter(
        Exists(Response.objects.filter(prompt=OuterRef("pk"))),
        pk__in=[prompt.pk for prompt in prompts],
        purpose=Purpose.WORK,
        project__archive=False,
    )
    Assignment.objects.bulk_create(
        (
            Assignment(
                project_id=prompt.project_id,
                prompt=prompt,
                slot=slot,
                seq=secrets.randbelow(HALF_OF_THE_QUEUE),
            )
            for prompt in served
            for slot in range(prompt.overlap)
        ),
        batch_size=5_000,
        ignore_conflicts=True,  # a_slot_is_held_once
    )


# --- Handing out ------------------------------------------------------------------


def held_by(membership: Membership) -> QuerySet[Assignment]:
    """What this labeler holds (at most one), whether or not its lease still runs."""
    return Assignment.objects.filter(labeler=membership, state=AssignmentState.CLAIMED)


def has_work_for(membership: Membership) -> bool:
    """Whether `claim` would find something now. Takes nothing; at most two queries."""
    if held_by(membership).exists():
        return True
    return bool(list(Assignment.objects.raw(NEXT_FOR, _asking(membership))))


def claim(membership: Membership) -> Assignment | None:
    """Hand this labeler a prompt to rank; None when nothing is left for them.

    1. Lock the membership: claims of one labeler (two tabs, a double click) queue up.
    2. What they hold already comes again, with a new lease.
    3. Else lock the next row that is theirs to take; claims pass over each other's.
    4. Take it. A row whose lease was over stays as `expired` with its labeler, so
       that a late answer finds its place, and a new row takes the slot
       (a_slot_is_held_once, a_prompt_comes_once_to_a_labeler).

    Errors: NothingIsServed in an archive and for members who do not rank.
    """
    with transaction.atomic(durable=True):
        labeler = (
            Membership.objects.select_for_update(no_key=True, of=("self",))
            .select_related("project")
            .get(pk=membership.pk)
        )
        _check_served(labeler)
        held = held_by(labeler).select_related("project").first()
        # Its lease may be over, and somebody may be taking it at this very moment.
        if held is not None and renew(held):
            return held
        for free in Assignment.objects.raw(NEXT_FOR + LOCKED, _asking(labeler)):
            return _take(free, labeler)
    return None


def renew(assignment: Assignment) -> bool:
    """Start the lease anew; False if it is nobody's claim any more."""
    lease = timedelta(minutes=assignment.project.lease_minutes)
    renewed = _still_held(assignment).update(lease_until=Now() + Value(lease))
    assignment.refresh_from_db(fields=["state", "lease_until"])
    return bool(renewed)


def release(assignment: Assignment) -> bool:
    """Give a claimed prompt back; False if it was not held any more.

    It goes behind the work that nobody has seen, under a new token, and may come to
    the same labeler again.
    """
    released = _still_held(assignment).update(
        state=AssignmentState.OPEN,
        labeler=None,
        token=random_token(),
        seq=HALF_OF_THE_QUEUE + secrets.randbelow(HALF_OF_THE_QUEUE),
        display_order=None,
        instructions=None,
        claimed_at=None,
        lease_until=None,
    )
    return bool(released)


def _still_held(assignment: Assignment) -> QuerySet[Assignment]:
    return Assignment.objects.filter(
        pk=assignment.pk,
        state=AssignmentState.CLAIMED,
        labeler_id=assignment.labeler_id,
    )


def _asking(membership: Membership) -> dict[str, int]:
    return {"project": membership.project_id, "labeler": membership.pk}


def _check_served(labeler: Membership) -> None:
    if labeler.role != Role.LABELER or labeler.user_id is None:
        raise NothingIsServed(f"Only labelers rank; {labeler.name} is none.")
    if labeler.project.archive:
        raise NothingIsServed(
            f"{labeler.project.title} is an archive: it takes imports only."
        )


def _take(free: Any, labeler: Membership) -> Assignment:
    """Make a locked row of `NEXT_FOR` the labeler's. Two or three statements."""
    lease = timedelta(minutes=labeler.project.lease_minutes)
    claimed = {
        "state": AssignmentState.CLAIMED,
        "labeler": labeler,
        "instructions_id": free.newest_instructions,
        "claimed_at": free.now,
        "lease_until": free.now + lease,
    }
    taken: Assignment = free
    if free.state == AssignmentState.CLAIMED:
        taken = _successor(free)
    for name, value in claimed.items():
        setattr(taken, name, value)
    taken.display_order = display_order(
        secret=settings.SECRET_KEY, label=taken.token, count=free.responses
    )
    taken.save()
    return taken


def _successor(lapsed: Any) -> Assignment:
    """A new row for the slot of one whose lease was over, which becomes `expired`."""
    lapsed.state, lapsed.closed_at = AssignmentState.EXPIRED, lapsed.now
    lapsed.save(update_fields=["state", "closed_at"])
    return Assignment(
        project_id=lapsed.project_id,
        prompt_id=lapsed.prompt_id,
        slot=lapsed.slot,
        pool=lapsed.pool,
        seq=lapsed.seq,
    )


# --- Closing ----------------------------------------------------------------------


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
    that somebody took stays `expired`, unless the slot lies open again: then the
    open row goes and the answer fills the slot after all.
    """
    if assignment.state == AssignmentState.COMPLETED:
        return SlotAfter.FILLED
    if assignment.state != AssignmentState.CLAIMED:
        # Again if there is none: while this waited for the holder's lock, the holder
        # may have lost the slot to a successor, which the first look cannot see.
        holder = _holder_of_the_slot_of(assignment) or _holder_of_the_slot_of(
            assignment
        )
        if holder is not None and holder.state != AssignmentState.OPEN:
            done = holder.state == AssignmentState.COMPLETED
            return SlotAfter.FULL if done else SlotAfter.TAKEN
        if holder is not None:
            holder.delete()
    Assignment.objects.filter(pk=assignment.pk).update(
        state=AssignmentState.COMPLETED, closed_at=Now()
    )
    assignment.state = AssignmentState.COMPLETED
    return SlotAfter.FILLED


def _holder_of_the_slot_of(assignment: Assignment) -> Assignment | None:
    return (
        Assignment.objects.select_for_update(no_key=True, of=("self",))
        .filter(
            prompt_id=assignment.prompt_id,
            slot=assignment.slot,
            source=AssignmentSource.QUEUE,
            state__in=HOLDING_A_SLOT,
        )
        .first()
    )
