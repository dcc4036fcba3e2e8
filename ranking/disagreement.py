"""Which prompts split people: the order of the queue of disagreement.

The share of opposite comparisons alone would put prompts first that two people happened
to see differently. So prompts are ordered by the lower end of an interval: how much
disagreement the evidence of this prompt makes sure of.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

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
    interval: tuple[float, float]


def splits(tallies: Tallies, *, fewest: int = FEWEST) -> Sequence[Split]:
    """The prompts with at least so many comparisons, the surest disagreement first."""
    rows = tallies.compared
    counts = prompt_counts(
        tallies.compared_prompt, rows.differ, rows.agree + rows.differ
    )
    enough = counts.counts[1] >= max(fewest, 1)
    places, (differ, whole) = counts.prompts[enough], counts.counts[:, enough]
    k = tallies.k[places].astype(np.float64)
    low, high = wilson(differ / whole, whole / design_effect(k))
    people = np.bincount(tallies.judged.prompt, minlength=len(tallies.prompts))
    order = np.lexsort([tallies.prompts[places], -whole, -low])
    return [
        Split(
            prompt=int(tallies.prompts[places[at]]),
            k=int(k[at]),
            labelers=int(people[places[at]]),
            differ=int(differ[at]),
            comparable=int(whole[at]),
            value=float(differ[at] / whole[at]),
            interval=(float(low[at]), float(high[at])),
        )
        for at in order.tolist()
    ]


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
