"""The cluster bootstrap: intervals that know the pairs of a prompt are dependent.

A draw takes as many prompts as there are, with replacement, and sums their counts;
each number of the report is a function of such sums, so one draw serves them all.
Drawing prompts and not pairs is what keeps the interval from being up to two times
too narrow (`agreement.md`, section 2).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from ranking.rank_table import FloatArray, IntArray

DRAWS = 1_000
SEED = 20_220_304  # fixed, so that a report can be repeated; any number would do
LEVEL = 0.95

# Weights held at once: 7 MB, 25 draws of 33,000 prompts.
_WEIGHTS_AT_ONCE = 825_000

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
        totals: FloatArray = self.counts.sum(axis=1)
        return totals


def prompt_counts(prompt: IntArray, *columns: IntArray | FloatArray) -> PromptCounts:
    """Sum columns `(n,)` over the rows of each prompt, `prompt (n,)`."""
    prompts, places = np.unique(prompt, return_inverse=True)
    counts = np.empty((len(columns), len(prompts)))
    for sums, column in zip(counts, columns, strict=True):
        sums[:] = np.bincount(places, weights=column, minlength=len(prompts))
    return PromptCounts(prompts, counts)


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
    # One product serves all questions that look at most prompts; the others pick
    # their few rows first, into memory that is used again and again.
    wide = [key for key, q in questions.items() if 2 * len(q.prompts) > n_prompts]
    narrow = [key for key, q in questions.items() if 2 * len(q.prompts) <= n_prompts]
    counts = _side_by_side([questions[key] for key in wide], n_prompts)
    ends = np.cumsum([len(questions[key].counts) for key in wide])[:-1]
    for columns, weights in _drawn_weights(n_prompts, draws):
        for key, drawn in zip(wide, np.split(counts @ weights, ends), strict=False):
            totals[key][:, columns] = drawn
        picked = np.empty((n_prompts // 2, weights.shape[1]))
        for key in narrow:
            prompts = questions[key].prompts
            rows = picked[: len(prompts)]
            np.take(weights, prompts, axis=0, out=rows, mode="clip")
            totals[key][:, columns] = questions[key].counts @ rows
    return totals


def _side_by_side(questions: Sequence[PromptCounts], n_prompts: int) -> FloatArray:
    """All counts of these questions over all prompts, `(sum of c, n_prompts)`."""
    blocks = [np.zeros((0, n_prompts))]
    for question in questions:
        block = np.zeros((len(question.counts), n_prompts))
        block[:, question.prompts] = question.counts
        blocks.append(block)
    return np.concatenate(blocks)


def _drawn_weights(n_prompts: int, draws: int) -> Iterator[tuple[slice, FloatArray]]:
    """How often each prompt was drawn, `(n_prompts, b)`, block by block of draws.

    Draw by draw from one generator, so that the size of a block changes nothing.
    """
    rng = np.random.default_rng(SEED)
    block = max(1, _WEIGHTS_AT_ONCE // n_prompts)
    for start in range(0, draws, block):
        columns = slice(start, min(start + block, draws))
        weights = np.empty((columns.stop - start, n_prompts))
        for draw in weights:
            drawn = rng.integers(0, n_prompts, n_prompts)
            draw[:] = np.bincount(drawn, minlength=n_prompts)
        yield columns, np.ascontiguousarray(weights.T)


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
