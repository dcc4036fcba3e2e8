"""Whether sigmoid(Δr) is the share of people who prefer a response. PURE."""

from collections import Counter
from typing import Any, Final

import numpy as np

from ranking.conventions import ratio
from ranking.rank_table import FloatArray, IntArray
from rm_training.evaluation.fits import NoFit, fit, sigmoid
from rm_training.evaluation.intervals import (
    NO_STRICT,
    Clusters,
    Number,
    known,
    missing,
)
from rm_training.evaluation.judged import Pairs, Split

BINS: Final = 15
SHARE_BINS: Final = 5
FEWEST_VOTES: Final = 3
WRONG_WAY: Final = (
    "the best fit would turn the rewards upside down: they order pairs no better than "
    "chance"
)
NO_VOTES: Final = f"no pair was ordered by {FEWEST_VOTES} labelers"


def fitted_temperature(split: Split, clusters: Clusters) -> Number:
    """T of P = sigmoid(Δr / T) that makes the strict pairs most likely.

    Above 1 the model is too sure of itself. Undefined where no pair is ordered wrongly
    (T would be 0) and where rewards point the wrong way. `n` counts pairs.
    """
    pairs = split.strict
    try:
        found = fit(pairs.margin[None, :], pairs.prompt, clusters)
    except NoFit as reason:
        return missing(str(reason), n=len(pairs))
    (slope,), (slopes,) = found.coefficients, found.draws
    if slope <= 0:
        return missing(WRONG_WAY, n=len(pairs))
    prompts = len(np.unique(pairs.prompt))
    draws = ratio(np.ones_like(slopes), np.where(slopes > 0, slopes, 0))
    return known(1 / slope, draws if prompts > 1 else None, n=len(pairs),
                 prompts=prompts)  # fmt: skip


def calibration(
    split: Split, clusters: Clusters, *, temperature: float | None
) -> dict[str, Any]:
    """Part 3 of the suite: as the model is, and with the temperature if there is one.

    Every strict pair counts in both orders, so that no order is favoured: P with the
    outcome 1, and 1 - P with the outcome 0.
    """
    pairs = split.strict
    scaled = temperature and _measured(pairs, clusters, temperature=temperature)
    return {
        **_measured(pairs, clusters, temperature=1.0),
        "with_temperature": scaled,
        "vote_share": vote_share(split, clusters),
    }


def _measured(
    pairs: Pairs, clusters: Clusters, *, temperature: float
) -> dict[str, Any]:
    p = sigmoid(pairs.margin / temperature)
    prompt = np.concatenate([pairs.prompt, pairs.prompt])
    said = np.concatenate([p, 1 - p])
    happened = np.repeat([1.0, 0.0], len(p))
    nll = np.logaddexp(0, -pairs.margin / temperature)
    return {
        "ece": {**_ece(prompt, said, happened, clusters), "n": len(p)},
        "brier": clusters.share(pairs.prompt, (1 - p) ** 2),
        "nll": clusters.share(pairs.prompt, nll),
        "bins": reliability(prompt, said, happened, clusters),
    }


def bins_of(said: FloatArray, count: int = BINS) -> IntArray:
    """The bin, 0 to count - 1, of each probability `(n,)`: equal mass, cut at the
    quantiles; equal probabilities share a bin."""
    cuts = np.quantile(said, np.linspace(0, 1, count + 1)[1:-1])
    return np.searchsorted(cuts, said)


def _ece(
    prompt: IntArray, said: FloatArray, happened: FloatArray, clusters: Clusters
) -> Number:
    """Σ_bins |Σ outcome - Σ P| / n. The bins stay as they are in every draw.

    Sampling alone makes it positive: a calibrated model of few pairs is not at 0.
    """
    if not said.size:
        return missing(NO_STRICT)
    bin_ = bins_of(said)
    columns = [(happened - said) * (bin_ == number) for number in range(BINS)]

    def error(*sums: FloatArray) -> FloatArray:
        return ratio(np.abs(np.array(sums[:-1])).sum(axis=0), sums[-1])

    return clusters.number(prompt, [*columns, np.ones_like(said)], error, why=NO_STRICT)


def reliability(
    prompt: IntArray, said: FloatArray, happened: FloatArray, clusters: Clusters
) -> list[Number]:
    """Mean P of each bin as `said`, and the share that happened with its interval."""
    if not said.size:
        return []
    bin_ = bins_of(said)
    return [
        {
            "said": float(said[bin_ == number].mean()),
            **clusters.share(prompt[bin_ == number], happened[bin_ == number]),
        }
        for number in np.unique(bin_)
    ]


def vote_share(split: Split, clusters: Clusters) -> dict[str, Any]:
    """P = sigmoid(Δr) against the share of votes, of pairs that three labelers ordered.

    A pair counts in both orders; ties are no votes. `gap` is the mean of |P - share|.
    """
    prompt, p, share = voted(split)
    both = np.concatenate([prompt, prompt])
    said, happened = np.concatenate([p, 1 - p]), np.concatenate([share, 1 - share])
    bin_ = np.minimum((said * SHARE_BINS).astype(np.int64), SHARE_BINS - 1)
    rows = [
        {
            "said": float(said[bin_ == number].mean()),
            **clusters.share(both[bin_ == number], happened[bin_ == number]),
        }
        for number in np.unique(bin_)
    ]
    return {
        "gap": clusters.share(prompt, np.abs(p - share), why=NO_VOTES),
        "bins": rows,
    }


def voted(split: Split) -> tuple[IntArray, FloatArray, FloatArray]:
    """(prompt, P, share of votes) of each pair that three rankings ordered, `(m,)`."""
    pairs = split.strict
    votes = Counter(zip(pairs.better.tolist(), pairs.worse.tolist(), strict=True))
    prompt_of = dict(zip(pairs.better.tolist(), pairs.prompt.tolist(), strict=True))
    prompt_of |= dict(zip(pairs.worse.tolist(), pairs.prompt.tolist(), strict=True))
    first, second, share = [], [], []
    for a, b in sorted({(min(pair), max(pair)) for pair in votes}):
        for_a, for_b = votes[a, b], votes[b, a]
        if for_a + for_b >= FEWEST_VOTES:
            first.append(a)
            second.append(b)
            share.append(for_a / (for_a + for_b))
    at, other = np.array(first, np.int64), np.array(second, np.int64)
    prompts = np.array([prompt_of[a] for a in first], np.int64)
    return prompts, sigmoid(split.rewards[at] - split.rewards[other]), np.array(share)
