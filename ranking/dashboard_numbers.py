"""The numbers of the dashboards, from the sums that summary rows hold.

Definitions are those of `agreement.md`, section 2: sums over all comparisons, then one
division. Every number comes with its n and an interval over prompts, and where it is
undefined it says why.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from ranking.bootstrap import PromptCounts, counts_by_group, prompt_counts
from ranking.cluster_intervals import Interval, share_intervals
from ranking.rank_table import BoolArray, FloatArray, IntArray
from ranking.tallies import DISTANCES, MOST_RESPONSES, Tallies

NO_OVERLAP: Final = "no two labelers ordered the same pair yet"
ONE_PROMPT: Final = "an interval needs two prompts"
GREY_UNDER: Final = 20  # comparisons
PLACES_NEEDED: Final = 2


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A share: so much of so much, over so many prompts; None where undefined."""

    label: str
    part: float
    whole: float
    prompts: int
    interval: Interval
    missing: str = NO_OVERLAP

    @property
    def value(self) -> float | None:
        """`part / whole`, from 0 to 1."""
        return self.part / self.whole if self.whole else None

    @property
    def why(self) -> str:
        """Why the value or its interval is missing; empty where nothing is."""
        if not self.whole:
            return self.missing
        return "" if self.interval else ONE_PROMPT


@dataclass(frozen=True, kw_only=True)
class Cell:
    """Two labelers who ordered the same pairs."""

    agree: int
    comparable: int

    @property
    def value(self) -> float:
        """Their strict agreement; a cell has at least one comparison."""
        return self.agree / self.comparable

    @property
    def few(self) -> bool:
        """Too few comparisons to be coloured."""
        return self.comparable < GREY_UNDER


def estimates(
    counts: Mapping[str, PromptCounts], *, n_prompts: int, missing: str = NO_OVERLAP
) -> list[Estimate]:
    """One for each slice; `counts (2, m)` are part and whole."""
    intervals = share_intervals(counts, n_prompts=n_prompts)
    return [
        Estimate(
            label=label,
            part=float(some.totals[0]),
            whole=float(some.totals[1]),
            prompts=int(np.count_nonzero(some.counts[1])),
            interval=intervals[label],
            missing=missing,
        )
        for label, some in counts.items()
    ]


def strict(tallies: Tallies, rows: BoolArray | None = None) -> Estimate:
    """The headline: of pairs that both ordered, those ordered alike."""
    kept = np.ones(len(tallies.compared), np.bool_) if rows is None else rows
    agree, differ = tallies.compared.agree[kept], tallies.compared.differ[kept]
    counts = prompt_counts(tallies.compared_prompt[kept], agree, agree + differ)
    [found] = estimates({"strict": counts}, n_prompts=len(tallies.prompts))
    return found


def _strict_by(tallies: Tallies, group: IntArray) -> dict[int, PromptCounts]:
    """Known groups only: those above 0."""
    known = group > 0
    agree, differ = tallies.compared.agree[known], tallies.compared.differ[known]
    prompt = tallies.compared_prompt[known]
    return counts_by_group(group[known], prompt, agree, agree + differ)


def by_week(tallies: Tallies) -> list[Estimate]:
    """`2026-W47`, in order; a comparison belongs to the later of its two rankings."""
    found = _strict_by(tallies, tallies.week)
    counts = {f"{w // 100}-W{w % 100:02}": some for w, some in found.items()}
    return estimates(counts, n_prompts=len(tallies.prompts))


def by_k(tallies: Tallies) -> list[Estimate]:
    """By how many responses the prompt has."""
    found = _strict_by(tallies, tallies.k[tallies.compared_prompt])
    counts = {f"K = {k}": some for k, some in found.items()}
    return estimates(counts, n_prompts=len(tallies.prompts))


def by_version(tallies: Tallies) -> list[Estimate]:
    """Where both ranked under the same version of the instructions."""
    found = _strict_by(tallies, tallies.version)
    counts = {f"version {number}": some for number, some in found.items()}
    return estimates(counts, n_prompts=len(tallies.prompts))


def by_rank_distance(tallies: Tallies) -> list[Estimate]:
    """At distance 1, 2, …; each comparison of a pair is counted once."""
    prompt, counts = tallies.compared_prompt, {}
    for distance in range(DISTANCES):
        agree = tallies.compared.agree_at[:, distance].astype(np.int64)
        whole = agree + tallies.compared.differ_at[:, distance]
        if whole.any():
            counts[str(distance + 1)] = prompt_counts(prompt, agree, whole)
    return estimates(counts, n_prompts=len(tallies.prompts))


def by_tag(tallies: Tallies, tags: Mapping[str, IntArray]) -> list[Estimate]:
    """`tags` hold the keys of the prompts that carry each; a prompt may carry many."""
    agree, differ = tallies.compared.agree, tallies.compared.differ
    pool = prompt_counts(tallies.compared_prompt, agree, agree + differ)
    keys = tallies.prompts[pool.prompts]
    counts = {}
    for tag, prompts in sorted(tags.items()):
        kept = np.isin(keys, prompts)
        if kept.any():
            counts[tag] = PromptCounts(pool.prompts[kept], pool.counts[:, kept])
    return estimates(counts, n_prompts=len(tallies.prompts))


def tie_rates(tallies: Tallies, names: Mapping[int, str]) -> list[Estimate]:
    """Tied pairs of all pairs, by labeler, over all their rankings; by name."""
    found = counts_by_group(
        tallies.judged.labeler, tallies.judged.prompt, tallies.ties, tallies.pairs
    )
    counts = {names[pk]: some for pk, some in found.items()}
    in_order = dict(sorted(counts.items()))
    return estimates(in_order, n_prompts=len(tallies.prompts))


def tie_rate(tallies: Tallies) -> Estimate:
    """The same for everybody together."""
    counts = prompt_counts(tallies.judged.prompt, tallies.ties, tallies.pairs)
    none = "nothing has been ranked yet"
    every = {"tie rate": counts}
    return estimates(every, n_prompts=len(tallies.prompts), missing=none)[0]


def by_place(tallies: Tallies) -> list[Estimate]:
    """Mean rank of what stood first, second, … on the page: 0 is best, 1 is worst.

    Ranks are mid-ranks, so that a tie of all is ½ everywhere, and places of pages of
    different length stand on one scale only where K is the same: filter by K. Rankings
    whose order is not known (imported) are left out.
    """
    ranked, shown, k, prompt = _shown(tallies)
    counts = {}
    for place in range(MOST_RESPONSES):
        there = k > place
        if there.any():
            response = shown[there, place].astype(np.int64) - 1
            worth = ranked[there, response]
            ones = np.ones(len(worth))
            counts[str(place + 1)] = prompt_counts(prompt[there], worth, ones)
    missing = "no ranking knows the order it was shown in"
    return estimates(counts, n_prompts=len(tallies.prompts), missing=missing)


def _shown(tallies: Tallies) -> tuple[FloatArray, IntArray, IntArray, IntArray]:
    """Of the rankings whose order is known: normalised mid-ranks `(n, 9)` by response,
    the response at each place, K, and the prompt."""
    known = tallies.judged.shown[:, 0] > 0
    columns = np.ascontiguousarray(tallies.judged.ranks[known].T)  # (9, n)
    prompt = tallies.judged.prompt[known]
    k = tallies.k[prompt].astype(np.int64)
    # Twice the mid-rank less 1: a response ties with itself, so it counts once there.
    doubled = np.zeros(columns.shape, np.uint8)
    for place, rank in enumerate(columns):
        for other in columns:
            better = (other < rank).view(np.uint8)
            doubled[place] += (other > 0) * (2 * better + (other == rank))
    normal = (doubled.T - 1.0) / (2 * np.maximum(k - 1, 1))[:, None]
    return normal, tallies.judged.shown[known], k, prompt


def matrix(tallies: Tallies, order: Sequence[int]) -> list[list[Cell | None]]:
    """Strict agreement of every two labelers, rows and columns in this order; None
    where they ordered no pair both, and on the diagonal."""
    size = len(order)
    place = {labeler: number for number, labeler in enumerate(order)}
    known, index = np.unique(tallies.judged.labeler, return_inverse=True)
    # Whoever is not asked for shares a last row and column, which nobody reads.
    places = np.array([place.get(int(one), size) for one in known], np.int64)[index]
    wide = size + 1
    cell = places[tallies.compared.first] * wide + places[tallies.compared.second]
    agree, whole = (
        np.bincount(cell, weights=counts, minlength=wide * wide).reshape(wide, wide)
        for counts in (
            tallies.compared.agree,
            tallies.compared.agree + tallies.compared.differ,
        )
    )
    agree, whole = agree + agree.T, whole + whole.T
    return [
        [
            Cell(agree=int(agree[a, b]), comparable=int(whole[a, b]))
            if a != b and whole[a, b]
            else None
            for b in range(size)
        ]
        for a in range(size)
    ]


def vs_others(tallies: Tallies, names: Mapping[int, str]) -> list[Estimate]:
    """Each labeler beside all others who ordered the same pairs, the best first."""
    labelers, rows = tallies.judged.labeler, tallies.compared
    agree, whole = rows.agree, rows.agree + rows.differ
    prompt = tallies.compared_prompt
    found = counts_by_group(
        np.concatenate([labelers[rows.first], labelers[rows.second]]),
        np.concatenate([prompt, prompt]),
        np.concatenate([agree, agree]),
        np.concatenate([whole, whole]),
    )
    counts = {names[pk]: some for pk, some in found.items()}
    some = estimates(counts, n_prompts=len(tallies.prompts))
    return sorted(some, key=lambda one: (-(one.value or 0), one.label))
