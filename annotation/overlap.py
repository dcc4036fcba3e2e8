"""How many labelers each prompt is to have: an exact share of the prompts gets more.

Whoever settles the overlap of a project's prompts is alone in it until the commit (an
advisory lock), so that imports and an admin's change count the same prompts.
"""

import random
import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Protocol

from django.db import connection, transaction
from django.db.models import Count, Q

from annotation.models import Project, Prompt, Purpose
from annotation.slots import call_back, make_slots
from annotation.turns import turn, wait_for_turn

OVERLAP_LOCK: Final = 0x494D50  # the first half of the advisory lock's key
PROMPTS_AT_ONCE: Final = 5_000

LOCK_OPEN_ROWS = """
SELECT id FROM annotation_assignment
WHERE prompt_id = ANY(%s) AND source = 'queue' AND state = 'open'
ORDER BY id FOR NO KEY UPDATE
"""
# Of the rows that hold a prompt's slots, those beyond its overlap, open ones first.
CLOSE_BEYOND_OVERLAP = """
WITH counted AS (
    SELECT id, prompt_id, row_number() OVER (
        PARTITION BY prompt_id ORDER BY state = 'open', slot) AS number
    FROM annotation_assignment
    WHERE prompt_id = ANY(%s) AND source = 'queue'
      AND state IN ('open', 'prefetched', 'claimed', 'completed'))
DELETE FROM annotation_assignment queued
USING counted JOIN annotation_prompt prompt ON prompt.id = counted.prompt_id
WHERE queued.id = counted.id AND counted.number > prompt.overlap
  AND queued.state = 'open'
"""


class Placed(Protocol):
    """A new prompt, as far as its overlap goes."""

    purpose: str
    overlap: int


class OverlapIsBusyError(Exception):
    """An import is settling the overlap at this moment; nothing was changed."""


def lock_overlap(project_id: int) -> None:
    """Wait until nobody else settles this project's overlap, then be the only one."""
    wait_for_turn(OVERLAP_LOCK, project_id)


def _lock_overlap_now(project_id: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_try_advisory_xact_lock(%s, %s)", turn(OVERLAP_LOCK, project_id)
        )
        if not cursor.fetchone()[0]:
            raise OverlapIsBusyError(
                "An import into this project is under way. The overlap is as it was;"
                " change it when the import is done."
            )


def choose_overlap(
    *, project: Project, prompts: Iterable[Placed], rng: random.Random | None = None
) -> None:
    """Set `overlap` on new, unsaved work prompts: the project's, or 1.

    Over the project's work prompts as a whole, round(fraction · all) have the
    overlap: an exact count, also when prompts come in batches. Which ones is chosen
    by `rng`, by default one that nobody can guess. One query, under `lock_overlap`;
    none where all prompts are to have the same.
    """
    rng = rng or secrets.SystemRandom()
    work = [prompt for prompt in prompts if prompt.purpose == Purpose.WORK]
    for prompt in work:
        prompt.overlap = project.overlap if project.overlap_fraction == 1 else 1
    if project.overlap == 1 or project.overlap_fraction in (0, 1):
        return
    before = Prompt.objects.filter(project=project, purpose=Purpose.WORK)
    counts = before.aggregate(
        all=Count("pk"), overlapping=Count("pk", filter=Q(overlap__gt=1))
    )
    wanted = round(project.overlap_fraction * (counts["all"] + len(work)))
    missing = wanted - counts["overlapping"]
    chosen = set(rng.sample(range(len(work)), min(max(missing, 0), len(work))))
    for number in chosen:
        work[number].overlap = project.overlap


def change_overlap(
    project: Project,
    *,
    overlap: int,
    fraction: float,
    rng: random.Random | None = None,
) -> None:
    """Give round(fraction · all) of the project's work prompts this overlap, others 1.

    1. Alone with the overlap; imports wait until the commit.
    2. Prompts that have an overlap keep it as far as the share allows; which ones win
       or lose it is chosen by `rng`, by default one that nobody can guess.
    3. Missing slots are opened and open ones beyond the overlap closed. What is held
       or completed stays, so a prompt may keep more rankings than its new overlap.
    4. Labelers are called back: a slot may have opened where they have passed.

    Errors: OverlapIsBusyError during an import.
    """
    rng = rng or secrets.SystemRandom()
    with transaction.atomic():
        _lock_overlap_now(project.pk)
        work = Prompt.objects.filter(project=project, purpose=Purpose.WORK)
        before = dict(work.values_list("pk", "overlap"))
        chosen = _chosen(before, overlap=overlap, fraction=fraction, rng=rng)
        _set_overlap([pk for pk in before if before[pk] > 1 and pk not in chosen], 1)
        _set_overlap([pk for pk in chosen if before[pk] != overlap], overlap)
        project.overlap, project.overlap_fraction = overlap, fraction
        project.save(update_fields=["overlap", "overlap_fraction"])
        call_back(project.pk, to=0)


def _chosen(
    before: Mapping[int, int], *, overlap: int, fraction: float, rng: random.Random
) -> set[int]:
    """Those of the prompts (pk: overlap so far) that are to have the overlap."""
    wanted = round(fraction * len(before)) if overlap > 1 else 0
    wide = [pk for pk in before if before[pk] > 1]
    narrow = [pk for pk in before if before[pk] <= 1]
    kept = rng.sample(wide, min(wanted, len(wide)))
    return {*kept, *rng.sample(narrow, wanted - len(kept))}


def _set_overlap(prompts: Sequence[int], overlap: int) -> None:
    for start in range(0, len(prompts), PROMPTS_AT_ONCE):
        some = list(prompts[start : start + PROMPTS_AT_ONCE])
        Prompt.objects.filter(pk__in=some).update(overlap=overlap)  # locks them
        with connection.cursor() as cursor:
            # Claims in flight are awaited here, so that the count below is right.
            cursor.execute(LOCK_OPEN_ROWS, [some])
            cursor.execute(CLOSE_BEYOND_OVERLAP, [some])
        make_slots(some)
