"""A prompt is taken down: its texts go, its id, its responses' ids and all ranks stay.

This room's half. `ranking.takedown` is the whole of it: what labelers wrote to their
rankings goes too, and datasets that held the prompt are marked.
"""

from collections.abc import Iterable
from typing import Final

from django.db import connection
from django.db.models import Case, F, QuerySet, Value, When
from django.db.models.functions import Coalesce, Now

from annotation.models import (
    TOMBSTONE,
    Assignment,
    AssignmentState,
    ProblemReport,
    Project,
    Prompt,
    Response,
    Skip,
    SkipReason,
    Takedown,
    User,
)
from annotation.rendered_prompts import forget_prompts
from annotation.skips import reject_prompt
from annotation.slots import HELD, lock_prompt

TOMBSTONE_MESSAGES: Final = [{"role": "user", "content": TOMBSTONE}]
# Whoever sends an answer under the old token finds nothing: see `new_tokens`.
NEW_TOKENS: Final = """
UPDATE annotation_assignment SET token = gen_random_uuid()::text WHERE id = ANY(%s)
"""


def erase_prompt(prompt: Prompt, *, reason: str, user: User | None) -> bool:
    """Replace the prompt's texts; False if that was done before. Within a transaction.

    1. Lock the rows that people have or had, in the order of their keys, then the
       prompt: an answer under way is stored before this, and loses its words with the
       others, or finds its row under another token (4).
    2. Note the takedown; only then do the triggers let the texts go. Of two at once
       the second waits for the prompt's lock and finds it.
    3. Take the prompt out of the queue and of datasets to come, for good. This waits
       for claims under way; when no row is open any more, nobody comes to it.
    4. What people hold is theirs no longer: there is nothing to read. All rows get
       other tokens, also those that were claimed since step 1.
    5. The texts go, with their rendered copies, and what people wrote about them.
    """
    rows = Assignment.objects.filter(prompt=prompt)
    lock_rows(rows)
    locked = lock_prompt(prompt.pk)
    if Takedown.objects.filter(prompt=locked).exists():
        return False
    Takedown.objects.create(prompt=locked, reason=reason, created_by=user)
    reject_prompt(locked, reason="Taken down.", user=user)
    new_tokens(lock_rows(rows))
    _close_held(prompt)
    forget_prompts([prompt.pk])
    Response.objects.filter(prompt=prompt).update(text=TOMBSTONE, params={})
    Prompt.objects.filter(pk=prompt.pk).update(messages=TOMBSTONE_MESSAGES, metadata={})
    blank_skips(Skip.objects.filter(assignment__prompt=prompt))
    blank_reports(ProblemReport.objects.filter(assignment__prompt=prompt))
    return True


def copies_of(prompt: Prompt) -> QuerySet[Prompt]:
    """The same line in other projects, by a copy of the project or a second import,
    where it still has its texts: taking it down here leaves them there."""
    elsewhere = Project.objects.exclude(pk=prompt.project_id)
    return Prompt.objects.filter(
        # Both columns of the index by which a project finds its prompts.
        project__in=list(elsewhere.values_list("pk", flat=True)),
        external_id=prompt.external_id,
        line_sha256=prompt.line_sha256,
        takedown__isnull=True,
    ).select_related("project")


def lock_rows(assignments: QuerySet[Assignment]) -> list[int]:
    """Those that people have or had, locked in the order of their keys.

    Open rows are not among them: answers delete these after they lock their own, so
    whoever takes both kinds takes the open ones last.
    """
    theirs = assignments.exclude(state=AssignmentState.OPEN).order_by("pk")
    locked = theirs.select_for_update(no_key=True, of=("self",))
    return list(locked.values_list("pk", flat=True))


def new_tokens(assignments: Iterable[int]) -> None:
    """Give locked rows other tokens: what is sent under the old ones is not stored.

    An answer waits for the row's lock and then looks for its token again.
    """
    with connection.cursor() as cursor:
        cursor.execute(NEW_TOKENS, [list(assignments)])


def blank_skips(skips: QuerySet[Skip]) -> None:
    """Their words go; a reason that needs words gets the tombstone."""
    in_words = When(reason=SkipReason.OTHER, then=Value(TOMBSTONE))
    skips.exclude(text="").update(text=Case(in_words, default=Value("")))


def blank_reports(reports: QuerySet[ProblemReport]) -> None:
    """What was reported goes, and so does the answer."""
    reports.update(text=TOMBSTONE, answer="")


def _close_held(prompt: Prompt) -> None:
    held = Assignment.objects.filter(prompt=prompt, state__in=HELD)
    held.update(
        state=AssignmentState.EXPIRED,
        closed_at=Now(),
        shown_at=Coalesce(F("shown_at"), F("claimed_at"), Now()),
    )
