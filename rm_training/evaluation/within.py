"""How well the rewards rank the responses of a prompt. PURE."""

from collections.abc import Callable
from functools import cache
from typing import Any, Final

import numpy as np

from ranking.conventions import ratio
from ranking.rank_table import FloatArray, IntArray
from rm_training.evaluation.intervals import Clusters, Number
from rm_training.evaluation.judged import Split

ALL_TIED: Final = "every ranking ties everything"
TAU_UNDEFINED: Final = "in every ranking people or the model tie everything"


def within_prompt(split: Split, clusters: Clusters) -> dict[str, Any]:
    """Part 4 of the suite: means over rankings, of those that order something.

    - `tau_b`: Kendall's, of rewards against one labeler's order.
    - `top_1`: how often the response with the highest reward is among the labeler's
      best; `top_1_chance` is the same of a response drawn at random.
    - `ndcg`: gain = tiers below the response, discount 1 / log₂(place + 1).
    - `regret`: best-of-K, how far the chosen response is from the labeler's best, from
      0 (best tier) to 1 (last tier); `regret_chance` of one drawn at random.

    Where several responses share the highest reward, each counts in part.
    """
    return {
        "tau_b": _tau_b(split, clusters),
        "top_1": _mean(split, clusters, top_1),
        "top_1_chance": _mean(split, clusters, lambda _, tiers: float(_best(tiers))),
        "ndcg": _mean(split, clusters, ndcg),
        "regret": _mean(split, clusters, regret),
        "regret_chance": _mean(split, clusters, lambda _, t: float(t.mean() / t.max())),
    }


def _best(tiers: IntArray) -> float:
    return float(np.mean(tiers == 0))


def top_1(rewards: FloatArray, tiers: IntArray) -> float:
    """Share of the responses with the highest reward that are in tier 0."""
    return _best(tiers[rewards == rewards.max()])


def regret(rewards: FloatArray, tiers: IntArray) -> float:
    """Mean tier of the responses with the highest reward, over the last tier."""
    return float(tiers[rewards == rewards.max()].mean() / tiers.max())


def ndcg(rewards: FloatArray, tiers: IntArray) -> float:
    """Normalised discounted cumulative gain; equal rewards share their places.

    Source: Järvelin and Kekäläinen 2002; ties as McSherry and Najork 2008.
    """
    gains = (tiers.max() - tiers).astype(np.float64)
    discounts = _discounts(len(gains))
    _, group, sizes = np.unique(-rewards, return_inverse=True, return_counts=True)
    ends = np.cumsum(sizes)
    up_to = np.concatenate([[0.0], np.cumsum(discounts)])
    shared = (up_to[ends] - up_to[ends - sizes]) / sizes
    return float((gains * shared[group]).sum() / (np.sort(gains)[::-1] @ discounts))


@cache
def _discounts(k: int) -> FloatArray:
    discounts: FloatArray = 1 / np.log2(np.arange(k) + 2)
    return discounts


def tau_b(split: Split) -> tuple[IntArray, FloatArray]:
    """(prompt, tau-b) of every ranking where it is defined, `(m,)` each.

    (C - D) / √((n - ties of people) · (n - ties of the model)), n = C(K, 2).
    """
    pairs, count = split.pairs, len(split.ranking_prompt)

    def per_ranking(of_pair: FloatArray) -> FloatArray:
        sums = np.bincount(pairs.ranking, weights=of_pair, minlength=count)
        return sums.astype(np.float64)

    ordered = (pairs.distance > 0).astype(np.float64)
    told_apart = (pairs.margin != 0).astype(np.float64)
    score = per_ranking(np.sign(pairs.margin) * ordered)
    tau = ratio(score, np.sqrt(per_ranking(ordered) * per_ranking(told_apart)))
    defined = np.isfinite(tau)
    return split.ranking_prompt[defined], tau[defined]


def _tau_b(split: Split, clusters: Clusters) -> Number:
    return clusters.share(*tau_b(split), why=TAU_UNDEFINED)


def _mean(
    split: Split, clusters: Clusters, of: Callable[[FloatArray, IntArray], float]
) -> Number:
    """The mean over rankings of what it says of their rewards and tiers."""
    prompts = np.array([prompt for prompt, *_ in split.orders], np.int64)
    values = np.array([of(rewards, tiers) for _, rewards, tiers in split.orders])
    return clusters.share(prompts, values, why=ALL_TIED)
