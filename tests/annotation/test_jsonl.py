"""Lines come one at a time, with their place in the file."""

import gzip
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation import jsonl
from annotation.jsonl import Line, LineReader, UnreadableFile


def lines_of(raw: bytes) -> list[Line]:
    return list(LineReader(io.BytesIO(raw)))


def test_a_line_knows_its_number_and_where_it_starts() -> None:
    assert lines_of(b'{"a":1}\n\n  \n{"b":2}') == [
        Line(1, 0, b'{"a":1}'),
        Line(4, 12, b'{"b":2}'),
    ]


def test_a_byte_order_mark_and_windows_line_ends_are_taken_off_and_noted() -> None:
    assert lines_of(b"\xef\xbb\xbf{}\r\n{}\r\n[]\n") == [
        Line(1, 0, b"{}", bom=True, crlf=True),
        Line(2, 7, b"{}", crlf=True),
        Line(3, 11, b"[]"),
    ]


@given(st.lists(st.binary(max_size=20).map(lambda raw: raw.replace(b"\n", b""))))
def test_gzip_is_known_by_its_bytes_and_gives_the_same_lines(
    contents: list[bytes],
) -> None:
    raw = b"x" + b"\n".join(contents)
    plain, packed = (
        LineReader(io.BytesIO(raw)),
        LineReader(io.BytesIO(gzip.compress(raw))),
    )
    assert list(plain) == list(packed)
    for line in plain:
        assert raw[line.byte_offset :].startswith(line.content) or line.bom


def test_a_file_is_read_as_often_as_asked() -> None:
    reader = LineReader(io.BytesIO(gzip.compress(b"1\n2\n")))
    assert [line.content for line in reader] == [b"1", b"2"]
    assert [line.content for line in reader] == [b"1", b"2"]


@pytest.mark.parametrize("damage", ["cut", "garbage", "flipped"])
def test_a_broken_gzip_file_is_one_clear_error(damage: str) -> None:
    packed = gzip.compress(b'{"a": 1}\n' * 10_000)
    broken = {
        "cut": packed[:-20],
        "garbage": packed + b"garbage",
        "flipped": packed[:-6] + bytes([packed[-6] ^ 1]) + packed[-5:],
    }[damage]
    with pytest.raises(UnreadableFile, match="cut off or damaged"):
        lines_of(broken)
    with pytest.raises(UnreadableFile, match="cut off or damaged"):
        LineReader(io.BytesIO(broken)).check()


def test_an_endless_line_is_marked_and_the_next_one_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(jsonl, "LONGEST_LINE", 100)
    raw = b"x" * 1_000 + b"\n" + b"y" * 100 + b"\n"
    first, second = lines_of(raw)
    assert first.too_long
    assert len(first.content) < 70
    assert second == Line(2, 1_001, b"y" * 100)


def test_a_gzip_bomb_is_given_up_at_the_limit() -> None:
    bomb = gzip.compress(b" " * 5_000_000)
    assert len(bomb) < 10_000
    with pytest.raises(UnreadableFile, match="unpacks to more than 1000000 bytes"):
        list(LineReader(io.BytesIO(bomb), most_bytes=1_000_000))


def test_a_gzip_file_that_is_all_air_is_given_up_early(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bomb = gzip.compress(b" " * 5_000_000)
    assert lines_of(bomb) == []  # as small as this it may be anything
    monkeypatch.setattr(jsonl, "PACKS_AS_IT_LIKES", 1_000_000)
    with pytest.raises(UnreadableFile, match="more than 200 times its size"):
        lines_of(bomb)
    with pytest.raises(UnreadableFile, match="more than 200 times its size"):
        LineReader(io.BytesIO(bomb)).check()
    assert lines_of(b" " * 5_000_000) == []


def test_progress_is_told_in_bytes_of_the_file_as_it_lies_there() -> None:
    told: list[int] = []
    packed = gzip.compress(b"1\n" * 50_000)
    list(LineReader(io.BytesIO(packed), told.append))
    assert told == sorted(told)
    assert told[-1] == len(packed)
