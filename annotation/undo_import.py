"""An import is undone: what nobody was shown goes, what somebody was shown is out."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from django.db import connection, transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.functions import Now

from annotation.jobs import JobState
from annotation.models import (
    Assignment,
    AssignmentState,
    GenerationRun,
    Membership,
    Project,
    Prompt,
    PromptImport,
    Response,
    User,
)
from annotation.overlap import lock_overlap
from annotation.paging import newest_first
from annotation.rendered_prompts import forget_prompts
from annotation.skips import reject_prompt

AT_ONCE: Final = 1_000
IMPORTS_PER_PAGE: Final = 50
REASON: Final = "Its import was undone."
# Only rows that nobody has: see CLOSE_OPEN in annotation.slots.
CLOSE_OPEN: Final = """
DELETE FROM annotation_assignment
WHERE prompt_id = ANY(%s) AND state = 'open' AND source = 'queue'
"""
# Stronger than elsewhere: no row that points at one of them is inserted meanwhile.
LOCK_PROMPTS: Final = """
SELECT id FROM annotation_prompt WHERE came_with_id = %s ORDER BY id FOR UPDATE
"""


class UndoRefusedError(Exception):
    """Nothing was undone; the message says why, and what to do."""


@dataclass(frozen=True)
class Undoing:
    """What becomes of an import's prompts: the sum is what it brought in, as long as
    nothing of it was removed."""

    removed: int  # nobody was shown them: they go, with their responses
    taken_out: int  # somebody was: they leave the queue and datasets to come
    out_already: int  # taken out before; they stay as they are


def imports_of(
    project: Project, *, before: int | None = None
) -> tuple[list[PromptImport], int | None]:
    """A page of the imports that added prompts, newest first, and the cursor of the
    next one, if any. One query."""
    found = PromptImport.objects.filter(project=project)
    return newest_first(
        found.select_related("created_by"), most=IMPORTS_PER_PAGE, before=before
    )


def plan(done: PromptImport) -> Undoing:
    """What `undo` would do at this moment. Changes nothing; three queries."""
    unshown = _unshown(done).count()
    out = _prompts(done).filter(rejection__isnull=False).count()
    return Undoing(unshown, _prompts(done).count() - unshown - out, out)


def undo(done: PromptImport, *, user: User | None) -> Undoing | None:
    """Undo an import; None if that was done before. All of it or nothing.

    1. Alone with the project's overlap: no import is under way, nor a change of slots.
    2. Lock the import: of two at once the second finds the first. Once it is noted as
       undone, the triggers let such prompts go that no assignment names.
    3. Lock the labelers: no claim is under way, and none begins. Then the prompts, for
       work that is made for one labeler is inserted without that lock: it is either
       there, and its prompt shown, or it fails for want of the prompt.
    4. What nobody was shown goes; the rest is taken out. Who has it open may finish,
       and all that was ranked is kept.

    The overlap's share is not drawn anew: the next import reckons with what is left.
    Errors: UndoRefusedError while responses are being sampled.
    """
    with transaction.atomic():
        lock_overlap(done.project_id)
        locked = PromptImport.objects.select_for_update(no_key=True, of=("self",)).get(
            pk=done.pk
        )
        if locked.undone_at is not None:
            return None
        _refuse_while_sampling(locked)
        PromptImport.objects.filter(pk=done.pk).update(undone_at=Now())
        lock_labelers(locked)
        with connection.cursor() as cursor:
            cursor.execute(LOCK_PROMPTS, [locked.pk])
        return _undo(locked, user)


def _undo(locked: PromptImport, user: User | None) -> Undoing:
    out_already = _prompts(locked).filter(rejection__isnull=False).count()
    unshown = look(locked)
    for some in _chunks(unshown):
        _remove(some)
    shown = list(_prompts(locked).filter(rejection__isnull=True))
    for prompt in shown:
        reject_prompt(prompt, reason=REASON, user=user)
    outcome = Undoing(len(unshown), len(shown), out_already)
    PromptImport.objects.filter(pk=locked.pk).update(
        removed=outcome.removed, taken_out=outcome.taken_out
    )
    return outcome


def lock_labelers(done: PromptImport) -> None:
    """Every claim begins with its labeler's membership; in the order of the keys."""
    members = Membership.objects.select_for_update(no_key=True, of=("self",))
    list(members.filter(project=done.project_id).order_by("pk").values_list("pk"))


def look(done: PromptImport) -> list[int]:
    """The prompts that nobody was shown."""
    return list(_unshown(done).values_list("pk", flat=True))


def _prompts(done: PromptImport) -> QuerySet[Prompt]:
    return Prompt.objects.filter(came_with=done).order_by("pk")


def _unshown(done: PromptImport) -> QuerySet[Prompt]:
    """Those that are in, and that no one has or had: all their rows are open."""
    of_people = Assignment.objects.filter(prompt=OuterRef("pk")).exclude(
        state=AssignmentState.OPEN
    )
    return _prompts(done).filter(~Exists(of_people), rejection__isnull=True)


def _chunks(keys: list[int]) -> Sequence[list[int]]:
    rest = iter(keys)
    return list(iter(lambda: list(islice(rest, AT_ONCE)), []))


def _remove(prompts: list[int]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(CLOSE_OPEN, [prompts])
    forget_prompts(prompts)
    Response.objects.filter(prompt__in=prompts).delete()
    Prompt.objects.filter(pk__in=prompts).delete()


def _refuse_while_sampling(done: PromptImport) -> None:
    running = GenerationRun.objects.filter(
        project=done.project_id, state__in=[JobState.QUEUED, JobState.RUNNING]
    )
    if running.exists():
        raise UndoRefusedError(
            "Responses are being written for this project. Nothing was undone: wait for"
            " that to end, or cancel it, and try again."
        )
