"""The slots of the queue: made ahead, put in their places, and given back.

A slot is an assignment row of the source `queue`, one for each labeler a prompt is to
have. Whoever adds a slot to a prompt that others can see, or takes one away, holds the
prompt's lock, so that "is it still wanted?" has one answer. The order of locks: the
labeler's membership, their own assignment (or the lapsed one they take over), the
prompt, its open rows, the project, memberships that are not locked already.
"""

import secrets
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from typing import Final

from django.conf import settings
from django.db import connection
from django.db.models import Count, F, Min, QuerySet, Value
from django.db.models.functions import Least

from annotation.models import (
    HIGHEST_PRIORITY,
    Assignment,
    AssignmentSource,
    AssignmentState,
    Membership,
    Project,
    Prompt,
    PromptRejection,
    Purpose,
    Response,
    random_token,
)
from annotation.shuffle import display_order

HELD = (AssignmentState.CLAIMED, AssignmentState.PREFETCHED)
HOLDING_A_SLOT = (AssignmentState.OPEN, *HELD, AssignmentState.COMPLETED)
# A place in the queue (`seq`): 7 bits of priority, 28 of arrival, 28 at random.
PRIORITY_STEP, ARRIVAL_STEP, RANDOM_BITS = 1 << 56, 1 << 28, 28
ROWS_AT_ONCE = 1_000


# --- Places -----------------------------------------------------------------------


def next_arrival() -> int:
    """A number greater than those of all batches and rows that came before."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval('annotation_queue_arrival')")
        return int(cursor.fetchone()[0])


def place(*, priority: int, arrival: int) -> int:
    """Where in the queue: by priority, by arrival, and at random within a batch.

    What comes later has a greater place than all of its priority, so it lies ahead of
    the labelers' cursors; and the order within a batch says nothing of the file.
    """
    return (
        (HIGHEST_PRIORITY - priority) * PRIORITY_STEP
        + arrival * ARRIVAL_STEP
        + secrets.randbits(RANDOM_BITS)
    )


def call_back(project_id: int, *, to: int) -> None:
    """Have labelers who are beyond a place look again from there on.

    Something was put there, or comes to light there with this transaction. Comes last
    before the commit, for it locks the project, and labelers until then.

    1. The queue gets a new version. Whoever has another one looks from the start.
    2. The cursors of those who were up to date are set back, where need be, and get
       the new version, so that they need not look at all they have done.
    3. A labeler who is claiming at this moment is passed over, and one who has to wait
       for this goes on with the old version: both look from the start next time. So
       nobody waits for a claim, and none misses what was put behind it.
    """
    projects = Project.objects.filter(pk=project_id)
    projects.update(queue_version=F("queue_version") + 1)
    version = projects.values_list("queue_version", flat=True).get()
    up_to_date = Membership.objects.select_for_update(
        no_key=True, skip_locked=True, of=("self",)
    ).filter(project=project_id, cursor_version=version - 1)
    Membership.objects.filter(pk__in=[member.pk for member in up_to_date]).update(
        cursor_seq=Least(F("cursor_seq"), Value(to - 1)), cursor_version=version
    )


def call_back_if_passed(project_id: int, *, to: int) -> None:
    """The same, if a labeler is beyond that place: rarely, and then for priorities."""
    beyond = Membership.objects.filter(project=project_id, cursor_seq__gte=to)
    if beyond.exists():
        call_back(project_id, to=to)


def call_back_labeler(unseen: Assignment) -> None:
    """Have the labeler of an expired row they never saw look at its prompt again.

    They passed its other open slots while it was theirs. Somebody who is claiming at
    this moment is passed over: they find it when they look from the start again.
    """
    others = holding([unseen.prompt_id]).filter(state=AssignmentState.OPEN)
    first = others.aggregate(first=Min("seq"))["first"]
    if first is None:
        return
    free = Membership.objects.select_for_update(
        no_key=True, skip_locked=True, of=("self",)
    ).filter(pk__in=[unseen.labeler_id])
    Membership.objects.filter(pk__in=[member.pk for member in free]).update(
        cursor_seq=Least(F("cursor_seq"), Value(first - 1))
    )


# --- Making slots -----------------------------------------------------------------


def new_row(*, prompt_id: int, responses: int, **fields: object) -> Assignment:
    """An unsaved assignment with a token and the display order that follows from it.

    The order is drawn here, so that handing the row out need not count responses.
    """
    row = Assignment(prompt_id=prompt_id, token=random_token(), **fields)
    row.display_order = drawn_order(row.token, responses)
    return row


def responses_of(row: Assignment) -> int:
    """How many responses a row shows; one without an order has its prompt's counted."""
    if row.display_order is not None:
        return len(row.display_order)
    return Response.objects.filter(prompt=row.prompt_id).count()


def drawn_order(token: str, responses: int) -> list[int]:
    """The order in which an assignment's responses are shown."""
    return display_order(secret=settings.SECRET_KEY, label=token, count=responses)


def open_slots(prompts: Iterable[Prompt]) -> None:
    """Open what is missing of the prompts' slots, and call labelers back to them.

    The prompts are locked, or were made in this transaction. See `make_slots`.
    """
    prompts = list(prompts)
    first = make_slots([prompt.pk for prompt in prompts])
    if first is not None:
        call_back_if_passed(prompts[0].project_id, to=first)


def make_slots(prompts: Collection[int]) -> int | None:
    """Open what is missing of the prompts' slots; return the first new place, if any.

    Each work prompt with responses has `overlap` slots; those that are held, done or
    open already are counted, so calling it again changes nothing. Archives serve
    nothing; training, qualification and gold prompts are not queued, and rejected
    ones do not come back. Four queries, and one for each thousand rows.
    """
    missing = list(_missing_slots(prompts))
    if not missing:
        return None
    arrival = next_arrival()
    rows = [
        new_row(
            prompt_id=prompt.pk,
            responses=responses,
            project_id=prompt.project_id,
            slot=slot,
            seq=place(priority=prompt.priority, arrival=arrival),
        )
        for prompt, responses, slot in missing
    ]
    Assignment.objects.bulk_create(
        rows,
        batch_size=ROWS_AT_ONCE,
        ignore_conflicts=True,  # a_slot_is_held_once
    )
    return min(row.seq for row in rows)


def _missing_slots(prompts: Collection[int]) -> Iterator[tuple[Prompt, int, int]]:
    """(prompt, number of its responses, lowest free slot), as often as is missing."""
    taken: dict[int, set[int]] = defaultdict(set)
    for prompt_id, slot in holding(prompts).values_list("prompt", "slot"):
        taken[prompt_id].add(slot)
    counted = Response.objects.filter(prompt__in=prompts).values("prompt")
    responses = dict(counted.annotate(k=Count("pk")).values_list("prompt", "k"))
    served = Prompt.objects.filter(
        pk__in=responses.keys(),
        purpose=Purpose.WORK,
        project__archive=False,
        rejection__isnull=True,
    )
    for prompt in served.only("project_id", "overlap", "priority"):
        slots = taken[prompt.pk]
        free = [slot for slot in range(prompt.overlap) if slot not in slots]
        for slot in free[: max(prompt.overlap - len(slots), 0)]:
            yield prompt, responses[prompt.pk], slot


def holding(prompts: Collection[int]) -> QuerySet[Assignment]:
    """The rows of the queue that hold slots of these prompts."""
    return Assignment.objects.filter(
        prompt__in=prompts, source=AssignmentSource.QUEUE, state__in=HOLDING_A_SLOT
    )


# --- One prompt's slots -----------------------------------------------------------


def lock_prompt(prompt_id: int) -> Prompt:
    """The prompt as it is now; its slots are this transaction's to add and to take."""
    return (
        Prompt.objects.select_for_update(no_key=True, of=("self",))
        .only("project_id", "overlap", "priority", "purpose", "restored_at")
        .get(pk=prompt_id)
    )


def is_wanted(prompt: Prompt) -> bool:
    """Whether one slot more of this locked prompt is to be ranked. Two queries.

    Not if it was taken out, nor if its other slots make up its overlap: the overlap
    may have been lowered while this slot was held.
    """
    if PromptRejection.objects.filter(prompt=prompt).exists():
        return False
    return holding([prompt.pk]).count() < prompt.overlap


def give_back(slot: Assignment, prompt: Prompt) -> None:
    """Open a slot again whose row was closed or is gone, if it is still wanted.

    The prompt is locked. The new row goes to the end of its priority.
    """
    if slot.source != AssignmentSource.QUEUE or not is_wanted(prompt):
        return
    row = new_row(
        prompt_id=prompt.pk,
        responses=responses_of(slot),
        project_id=slot.project_id,
        slot=slot.slot,
        pool=slot.pool,
        seq=place(priority=prompt.priority, arrival=next_arrival()),
    )
    row.save(force_insert=True)
    call_back_if_passed(slot.project_id, to=row.seq)


CLOSE_OPEN: Final = """
DELETE FROM annotation_assignment
WHERE prompt_id = %s AND state = 'open' AND source = 'queue'
"""


def close_open_slots(prompt: Prompt) -> None:
    """Take the open slots of this locked prompt out of the queue.

    One that a claim takes at this moment is awaited, and stays with its labeler: the
    state is looked at again under the row's lock. So it would not be by the ORM, which
    looks for the rows first and then deletes them by their keys.
    """
    with connection.cursor() as cursor:
        cursor.execute(CLOSE_OPEN, [prompt.pk])


def close_open_slot(prompt: Prompt, slot: int) -> bool:
    """The same for one of its slots; False if it is not open, or not any more."""
    with connection.cursor() as cursor:
        cursor.execute(f"{CLOSE_OPEN} AND slot = %s", [prompt.pk, slot])
        return bool(cursor.rowcount)


def change_priority(prompt: Prompt, priority: int) -> None:
    """Move the prompt's open slots to the end of another priority; higher is sooner.

    Slots that are held keep their labelers, and come back with the new priority if
    they come back. Runs in a transaction of the caller's.
    """
    locked = lock_prompt(prompt.pk)
    locked.priority = prompt.priority = priority
    locked.save(update_fields=["priority"])
    open_rows = holding([prompt.pk]).filter(state=AssignmentState.OPEN)
    first = place(priority=priority, arrival=next_arrival())
    open_rows.update(seq=first)
    call_back(locked.project_id, to=first)
