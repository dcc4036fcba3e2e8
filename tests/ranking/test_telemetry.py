"""What a page measured is a hint: it is clamped, and never refuses a ranking."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranking.telemetry import (
    LONGEST_TIME,
    MOST_EVENTS,
    measurements,
    read_telemetry,
)


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
    | st.fixed_dictionaries(
        {"active_ms": JSON, "n_moves": JSON, "visible_ms": JSON, "unread": JSON}
    ).map(json.dumps)
)
def test_nothing_breaks_it_and_everything_kept_is_in_range(text: str) -> None:
    found = read_telemetry(text)
    assert set(found.pop("unread", [])) <= set("ABCDEFGHI")
    for name, value in (found | found.pop("visible_ms", {})).items():
        long = name.endswith("_ms") or len(name) == 1
        assert 0 <= value <= (LONGEST_TIME if long else MOST_EVENTS)


# --- By letter --------------------------------------------------------------------


def test_how_long_each_text_was_seen_is_kept_by_letter() -> None:
    given = {"visible_ms": {"A": 12.6, "B": 1e12, "C": "x", "Z": 5, "r1": 7}}
    assert measurements(given) == {"visible_ms": {"A": 13, "B": LONGEST_TIME}}


def test_texts_that_were_never_seen_in_full_are_named_once() -> None:
    assert measurements({"unread": ["G", "A", "G", 7, "model"]}) == {
        "unread": ["A", "G"]
    }
    assert measurements({"unread": []}) == {"unread": []}


@pytest.mark.parametrize("given", [{"visible_ms": [1]}, {"unread": "AB"}, [], None, 7])
def test_another_shape_is_left_out(given: object) -> None:
    assert measurements(given) == {}


def test_looks_at_two_responses_side_by_side_are_counted() -> None:
    assert measurements({"n_compare": 3}) == {"n_compare": 3}
