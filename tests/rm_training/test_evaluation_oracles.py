"""The suite's numbers against SciPy, scikit-learn, brute force and a known world."""

from itertools import combinations
from math import log

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import kendalltau, pearsonr, rankdata, spearmanr
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, log_loss, ndcg_score

from ranking.bootstrap import DRAWS
from ranking.rank_table import FloatArray
from rm_training.evaluation.accuracy import accuracy
from rm_training.evaluation.calibration import (
    BINS,
    bins_of,
    calibration,
    fitted_temperature,
)
from rm_training.evaluation.fits import fit, sigmoid
from rm_training.evaluation.intervals import Clusters
from rm_training.evaluation.judged import JudgedPrompt, Split
from rm_training.evaluation.labelers import labelers
from rm_training.evaluation.length import length_bias, mid_ranks
from rm_training.evaluation.within import ndcg, tau_b, within_prompt
from tests.rm_training.judged_prompts import world

WORLD = Split(world(40, seed=7))
CLUSTERS = Clusters(40)
EXACT = pytest.approx


def strict_margins(prompts: list[JudgedPrompt]) -> list[float]:
    """Reward of the preferred less that of the other, pair by pair, by brute force."""
    return [
        (prompt.rewards[i] - prompt.rewards[j]) * (1 if ranks[i] < ranks[j] else -1)
        for prompt in prompts
        for ranks in prompt.rankings
        for i, j in combinations(range(len(ranks)), 2)
        if ranks[i] and ranks[j] and ranks[i] != ranks[j]
    ]


MARGINS = np.array(strict_margins(list(WORLD.prompts)))
P = 1 / (1 + np.exp(-MARGINS))
BOTH = np.concatenate([P, 1 - P]), np.repeat([1, 0], len(P))


def test_pairs_are_those_of_brute_force() -> None:
    assert len(MARGINS) > 300
    assert sorted(WORLD.strict.margin) == EXACT(sorted(MARGINS), abs=1e-12)


def test_brier_and_likelihood_are_those_of_scikit_learn() -> None:
    said, happened = BOTH
    found = calibration(WORLD, CLUSTERS, temperature=None)
    brier = brier_score_loss(happened, said)
    assert found["brier"]["value"] == EXACT(brier, abs=1e-9)
    assert found["nll"]["value"] == EXACT(log_loss(happened, said), abs=1e-9)


def test_the_calibration_error_is_that_of_scikit_learns_bins() -> None:
    said, happened = BOTH
    shares, means = calibration_curve(happened, said, n_bins=BINS, strategy="quantile")
    sizes = np.bincount(bins_of(said))
    expected = (np.abs(shares - means) * sizes[sizes > 0]).sum() / len(said)
    found = calibration(WORLD, CLUSTERS, temperature=None)
    assert found["ece"]["value"] == EXACT(expected, abs=1e-9)
    rows = found["bins"]
    assert [row["value"] for row in rows] == EXACT(list(shares), abs=1e-9)
    assert [row["said"] for row in rows] == EXACT(list(means), abs=1e-9)


def test_the_temperature_is_the_likeliest_one() -> None:
    best = minimize(lambda x: np.logaddexp(0, -MARGINS / x[0]).sum(), [1.0], tol=1e-12)
    found = fitted_temperature(WORLD, CLUSTERS)
    assert found["value"] == EXACT(best.x[0], abs=1e-5)
    assert found["ci"][0] < found["value"] < found["ci"][1]


def test_a_fit_of_two_columns_is_the_likeliest_one_and_its_draws_nearly_so() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(2, 600)) * [[1.0], [30.0]]
    flip = rng.random(600) > sigmoid(np.array([1.2, 0.03]) @ x)
    x[:, flip] *= -1
    prompt = np.repeat(np.arange(60), 10)
    clusters = Clusters(60)
    found = fit(x, prompt, clusters)

    def likeliest(weights: FloatArray) -> FloatArray:
        best = minimize(
            lambda b: (np.logaddexp(0, -(b / [1, 30] @ x)) * weights).sum(),
            [0.0, 0.0],
            tol=1e-12,
        )
        return np.array(best.x) / [1, 30]

    assert found.coefficients == EXACT(likeliest(np.ones(600)), rel=1e-5)
    for draw in range(5):
        exactly = likeliest(clusters.weights[prompt, draw].astype(float))
        # One Newton step: second order in how far the draw is from the whole.
        assert found.draws[:, draw] == EXACT(exactly, rel=0.05)


def test_tau_b_is_that_of_scipy() -> None:
    found = dict.fromkeys(range(len(WORLD.prompts)), 0.0)
    expected = dict(found)
    for prompt, tau in zip(*tau_b(WORLD), strict=True):
        found[int(prompt)] += tau
    for number, prompt in enumerate(WORLD.prompts):
        for ranks in prompt.rankings:
            if len(set(ranks)) > 1:
                rewards = -np.array(prompt.rewards)
                expected[number] += kendalltau(rewards, ranks).statistic
    assert found == EXACT(expected, abs=1e-9)


def test_tau_b_of_tied_rewards_is_that_of_scipy() -> None:
    rewards, ranks = (1.0, 1.0, 0.0, 3.0), (2, 1, 3, 3)
    prompt = JudgedPrompt(rewards=rewards, lengths=(1, 1, 1, 1), rankings=(ranks,))
    (_, [tau]) = tau_b(Split([prompt]))
    expected = kendalltau([-reward for reward in rewards], ranks).statistic
    assert tau == EXACT(expected, abs=1e-12)


@pytest.mark.parametrize("ties", [False, True])
def test_ndcg_is_that_of_scikit_learn(ties: bool) -> None:  # noqa: FBT001
    rng = np.random.default_rng(5)
    for _ in range(50):
        k = int(rng.integers(2, 9))
        tiers = np.unique(rng.integers(0, 4, k), return_inverse=True)[1]
        if not tiers.any():
            continue
        rewards = rng.integers(0, 3, k) / 2 if ties else rng.normal(size=k)
        gains = tiers.max() - tiers
        expected = ndcg_score([gains], [rewards])
        assert ndcg(rewards, tiers) == EXACT(expected, abs=1e-9)


def test_length_correlations_are_those_of_scipy() -> None:
    found = length_bias(WORLD, CLUSTERS)
    each = [spearmanr(p.lengths, p.rewards).statistic for p in WORLD.prompts]
    assert found["spearman"]["value"] == EXACT(np.mean(each), abs=1e-9)
    x = [v - np.mean(p.lengths) for p in WORLD.prompts for v in p.lengths]
    y = [v - np.mean(p.rewards) for p in WORLD.prompts for v in p.rewards]
    assert found["pearson"]["value"] == EXACT(pearsonr(x, y).statistic, abs=1e-9)
    values = np.array([3.0, 1.0, 3.0, 2.0, 3.0])
    assert list(mid_ranks(values)) == list(rankdata(values))


def test_intervals_are_a_bootstrap_over_prompts_with_seed_0() -> None:
    found = accuracy(WORLD, CLUSTERS)["pair_mean"]
    n = len(WORLD.prompts)
    wins, pairs = np.zeros(n), np.zeros(n)
    for number, prompt in enumerate(WORLD.prompts):
        margins = strict_margins([prompt])
        wins[number] = sum(margin > 0 for margin in margins)
        pairs[number] = len(margins)
    rng = np.random.default_rng(0)
    drawn = [rng.integers(0, n, n, np.uint32) for _ in range(DRAWS)]
    shares = [wins[some].sum() / pairs[some].sum() for some in drawn]
    assert found["value"] == EXACT(wins.sum() / pairs.sum(), abs=1e-12)
    assert found["ci"] == EXACT(list(np.quantile(shares, [0.025, 0.975])), abs=1e-9)


def test_the_ceiling_holds_between_simulated_labelers_and_the_best_model() -> None:
    """O20: every pair has a probability; the model that knows it is the best one."""
    rng = np.random.default_rng(2)
    prompts = []
    for _ in range(3_000):
        gap = rng.normal() * 1.5
        votes = rng.random(3) < 1 / (1 + np.exp(-gap))
        prompts.append(
            JudgedPrompt(
                rewards=(gap, 0.0),
                lengths=(10, 10),
                rankings=tuple((1, 2) if vote else (2, 1) for vote in votes),
                labelers=("a", "b", "c"),
            )
        )
    split, clusters = Split(prompts), Clusters(len(prompts))
    found = labelers(split, clusters)
    best = accuracy(split, clusters)["pair_mean"]["value"]
    assert found["ceiling"]["low"] <= best <= found["ceiling"]["high"]
    assert found["agreement"]["value"] < best - 0.02  # the band is no point
    measured = calibration(split, clusters, temperature=None)
    assert measured["ece"]["value"] < 0.03  # it says what it knows
    assert measured["vote_share"]["bins"][0]["value"] < 0.2


def test_rewards_that_know_nothing_are_at_chance() -> None:
    rng = np.random.default_rng(3)
    prompts = [
        JudgedPrompt(
            rewards=tuple(rng.normal(size=4)),
            lengths=(1, 2, 3, 4),
            rankings=(tuple(int(rank) for rank in rng.permutation(4) + 1),),
        )
        for _ in range(400)
    ]
    split, clusters = Split(prompts), Clusters(400)
    low, high = accuracy(split, clusters)["pair_mean"]["ci"]
    assert low < 0.5 < high
    low, high = within_prompt(split, clusters)["tau_b"]["ci"]
    assert low < 0 < high
    flat = Split(
        [
            JudgedPrompt(rewards=(0.0,) * 4, lengths=p.lengths, rankings=p.rankings)
            for p in prompts
        ]
    )
    assert accuracy(flat, clusters)["nll"]["value"] == EXACT(log(2))
    assert accuracy(flat, clusters)["pair_mean"]["value"] == 0.5
