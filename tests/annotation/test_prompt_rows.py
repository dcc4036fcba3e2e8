"""The quick ways of an import say what the plain ways say: hash, checks and COPY."""

import hashlib
import random
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from django.db import connection
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from annotation.copying import copy_rows, jsonb, smallints, varchars
from annotation.models import MAX_TEXT_BYTES, Project, Prompt, Response
from annotation.prompt_lines import (
    PromptLine,
    ResponseLine,
    _long_or_bad_response,
    _response,
)
from annotation.prompt_rows import RESPONSE_COLUMNS
from annotation.strict_json import Refused
from tests.conftest import make_prompt
from tests.fuzz.json_texts import ANYTHING

TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
ASCII = st.text(st.characters(min_codepoint=1, max_codepoint=127))
FACTS = st.dictionaries(TEXTS, st.none() | st.floats(allow_nan=False) | TEXTS)
RESPONSES = st.builds(ResponseLine, TEXTS, ASCII | TEXTS, st.none() | TEXTS, FACTS)
LINES = st.builds(
    PromptLine,
    id=TEXTS,
    messages=st.lists(
        st.fixed_dictionaries({"role": st.just("user"), "content": ASCII | TEXTS})
    ),
    responses=st.lists(RESPONSES, unique_by=lambda one: one.id),
    tags=st.lists(TEXTS),
    purpose=st.sampled_from(["work", "gold"]),
    gold=st.none() | st.dictionaries(TEXTS, st.integers(1, 9)),
    metadata=FACTS,
    priority=st.integers(-2, 2),
)


@given(LINES, st.randoms(use_true_random=False))
def test_the_order_of_responses_and_tags_is_no_part_of_the_hash(
    line: PromptLine, rng: random.Random
) -> None:
    responses, tags = list(line.responses), list(line.tags)
    rng.shuffle(responses)
    rng.shuffle(tags)
    assert replace(line, responses=responses, tags=tags).sha256 == line.sha256


def test_what_moves_from_one_field_to_the_next_changes_the_hash() -> None:
    turns = [{"role": "user", "content": "Why?"}]
    given = [ResponseLine("r1", "a", None, {}), ResponseLine("r2", "b", None, {})]
    line = PromptLine("p1", turns, given, ["t"], "work", None, {})
    others = [
        replace(line, id="p1w"),
        replace(line, tags=[]),
        replace(line, purpose="gold"),
        replace(line, gold={"r1": 1}),
        replace(line, metadata={"r1": 1}),
        replace(line, priority=1),
        replace(line, messages=[*turns, *turns]),
        replace(line, messages=[{"role": "system", "content": "Why?"}]),
        replace(line, responses=given[:1]),
        replace(line, responses=[given[0], ResponseLine("r2", "", "b", {})]),
        replace(line, responses=[given[0], ResponseLine("r2", "b", "m", {})]),
        replace(line, responses=[given[0], ResponseLine("r2", "b", None, {"t": 0})]),
        replace(line, responses=[], tags=["t", "r1", "a"]),
    ]
    assert len({one.sha256 for one in (line, *others)}) == 1 + len(others)


def test_a_prompt_stored_under_either_hash_is_known_again() -> None:
    """Both as they were when they were made: what is stored must not change."""
    said = [ResponseLine("r2", 'A "b" \\ \x7f', None, {"t": 0.5})]
    said.append(ResponseLine("r1", "Ça va?\n", "sft", {}))
    turns = [{"role": "user", "content": "Why?"}]
    line = PromptLine("p1", turns, said, ["b", "a"], "work", None, {})
    former = (
        '{"gold": null, "id": "p1", "messages": [{"content": "Why?", "role": "user"}],'
        ' "metadata": {}, "purpose": "work", "responses": [["r1", "Ça va?\\n", "sft",'
        ' {}], ["r2", "A \\"b\\" \\\\ \x7f", null, {"t": 0.5}]], "tags": ["a", "b"]}'
    )
    present = "\0".join(
        (
            *("p1", "work", "0", "1", "user", "Why?", "null", "{}", '["a", "b"]'),
            *("r1", "Ça va?\n", "sft", "{}"),
            *("r2", 'A "b" \\ \x7f', "", '{"t": 0.5}'),
        )
    )
    for written in (former, present):
        assert line.is_stored_as(hashlib.sha256(written.encode()).hexdigest())
    assert line.sha256 == hashlib.sha256(present.encode()).hexdigest()
    assert not line.is_stored_as(hashlib.sha256(b"").hexdigest())


def outcome(check: Any, fields: Any) -> Any:
    """What a check finds, or why it refuses."""
    try:
        return check(fields, 3)
    except Refused as error:
        return error.code, str(error)


FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "id": TEXTS | ANYTHING | st.just("x" * 201),
        "text": TEXTS | ANYTHING | st.just("x" * (MAX_TEXT_BYTES + 1)),
        "model": TEXTS | ANYTHING | st.just("x" * 501),
        "params": FACTS | ANYTHING,
    },
)


@given(FIELDS | ANYTHING)
@example({"id": "r1", "text": "é" * (MAX_TEXT_BYTES // 2)})
@example({"id": "r1", "text": "é" * (MAX_TEXT_BYTES // 2 + 1)})
def test_the_quick_check_of_a_response_finds_what_the_long_one_finds(
    fields: Any,
) -> None:
    assert outcome(_response, fields) == outcome(_long_or_bad_response, fields)


ODD = ("\\N", "\\", "a\tb\r\nc", "\\t", "ýþÿ", "\\.", "\x01\x7f\u2028", "")
VALUES = st.fixed_dictionaries(
    {
        "text": TEXTS,
        "model": st.none() | TEXTS.filter(lambda text: len(text) <= 500),
        "params": st.dictionaries(TEXTS, st.none() | st.booleans() | TEXTS),
    }
)


@pytest.mark.django_db
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(VALUES, max_size=4))
@example([{"text": text, "model": None, "params": {}} for text in ODD])
def test_postgres_reads_the_rows_as_they_were_meant(
    project: Project, given: list[dict[str, Any]]
) -> None:
    prompt = make_prompt(project, f"p{Prompt.objects.count()}", k=0, slots=0)
    copy_rows(
        Response,
        RESPONSE_COLUMNS,
        [
            (prompt.pk, f"r{n}", one["text"], one["model"], jsonb(one["params"]))
            for n, one in enumerate(given)
        ],
    )
    found = Response.objects.filter(prompt=prompt).order_by("pk")
    assert list(found.values("text", "model", "params")) == given


@pytest.mark.django_db
@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(-(2**15), 2**15 - 1))), st.lists(st.lists(TEXTS)))
@example([[0, -1, 2**15 - 1], []], [["", "é\n", '{"a,b"}', "NULL"], ["x" * 300], []])
def test_postgres_reads_the_arrays_as_they_were_meant(
    numbers: list[list[int]], words: list[list[str]]
) -> None:
    assert read_back("smallint[]", map(smallints, numbers)) == numbers
    assert read_back("varchar[]", map(varchars, words)) == words


def read_back(kind: str, arrays: Iterable[bytes]) -> list[list[Any]]:
    """What Postgres finds in these bytes of binary COPY."""
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TEMP TABLE arrays (number serial, given {kind})")
        with cursor.copy("COPY arrays (given) FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(["bytea"])
            for array in arrays:
                copy.write_row((array,))
        cursor.execute(f"SELECT given::{kind} FROM arrays ORDER BY number")
        found = [given for (given,) in cursor.fetchall()]
        cursor.execute("DROP TABLE arrays")
        return found
