"""What a page measured is a hint: it is clamped, and never refuses a ranking."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranking.telemetry import LONGEST_TIME, MOST_EVENTS, read_telemetry


def test_known_measurements_are_kept() -> None:
    text = '{"active_ms": 42500.4, "n_moves": 9, "n_key": 9}'
    assert read_telemetry(text) == {"active_ms": 42500, "n_moves": 9, "n_key": 9}


@pytest.mark.parametrize(
    ("value", "kept"),
    [("-5", 0), ("1e300", LONGEST_TIME), ("9" * 400, LONGEST_TIME), ("0.4", 0)],
)
def test_impossible_times_are_clamped(value: str, kept: int) -> None:
    assert read_telemetry(f'{{"active_ms": {value}}}') == {"active_ms": kept}


def test_counts_have_a_limit_of_their_own() -> None:
    assert read_telemetry('{"n_moves": 1e9}') == {"n_moves": MOST_EVENTS}


@pytest.mark.parametrize(
    "value", ["NaN", "Infinity", "true", '"9"', "null", "[1]", '{"a": 1}']
)
def test_what_is_not_a_number_is_left_out(value: str) -> None:
    assert read_telemetry(f'{{"active_ms": {value}, "n_moves": 2}}') == {"n_moves": 2}


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "7", '"x"', "[" * 4000, "\x00", "[1" * 2000, " " * 4095 + "{}"],
)
def test_what_cannot_be_read_is_empty(text: str) -> None:
    assert read_telemetry(text) == {}


def test_unknown_names_are_left_out() -> None:
    assert read_telemetry('{"model": 7, "n_moves": 1}') == {"n_moves": 1}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(
    st.text()
    | JSON.map(json.dumps)
    | st.fixed_dictionaries({"active_ms": JSON, "n_moves": JSON}).map(json.dumps)
)
def test_nothing_breaks_it_and_everything_kept_is_in_range(text: str) -> None:
    for name, value in read_telemetry(text).items():
        limit = LONGEST_TIME if name.endswith("_ms") else MOST_EVENTS
        assert 0 <= value <= limit
