"""Ratings, flags and notes: what is taken, and when ratings and ranks disagree."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranking.ratings import (
    WrongAnswerError,
    check_flags,
    check_note,
    check_ratings,
    contradictions,
    listed,
)

LETTERS = "ABCD"


# --- Contradictions: pairs that are ordered strictly, and the other way round ---------


def test_ratings_that_agree_with_the_ranks_contradict_nothing() -> None:
    assert contradictions({"A": 7, "B": 4, "C": 1}, {"A": 1, "B": 2, "C": 3}) == 0


def test_the_opposite_order_contradicts_every_pair() -> None:
    """Three responses are 3 pairs."""
    assert contradictions({"A": 1, "B": 4, "C": 7}, {"A": 1, "B": 2, "C": 3}) == 3


def test_each_strictly_opposed_pair_counts_once() -> None:
    """A over B in the ratings and under it in the ranks; B and C agree, as A and C."""
    assert contradictions({"A": 7, "B": 5, "C": 3}, {"B": 1, "A": 2, "C": 3}) == 1


def test_a_tie_on_either_side_contradicts_nothing() -> None:
    assert contradictions({"A": 5, "B": 5}, {"A": 2, "B": 1}) == 0
    assert contradictions({"A": 1, "B": 7}, {"A": 1, "B": 1}) == 0


def test_only_responses_with_both_count() -> None:
    assert contradictions({"A": 1, "B": 7}, {"A": 1, "B": 2, "C": 3, "D": 4}) == 1


def test_without_ratings_there_is_nothing_to_contradict() -> None:
    assert contradictions({}, {"A": 1, "B": 2}) is None


RATINGS = st.fixed_dictionaries({letter: st.integers(1, 7) for letter in LETTERS})
RANKS = st.fixed_dictionaries({letter: st.integers(1, 4) for letter in LETTERS})


@given(RATINGS, RANKS)
def test_it_is_counted_pair_by_pair(
    ratings: dict[str, int], ranks: dict[str, int]
) -> None:
    """Both directions written out, against the product of differences."""
    opposed = [
        (one, other)
        for one, other in combinations(LETTERS, 2)
        if (ratings[one] > ratings[other] and ranks[one] > ranks[other])
        or (ratings[one] < ratings[other] and ranks[one] < ranks[other])
    ]
    assert contradictions(ratings, ranks) == len(opposed)


@given(RATINGS, RANKS)
def test_turning_the_ranks_round_contradicts_the_other_strict_pairs(
    ratings: dict[str, int], ranks: dict[str, int]
) -> None:
    turned = {letter: -rank for letter, rank in ranks.items()}
    strict = sum(
        ratings[one] != ratings[other] and ranks[one] != ranks[other]
        for one, other in combinations(LETTERS, 2)
    )
    found, otherwise = contradictions(ratings, ranks), contradictions(ratings, turned)
    assert found is not None
    assert otherwise is not None
    assert found + otherwise == strict


@given(RANKS)
def test_ratings_read_off_the_ranks_never_contradict_them(
    ranks: dict[str, int],
) -> None:
    assert contradictions({name: 8 - rank for name, rank in ranks.items()}, ranks) == 0


# --- What is refused --------------------------------------------------------------


def test_ratings_are_optional_unless_the_project_asks_for_them() -> None:
    check_ratings({}, LETTERS, required=False)
    check_ratings({"A": 1, "B": 7, "C": 4, "D": 4}, LETTERS, required=True)
    with pytest.raises(WrongAnswerError, match="B and D are not rated") as refused:
        check_ratings({"A": 1, "C": 7}, LETTERS, required=True)
    assert refused.value.missing == ["B", "D"]


@pytest.mark.parametrize("rating", [0, 8, -1])
def test_a_rating_goes_from_one_to_seven(rating: int) -> None:
    with pytest.raises(WrongAnswerError, match=f"response B is {rating}; it must be 1"):
        check_ratings({"B": rating}, LETTERS, required=False)


def test_a_rating_of_no_letter_of_the_page_is_refused() -> None:
    with pytest.raises(WrongAnswerError, match="no response E") as refused:
        check_ratings({"E": 3}, LETTERS, required=False)
    assert refused.value.unknown == ["E"]


def test_only_flags_that_the_project_offers_are_taken() -> None:
    check_flags({"A": ["harmful"], "B": []}, LETTERS, ["harmful", "wrong"])
    with pytest.raises(WrongAnswerError, match="Response B has the flag 'rude'"):
        check_flags({"A": ["harmful"], "B": ["rude"]}, LETTERS, ["harmful"])
    with pytest.raises(WrongAnswerError, match="no response Z"):
        check_flags({"Z": ["harmful"]}, LETTERS, ["harmful"])


def test_a_note_has_a_limit() -> None:
    check_note("x" * 4_000)
    with pytest.raises(WrongAnswerError, match="4001 characters; the most is 4000"):
        check_note("x" * 4_001)


@pytest.mark.parametrize(
    ("names", "text"),
    [(["A"], "A"), (["A", "B"], "A and B"), (list("ABC"), "A, B and C")],
)
def test_names_are_listed_in_words(names: list[str], text: str) -> None:
    assert listed(names) == text
