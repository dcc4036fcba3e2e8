"""Position and length bias: worked rows, and simulated labelers with a known bias."""

from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import linregress, rankdata

from tests.ranking.ranked import Ranked, report_of


def row_of(rows: list[Ranked], name: str = "u1") -> dict[str, Any]:
    rows_by_name = {r["labeler"]: r for r in report_of(rows)["labelers_detail"]}
    row: dict[str, Any] = rows_by_name[name]
    return row


def shown(order: str, best_first: str, prompt: int = 0) -> Ranked:
    ranks = {response: best_first.index(response) for response in order}
    return Ranked("u1", prompt, ranks, shown=tuple(order))


def test_ranking_everything_in_the_order_shown_is_a_slope_of_1() -> None:
    rows = [shown("abcd", "abcd"), shown("dbca", "dbca", prompt=1)]
    assert row_of(rows)["position_bias"] == {"slope": 1, "ci": [1, 1], "n": 2}


def test_ranking_everything_in_the_reverse_order_is_a_slope_of_minus_1() -> None:
    assert row_of([shown("abcd", "dcba")])["position_bias"]["slope"] == -1


def test_all_orders_of_one_opinion_cancel_out() -> None:
    rows = [shown("".join(p), "abc", i) for i, p in enumerate(permutations("abc"))]
    found = row_of(rows)["position_bias"]
    assert found["slope"] == pytest.approx(0, abs=1e-12)
    assert found["ci"][0] < 0 < found["ci"][1]


def test_rankings_without_a_known_order_are_left_out() -> None:
    rows = [shown("abc", "acb"), Ranked("u1", 1, {"a": 1, "b": 2, "c": 3})]
    assert row_of(rows)["position_bias"]["n"] == 1
    assert report_of(rows[1:])["undefined"]["labelers_detail.u1.position_bias"] == (
        "the order shown is not known for any ranking of this labeler"
    )


def test_places_and_lengths_stay_with_their_ranking_whatever_the_order_of_rows() -> (
    None
):
    rows = [
        shown("abc", "abc", prompt=0),
        shown("abc", "cba", prompt=1),
        shown("abc", "abc", prompt=2),
        Ranked("u2", 0, {"a": 1, "b": 2, "c": 3}, lengths={"a": 9, "b": 1, "c": 5}),
        Ranked("u3", 2, {"a": 1, "b": 2, "c": 3}, lengths={"a": 1, "b": 2, "c": 3}),
    ]
    for order in (rows, rows[::-1], rows[2:] + rows[:2]):
        assert row_of(order)["position_bias"]["slope"] == pytest.approx(1 / 3)
        assert row_of(order, "u2")["length_bias"]["value"] == 2 / 3
        assert row_of(order, "u3")["length_bias"]["value"] == 0


def test_a_repeat_does_not_count_towards_position_bias() -> None:
    again = Ranked("u1", 0, {"a": 2, "b": 1}, repeat=1, shown=("a", "b"))
    found = row_of([shown("ab", "ab"), again])["position_bias"]
    assert (found["slope"], found["n"]) == (1, 1)


@given(
    st.lists(
        st.tuples(st.permutations("abcd"), st.lists(st.integers(1, 4), min_size=4)),
        min_size=1,
        max_size=6,
    )
)
@settings(max_examples=30, deadline=None)
def test_the_slope_is_that_of_a_linear_regression(
    drawn: list[tuple[list[str], list[int]]],
) -> None:
    rows, places, ranks = [], [], []
    for prompt, (order, some) in enumerate(drawn):
        given_ranks = dict(zip("abcd", some[:4], strict=True))
        rows.append(Ranked("u1", prompt, given_ranks, shown=tuple(order)))
        places += [order.index(response) / 3 for response in "abcd"]
        ranks += ((rankdata(some[:4]) - 1) / 3).tolist()
    slope = row_of(rows)["position_bias"]["slope"]
    assert slope == pytest.approx(float(linregress(places, ranks).slope), abs=1e-9)


def test_a_labeler_drawn_to_the_first_response_is_found() -> None:
    rng = np.random.default_rng(3)
    rows = []
    for prompt in range(200):
        order = rng.permutation(list("abcd")).tolist()
        # Worth is noise of 1; each place further down costs 0.4.
        cost = {r: rng.normal() + 0.4 * place for place, r in enumerate(order)}
        ranks = {r: sorted(cost.values()).index(cost[r]) for r in cost}
        rows.append(Ranked("u1", prompt, ranks, shown=tuple(order)))
    low, high = row_of(rows)["position_bias"]["ci"]
    assert 0.1 < low < high < 0.6


def test_length_bias_counts_strict_pairs_of_known_unequal_lengths() -> None:
    # a < b tied with c < d. Lengths 9, 4, 9, unknown: of the strict pairs ab, ac, ad,
    # bd, cd only ab has two known and different lengths, and the longer one won.
    ranks = {"a": 1, "b": 2, "c": 2, "d": 3}
    rows = [Ranked("u1", 0, ranks, lengths={"a": 9, "b": 4, "c": 9})]
    rows += [Ranked("u1", 1, {"a": 2, "b": 1}, lengths={"a": 0, "b": 8})]
    rows += [Ranked("u1", 2, {"a": 2, "b": 1}, lengths={"a": 8, "b": 0})]
    found = row_of(rows)["length_bias"]
    assert (found["longer_wins"], found["comparable"]) == (2, 3)
    assert found["value"] == 2 / 3


def test_a_labeler_has_a_length_bias_of_their_own() -> None:
    lengths = {"a": 10, "b": 20}
    rows = [Ranked("u1", 0, {"a": 1, "b": 2}, lengths=lengths)]
    rows += [Ranked("u2", 0, {"a": 2, "b": 1}, lengths=lengths)]
    assert row_of(rows, "u1")["length_bias"]["value"] == 0
    assert row_of(rows, "u2")["length_bias"]["value"] == 1
