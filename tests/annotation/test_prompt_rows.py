"""The quick ways of an import say what the plain ways say: hash, checks and COPY."""

import hashlib
import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from annotation.models import MAX_TEXT_BYTES, Project, Response
from annotation.prompt_lines import (
    CANONICAL,
    PromptLine,
    ResponseLine,
    _long_or_bad_response,
    _response,
)
from annotation.prompt_rows import RESPONSE_COLUMNS, copied, copy_rows
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


@given(LINES)
def test_a_line_s_hash_is_that_of_its_canonical_json(line: PromptLine) -> None:
    content: dict[str, Any] = {
        "id": line.id,
        "messages": line.messages,
        "responses": sorted(line.responses),
        "tags": sorted(line.tags),
        "purpose": line.purpose,
        "gold": line.gold,
        "metadata": line.metadata,
    }
    if line.priority:
        content["priority"] = line.priority
    plain = CANONICAL.encode(content).encode()
    assert line.sha256 == hashlib.sha256(plain).hexdigest()


def test_a_hash_stays_what_it_was_when_it_was_stored() -> None:
    said = [ResponseLine("r2", 'A "b" \\ \x7f', None, {"t": 0.5})]
    said.append(ResponseLine("r1", "Ça va?\n", "sft", {}))
    turns = [{"role": "user", "content": "Why?"}]
    line = PromptLine("p1", turns, said, ["b", "a"], "work", None, {})
    plain = (
        '{"gold": null, "id": "p1", "messages": [{"content": "Why?", "role": "user"}],'
        ' "metadata": {}, "purpose": "work", "responses": [["r1", "Ça va?\\n", "sft",'
        ' {}], ["r2", "A \\"b\\" \\\\ \x7f", null, {"t": 0.5}]], "tags": ["a", "b"]}'
    )
    assert line.sha256 == hashlib.sha256(plain.encode()).hexdigest()


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


VALUES = st.none() | st.integers() | TEXTS
UNESCAPED = {b"\\": b"\\", b"t": b"\t", b"n": b"\n", b"r": b"\r"}


def read_back(raw: bytes) -> list[list[bytes | None]]:
    """COPY's text format as Postgres' manual says it is read."""

    def plain(field: bytes) -> bytes | None:
        if field == rb"\N":
            return None
        return re.sub(rb"\\(.)", lambda found: UNESCAPED[found[1]], field)

    return [[plain(field) for field in line.split(b"\t")] for line in raw.split(b"\n")]


@given(st.lists(st.lists(VALUES, min_size=1, max_size=4), min_size=1, max_size=4))
@example([["ýþÿ", "\xfd\xfe"]])
@example([["\\N", None, "\\", "\t\n\r\\n"]])
def test_rows_are_written_as_copy_reads_them(rows: list[list[Any]]) -> None:
    wanted = [
        [None if value is None else str(value).encode() for value in row]
        for row in rows
    ]
    assert read_back(copied(rows).removesuffix(b"\n")) == wanted


@pytest.mark.django_db
def test_postgres_reads_the_rows_as_they_were_meant(project: Project) -> None:
    prompt = make_prompt(project, k=0, slots=0)
    texts = ["\\N", "\\", "a\tb\r\nc", "\\t", "ýþÿ", "\\.", "\x01\x7f\u2028", ""]
    rows = [(prompt.pk, f"r{n}", text, None, "{}") for n, text in enumerate(texts)]
    copy_rows(Response._meta.db_table, RESPONSE_COLUMNS, rows)
    found = Response.objects.filter(prompt=prompt).order_by("external_id")
    assert list(found.values_list("text", "model")) == [(text, None) for text in texts]
