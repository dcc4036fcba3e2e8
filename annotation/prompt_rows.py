"""Imported prompts as rows: prompts, responses and slots go in by COPY.

A prompt brings up to nine responses and a slot or more. As objects that are inserted
they would cost more than reading and checking the file. Triggers and constraints hold
as they do for INSERT.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection

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
BETWEEN, END, NULL = b"\xfd", b"\xfe", b"\xff"
# The backslash first, for all others become one with a letter, or are no text.
ESCAPES = (
    *((b"\\", rb"\\"), (b"\t", rb"\t"), (b"\n", rb"\n"), (b"\r", rb"\r")),
    *((BETWEEN, b"\t"), (END, b"\n"), (NULL, rb"\N")),
)
Value = str | int | None
Row = Sequence[Value]


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
        Prompt._meta.db_table,
        PROMPT_COLUMNS,
        (_prompt_row(project, prompt, line, kept) for prompt, line in pairs),
    )
    copy_rows(
        Response._meta.db_table,
        RESPONSE_COLUMNS,
        (
            (prompt.pk, *told, _json(params))
            for prompt, line in pairs
            for *told, params in line.responses
        ),
    )
    slots = [] if project.archive else list(_slot_rows(project, pairs))
    copy_rows(Assignment._meta.db_table, SLOT_COLUMNS, slots)
    at = SLOT_COLUMNS.index("seq")
    places = [place for row in slots if isinstance(place := row[at], int)]
    return StoredPrompts([prompt.pk for prompt in prompts], min(places, default=None))


def copy_rows(table: str, columns: Sequence[str], rows: Iterable[Row]) -> None:
    """Store rows by COPY; columns that are not named get their defaults.

    The rows of a batch, which fit in the memory, are sent at once. An array is a text
    here, as Postgres writes it.
    """
    with (
        connection.cursor() as cursor,
        cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as copy,
    ):
        copy.write(copied(rows))


def copied(rows: Iterable[Row]) -> bytes:
    """Rows in COPY's text format (https://www.postgresql.org/docs/current/sql-copy.html).

    Three bytes that no UTF-8 holds stand for what divides them until all texts are
    escaped together: psycopg, which does it text by text, takes thrice as long.
    """
    plain = b"".join(
        BETWEEN.join(
            [
                value.encode()
                if isinstance(value, str)
                else (NULL if value is None else b"%d" % value)
                for value in row
            ]
        )
        + END
        for row in rows
    )
    for sign, written in ESCAPES:
        plain = plain.replace(sign, written)
    return plain


def _json(value: Any) -> str:
    return json.dumps(value) if value else "{}"


def _array(texts: Iterable[str]) -> str:
    """Texts as Postgres reads an array of them."""
    escaped = (text.replace("\\", r"\\").replace('"', r"\"") for text in texts)
    return "{" + ",".join(f'"{text}"' for text in escaped) + "}"


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
        *(prompt.pk, project.pk, line.id, kept.pk, json.dumps(line.messages)),
        *(
            _array(line.tags),
            line.purpose,
            None if line.gold is None else json.dumps(line.gold),
        ),
        *(_json(line.metadata), line.sha256, prompt.overlap, line.priority, ""),
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
                *("random", seq, state, token, _array(map(str, order))),
            )
