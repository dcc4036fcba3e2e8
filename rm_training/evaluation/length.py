"""Whether the model likes long responses, and more than people do. PURE."""

from typing import Any, Final

import numpy as np

from ranking.conventions import ratio
from ranking.rank_table import FloatArray
from rm_training.evaluation.fits import NoFit, fit, sigmoid
from rm_training.evaluation.intervals import Clusters, Number, known, missing
from rm_training.evaluation.judged import Pairs, Split

ALIKE: Final = 0.1
"""Lengths differ by at most this share of the longer."""
NO_SLOPE: Final = "in every prompt the lengths or the rewards are all the same"
NO_SUCH_PAIR: Final = "no strict pair is of this kind"


def length_bias(split: Split, clusters: Clusters) -> dict[str, Any]:
    """Part 5 of the suite; lengths are characters.

    - `spearman`: of reward and length within a prompt, the mean over prompts.
    - `pearson`: pooled, after taking each prompt's means off.
    - `always_longer`: what choosing the longer response would score (½ where equal).
    - `people_prefer_longer`, `model_prefers_longer`: how often people and the model
      choose the longer one, of the strict pairs that differ in length.
    - `alike`, `winner_longer`, `winner_shorter`: the model's accuracy on such pairs.
    - `controlled`: accuracy were all lengths equal. P(better wins) is fitted as
      sigmoid(a·Δr + b·Δlog length); the value is the mean of sigmoid(a·|Δr|).
    """
    pairs = split.strict
    lengths = split.lengths
    longer = np.sign(lengths[pairs.better] - lengths[pairs.worse])
    most = np.maximum(lengths[pairs.better], lengths[pairs.worse])
    gap = np.abs(lengths[pairs.better] - lengths[pairs.worse])
    differ = pairs.where(longer != 0)
    signs = longer[longer != 0]

    def accuracy(kind: Pairs) -> Number:
        return clusters.share(kind.prompt, kind.credit, why=NO_SUCH_PAIR)

    return {
        "spearman": _spearman(split, clusters),
        "pearson": _pearson(split, clusters),
        "always_longer": clusters.share(pairs.prompt, (longer + 1) / 2),
        "people_prefer_longer": clusters.share(
            differ.prompt, (signs + 1) / 2, why=NO_SUCH_PAIR
        ),
        "model_prefers_longer": clusters.share(
            differ.prompt,
            (np.sign(differ.margin) * signs + 1) / 2,
            why=NO_SUCH_PAIR,
        ),
        "alike": accuracy(pairs.where(gap <= ALIKE * most)),
        "winner_longer": accuracy(pairs.where(longer > 0)),
        "winner_shorter": accuracy(pairs.where(longer < 0)),
        **controlled(split, clusters),
    }


def controlled(split: Split, clusters: Clusters) -> dict[str, Number]:
    """`controlled`, with the coefficients `reward_slope` and `length_slope`."""
    pairs = split.strict
    logs = np.log(np.maximum(split.lengths, 1))
    by_length = logs[pairs.better] - logs[pairs.worse]
    columns = [pairs.margin, by_length] if by_length.any() else [pairs.margin]
    try:
        found = fit(np.array(columns), pairs.prompt, clusters)
    except NoFit as reason:
        none = missing(str(reason), n=len(pairs))
        return {"controlled": none, "reward_slope": none, "length_slope": none}
    n, prompts = len(pairs), len(np.unique(pairs.prompt))

    def number(value: float, draws: FloatArray) -> Number:
        return known(value, draws if prompts > 1 else None, n=n, prompts=prompts)

    slope, slopes = float(found.coefficients[0]), found.draws[0]
    sizes = np.abs(pairs.margin)
    expected = sigmoid(slope * sizes)
    # First order in the slope: each draw has its own, and its own prompts.
    steeper = expected * (1 - expected) * sizes

    def value(part: FloatArray, rise: FloatArray, whole: FloatArray) -> FloatArray:
        moved = slopes - slope if part.ndim else 0.0
        return np.clip(ratio(part + moved * rise, whole), 0, 1)

    ones = np.ones(n)
    lengths = found.coefficients[1:], found.draws[1:]
    return {
        "controlled": clusters.number(
            pairs.prompt, [expected, steeper, ones], value, why=NO_SUCH_PAIR
        ),
        "reward_slope": number(slope, slopes),
        "length_slope": number(float(lengths[0][0]), lengths[1][0])
        if len(lengths[0])
        else missing("no pair differs in length", n=n, prompts=prompts),
    }


def _centred(split: Split, values: FloatArray) -> FloatArray:
    """Each response's value less the mean of its prompt."""
    first = split.first_response
    sizes = np.diff(first)
    means = np.add.reduceat(values, first[:-1]) / sizes if len(sizes) else values
    return values - np.repeat(means, sizes)


def _pearson(split: Split, clusters: Clusters) -> Number:
    x = _centred(split, split.lengths.astype(np.float64))
    y = _centred(split, split.rewards)
    prompt = np.repeat(np.arange(len(split.prompts)), np.diff(split.first_response))

    def correlation(xy: FloatArray, xx: FloatArray, yy: FloatArray) -> FloatArray:
        return ratio(xy, np.sqrt(xx * yy))

    return clusters.number(prompt, [x * y, x * x, y * y], correlation, why=NO_SLOPE)


def _spearman(split: Split, clusters: Clusters) -> Number:
    """Pearson's of mid-ranks; prompts where one of them never varies are left out."""
    prompts, values = [], []
    for number, prompt in enumerate(split.prompts):
        x, y = mid_ranks(np.array(prompt.lengths)), mid_ranks(np.array(prompt.rewards))
        x, y = x - x.mean(), y - y.mean()
        size = np.sqrt((x @ x) * (y @ y))
        if size > 0:
            prompts.append(number)
            values.append(x @ y / size)
    return clusters.share(np.array(prompts, np.int64), np.array(values), why=NO_SLOPE)


def mid_ranks(values: FloatArray) -> FloatArray:
    """Ranks from 1; equal values share the mean of their places."""
    _, place, sizes = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(sizes)
    found: FloatArray = (ends - (sizes - 1) / 2)[place]
    return found
