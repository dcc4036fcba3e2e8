"""What the labelers of one prompt said, and what they say together.

Consensus stands beside the raw rankings, never instead of them, and a split stays a
split: no name, id or order of rows decides what the labelers leave open.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from statistics import NormalDist
from typing import Final

import numpy as np

from annotation.models import Prompt, Response
from ranking.consensus import ballots, pair_counts
from ranking.consensus_kemeny import kemeny
from ranking.consensus_scores import borda, bradley_terry
from ranking.filters import Filters, rankings_that_count
from ranking.gold import LEVEL
from ranking.models import Placement, Ranking
from ranking.rank_table import BoolArray, IntArray, RankTable

FEWEST_FOR_INTERVALS: Final = 2  # labelers: one alone is compared with nobody
_Z: Final = NormalDist().inv_cdf((1 + LEVEL) / 2)


@dataclass(frozen=True, kw_only=True, slots=True)
class Placed:
    """One response: what each labeler said of it, in the order of the rankings, and
    what they say together.

    - `best`, `worst`: its places in the nearest orders by Kemeny's rule.
    - `undecided`: whether these orders differ on it and another response.
    - `borda`: the mean share of the others that it beats, a tie being half a win.
    - `strength`: log-strength by Bradley and Terry, of mean 0; `interval` 95 %, None
      for fewer than FEWEST_FOR_INTERVALS labelers.
    """

    response: Response
    ranks: tuple[int, ...]
    best: int
    worst: int
    undecided: bool
    borda: float
    strength: float
    interval: tuple[float, float] | None

    @property
    def mean(self) -> float:
        """Of its ranks."""
        return sum(self.ranks) / len(self.ranks)

    @property
    def spread(self) -> int:
        """Between its highest and its lowest rank."""
        return max(self.ranks) - min(self.ranks)

    @property
    def place(self) -> str:
        """`2`; `2 to 4`, where some of it is left open; `2, tied`."""
        if self.best == self.worst:
            return str(self.best)
        return (
            f"{self.best} to {self.worst}" if self.undecided else f"{self.best}, tied"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Consensus:
    """Of one prompt that somebody ranked. Pairs hold ids of responses."""

    placed: list[Placed]  # the best first
    tied: list[tuple[str, str]]  # in every nearest order
    undecided: list[tuple[str, str]]  # the nearest orders differ

    @property
    def order(self) -> str:
        """`r2 > r1 = r3`, where the labelers agree on every pair; else ""."""
        if self.undecided:
            return ""
        said = self.placed[0].response.external_id
        for above, below in pairwise(self.placed):
            sign = ">" if above.best < below.best else "="
            said += f" {sign} {below.response.external_id}"
        return said


def rankings_of(prompt: Prompt) -> list[Ranking]:
    """Those that count, of a prompt with its project. One query."""
    counting = rankings_that_count(prompt.project, Filters())
    return list(
        counting.filter(assignment__prompt=prompt)
        .select_related("assignment__labeler__project", "instructions")
        .order_by("pk")  # not by name, which would tell researchers who is who
    )


def consensus_of(
    rankings: Sequence[Ranking], responses: Sequence[Response]
) -> Consensus | None:
    """What these rankings of one prompt say together, each with its ranks; None where
    there are none. One query."""
    if not rankings:
        return None
    placements = Placement.objects.filter(ranking__in=rankings)
    placed = placements.values_list("ranking", "response", "rank")
    ranks = {(ranking, response): rank for ranking, response, rank in placed}
    said = [[ranks[one.pk, each.pk] for each in responses] for one in rankings]
    return consensus(responses, np.array(said))


def consensus(responses: Sequence[Response], ranks: IntArray) -> Consensus:
    """`ranks (rankings, responses)`: lower is better, equal is a tie; 2 to 9 responses.

    Intervals of strengths are those of a normal distribution with the curvature at the
    mode. They take a labeler's pairs as independent, which makes them narrow.
    """
    n = len(ranks)
    # Numbered as they come, so the ballots stand in the same order.
    one_set = RankTable(ranks=ranks, cluster=np.zeros(n, int), labeler=np.arange(n))
    cast = ballots(one_set)
    counts = pair_counts(cast)
    nearest, shares, strengths = kemeny(counts), borda(cast), bradley_terry(counts)
    half = _Z * np.sqrt(np.diagonal(strengths.covariance[0]))
    sure = n >= FEWEST_FOR_INTERVALS
    placed = [
        Placed(
            response=response,
            ranks=tuple(cast.ranks[:, i].tolist()),
            best=int(nearest.best_place[0, i]),
            worst=int(nearest.worst_place[0, i]),
            undecided=bool(nearest.undecided[0, i].any()),
            borda=float(shares[0, i]),
            strength=float(strengths.values[0, i]),
            interval=_about(strengths.values[0, i], half[i]) if sure else None,
        )
        for i, response in enumerate(responses)
    ]
    return Consensus(
        placed=sorted(placed, key=lambda one: (one.best, one.worst, -one.borda)),
        tied=list(_pairs(responses, nearest.tied[0])),
        undecided=list(_pairs(responses, nearest.undecided[0])),
    )


def _about(middle: float, half: float) -> tuple[float, float]:
    return float(middle - half), float(middle + half)


def _pairs(
    responses: Sequence[Response], holds: BoolArray
) -> Iterator[tuple[str, str]]:
    for i, j in combinations(range(len(responses)), 2):
        if holds[i, j]:
            yield responses[i].external_id, responses[j].external_id
