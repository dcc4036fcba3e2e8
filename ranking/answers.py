"""PURE: what labelers answered, ranking by ranking, beside what others said.

Everything that is said of a labeler is a sum over these columns (`ranking.quality`), or
a sum over sittings of them. They are counted for all labelers at once: a list of them
looks at tens of thousands of rankings, and hundreds of thousands of pairs.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import combinations
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ranking.quality_lines import CHARACTERS_PER_WORD, LEAST_SECONDS_PER_WORD
from ranking.rank_table import BoolArray, FloatArray, IntArray
from ranking.tallies import MOST_RESPONSES
from ranking.worked import Worked

EPOCH: Final = np.datetime64(0, "us")
# Pairs of responses: the first ones' columns, and the second ones'.
FIRST, SECOND = np.array([*combinations(range(MOST_RESPONSES), 2)]).T


@dataclass(frozen=True, eq=False)
class Answers:
    """Rankings of one labeler, in the order of their keys; `(n,)` each.

    - `at`: when the first revision came, in seconds since 1970.
    - `words`: about how many there were to read, prompt included; `seconds`: active
      time over all revisions, NaN where no page measured it.
    - `pairs`, `ties`: of responses; `tiers`: how many ranks are in use.
    - `agree`, `comparable`: strict pairs ordered alike, and all strict pairs, against
      each of the others in turn; nobody is beside a repeat or a targeted prompt.
    - `sized`, `longer`: strict pairs whose lengths differ, and those of them that the
      longer one won.
    - `others`: how many others there are; `others_ties`, `others_longer` and
      `others_sized` are their means, 0 without any.
    - `again_agree`, `again_comparable`: all their own rankings of the prompt beside
      each other; on the first that is looked at, 0 on the later ones.
    - `placed`: whether the order shown is known; `untouched`: ranked strictly in it.
    - `mid_ranks (n, 9)`: of the response at each place, from -½, best, to ½; NaN
      beyond the last, and where the order is not known or there is one response.
    """

    labeler: IntArray
    prompt: IntArray
    repeat: IntArray
    at: FloatArray
    words: FloatArray
    seconds: FloatArray
    k: IntArray
    pairs: IntArray
    ties: IntArray
    tiers: IntArray
    agree: IntArray
    comparable: IntArray
    sized: IntArray
    longer: IntArray
    others: IntArray
    others_ties: FloatArray
    others_sized: FloatArray
    others_longer: FloatArray
    again_agree: IntArray
    again_comparable: IntArray
    placed: BoolArray
    untouched: BoolArray
    mid_ranks: FloatArray

    def __len__(self) -> int:
        return len(self.prompt)

    def only(self, rows: BoolArray | IntArray) -> "Answers":
        """Where the mask holds, or the rows of these numbers in their order."""
        return Answers(*(getattr(self, f.name)[rows] for f in fields(self)))

    @property
    def work(self) -> "Answers":
        """One for each prompt: no repeats."""
        return self.only(self.repeat == 0) if self.repeat.any() else self

    @property
    def timed(self) -> BoolArray:
        """Whose time is known."""
        known: BoolArray = ~np.isnan(self.seconds)
        return known

    @property
    def paced(self) -> BoolArray:
        """Whose time is known, and had words to be read in it."""
        return self.timed & (self.words > 0)

    @property
    def hurried(self) -> BoolArray:
        """Nobody reads so fast: under LEAST_SECONDS_PER_WORD."""
        hurried: BoolArray = self.seconds < LEAST_SECONDS_PER_WORD * self.words
        return hurried

    @property
    def by_time(self) -> IntArray:
        """Their numbers in the order of time, `(n,)`."""
        return np.lexsort([self.prompt, self.at])


def answers_by_labeler(own: Worked, beside: Worked) -> dict[int, Answers]:
    """The answers of these rankings, by membership; `beside` is what stands beside
    those of others on the same prompts, as far as it measures agreement."""
    every = answers(own, beside)
    order = np.lexsort([own.ranking, every.labeler])
    labelers, starts = np.unique(every.labeler[order], return_index=True)
    parts = np.split(order, starts[1:])
    return {
        int(labeler): every.only(rows)
        for labeler, rows in zip(labelers, parts, strict=False)
    }


def answers(own: Worked, beside: Worked) -> Answers:
    """The same of all labelers together, row by row."""
    signs, k = _signs(own.ranks), own.k
    pairs = k * (k - 1) // 2
    shown = own.shown[:, 0] > 0
    mid_ranks = _mid_ranks(own, shown & (k > 1))
    return Answers(
        labeler=own.labeler,
        prompt=own.prompt,
        repeat=own.repeat,
        at=(own.first_at - EPOCH).astype(np.int64) / 1_000_000,
        words=(own.asked + own.lengths.sum(axis=1)) / CHARACTERS_PER_WORD,
        seconds=own.spent,
        k=k,
        pairs=pairs,
        ties=pairs - _strict(signs),
        tiers=own.ranks.max(axis=1, initial=0).astype(np.int64),
        **_lengths(signs, own),
        **_beside_others(own, beside, signs),
        **_beside_themselves(own, signs),
        placed=shown,
        untouched=shown & _as_shown(own),
        mid_ranks=mid_ranks,
    )


# --- Pairs of responses -----------------------------------------------------------


def _signs(ranks: NDArray[np.uint8]) -> NDArray[np.int8]:
    """Of each pair, `(36, n)`: 1 first better, -1 second better, 0 tied or no pair."""
    columns = np.ascontiguousarray(ranks.T)
    first, second = columns[FIRST], columns[SECOND]
    better = (first < second).view(np.int8) - (second < first).view(np.int8)
    signs: NDArray[np.int8] = better * ((first > 0) & (second > 0))
    return signs


def _strict(signs: NDArray[np.int8]) -> IntArray:
    strict: IntArray = np.count_nonzero(signs, axis=0)
    return strict


def _sized(signs: NDArray[np.int8], lengths: IntArray) -> tuple[IntArray, IntArray]:
    """Strict pairs `(n,)` whose lengths differ, and those that the longer won."""
    columns = np.ascontiguousarray(lengths.T)
    first, second = columns[FIRST], columns[SECOND]
    longer = (first > second).view(np.int8) - (second > first).view(np.int8)
    won = signs * longer
    return np.count_nonzero(won, axis=0), (won > 0).sum(axis=0)


def _lengths(signs: NDArray[np.int8], own: Worked) -> dict[str, Any]:
    sized, longer = _sized(signs, own.lengths)
    return {"sized": sized, "longer": longer}


# --- Two rankings of one prompt ---------------------------------------------------


def _beside_others(
    own: Worked, beside: Worked, signs: NDArray[np.int8]
) -> dict[str, Any]:
    mine, theirs = _met(own, beside)
    their_signs = _signs(beside.ranks)
    agree, comparable = _alike(signs[:, mine], their_signs[:, theirs])
    met, n = np.bincount(mine, minlength=len(own)), len(own)
    sized, longer = _sized(their_signs, beside.lengths)
    ties = beside.k * (beside.k - 1) // 2 - _strict(their_signs)
    return {
        "agree": _summed(mine, agree, n),
        "comparable": _summed(mine, comparable, n),
        "others": met,
        "others_ties": _summed(mine, ties[theirs], n) / np.maximum(met, 1),
        "others_sized": _summed(mine, sized[theirs], n) / np.maximum(met, 1),
        "others_longer": _summed(mine, longer[theirs], n) / np.maximum(met, 1),
    }


def _met(own: Worked, beside: Worked) -> tuple[IntArray, IntArray]:
    """Rows of `own` and of `beside` that are of one prompt and two labelers."""
    order = np.argsort(beside.prompt, kind="stable")
    prompts = beside.prompt[order]
    starts = np.searchsorted(prompts, own.prompt)
    each = np.searchsorted(prompts, own.prompt, "right") - starts
    each[(own.repeat > 0) | own.targeted] = 0
    mine = np.repeat(np.arange(len(own)), each)
    nth = np.arange(len(mine)) - np.repeat(np.cumsum(each) - each, each)
    theirs = order[starts[mine] + nth]
    different = own.labeler[mine] != beside.labeler[theirs]
    return mine[different], theirs[different]


def _beside_themselves(own: Worked, signs: NDArray[np.int8]) -> dict[str, Any]:
    order = np.lexsort([own.repeat, own.prompt, own.labeler])
    prompt, labeler = own.prompt[order], own.labeler[order]
    new = np.ones(len(order), np.bool_)
    new[1:] = (prompt[1:] != prompt[:-1]) | (labeler[1:] != labeler[:-1])
    group = np.cumsum(new) - 1
    agree, comparable = np.zeros((2, len(own)), np.int64)
    for one, other in _neighbours(group):
        same = _alike(signs[:, order[one]], signs[:, order[other]])
        first = order[np.flatnonzero(new)[group[one]]]
        agree += _summed(first, same[0], len(own))
        comparable += _summed(first, same[1], len(own))
    return {"again_agree": agree, "again_comparable": comparable}


def _neighbours(group: IntArray) -> Iterator[tuple[IntArray, IntArray]]:
    """Every two places of one group, which stand together: next to each other, next
    but one, …"""
    rows, offset = np.arange(len(group)), 0
    while rows.size:
        offset += 1
        rows = rows[rows + offset < len(group)]
        rows = rows[group[rows] == group[rows + offset]]
        yield rows, rows + offset


def _alike(one: NDArray[np.int8], other: NDArray[np.int8]) -> tuple[IntArray, IntArray]:
    """Pairs ordered alike, and those that both order strictly, `(m,)`."""
    same = one * other
    return (same > 0).sum(axis=0), np.count_nonzero(same, axis=0)


def _summed(row: IntArray, counts: IntArray, n: int) -> IntArray:
    """Sums of whole counts by row, `(n,)`."""
    return np.bincount(row, weights=counts, minlength=n).astype(np.int64)


# --- The order shown --------------------------------------------------------------


def _by_place(own: Worked) -> NDArray[np.uint8]:
    """Ranks of what stood first, second, … on the page, `(n, 9)`; then zeros."""
    response = np.maximum(own.shown, 1) - 1
    return np.take_along_axis(own.ranks, response, axis=1) * (own.shown > 0)


def _as_shown(own: Worked) -> BoolArray:
    """Whether the ranks are 1, 2, 3 … from the first place to the last."""
    ranks = _by_place(own)
    strictly: BoolArray = (
        (ranks == np.arange(1, MOST_RESPONSES + 1)) | (ranks == 0)
    ).all(axis=1)
    return strictly


def _mid_ranks(own: Worked, known: BoolArray) -> FloatArray:
    columns = np.ascontiguousarray(_by_place(own).T)
    k = (columns > 0).sum(axis=0)
    ahead = np.zeros(columns.shape, np.int64)
    for place, rank in enumerate(columns):
        for other in columns:
            better = (other < rank).view(np.int8) - (rank < other).view(np.int8)
            ahead[place] += better * (other > 0)
    undefined = ~known | (columns == 0)
    return np.where(undefined, np.nan, ahead / (2 * np.maximum(k - 1, 1))).T
