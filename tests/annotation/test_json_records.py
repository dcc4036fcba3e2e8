"""An array's elements come one at a time, with the bytes that stand in the file."""

import gzip
import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation import json_records
from annotation.json_records import RecordReader
from annotation.jsonl import LONGEST_LINE, UnreadableFile

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inside: (
        st.lists(inside, max_size=3) | st.dictionaries(st.text(), inside, max_size=3)
    ),
    max_leaves=8,
)


def contents(raw: bytes) -> list[bytes]:
    return [line.content for line in RecordReader(io.BytesIO(raw))]


@given(
    values=st.lists(VALUES, max_size=6),
    indent=st.none() | st.integers(0, 2),
    at_once=st.integers(1, 40),
    ascii_only=st.booleans(),
)
def test_elements_are_the_bytes_of_the_file_wherever_it_is_cut(
    values: list[Any], indent: int | None, at_once: int, *, ascii_only: bool
) -> None:
    raw = json.dumps(values, indent=indent, ensure_ascii=ascii_only)
    packed = gzip.compress(b" \n" + raw.encode() + b"\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_records, "AT_ONCE", max(at_once, 3))
        found = list(RecordReader(io.BytesIO(packed)))
    assert [json.loads(line.content) for line in found] == values
    assert [line.number for line in found] == list(range(1, len(values) + 1))
    for line in found:
        assert gzip.decompress(packed)[line.byte_offset :].startswith(line.content)


def test_lines_of_jsonl_are_lines() -> None:
    assert contents(b'{"a": [1]}\n\n{"b": 2}') == [b'{"a": [1]}', b'{"b": 2}']


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        (b"[]", []),
        (b" [ ] \n", []),
        (b"[{},,{}]", [b"{}", b"", b"{}"]),
        (b"[{},]", [b"{}", b""]),
        (b'[{"a": 1}, {"b"', [b'{"a": 1}', b'{"b"']),
        (b"[{},{}", [b"{}", b"{}"]),
        (b"[{}] {}", [b"{}", b"{}"]),
        (b"[{}]]", [b"{}", b"]"]),
        (b"[1}, [2], 3]", [b"1}, [2", b", 3]"]),
        (rb'["a\"]", "\\", "[,"]', [rb'"a\"]"', rb'"\\"', b'"[,"']),
    ],
)
def test_what_is_no_element_is_left_to_the_strict_reader(
    raw: bytes, found: list[bytes]
) -> None:
    assert contents(raw) == found


def test_an_endless_element_is_marked_and_the_next_one_is_found() -> None:
    endless = b'["' + b"x" * (LONGEST_LINE + 2**20) + b'", {}]'
    first, second = RecordReader(io.BytesIO(endless))
    assert first.too_long
    assert len(first.content) <= LONGEST_LINE
    assert (second.content, second.too_long) == (b"{}", False)


def test_a_broken_gzip_file_is_one_clear_error() -> None:
    packed = gzip.compress(b"[" + b"{}, " * 100_000 + b"{}]")[:-9]
    with pytest.raises(UnreadableFile, match="cut off or damaged"):
        contents(packed)
