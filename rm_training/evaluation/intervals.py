"""Numbers of a report: a value, its n, its interval over prompts, or why not. PURE."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ranking.bootstrap import (
    DRAWS,
    LEVEL,
    PromptCounts,
    drawn_weights,
    percentile_interval,
    prompt_counts,
)
from ranking.conventions import ratio
from ranking.estimates import ONE_PROMPT
from ranking.rank_table import FloatArray, IntArray

Number = dict[str, Any]
"""{"value", "ci": [low, high], "n", "prompts", "why"}; value and ci may be None, and
`why` says in words what is missing."""
Formula = Callable[..., FloatArray]
"""Counts, each a number or `(draws,)`, to the value; NaN where undefined."""

SEED: Final = 0
METHOD: Final = {"draws": DRAWS, "seed": SEED, "unit": "prompt", "level": LEVEL}
_CELLS_AT_ONCE: Final = 4_000_000

NO_STRICT: Final = "no labeler ordered a pair here"


class Clusters:
    """Draws of prompts with replacement, the same ones for every number of a split."""

    def __init__(self, n_prompts: int) -> None:
        """So many prompts, numbered from 0."""
        self.n_prompts = n_prompts

    @cached_property
    def weights(self) -> NDArray[np.uint8]:
        """How often each prompt was drawn, `(n_prompts, draws)`."""
        return drawn_weights(self.n_prompts, seed=SEED)

    def totals(self, counts: PromptCounts) -> FloatArray:
        """Each count over the prompts of each draw: `(c, draws)`."""
        drawn = np.empty((len(counts.counts), DRAWS))
        block = max(1, _CELLS_AT_ONCE // max(len(counts.prompts), 1))
        for start in range(0, DRAWS, block):
            some = slice(start, start + block)
            weights = self.weights[counts.prompts, some].astype(np.float64)
            drawn[:, some] = counts.counts @ weights
        return drawn

    def share(
        self,
        prompt: IntArray,
        part: FloatArray,
        whole: FloatArray | None = None,
        *,
        why: str = NO_STRICT,
    ) -> Number:
        """Σ part / Σ whole over rows `(n,)`; without a whole, the mean of the rows."""
        of = np.ones(len(prompt)) if whole is None else whole
        return self.number(prompt, [part, of], ratio, why=why)

    def number(
        self,
        prompt: IntArray,
        columns: Sequence[FloatArray],
        formula: Formula,
        *,
        why: str,
    ) -> Number:
        """The formula of the sums of the columns `(n,)` over rows."""
        n = len(prompt)
        if not n:
            return missing(why)
        counts = prompt_counts(prompt, *columns)
        value = float(formula(*counts.totals))
        if not np.isfinite(value):
            return missing(why, n=n, prompts=len(counts.prompts))
        if len(counts.prompts) < 2:
            return known(value, None, n=n, prompts=1)
        draws = formula(*self.totals(counts))
        return known(value, draws, n=n, prompts=len(counts.prompts))


def known(
    value: float, draws: FloatArray | None, *, n: int, prompts: int, why: str = ""
) -> Number:
    """A number with the interval of its draws `(draws,)`; None: of one prompt."""
    ci = None if draws is None else percentile_interval(draws)
    if draws is None:
        why = ONE_PROMPT
    return {"value": value, "ci": ci, "n": n, "prompts": prompts, "why": why}


def missing(why: str, *, n: int = 0, prompts: int = 0) -> Number:
    """An undefined number, with the reason."""
    return {"value": None, "ci": None, "n": n, "prompts": prompts, "why": why}
