"""PURE: intervals of numbers that are no plain shares, from draws of prompts."""

from collections.abc import Callable
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ranking.bootstrap import (
    PromptCounts,
    bootstrap_totals,
    drawn_weights,
    percentile_interval,
)
from ranking.quality_lines import FEWEST_PROMPTS, Line, Measure
from ranking.rank_table import FloatArray

MOST_KEPT_DRAWS: Final = 255  # prompts; a byte counts how often one of them was drawn
MOST_SHARED_DRAWS: Final = 2_000
TOO_FEW: Final = f"it takes {FEWEST_PROMPTS} prompts to say how sure this is"


def resampled(
    counts: FloatArray, formula: Callable[[FloatArray], FloatArray], *, missing: str
) -> Measure:
    """`formula` of the sums of `counts (c, n)`, a column a prompt, and where the middle
    95 % of it lies when prompts are drawn anew. Columns of zeros say nothing."""
    counts = counts[:, counts.any(axis=0)]
    prompts = counts.shape[1]
    value = or_none(formula(counts.sum(axis=1)))
    if value is None or prompts < FEWEST_PROMPTS:
        why = missing if value is None else TOO_FEW
        return Measure(value=value, interval=None, prompts=prompts, why=why)
    ends = percentile_interval(formula(_drawn_totals(counts)))
    return Measure(
        value=value,
        interval=None if ends is None else (ends[0], ends[1]),
        prompts=prompts,
    )


def _drawn_totals(counts: FloatArray) -> FloatArray:
    """Sums of `counts (c, n)` in every draw of n prompts, `(c, draws)`."""
    n = counts.shape[1]
    if n <= MOST_KEPT_DRAWS:
        return counts @ _weights(n)
    if n <= MOST_SHARED_DRAWS:  # in single precision, as bootstrap_totals has them
        return (counts.astype(np.float32) @ _many_weights(n)).astype(np.float64)
    question = {"": PromptCounts(np.arange(n), counts)}
    return bootstrap_totals(question, n_prompts=n)[""]


@lru_cache(maxsize=64)
def _weights(n: int) -> NDArray[np.uint8]:
    """How often each of n prompts comes in each draw, `(n, draws)`.

    Draws depend on n alone, and making them is most of the work of an interval: a list
    of labelers asks for the same ones again and again. A byte each, 16 MB in all.
    """
    return drawn_weights(n)


@lru_cache(maxsize=1)
def _many_weights(n: int) -> NDArray[np.float32]:
    """The same of many prompts, which the numbers of one card share: 8 MB at most."""
    return drawn_weights(n).astype(np.float32)


def beside(measure: Measure, line: Line) -> Measure:
    """The same number, with the line it is read against."""
    return Measure(
        value=measure.value,
        interval=measure.interval,
        prompts=measure.prompts,
        line=line,
        why=measure.why,
    )


def or_none(value: FloatArray) -> float | None:
    """The number; None where it is NaN."""
    return None if np.isnan(value) else float(value)
