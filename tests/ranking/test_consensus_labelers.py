"""Labelers' reliabilities found again, and strengths that weigh by them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranking.comparisons import Comparisons
from ranking.consensus import ballots, pair_counts
from ranking.consensus_labelers import (
    Reliability,
    reliability,
    weighted_bradley_terry,
)
from ranking.consensus_scores import PENALTY, bradley_terry
from ranking.evidence import gather
from ranking.rank_table import FloatArray, IntArray, RankTable
from tests.ranking.electorates import cast_of, counts_of, electorates
from tests.simulated_labelers import Labeler, Setting, simulate

TRUTH = np.array([0.97, 0.9, 0.8, 0.7, 0.6, 0.5])


def compared(
    ranks: IntArray, prompt: IntArray, labeler: IntArray, labelers: int
) -> tuple[Comparisons, int]:
    table = RankTable(ranks=ranks, cluster=prompt, labeler=labeler)
    names = [f"{code:03}" for code in range(labelers)]
    evidence = gather([table], labelers=names, tags={})
    return evidence.between, evidence.n_prompts


def coins(*, prompts: int, seed: int, truth: np.ndarray = TRUTH) -> Reliability:
    """Three labelers a prompt, K = 2; each is right with their own chance."""
    rng = np.random.default_rng(seed)
    labeler = np.argsort(rng.random((prompts, len(truth))))[:, :3].ravel()
    prompt = np.repeat(np.arange(prompts), 3)
    better = rng.integers(0, 2, prompts)[prompt]
    right = rng.random(len(prompt)) < truth[labeler]
    first_wins = (better == 0) == right
    ranks = np.stack([2 - first_wins, 1 + first_wins], axis=1)
    between, n_prompts = compared(ranks, prompt, labeler, len(truth))
    return reliability(between, labelers=len(truth), n_prompts=n_prompts)


def test_true_reliabilities_are_found_again() -> None:
    found = coins(prompts=6_000, seed=1)
    assert found.values == pytest.approx(TRUTH, abs=0.03)
    assert (found.intervals[:, 1] - found.intervals[:, 0] < 0.1).all()


def test_intervals_hold_the_truth() -> None:
    held = [
        (found.intervals[:, 0] <= TRUTH) & (found.intervals[:, 1] >= TRUTH)
        for found in (coins(prompts=500, seed=seed) for seed in range(20))
    ]
    assert 0.88 <= np.mean(held) <= 1


def test_two_labelers_alone_are_equally_reliable() -> None:
    # 9 of 10 agree: w² is near .8, so η near (1 + √.8) / 2, less a little prior.
    ranks = np.array([[1, 2]] * 10 + [[1, 2]] * 9 + [[2, 1]])
    prompt, labeler = np.tile(np.arange(10), 2), np.repeat([0, 1], 10)
    between, prompts = compared(ranks, prompt, labeler, 2)
    found = reliability(between, labelers=2, n_prompts=prompts)
    assert found.values[0] == found.values[1]
    w = 2 * found.values[0] - 1
    # Where 10·w·(w² - .8) + 4·(w - ½) = 0.
    assert 10 * w * (w**2 - 0.8) + 4 * (w - 0.5) == pytest.approx(0, abs=1e-6)
    assert found.comparable.tolist() == [10, 10]


def test_whom_nobody_compares_with_is_unknown() -> None:
    between, prompts = compared(
        np.array([[1, 2], [1, 2], [1, 2]]), np.array([1, 1, 2]), np.array([0, 1, 2]), 3
    )
    found = reliability(between, labelers=3, n_prompts=prompts)
    assert np.isnan(found.values).tolist() == [False, False, True]
    assert np.isnan(found.intervals).all()  # one prompt tells of no other
    none = reliability(between.only(between.prompt < 0), labelers=3, n_prompts=prompts)
    assert np.isnan(none.values).all()


def test_names_of_labelers_change_nothing() -> None:
    rng = np.random.default_rng(4)
    ranks = rng.integers(1, 4, (90, 4))
    prompt, labeler = np.repeat(np.arange(30), 3), np.tile([0, 1, 2], 30)
    between, prompts = compared(ranks, prompt, labeler, 3)
    renamed, _ = compared(ranks, prompt, 2 - labeler, 3)
    before = reliability(between, labelers=3, n_prompts=prompts)
    after = reliability(renamed, labelers=3, n_prompts=prompts)
    assert before.values == pytest.approx(after.values[::-1], abs=1e-9)
    assert before.intervals == pytest.approx(after.intervals[::-1], abs=1e-9)


# --- Strengths --------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(electorates(k=st.integers(2, 4), partial=True))
def test_with_faultless_labelers_it_is_bradley_terry(
    rankings: list[list[int]],
) -> None:
    found = weighted_bradley_terry(cast_of(rankings), np.ones(len(rankings)))
    plain = bradley_terry(counts_of(rankings))
    assert found == pytest.approx(plain.values, abs=1e-4)


@settings(max_examples=20, deadline=None)
@given(electorates(k=st.integers(2, 4), partial=True), st.data())
def test_the_slope_of_the_likelihood_is_flat_at_its_strengths(
    rankings: list[list[int]], data: st.DataObject
) -> None:
    eta = np.array([data.draw(st.sampled_from([0.5, 0.7, 0.9])) for _ in rankings])
    [values] = weighted_bradley_terry(cast_of(rankings), eta)

    def likelihood(theta: np.ndarray) -> float:
        total = -PENALTY * (theta**2).sum()
        for ranks, right in zip(rankings, eta, strict=True):
            for i, a in enumerate(ranks):
                for j, b in enumerate(ranks):
                    chance = 1 / (1 + np.exp(theta[j] - theta[i]))
                    if 0 < a < b:
                        total += np.log(right * chance + (1 - right) * (1 - chance))
                    elif i != j and 0 < a == b:
                        total += np.log(chance) / 2
        return float(total)

    for k in range(len(values)):
        step = np.zeros(len(values))
        step[k] = 1e-4
        slope = (likelihood(values + step) - likelihood(values - step)) / 2e-4
        assert slope == pytest.approx(0, abs=1e-3)


def test_one_reliable_labeler_outweighs_two_who_toss_coins() -> None:
    rankings = cast_of([[1, 2], [2, 1], [2, 1]])
    [values] = weighted_bradley_terry(rankings, np.array([0.95, 0.5, 0.5]))
    assert values[0] > values[1]
    [plain] = weighted_bradley_terry(rankings, np.full(3, 0.9))
    assert plain[0] < plain[1]


def test_nobody_is_read_backwards() -> None:
    [values] = weighted_bradley_terry(cast_of([[1, 2]]), np.array([0.1]))
    assert values == pytest.approx(np.zeros(2), abs=1e-6)


@pytest.mark.parametrize(
    "rankings", [[[1, 2], [2, 1]], [[1, 2, 3], [3, 1, 2], [2, 3, 1]], [[1, 1]]]
)
def test_a_split_among_equals_stays_a_split(rankings: list[list[int]]) -> None:
    found = weighted_bradley_terry(cast_of(rankings), np.full(len(rankings), 0.8))
    assert found == pytest.approx(np.zeros_like(found), abs=1e-6)


def test_somebody_unknown_counts_as_the_prior_says() -> None:
    cast = cast_of([[1, 2]])
    unknown = weighted_bradley_terry(cast, np.array([np.nan]))
    assert unknown == pytest.approx(weighted_bradley_terry(cast, np.array([0.75])))


# --- Known truth ------------------------------------------------------------------


def test_weighing_labelers_finds_more_of_the_true_order() -> None:
    careful = Labeler(name="careful", noise=0.3)
    people = (careful, *(Labeler(name=name, noise=4.0) for name in "xyz"))
    made = simulate(Setting(prompts=400, labelers=people, overlap=4, ks=(5,)), seed=3)
    table = RankTable(ranks=made.ranks, cluster=made.prompt, labeler=made.labeler)
    cast = ballots(table)
    names = [f"{code}" for code in range(len(people))]
    evidence = gather([table], labelers=names, tags={})
    found = reliability(
        evidence.between, labelers=len(people), n_prompts=evidence.n_prompts
    )
    assert found.values.argmax() == 0
    assert found.intervals[0, 0] > found.intervals[1:, 1].max()
    plain = bradley_terry(pair_counts(cast)).values
    weighted = weighted_bradley_terry(cast, found.values)
    truth = made.worth[cast.cluster]
    assert share_right(weighted, truth) > share_right(plain, truth) + 0.03


def share_right(values: FloatArray, truth: FloatArray) -> float:
    """Pairs in the true order, of all."""
    first, second = np.triu_indices(truth.shape[1], 1)
    ours, real = (
        values[:, first] - values[:, second],
        truth[:, first] - truth[:, second],
    )
    return float((np.sign(ours) == np.sign(real)).mean())
