"""The cluster bootstrap: intervals that know the pairs of a prompt are dependent.

A draw takes as many prompts as there are, with replacement, and sums their counts;
each number of the report is a function of such sums, so one draw serves them all.
Drawing prompts and not pairs is what keeps the interval from being up to two times
too narrow (`agreement.md`, section 2).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from ranking.rank_table import FloatArray, IntArray

DRAWS = 1_000
SEED = 20_220_304  # fixed, so that a report can be repeated; any number would do
LEVEL = 0.95

# Weights held at once: 13 MB, 50 draws of 33,000 prompts.
_WEIGHTS_AT_ONCE = 1_650_000

Key = TypeVar("Key")


@dataclass(frozen=True, eq=False)
class PromptCounts:
    """What the prompts that matter to one question contribute to it.

    `prompts (m,)` are running numbers, each once; `counts (c, m)` holds one row a
    count. Prompts that are absent contribute nothing.
    """

    prompts: IntArray
    counts: FloatArray

    @property
    def totals(self) -> FloatArray:
        """Sum of each count over all prompts, `(c,)`; exact for whole counts."""
        return self.counts.sum(axis=1)


def prompt_counts(prompt: IntArray, *columns: IntArray | FloatArray) -> PromptCounts:
    """Sum columns `(n,)` over the rows of each prompt, `prompt (n,)`."""
    prompts, places = np.unique(prompt, return_inverse=True)
    sums = [np.bincount(places, weights=c, minlength=len(prompts)) for c in columns]
    return PromptCounts(prompts, np.array(sums).reshape(len(columns), len(prompts)))


def counts_by_group(
    group: IntArray, prompt: IntArray, *columns: IntArray | FloatArray
) -> dict[int, PromptCounts]:
    """`prompt_counts` for the rows of each group, by the value of `group (n,)`.

    Sorted by group. One sort serves any number of groups.
    """
    groups, codes = np.unique(group, return_inverse=True)
    width = int(prompt.max(initial=0)) + 1
    cells = prompt_counts(codes * width + prompt, *columns)
    ends = np.searchsorted(cells.prompts, np.arange(len(groups) + 1) * width)
    return {
        int(name): PromptCounts(cells.prompts[a:b] % width, cells.counts[:, a:b])
        for name, a, b in zip(groups, ends, ends[1:], strict=False)
    }


def bootstrap_totals(
    questions: Mapping[Key, PromptCounts], *, n_prompts: int, draws: int = DRAWS
) -> dict[Key, FloatArray]:
    """Totals of every question in every draw: `(c, draws)` each.

    The weight of a prompt in a draw is how often it was drawn, exactly multinomial.
    All questions share the draws, which depend on `SEED` and `n_prompts` alone.
    """
    totals = {key: np.zeros((len(q.counts), draws)) for key, q in questions.items()}
    if n_prompts == 0:
        return totals
    rng = np.random.default_rng(SEED)
    block = min(draws, max(1, _WEIGHTS_AT_ONCE // n_prompts))
    for start in range(0, draws, block):
        columns = slice(start, min(start + block, draws))
        weights = _weights(rng, n_prompts, draws=columns.stop - start)
        for key, question in questions.items():
            everyone = len(question.prompts) == n_prompts
            drawn = weights if everyone else weights[question.prompts]
            totals[key][:, columns] = question.counts @ drawn
    return totals


def _weights(rng: np.random.Generator, n_prompts: int, *, draws: int) -> FloatArray:
    """How often each prompt was drawn, `(n_prompts, draws)`."""
    weights = np.empty((n_prompts, draws))
    for draw in range(draws):
        drawn = rng.integers(0, n_prompts, n_prompts)
        weights[:, draw] = np.bincount(drawn, minlength=n_prompts)
    return weights


def percentile_interval(values: FloatArray) -> list[float] | None:
    """Where the middle 95 % of the draws lie: `[lo, hi]`.

    Draws in which the number is undefined (NaN: no prompt with a comparison was
    drawn) are left out; None where every draw is.
    """
    defined = values[np.isfinite(values)]
    if not defined.size:
        return None
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return [float(low), float(high)]
