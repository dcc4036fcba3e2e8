"""Borda, Bradley-Terry and Plackett-Luce, by hand and beside choix."""

from itertools import combinations
from math import log

import choix
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranking import consensus
from ranking.consensus import PairCounts, ballots, pair_counts, score_ranks
from ranking.consensus_luce import plackett_luce
from ranking.consensus_scores import (
    PENALTY,
    Strengths,
    borda,
    bradley_terry,
    strongest,
)
from ranking.rank_table import RankTable
from tests.ranking.electorates import Electorate, cast_of, counts_of, electorates

SMALL = st.integers(2, 5)


def strengths(*sets: Electorate) -> Strengths:
    return bradley_terry(counts_of(*sets))


# --- Pair counts ------------------------------------------------------------------


def test_pairs_are_counted_by_hand() -> None:
    counts = counts_of([[1, 2, 2], [1, 1, 0], [2, 1, 3]])
    assert counts.wins[0].tolist() == [[0, 1, 2], [1, 0, 1], [0, 0, 0]]
    assert counts.ties[0].tolist() == [[0, 1, 0], [1, 0, 1], [0, 1, 0]]
    assert counts.credit[0, 0].tolist() == [0, 1.5, 2]
    assert counts.judged[0].tolist() == [[0, 3, 2], [3, 0, 2], [2, 2, 0]]


def test_repeats_of_a_labeler_are_left_out() -> None:
    table = RankTable(
        ranks=np.array([[1, 2], [2, 1], [2, 1]]),
        cluster=np.array([7, 7, 3]),
        labeler=np.array([0, 0, 1]),
        repeat=np.array([0, 1, 0]),
    )
    cast = ballots(table)
    assert cast.cluster.tolist() == [3, 7]
    assert pair_counts(cast).wins[:, 0, 1].tolist() == [0, 1]


def test_sets_of_one_prompt_stay_apart() -> None:
    table = RankTable(
        ranks=np.array([[1, 2], [2, 1]]),
        cluster=np.array([7, 7]),
        labeler=np.array([0, 1]),
        item=np.array([5, 4]),
    )
    cast = ballots(table)
    assert (cast.cluster.tolist(), cast.item.tolist()) == ([7, 7], [4, 5])
    assert pair_counts(cast).wins[:, 0, 1].tolist() == [0, 1]


def test_ranks_that_are_not_given_are_not_looked_at() -> None:
    table = RankTable(
        ranks=np.array([[-5, 9, 4], [3, 3, -1]]),
        cluster=np.array([1, 1]),
        labeler=np.array([0, 1]),
    )
    ranked = np.array([[True, False, True], [True, True, False]])
    assert ballots(table, ranked=ranked).ranks.tolist() == [[1, 0, 2], [1, 1, 0]]


def test_a_set_of_one_response_has_no_consensus() -> None:
    table = RankTable(
        ranks=np.array([[1]]), cluster=np.array([1]), labeler=np.array([0])
    )
    with pytest.raises(ValueError, match="two responses or more"):
        ballots(table)


def test_a_mask_of_another_shape_is_refused() -> None:
    table = RankTable(
        ranks=np.array([[1, 2]]), cluster=np.array([1]), labeler=np.array([0])
    )
    with pytest.raises(ValueError, match="ranked is"):
        ballots(table, ranked=np.ones((2, 2), np.bool_))


def test_scores_that_are_equal_are_tied() -> None:
    near = consensus.EQUAL_SCORES / 2
    scores = np.array([[0.5, 1.0, 0.5 + near, 0.1], [1.0, np.nan, 2.0, 1.0]])
    assert score_ranks(scores).tolist() == [[2, 1, 2, 3], [2, 0, 1, 2]]


# --- Borda ------------------------------------------------------------------------


def test_borda_by_hand() -> None:
    # Mid-ranks 1, 2.5, 2.5, 4 and 2, 1, 3, 4.
    found = borda(cast_of([[1, 2, 2, 3], [2, 1, 3, 4]]))
    assert found[0] == pytest.approx([2.5 / 3, 2.25 / 3, 1.25 / 3, 0])


def test_borda_counts_a_partial_ranking_for_what_it_ranks() -> None:
    found = borda(cast_of([[1, 2, 0, 0], [2, 1, 3, 0], [0, 0, 0, 1]]))
    # 1 and ½; 0 and 1; 0; never beside another one.
    assert found[0].tolist() == pytest.approx([0.75, 0.5, 0, np.nan], nan_ok=True)


@given(electorates(k=st.integers(2, 7)))
def test_borda_orders_by_the_average_rank(rankings: list[list[int]]) -> None:
    rows = np.array(rankings)
    k = rows.shape[1]
    below = (rows[:, :, None] > rows[:, None, :]).sum(axis=2)
    equal = (rows[:, :, None] == rows[:, None, :]).sum(axis=2)
    mid = (below + (equal + 1) / 2).mean(axis=0)
    assert borda(cast_of(rankings))[0] == pytest.approx((k - mid) / (k - 1))


# --- Bradley-Terry ----------------------------------------------------------------


def test_a_winner_of_all_has_a_finite_strength() -> None:
    # The mode of 3·log s(2x) - 2·PENALTY·x²: 6·(1 - s(2x)) = 4·PENALTY·x.
    [[x, y]] = strengths([[1, 2]] * 3).values
    assert x == pytest.approx(-y)
    assert 6 / (1 + np.exp(2 * x)) == pytest.approx(4 * PENALTY * x)
    assert np.exp(2 * x) == pytest.approx(11.3, abs=0.1)


@pytest.mark.parametrize(
    "rankings",
    [
        [[1, 2], [2, 1]],
        [[1, 1], [1, 1]],
        [[1, 2, 3], [3, 1, 2], [2, 3, 1]],
        [[0, 1], [1, 0]],
    ],
)
def test_a_split_has_equal_strengths(rankings: list[list[int]]) -> None:
    [values] = strengths(rankings).values
    assert values == pytest.approx(np.zeros(len(values)), abs=1e-9)
    assert set(score_ranks(values[None])[0].tolist()) == {1}


@settings(max_examples=30, deadline=None)
@given(electorates(k=SMALL, partial=True))
def test_strengths_are_those_of_choix(rankings: list[list[int]]) -> None:
    found = strengths(rankings)
    k = len(rankings[0])
    # choix knows no half wins: every vote twice, and twice the penalty.
    doubled = (2 * counts_of(rankings).credit[0]).astype(int)
    data = [(i, j) for i in range(k) for j in range(k) for _ in range(doubled[i, j])]
    theirs = choix.opt_pairwise(k, data, alpha=2 * PENALTY, tol=1e-10)
    assert found.values[0] == pytest.approx(theirs, abs=1e-6)
    assert found.values.sum() == pytest.approx(0, abs=1e-9)


@settings(max_examples=20, deadline=None)
@given(st.lists(electorates(k=st.just(4)), min_size=2, max_size=5))
def test_strengths_of_sets_do_not_know_of_each_other(
    sets: list[list[list[int]]],
) -> None:
    together = strengths(*sets).values
    alone = [strengths(rankings).values[0] for rankings in sets]
    assert together == pytest.approx(np.array(alone), abs=1e-9)


def test_chances_are_those_of_the_strengths() -> None:
    found = strengths([[1, 2, 3]])
    chances = found.probabilities()[0]
    assert chances + chances.T == pytest.approx(np.ones((3, 3)))
    gap = found.values[0, 0] - found.values[0, 2]
    assert log(chances[0, 2] / chances[2, 0]) == pytest.approx(gap)


def test_the_covariance_is_the_inverse_of_the_curvature() -> None:
    # Two equal ones after n judgements: curvature n/4·[[1,-1],[-1,1]] + 2·PENALTY.
    [covariance] = strengths([[1, 2], [2, 1]]).covariance
    difference = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    assert difference == pytest.approx(2 / (2 * 2 / 4 + 2 * PENALTY))


def test_true_strengths_are_found_again() -> None:
    rng = np.random.default_rng(2)
    truth = np.array([1.5, 0.5, 0.0, -0.5, -1.5])
    chance = 1 / (1 + np.exp(truth[None, :] - truth[:, None]))
    votes = 4_000
    wins = np.triu(rng.binomial(votes, chance), 1).astype(float)
    wins += np.tril(votes - wins.T, -1)
    found = bradley_terry(PairCounts(wins[None], np.zeros((1, 5, 5))))
    [covariance] = found.covariance
    for i, j in combinations(range(5), 2):
        pair = covariance[[i, i, j, j], [i, j, i, j]]
        error = np.sqrt(pair @ [1, -1, -1, 1])
        gap = found.values[0, i] - found.values[0, j]
        assert error < 0.04
        assert abs(gap - (truth[i] - truth[j])) < 4 * error


def test_votes_without_end_are_reported() -> None:
    with pytest.raises(ArithmeticError, match="1 sets"):
        strongest(np.full((1, 2, 2), np.nan) * (1 - np.eye(2)))


# --- Plackett-Luce ----------------------------------------------------------------


@settings(max_examples=20, deadline=None)
@given(st.lists(st.permutations([1, 2, 3, 4]), min_size=1, max_size=5))
def test_without_ties_it_is_what_choix_makes_of_rankings(
    rankings: list[list[int]],
) -> None:
    orders = [np.argsort(row).tolist() for row in rankings]
    theirs = choix.opt_rankings(4, orders, alpha=PENALTY, tol=1e-10)
    assert plackett_luce(np.array(rankings)) == pytest.approx(theirs, abs=1e-6)


def test_of_two_responses_it_is_bradley_terry() -> None:
    rankings = [[1, 2], [1, 2], [2, 1]]
    theirs = strengths(rankings).values[0]
    assert plackett_luce(np.array(rankings)) == pytest.approx(theirs, abs=1e-6)


@settings(max_examples=20, deadline=None)
@given(electorates(k=SMALL, partial=True))
def test_the_slope_is_flat_at_its_strengths(rankings: list[list[int]]) -> None:
    found = plackett_luce(np.array(rankings))
    weights, slope = np.exp(found), -2 * PENALTY * found
    for row in rankings:
        for rank in row:
            left = [j for j, other in enumerate(row) if rank and other >= rank]
            slope[left] -= weights[left] / weights[left].sum() if left else 0
    slope += (np.array(rankings) > 0).sum(axis=0)
    assert slope == pytest.approx(np.zeros(len(found)), abs=1e-5)


@pytest.mark.parametrize(
    "rankings", [[[1, 1, 1]], [[1, 2, 3], [3, 1, 2], [2, 3, 1]], [[0, 0, 0]]]
)
def test_what_is_not_ordered_has_equal_strengths(rankings: list[list[int]]) -> None:
    assert plackett_luce(np.array(rankings)) == pytest.approx(np.zeros(3), abs=1e-6)
