"""Pairs of many prompts at once: as one ranking at a time gives them, and by hand."""

from collections import defaultdict
from itertools import combinations, permutations, product
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings

from ranking.export.held import HeldPrompt
from ranking.export.one_order import with_one_order
from ranking.export.preferences import (
    PREFERENCES,
    Preferences,
    by_majority,
    by_share,
    of_orders,
)
from ranking.pairs import strict_pairs
from tests.ranking.held_prompts import dense, held, prompts

Named = tuple[str, str, str]


def named(held_prompts: list[HeldPrompt], pairs: Preferences) -> list[Named]:
    """Prompt, chosen and rejected response of each pair."""
    found = []
    for row in range(len(pairs)):
        prompt = held_prompts[pairs.prompt[row]]
        chosen, rejected = pairs.chosen[row], pairs.rejected[row]
        ids = prompt.response_ids
        found.append((prompt.id, ids[chosen], ids[rejected]))
    return found


def votes(prompt: HeldPrompt, a: int, b: int) -> tuple[int, int, int]:
    """Labelers who prefer a, who prefer b, and who tie them."""
    signs = [np.sign(order[b] - order[a]) for order in prompt.orders]
    return signs.count(1), signs.count(-1), signs.count(0)


# --- Each labeler's own pairs -----------------------------------------------------


@settings(deadline=None)
@given(prompts)
def test_pairs_of_orders_are_those_of_one_ranking_after_the_other(
    some: list[HeldPrompt],
) -> None:
    expected = []
    order = 0
    for prompt in some:
        ids = prompt.response_ids
        for ranks in prompt.orders:
            expected += [
                (order, prompt.id, pair.chosen, pair.rejected, pair.rank_gap)
                for pair in strict_pairs(dict(zip(ids, ranks, strict=True)))
            ]
            order += 1
    pairs = of_orders(some)
    assert pairs.rank_gap is not None
    found = zip(
        pairs.orders.tolist(), named(some, pairs), pairs.rank_gap.tolist(), strict=True
    )
    assert [(order, *names, gap) for order, names, gap in found] == expected


@settings(deadline=None)
@given(prompts)
def test_weights_of_orders_add_up_to_one_for_each_order_and_each_prompt_with_a_pair(
    some: list[HeldPrompt],
) -> None:
    pairs = of_orders(some)
    by_order: dict[int, float] = defaultdict(float)
    by_prompt: dict[int, float] = defaultdict(float)
    for order, prompt, weight, prompt_weight in zip(
        pairs.orders, pairs.prompt, pairs.weight, pairs.prompt_weight, strict=True
    ):
        by_order[order] += weight
        by_prompt[prompt] += prompt_weight
    strict = [len(set(order)) > 1 for prompt in some for order in prompt.orders]
    assert by_order == {n: pytest.approx(1) for n, has in enumerate(strict) if has}
    with_pairs = {
        n
        for n, prompt in enumerate(some)
        if any(len(set(o)) > 1 for o in prompt.orders)
    }
    assert by_prompt == {n: pytest.approx(1) for n in with_pairs}


# --- Several labelers together ----------------------------------------------------


@settings(deadline=None)
@given(prompts)
def test_a_majority_is_more_than_half_of_the_labelers(some: list[HeldPrompt]) -> None:
    expected = {
        (prompt.id, f"r{a + 1}", f"r{b + 1}")
        for prompt in some
        for a, b in permutations(range(prompt.k), 2)
        if votes(prompt, a, b)[0] > len(prompt.orders) / 2
    }
    pairs = by_majority(some)
    found = named(some, pairs)
    assert set(found) == expected
    assert len(found) == len(expected)
    assert len(pairs) + pairs.left_open == sum(comb(p.k, 2) for p in some)


@settings(deadline=None)
@given(prompts)
def test_a_share_counts_ties_as_half_and_the_chosen_one_has_more_than_half(
    some: list[HeldPrompt],
) -> None:
    expected = {}
    for prompt in some:
        for a, b in permutations(range(prompt.k), 2):
            wins, _, ties = votes(prompt, a, b)
            share = (wins + ties / 2) / len(prompt.orders)
            if share > 1 / 2:
                expected[prompt.id, f"r{a + 1}", f"r{b + 1}"] = share
    pairs = by_share(some)
    assert pairs.share is not None
    found = dict(zip(named(some, pairs), pairs.share.tolist(), strict=True))
    assert found == pytest.approx(expected)
    assert len(pairs) == len(expected)
    assert len(pairs) + pairs.left_open == sum(comb(p.k, 2) for p in some)


@settings(deadline=None)
@given(prompts)
def test_pairs_of_labelers_together_weigh_one_for_each_prompt_that_has_any(
    some: list[HeldPrompt],
) -> None:
    for preferences in (by_majority, by_share):
        pairs = preferences(some)
        sums: dict[int, float] = defaultdict(float)
        for prompt, weight in zip(pairs.prompt, pairs.prompt_weight, strict=True):
            sums[prompt] += weight
        assert sums == {n: pytest.approx(1) for n in set(pairs.prompt)}
        assert pairs.weight.tolist() == pairs.prompt_weight.tolist()


def test_three_labelers_by_hand() -> None:
    # r1 > r2: all three. r1 > r3: two, one tie. r2 > r3: one, one tie, one against.
    prompt = held([[1, 2, 3], [1, 2, 2], [1, 2, 1]])
    majority = by_majority([prompt])
    assert named([prompt], majority) == [("p1", "r1", "r2"), ("p1", "r1", "r3")]
    assert majority.share is not None
    assert majority.share.tolist() == [1, 2.5 / 3]
    assert majority.weight.tolist() == [0.5, 0.5]
    assert majority.left_open == 1
    soft = by_share([prompt])
    assert named([prompt], soft) == named([prompt], majority)
    assert soft.left_open == 1  # r2 and r3: (1 + ½) / 3 is exactly a half


def test_a_share_above_half_need_not_be_a_majority() -> None:
    prompt = held([[1, 2], [1, 1]])  # one prefers r1, one neither
    assert len(by_majority([prompt])) == 0
    soft = by_share([prompt])
    assert named([prompt], soft) == [("p1", "r1", "r2")]
    assert soft.share is not None
    assert soft.share.tolist() == [0.75]


@settings(deadline=None)
@given(prompts)
def test_the_order_in_which_labelers_come_changes_no_pair_of_theirs_together(
    some: list[HeldPrompt],
) -> None:
    turned = [held([*reversed(prompt.orders)], name=prompt.id) for prompt in some]
    for disagreement in ("majority", "soft"):
        preferences = PREFERENCES[disagreement]
        assert named(some, preferences(some)) == named(turned, preferences(turned))


# --- One order a prompt -----------------------------------------------------------


def nearest_orders(orders: list[list[int]]) -> list[tuple[int, ...]]:
    """Every weak order with the least distance (Kemeny and Snell), by trying all."""
    k = len(orders[0])
    distances = {}
    for ranks in product(range(1, k + 1), repeat=k):
        if dense(ranks) == list(ranks):
            distances[ranks] = sum(
                abs(np.sign(ranks[a] - ranks[b]) - np.sign(order[a] - order[b]))
                for order in orders
                for a, b in combinations(range(k), 2)
            )
    least = min(distances.values())
    return [ranks for ranks, distance in distances.items() if distance == least]


@settings(max_examples=60, deadline=None)
@given(prompts.filter(lambda some: all(p.k <= 4 for p in some)))
def test_one_order_says_only_what_all_nearest_orders_say(
    some: list[HeldPrompt],
) -> None:
    for before, after in zip(some, with_one_order(some), strict=True):
        nearest = nearest_orders(before.orders)
        [order] = after.orders
        assert order == dense(order)
        assert after.labelers == len(before.orders)
        assert after.said == []
        undecided = 0
        for a, b in combinations(range(len(order)), 2):
            signs = {np.sign(ranks[a] - ranks[b]) for ranks in nearest}
            undecided += len(signs) > 1
            if order[a] != order[b]:
                assert signs == {np.sign(order[a] - order[b])}
        assert after.undecided_pairs == undecided
        if undecided == 0:
            assert [tuple(order)] == nearest


def test_one_labeler_s_order_is_their_own() -> None:
    prompt = held([[2, 1, 2, 3]])
    [after] = with_one_order([prompt])
    assert (after.orders, after.undecided_pairs) == ([[2, 1, 2, 3]], 0)


def test_a_split_stays_a_tie() -> None:
    [after] = with_one_order([held([[1, 2, 3, 4], [2, 1, 3, 4]])])
    assert (after.orders, after.undecided_pairs) == ([[1, 1, 2, 3]], 1)


def test_prompts_of_different_k_keep_their_order() -> None:
    some = [
        held([[2, 1]], name="b"),
        held([[1, 2, 3]], name="a"),
        held([[1, 2]], name="c"),
    ]
    assert [(one.id, one.orders) for one in with_one_order(some)] == [
        ("b", [[2, 1]]),
        ("a", [[1, 2, 3]]),
        ("c", [[1, 2]]),
    ]


def test_no_prompts_give_no_pairs() -> None:
    for preferences in PREFERENCES.values():
        assert len(preferences([])) == 0
    assert with_one_order([]) == []
