"""The cluster bootstrap: intervals that know the pairs of a prompt are dependent.

A draw takes as many prompts as there are, with replacement, and sums their counts;
each number of the report is a function of such sums, so one draw serves them all.
Drawing prompts and not pairs is what keeps the interval from being up to two times
too narrow (`agreement.md`, section 2).
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from ranking.rank_table import FloatArray, IntArray

DRAWS = 1_000
SEED = 20_220_304  # fixed, so that a report can be repeated; any number would do
LEVEL = 0.95

# Groups times prompts that are looked up in a table: 32 MB for each.
MOST_CELLS = 4_000_000
# Weights held at once: 3 MB, 100 draws of 33,000 prompts.
_WEIGHTS_AT_ONCE = 3_300_000

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
    prompts = np.flatnonzero(np.bincount(prompt))
    counts = np.empty((len(columns), len(prompts)))
    for sums, column in zip(counts, columns, strict=True):
        sums[:] = np.bincount(prompt, weights=column)[prompts]
    return PromptCounts(prompts, counts)


def counts_by_group(
    group: IntArray, prompt: IntArray, *columns: IntArray | FloatArray
) -> dict[int, PromptCounts]:
    """`prompt_counts` for the rows of each group, by the value of `group (n,)`.

    Sorted by group.
    """
    if not group.size:
        return {}
    names, code = _occurring(group - group.min(), int(np.ptp(group)) + 1)
    names = names + group.min()
    width = int(prompt.max()) + 1
    cells, place = _occurring(code * width + prompt, len(names) * width)
    counts = np.array([np.bincount(place, weights=c) for c in columns])
    ends = np.searchsorted(cells, np.arange(1, len(names) + 1) * width)
    parts = np.split(cells % width, ends[:-1]), np.split(counts, ends[:-1], axis=1)
    return {
        int(name): PromptCounts(prompts, some)
        for name, prompts, some in zip(names, *parts, strict=True)
    }


def _occurring(numbers: IntArray, end: int) -> tuple[IntArray, IntArray]:
    """The numbers from 0 to `end` that occur, sorted, and each one's place among them.

    By a table of all that could; sorted where that would be too large.
    """
    if end > MOST_CELLS:
        found, place = np.unique(numbers, return_inverse=True)
        return found, place
    occurs = np.bincount(numbers, minlength=end) > 0
    return np.flatnonzero(occurs), (np.cumsum(occurs) - 1)[numbers]


def bootstrap_totals(
    questions: Mapping[Key, PromptCounts], *, n_prompts: int, draws: int = DRAWS
) -> dict[Key, FloatArray]:
    """Totals of every question in every draw: `(c, draws)` each.

    The weight of a prompt in a draw is how often it was drawn, exactly multinomial.
    All questions share the draws, which depend on `SEED` and `n_prompts` alone. Sums
    are made in single precision: whole counts are exact below 2²⁴, others right to
    some 1e-6, a thousandth of what 1,000 draws leave to chance.
    """
    totals = {key: np.zeros((len(q.counts), draws)) for key, q in questions.items()}
    if n_prompts == 0:
        return totals
    products = list(_products(questions, n_prompts))
    for columns, weights in _drawn_weights(n_prompts, draws):
        for product in products:
            for key, drawn in product.totals(weights):
                totals[key][:, columns] = drawn
    return totals


@dataclass(frozen=True, eq=False)
class _Product(Generic[Key]):
    """Questions that one matrix product answers: their counts, one above the other.

    `prompts (m,)` picks rows of the weights; None takes all of them.
    """

    keys: Sequence[Key]
    prompts: IntArray | None
    counts: NDArray[np.float32]  # (sum of c, m)
    ends: IntArray

    def totals(
        self, weights: NDArray[np.uint8]
    ) -> Iterator[tuple[Key, NDArray[np.float32]]]:
        """Of each question: its counts times the weights `(n_prompts, b)`."""
        rows = weights if self.prompts is None else weights[self.prompts]
        drawn = self.counts @ rows.astype(np.float32)
        return zip(self.keys, np.split(drawn, self.ends), strict=True)


def _products(
    questions: Mapping[Key, PromptCounts], n_prompts: int
) -> Iterator[_Product[Key]]:
    """Questions that look at most prompts go together, with zeros for the others;
    so do those that look at the same few prompts, as all about one labeler."""
    alike: defaultdict[bytes | None, list[Key]] = defaultdict(list)
    for key, question in questions.items():
        wide = 2 * len(question.prompts) > n_prompts
        alike[None if wide else question.prompts.tobytes()].append(key)
    for name, keys in alike.items():
        some = [questions[key] for key in keys]
        counts = [_spread(q, n_prompts) if name is None else q.counts for q in some]
        yield _Product(
            keys=keys,
            prompts=None if name is None else some[0].prompts,
            counts=np.concatenate(counts).astype(np.float32),
            ends=np.cumsum([len(q.counts) for q in some])[:-1],
        )


def _spread(question: PromptCounts, n_prompts: int) -> FloatArray:
    """Its counts over all prompts, `(c, n_prompts)`."""
    counts = np.zeros((len(question.counts), n_prompts))
    counts[:, question.prompts] = question.counts
    return counts


def _drawn_weights(
    n_prompts: int, draws: int, *, seed: int = SEED
) -> Iterator[tuple[slice, NDArray[np.uint8]]]:
    """How often each prompt was drawn, `(n_prompts, b)`, block by block of draws.

    Draw by draw from one generator, so that the size of a block changes nothing. One
    byte is enough: of more than 255 prompts none is drawn 256 times, for which the
    odds are below 1 : 256!.
    """
    rng = np.random.default_rng(seed)
    block = max(1, _WEIGHTS_AT_ONCE // n_prompts)
    for start in range(0, draws, block):
        columns = slice(start, min(start + block, draws))
        weights = np.empty((columns.stop - start, n_prompts), np.uint8)
        for draw in weights:
            drawn = rng.integers(0, n_prompts, n_prompts, np.uint32)
            draw[:] = np.bincount(drawn, minlength=n_prompts)
        yield columns, np.ascontiguousarray(weights.T)


def drawn_weights(
    n_prompts: int, draws: int = DRAWS, *, seed: int = SEED
) -> NDArray[np.uint8]:
    """All of them at once, `(n_prompts, draws)`, for few prompts: at least one, of
    which a byte each is held."""
    blocks = [weights for _, weights in _drawn_weights(n_prompts, draws, seed=seed)]
    return np.concatenate(blocks, axis=1)


def percentile_interval(values: FloatArray) -> list[float] | None:
    """Where the middle 95 % of the draws lie: `[lo, hi]`.

    Draws in which the number is undefined (NaN: no prompt with a comparison was
    drawn) are left out; None where every draw is.
    """
    defined = values[np.isfinite(values)]
    if not defined.size:
        return None
    tail = (1 - LEVEL) / 2
    return quantiles(defined, [tail, 1 - tail])


def quantiles(values: FloatArray, shares: Sequence[float]) -> list[float]:
    """`np.quantile` of numbers `(n,)`, n ≥ 1, to the last bit, without its checks: a
    page asks for hundreds."""
    last = len(values) - 1
    places = [share * last for share in shares]
    below = [min(int(place), last) for place in places]
    above = [min(place + 1, last) for place in below]
    in_order = np.partition(values, sorted({*below, *above}))
    return [
        _between(float(in_order[a]), float(in_order[b]), place - a)
        for a, b, place in zip(below, above, places, strict=True)
    ]


def _between(low: float, high: float, share: float) -> float:
    """From the nearer end, as NumPy does it."""
    gap = high - low
    return high - gap * (1 - share) if share >= 0.5 else low + gap * share
