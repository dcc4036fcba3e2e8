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

from annotation.models import Membership, Prompt, Response
from annotation.shown import in_id_order
from ranking.consensus import ballots, pair_counts
from ranking.consensus_kemeny import kemeny
from ranking.consensus_scores import borda, bradley_terry
from ranking.desk import labeler_of
from ranking.filters import Filters, rankings_that_count
from ranking.gold import LEVEL
from ranking.models import Placement
from ranking.rank_table import BoolArray, IntArray, RankTable

FEWEST_FOR_INTERVALS: Final = 2  # labelers: one alone is compared with nobody
_Z: Final = NormalDist().inv_cdf((1 + LEVEL) / 2)


@dataclass(frozen=True, kw_only=True, slots=True)
class Placed:
    """One response: what each labeler said of it, in the order of the labelers, and
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

    labelers: list[Membership]
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


def consensus_of(prompt: Prompt) -> Consensus | None:
    """From the rankings that count, of a prompt with its project; None where none
    does. Three queries."""
    rankings = (
        rankings_that_count(prompt.project, Filters())
        .filter(assignment__prompt=prompt)
        .select_related("assignment__labeler__project")
        .order_by("pk")  # not by name, which would tell researchers who is who
    )
    labelers = {one.pk: labeler_of(one.assignment) for one in rankings}
    if not labelers:
        return None
    responses = in_id_order(prompt.responses.all())
    placements = Placement.objects.filter(ranking__in=labelers)
    placed = placements.values_list("ranking", "response", "rank")
    ranks = {(ranking, response): rank for ranking, response, rank in placed}
    said = np.array([[ranks[pk, one.pk] for one in responses] for pk in labelers])
    return consensus(list(labelers.values()), responses, said)


def consensus(
    labelers: list[Membership], responses: Sequence[Response], ranks: IntArray
) -> Consensus:
    """`ranks (labelers, responses)`: lower is better, equal is a tie; 2 to 9 responses.

    Intervals of strengths are those of a normal distribution with the curvature at the
    mode. They take a labeler's pairs as independent, which makes them narrow.
    """
    n = len(ranks)
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
        labelers=[labelers[row] for row in cast.labeler],
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
