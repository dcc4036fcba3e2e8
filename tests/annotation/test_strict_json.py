"""The strict reader takes what the standard one takes, less what nothing can hold."""

import io
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rest_framework.exceptions import ParseError

from annotation.parsers import MOST_BYTES, BodyTooLarge, StrictJSONParser
from annotation.strict_json import DEEPEST, LARGEST_INTEGER, Refused, read_json

TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-LARGEST_INTEGER, LARGEST_INTEGER)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner),
    max_leaves=20,
)

REFUSED = [
    ("nul", b'{"a": "x\0"}'),
    ("nul", rb'{"a": "x\u0000"}'),
    ("nul", rb'{"\u0000": 1}'),
    ("nul", '{"a": 1}'.encode("utf-16-le")),
    ("bad_utf8", '{"a": 1}'.encode("utf-16")[:2] + b"{}"),
    ("bad_utf8", '{"a": "déjà"}'.encode("cp1252")),
    ("bad_utf8", b'"\xed\xa0\x80"'),
    ("lone_surrogate", rb'{"a": ["\ud800"]}'),
    ("lone_surrogate", rb'{"\udfff": 1}'),
    ("nan", b'{"a": NaN}'),
    ("nan", b"[-Infinity]"),
    ("number_too_large", b"1e999"),
    ("number_too_large", b"9223372036854775808"),
    ("number_too_large", b"-" + b"9" * 5000),
    ("duplicate_key", b'{"a": 1, "b": {"c": 1, "c": 1}}'),
    ("too_many_keys", json.dumps(dict.fromkeys(map(str, range(10_001)))).encode()),
    ("too_many_keys", b"[" + b",".join(b'{"%d":1}' % n for n in range(300_000)) + b"]"),
    ("too_many_keys", b"[" + b",".join([b"[]"] * 800_000) + b"]"),
    ("too_many_keys", b'["' + rb"\"" * 10**6 + b'",' + b"1," * 2 * 10**6),
    ("too_deep", b"[" * 100_000),
    ("too_deep", b'{"a":' * 100_000),
    ("too_deep", b"[" * (DEEPEST + 1) + b"]" * (DEEPEST + 1)),
    ("bad_json", b'{"a": 1,}'),
    ("bad_json", b'{"a": 1} {"b": 2}'),
    ("bad_json", b""),
    ("bad_json", b"\xef\xbb\xbf{}"),
    ("bad_json", b'{"a": "line\nbreak"}'),
    ("bad_json", b"{'a': 1}"),
]


@pytest.mark.parametrize(("code", "raw"), REFUSED)
def test_what_cannot_be_kept_is_refused_with_a_code(code: str, raw: bytes) -> None:
    with pytest.raises(Refused) as refused:
        read_json(raw)
    assert refused.value.code == code
    assert len(str(refused.value)) < 200
    assert str(refused.value).isprintable()


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b"[" * DEEPEST + b"]" * DEEPEST, None),
        (rb'"\ud83d\ude00"', "😀"),
        (rb'"\\u0000 is an escape, \\ud800 too"', r"\u0000 is an escape, \ud800 too"),
        (b"9223372036854775807", LARGEST_INTEGER),
        (b" 1.5e3 ", 1500.0),
        (b'"' + rb"\"\\," * 10**6 + b'"', '"\\,' * 10**6),
        (b"[" + b",".join([b'"a,[]"'] * 190_000) + b"]", ["a,[]"] * 190_000),
    ],
)
def test_what_only_looks_bad_is_read(raw: bytes, value: Any) -> None:
    assert value is None or read_json(raw) == value
    read_json(raw)


@given(VALUES)
def test_everything_else_reads_as_the_standard_library_wrote_it(value: Any) -> None:
    assert read_json(json.dumps(value).encode()) == value
    assert read_json(json.dumps(value, ensure_ascii=False).encode()) == value


@given(st.binary(max_size=50))
def test_bytes_are_read_or_refused_and_never_anything_else(raw: bytes) -> None:
    with suppress(Refused):
        read_json(raw)


def test_the_message_says_where() -> None:
    with pytest.raises(Refused, match=r"Expecting value.*\(column 7\)"):
        read_json(b'{"a": }')
    with pytest.raises(Refused, match="byte 3 is not UTF-8"):
        read_json(b'["\xff"]')
    with pytest.raises(Refused, match="the key 'id' stands there twice"):
        read_json(b'{"id": 1, "id": 2}')


def test_the_api_answers_400_to_what_is_refused() -> None:
    with pytest.raises(ParseError) as refused:
        StrictJSONParser().parse(io.BytesIO(b'{"a": 1, "a": 2}'))
    assert refused.value.status_code == 400
    assert refused.value.get_codes() == "duplicate_key"


def test_the_api_answers_413_to_a_body_beyond_the_limit() -> None:
    largest = b'"' + b"x" * (MOST_BYTES - 2) + b'"'
    assert len(StrictJSONParser().parse(io.BytesIO(largest))) == MOST_BYTES - 2
    with pytest.raises(BodyTooLarge) as refused:
        StrictJSONParser().parse(io.BytesIO(largest + b" "))
    assert refused.value.status_code == 413
