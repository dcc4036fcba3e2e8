"""Which bytes a Range header asks for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranking.byte_ranges import NoSuchBytes, requested, still_meant


@pytest.mark.parametrize(
    ("header", "places"),
    [
        ("bytes=2-4", range(2, 5)),
        ("bytes=7-", range(7, 10)),
        ("bytes=-3", range(7, 10)),
        ("bytes=-30", range(10)),
        ("bytes=0-99", range(10)),
        ("Bytes=0-0", range(1)),
    ],
)
def test_a_range_of_ten_bytes(header: str, places: range) -> None:
    assert requested(header, 10) == places


@pytest.mark.parametrize(
    "header",
    ["", "bytes=", "bytes=-", "bytes=4-2", "bytes=0-1,3-4", "lines=1-2", "bytes=a-b"],
)
def test_what_is_no_single_range_is_all(header: str) -> None:
    assert requested(header, 10) is None


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-12", "bytes=-0"])
def test_a_range_beyond_the_end_is_refused(header: str) -> None:
    with pytest.raises(NoSuchBytes):
        requested(header, 10)


def test_digits_of_other_alphabets_are_no_range() -> None:
    assert requested("bytes=٢-٤", 10) is None
    assert requested("bytes=0-" + "9" * 5_000, 10) is None


@given(st.binary(min_size=1, max_size=50), st.integers(0, 60), st.integers(0, 60))
def test_ranges_are_slices(content: bytes, first: int, last: int) -> None:
    if first >= len(content) or last < first:
        return
    places = requested(f"bytes={first}-{last}", len(content))
    assert places is not None
    assert content[places.start : places.stop] == content[first : last + 1]


def test_a_part_is_meant_only_of_the_same_file() -> None:
    assert still_meant(None, '"a"')
    assert still_meant('"a"', '"a"')
    assert not still_meant('"b"', '"a"')
    assert not still_meant('W/"a"', '"a"')
    assert not still_meant("Sat, 21 Nov 2026 10:00:00 GMT", '"a"')
