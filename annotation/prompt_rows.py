"""Imported prompts as rows: prompts, responses and slots go in by COPY.

A prompt brings up to nine responses and a slot or more. As objects that are inserted
they would cost more than reading and checking the file.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.db import connection

from annotation.copying import copy_rows, jsonb, smallints, varchars
from annotation.models import (
    Assignment,
    AssignmentSource,
    AssignmentState,
    Project,
    Prompt,
    PromptImport,
    Purpose,
    Response,
    random_token,
)
from annotation.overlap import choose_overlap
from annotation.prompt_lines import PromptLine
from annotation.slots import drawn_order, next_arrival, place

PROMPT_COLUMNS = (
    *("id", "project_id", "external_id", "came_with_id", "messages", "tags"),
    *("purpose", "gold", "metadata", "line_sha256", "overlap", "priority", "failure"),
)
RESPONSE_COLUMNS = ("prompt_id", "external_id", "text", "model", "params")
SLOT_COLUMNS = (
    *("project_id", "prompt_id", "slot", "repeat", "source", "pool", "seq", "state"),
    *("token", "display_order"),
)
EMPTY: Final = jsonb({})  # as most metadata and parameters are
Row = Sequence[Any]


@dataclass(slots=True)
class NewPrompt:
    """What becomes of a line, besides what it says."""

    pk: int
    purpose: str
    overlap: int = 1


@dataclass(frozen=True, slots=True)
class StoredPrompts:
    """What became of a batch."""

    keys: list[int]  # of the prompts, in the order of the lines
    first_place: int | None  # of their slots in the queue, if they have any


def store_prompts(
    project: Project, lines: Sequence[PromptLine], kept: PromptImport
) -> StoredPrompts:
    """Store new prompts with their responses, overlap and slots; six statements.

    Part of the transaction that holds the project's overlap (`lock_overlap`). Nobody
    else can see the prompts yet, so their slots need no lock and no second look.
    """
    prompts = [
        NewPrompt(pk, line.purpose)
        for pk, line in zip(_keys(len(lines)), lines, strict=True)
    ]
    choose_overlap(project=project, prompts=prompts)
    pairs = list(zip(prompts, lines, strict=True))
    copy_rows(
        Prompt,
        PROMPT_COLUMNS,
        (_prompt_row(project, prompt, line, kept) for prompt, line in pairs),
    )
    copy_rows(
        Response,
        RESPONSE_COLUMNS,
        (
            (prompt.pk, one.id, one.text, one.model, _facts(one.params))
            for prompt, line in pairs
            for one in line.responses
        ),
    )
    slots = [] if project.archive else list(_slot_rows(project, pairs))
    copy_rows(Assignment, SLOT_COLUMNS, slots)
    at = SLOT_COLUMNS.index("seq")
    places = [place for row in slots if isinstance(place := row[at], int)]
    return StoredPrompts([prompt.pk for prompt in prompts], min(places, default=None))


def _facts(facts: dict[str, Any]) -> bytes:
    return jsonb(facts) if facts else EMPTY


def _keys(count: int) -> list[int]:
    """Primary keys of prompts, for COPY gives none back."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT nextval(pg_get_serial_sequence(%s, 'id'))"
            " FROM generate_series(1, %s)",
            [Prompt._meta.db_table, count],
        )
        return [key for (key,) in cursor.fetchall()]


def _prompt_row(
    project: Project, prompt: NewPrompt, line: PromptLine, kept: PromptImport
) -> Row:
    return (
        *(prompt.pk, project.pk, line.id, kept.pk, jsonb(line.messages)),
        *(varchars(line.tags), line.purpose),
        *(None if line.gold is None else jsonb(line.gold),),
        *(_facts(line.metadata), line.sha256, prompt.overlap, line.priority, ""),
    )


def _slot_rows(
    project: Project, pairs: Iterable[tuple[NewPrompt, PromptLine]]
) -> Iterator[Row]:
    """The open slots of work prompts that have responses."""
    served = [
        (prompt, line)
        for prompt, line in pairs
        if line.purpose == Purpose.WORK and line.responses
    ]
    if not served:
        return
    arrival = next_arrival()
    source, state = AssignmentSource.QUEUE.value, AssignmentState.OPEN.value
    for prompt, line in served:
        for slot in range(prompt.overlap):
            token = random_token()
            seq = place(priority=line.priority, arrival=arrival)
            order = drawn_order(token, len(line.responses))
            yield (
                *(project.pk, prompt.pk, slot, 0, source),
                *("random", seq, state, token, smallints(order)),
            )
