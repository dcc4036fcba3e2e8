"""Kemeny's rule against all weak orders there are, and what it leaves open."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranking import consensus_kemeny
from ranking.consensus import PairCounts
from ranking.consensus_kemeny import Kemeny, kemeny
from tests.ranking.electorates import (
    Electorate,
    counts_of,
    distance,
    electorates,
    nearest_orders,
    weak_orders,
)

SMALL = st.integers(2, 4)
CYCLE = [[1, 2, 3], [3, 1, 2], [2, 3, 1]]


def nearest(*sets: Electorate) -> Kemeny:
    return kemeny(counts_of(*sets))


def undecided(rankings: Electorate) -> set[tuple[int, int]]:
    """Undecided pairs, as a < b."""
    found = np.argwhere(nearest(rankings).undecided[0]).tolist()
    return {(a, b) for a, b in found if a < b}


def assert_equals_brute_force(rankings: Electorate) -> None:
    found = nearest(rankings)
    least, orders = nearest_orders(rankings)
    ranks = np.array(orders)
    first, second = ranks[:, :, None], ranks[:, None, :]
    assert found.distance.tolist() == [least]
    assert (found.better[0] == (first < second).all(axis=0)).all()
    tied = (first == second).all(axis=0) & ~np.eye(ranks.shape[1], dtype=bool)
    assert (found.tied[0] == tied).all()


def test_there_are_as_many_weak_orders_as_fubini_counted() -> None:
    assert [len(list(weak_orders(k))) for k in (2, 3, 4)] == [3, 13, 75]


def test_the_distance_by_hand() -> None:
    # ab opposite: 1; ac tied in one of them: ½; bc the same.
    assert distance([1, 2, 3], [2, 1, 2]) == 1.5
    assert distance([1, 2, 3], [3, 2, 1]) == 3


@settings(max_examples=50, deadline=None)
@given(electorates(k=SMALL))
def test_it_finds_what_all_nearest_weak_orders_have_in_common(
    rankings: list[list[int]],
) -> None:
    assert_equals_brute_force(rankings)


@settings(max_examples=50, deadline=None)
@given(electorates(k=SMALL, partial=True))
def test_partial_rankings_count_for_what_they_rank(rankings: list[list[int]]) -> None:
    assert_equals_brute_force(rankings)


@settings(max_examples=10, deadline=None)
@given(electorates(k=st.just(5)))
def test_it_does_so_for_five_responses(rankings: list[list[int]]) -> None:
    assert_equals_brute_force(rankings)


def test_one_labeler_is_their_own_consensus() -> None:
    found = nearest([[2, 1, 2, 3]])
    assert found.distance.tolist() == [0.0]
    assert not found.undecided.any()
    assert found.tied[0, 0, 2]
    assert found.best_place[0].tolist() == [2, 1, 2, 4]
    assert found.worst_place[0].tolist() == [3, 1, 3, 4]


@pytest.mark.parametrize(
    ("rankings", "left_open"),
    [
        ([[1, 2], [2, 1]], {(0, 1)}),
        ([[1, 2], [1, 2], [2, 1], [2, 1]], {(0, 1)}),
        ([[1, 2], [1, 1]], {(0, 1)}),
        ([[1, 2], [1, 2], [2, 1]], set()),
        ([[1, 2], [1, 2], [1, 1]], set()),
        ([[1, 1], [1, 1], [1, 2]], set()),
        (CYCLE, {(0, 1), (0, 2), (1, 2)}),
        # Two halves that agree that the last is the worst.
        ([[1, 2, 3], [2, 1, 3]], {(0, 1)}),
        ([[0, 1], [1, 0]], {(0, 1)}),
    ],
)
def test_a_split_stays_a_split(
    rankings: list[list[int]], left_open: set[tuple[int, int]]
) -> None:
    assert undecided(rankings) == left_open


def test_a_cycle_leaves_every_place_open() -> None:
    found = nearest(CYCLE)
    assert found.best_place.tolist() == [[1, 1, 1]]
    assert found.worst_place.tolist() == [[3, 3, 3]]
    assert found.distance.tolist() == [4.0]  # abc: 0 + 2 + 2


def test_a_cycle_between_a_best_and_a_worst_leaves_these_alone() -> None:
    found = nearest([[1, *(r + 1 for r in row), 5] for row in CYCLE])
    assert found.best_place.tolist() == [[1, 2, 2, 2, 5]]
    assert found.worst_place.tolist() == [[1, 4, 4, 4, 5]]


def test_condorcets_own_example_of_sixty_voters() -> None:
    # Essai (1785), as Young tells it (American Political Science Review 82, 1988): a
    # cycle, a > b by 33, b > c by 42, c > a by 35 of 60. The order b, c, a contradicts
    # 33 + 18 + 25 votes, a, b, c 80, and c, a, b 94.
    rankings = (
        [[1, 2, 3]] * 23
        + [[3, 1, 2]] * 17
        + [[2, 1, 3]] * 2
        + [[2, 3, 1]] * 10
        + [[3, 2, 1]] * 8
    )
    found = nearest(rankings)
    assert found.best_place[0].tolist() == [3, 1, 2]
    assert found.distance.tolist() == [76.0]


@settings(max_examples=50, deadline=None)
@given(electorates(k=st.integers(2, 6)), st.randoms(use_true_random=False))
def test_names_and_the_order_of_labelers_change_nothing(
    rankings: list[list[int]], random: object
) -> None:
    k = len(rankings[0])
    order = list(range(k))
    random.shuffle(order)  # type: ignore[attr-defined]
    renamed = [[row[i] for i in order] for row in reversed(rankings)]
    before, after = nearest(rankings), nearest(renamed)
    assert (before.better[0][np.ix_(order, order)] == after.better[0]).all()
    assert (before.tied[0][np.ix_(order, order)] == after.tied[0]).all()
    assert before.distance == after.distance


@settings(max_examples=20, deadline=None)
@given(st.lists(electorates(k=st.just(4)), min_size=1, max_size=6))
def test_sets_do_not_know_of_each_other(sets: list[list[list[int]]]) -> None:
    together = nearest(*sets)
    for number, rankings in enumerate(sets):
        alone = nearest(rankings)
        assert (together.better[number] == alone.better[0]).all()
        assert (together.tied[number] == alone.tied[0]).all()
        assert together.distance[number] == alone.distance[0]


def test_blocks_of_sets_join_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    ranks = np.random.default_rng(5).integers(1, 5, (40, 3, 4))
    sets = ranks.tolist()
    whole = nearest(*sets)
    monkeypatch.setattr(consensus_kemeny, "SUMS_AT_ONCE", 64)
    blocks = nearest(*sets)
    assert (whole.better == blocks.better).all()
    assert (whole.distance == blocks.distance).all()


def test_nine_responses_that_all_agree_on_a_hidden_order() -> None:
    hidden = np.random.default_rng(3).permutation(9) + 1
    found = nearest([hidden.tolist()] * 3)
    assert found.best_place[0].tolist() == hidden.tolist()
    assert found.worst_place[0].tolist() == hidden.tolist()


def test_nine_responses_in_a_cycle_are_all_undecided() -> None:
    cycle = [[(place + shift) % 9 + 1 for place in range(9)] for shift in range(9)]
    found = nearest(cycle)
    assert found.undecided[0].sum() == 72
    # An order of the cycle: each pair at distance d is contradicted by d of the nine.
    assert found.distance.tolist() == [sum(d * (9 - d) for d in range(1, 9))]


def test_without_sets_there_is_nothing_to_order() -> None:
    none = kemeny(PairCounts(np.zeros((0, 3, 3)), np.zeros((0, 3, 3))))
    assert none.better.shape == (0, 3, 3)
    assert none.distance.shape == (0,)


def test_more_than_nine_responses_are_refused() -> None:
    zeros = np.zeros((1, 10, 10))
    with pytest.raises(ValueError, match="an exact order of 10 responses"):
        kemeny(PairCounts(zeros, zeros))


def test_weights_are_refused() -> None:
    with pytest.raises(ValueError, match="whole numbers"):
        kemeny(PairCounts(np.full((1, 2, 2), 0.5), np.zeros((1, 2, 2))))
