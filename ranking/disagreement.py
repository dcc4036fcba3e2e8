"""Which prompts split people: the order of the queue of disagreement.

The share of opposite comparisons alone would put prompts first that two people happened
to see differently. So prompts are ordered by the lower end of an interval: how much
disagreement the evidence of this prompt makes sure of.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, overload

import numpy as np

from ranking.bootstrap import prompt_counts
from ranking.cluster_intervals import Z
from ranking.rank_table import FloatArray
from ranking.tallies import Tallies

FEWEST: Final = 6  # comparisons: one pair of labelers who ordered four responses


@dataclass(frozen=True, kw_only=True)
class Split:
    """A prompt and how far people order its pairs in opposite ways."""

    prompt: int  # its key
    k: int
    labelers: int
    differ: int
    comparable: int
    value: float
    interval: list[float]


@dataclass(frozen=True, eq=False)
class Splits(Sequence[Split]):
    """Prompts in the order of the queue; a page takes a slice of them.

    One column a field of `Split`: of tens of thousands of prompts a page shows fifty.
    """

    columns: Mapping[str, Any]

    def __len__(self) -> int:
        return len(self.columns["prompt"])

    @overload
    def __getitem__(self, some: int) -> Split: ...
    @overload
    def __getitem__(self, some: slice) -> list[Split]: ...
    def __getitem__(self, some: int | slice) -> Split | list[Split]:
        if isinstance(some, int):
            return self[some : some + 1 or None][0]
        rows = zip(*(c[some].tolist() for c in self.columns.values()), strict=True)
        return [
            Split(**dict(zip(self.columns, row, strict=True)), value=row[3] / row[4])
            for row in rows
        ]


def splits(tallies: Tallies, *, fewest: int = FEWEST) -> Splits:
    """The prompts with at least so many comparisons, the surest disagreement first."""
    rows = tallies.compared
    counts = prompt_counts(
        tallies.compared_prompt, rows.differ, rows.agree + rows.differ
    )
    enough = counts.counts[1] >= max(fewest, 1)
    places, (differ, whole) = counts.prompts[enough], counts.counts[:, enough]
    k = tallies.k[places].astype(np.int64)
    low, high = wilson(differ / whole, whole / design_effect(k.astype(np.float64)))
    people = np.bincount(tallies.judged.prompt, minlength=len(tallies.prompts))
    order = np.lexsort([tallies.prompts[places], -whole, -low])
    return Splits(
        {
            "prompt": tallies.prompts[places][order],
            "k": k[order],
            "labelers": people[places][order],
            "differ": differ[order].astype(np.int64),
            "comparable": whole[order].astype(np.int64),
            "interval": np.stack([low, high], axis=1)[order],
        }
    )


def design_effect(k: FloatArray) -> FloatArray:
    """By what factor the variance of a prompt's pairs exceeds that of independent ones.

    The square of what `agreement.md`, section 2, gives for the binomial interval: 1.18
    at K = 4, 1.34 at 6, 1.55 at 9, which are 1.4, 1.8 and 2.4, a straight line.
    """
    return 0.6 + 0.2 * k


def wilson(share: FloatArray, n: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Wilson's 95 % interval of a share of n independent trials; n is above 0.

    Source: Wilson, Probable inference (JASA 22, 1927).
    """
    centre = (share + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z * np.sqrt(share * (1 - share) / n + (Z / (2 * n)) ** 2) / (1 + Z**2 / n)
    return centre - half, centre + half
