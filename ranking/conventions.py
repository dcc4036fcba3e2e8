"""The formulas of `agreement.md`, section 2, on counts.

Each takes numbers or arrays (a value per bootstrap draw) and gives an array of the
same shape, NaN where a denominator is 0: undefined, never 0 or 1.
"""

from math import sqrt

import numpy as np
from numpy.typing import ArrayLike

from ranking.rank_table import FloatArray


def ratio(part: ArrayLike, whole: ArrayLike) -> FloatArray:
    """`part / whole`; NaN where `whole` is 0."""
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    quotient = np.full(np.broadcast_shapes(part.shape, whole.shape), np.nan)
    np.divide(part, whole, out=quotient, where=whole != 0)
    return quotient


def kappa(three_way: ArrayLike, tie_rate: ArrayLike) -> FloatArray:
    """(three_way - pE) / (1 - pE), pE = t² + 2·((1 - t)/2)², t = tie rate.

    Agreement beyond what two labelers with this tie rate, and no preference
    between first and second, reach by chance. NaN where every pair is tied.
    """
    t = np.asarray(tie_rate, np.float64)
    by_chance = t**2 + (1 - t) ** 2 / 2
    return ratio(np.asarray(three_way, np.float64) - by_chance, 1 - by_chance)


def krippendorff_alpha(disagreement: ArrayLike, categories: ArrayLike) -> FloatArray:
    """Krippendorff's alpha, nominal: 1 - (n - 1)·D / (n² - Σ n_c²).

    `categories (3, …)` are the n_c: judgements "first better", "tie", "second
    better" in units with two judgements or more, n their sum. `disagreement (…)` is
    D, the sum over the units of m of ordered pairs of unequal judgements divided by
    m - 1. NaN where no unit has two judgements, or all judgements are the same.

    Source: Krippendorff, Content Analysis, "Computing Krippendorff's
    alpha-reliability", the nominal form.
    """
    counts = np.asarray(categories, np.float64)
    n = counts.sum(axis=0)
    observed = np.asarray(disagreement, np.float64) * (n - 1)
    return 1 - ratio(observed, n**2 - (counts**2).sum(axis=0))


def accuracy_band(agreement: float | None) -> tuple[float, float] | None:
    """Between which bounds the best accuracy of any reward model lies.

    With strict agreement A of two labelers, the best accuracy against one label
    lies in [A, (1 + √(2A - 1))/2]: .726 gives (.726, .836). None where A is
    undefined or below ½ (`agreement.md`, "What agreement says of a reward model").
    The lower end holds when each pair is either certain or a coin toss, the upper
    end when all pairs are equally hard.
    """
    if agreement is None or agreement < 0.5:
        return None
    return agreement, (1 + sqrt(2 * agreement - 1)) / 2
