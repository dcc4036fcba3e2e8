"""The slots that a labeler filled go to others when their work is withdrawn.

Whoever calls this holds the lock of the labeler's membership, which comes first in the
order of locks (`annotation.slots`): claims that come before it are seen here.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable

from django.db import connection
from django.db.models import Case, Count, F, When
from django.db.models.functions import Coalesce, Now

from annotation.models import (
    Assignment,
    AssignmentSource,
    AssignmentState,
    Membership,
    Prompt,
    PromptRejection,
)
from annotation.slots import (
    HELD,
    ROWS_AT_ONCE,
    call_back_if_passed,
    holding,
    new_row,
    next_arrival,
    place,
    responses_of,
)

FILLED_OR_HELD = (*HELD, AssignmentState.COMPLETED)

TAKE_OPEN_SLOTS = """
DELETE FROM annotation_assignment
WHERE id = ANY(%s) AND state = 'open' RETURNING prompt_id, slot
"""


def leave_slots(labeler: Membership) -> int:
    """Close the rows of the queue that this labeler holds or filled, and have their
    slots ranked by others; how many slots opened. Part of the caller's transaction.

    1. Lock every row of the queue that was ever theirs: an answer that is under way is
       awaited, and then looked at as it is; one that comes later waits for the commit.
    2. Lock the prompts, so that "is the slot still wanted?" has one answer.
    3. The rows stay theirs as `expired`, with token and draft, and are never handed to
       them again.
    4. Each slot that is still wanted opens at the end of its priority.
    """
    closed = [row for row in _lock_rows(labeler) if row.state in FILLED_OR_HELD]
    prompts = _lock_prompts({row.prompt_id for row in closed})
    _expire(closed)
    opened = list(_opened(closed, prompts))
    Assignment.objects.bulk_create(
        opened,
        batch_size=ROWS_AT_ONCE,
        ignore_conflicts=True,  # a_slot_is_held_once
    )
    if opened:
        call_back_if_passed(labeler.project_id, to=min(row.seq for row in opened))
    return len(opened)


def _lock_rows(labeler: Membership) -> list[Assignment]:
    theirs = Assignment.objects.filter(labeler=labeler, source=AssignmentSource.QUEUE)
    locked = theirs.select_for_update(no_key=True, of=("self",))
    return list(locked.order_by("pk"))


def _lock_prompts(prompts: Collection[int]) -> dict[int, Prompt]:
    locked = Prompt.objects.select_for_update(no_key=True, of=("self",))
    return {
        prompt.pk: prompt for prompt in locked.filter(pk__in=prompts).order_by("pk")
    }


def _expire(rows: Iterable[Assignment]) -> None:
    """What was only loaded ahead, and never shown, stays unseen."""
    unseen = When(state=AssignmentState.PREFETCHED, then=F("shown_at"))
    Assignment.objects.filter(pk__in=[row.pk for row in rows]).update(
        state=AssignmentState.EXPIRED,
        closed_at=Coalesce("closed_at", Now()),
        shown_at=Case(unseen, default=Coalesce("shown_at", "claimed_at", Now())),
    )


def _opened(
    closed: Iterable[Assignment], prompts: dict[int, Prompt]
) -> Iterable[Assignment]:
    out = PromptRejection.objects.filter(prompt__in=prompts)
    rejected = set(out.values_list("prompt", flat=True))
    held = holding(prompts.keys()).values("prompt").annotate(rows=Count("pk"))
    count = defaultdict(int, held.values_list("prompt", "rows"))
    arrival = next_arrival()
    for row in closed:
        prompt = prompts[row.prompt_id]
        if prompt.pk not in rejected and count[prompt.pk] < prompt.overlap:
            count[prompt.pk] += 1
            yield new_row(
                prompt_id=prompt.pk,
                responses=responses_of(row),
                project_id=row.project_id,
                slot=row.slot,
                pool=row.pool,
                seq=place(priority=prompt.priority, arrival=arrival),
            )


def fill_slots_again(labeler: Membership, answered: Collection[int]) -> int:
    """Have these rows of the labeler's fill slots again where others left one; how
    many do. Part of the caller's transaction; `answered` are keys of assignments.

    The locks are those of `leave_slots`. An open slot of the prompt goes, unless a
    claim takes it at this moment: its state is looked at again under its lock. Where
    others have ranked in their place the row stays `expired`; its ranking counts all
    the same, beyond the overlap.
    """
    wanted = set(answered)
    rows = {
        row.prompt_id: row
        for row in _lock_rows(labeler)
        if row.pk in wanted and row.state == AssignmentState.EXPIRED
    }
    prompts = _lock_prompts(rows.keys())
    freed = _take_open_slots(rows.keys())
    taken: defaultdict[int, set[int]] = defaultdict(set)
    for prompt, slot in holding(rows.keys()).values_list("prompt", "slot"):
        taken[prompt].add(slot)
    filled = []
    for pk, row in rows.items():
        used = taken[pk]
        if pk in freed or len(used) < prompts[pk].overlap:
            row.slot = freed.get(pk, min(set(range(len(used) + 1)) - used))
            row.state = AssignmentState.COMPLETED
            filled.append(row)
    Assignment.objects.bulk_update(filled, ["slot", "state"], batch_size=ROWS_AT_ONCE)
    return len(filled)


def _take_open_slots(prompts: Collection[int]) -> dict[int, int]:
    """Prompt → the slot of an open row of it, which is gone."""
    lying_open = holding(prompts).filter(state=AssignmentState.OPEN).order_by("slot")
    one_each: dict[int, int] = {}
    for pk, prompt in lying_open.values_list("pk", "prompt"):
        one_each.setdefault(prompt, pk)
    with connection.cursor() as cursor:
        cursor.execute(TAKE_OPEN_SLOTS, [list(one_each.values())])
        return dict(cursor.fetchall())
