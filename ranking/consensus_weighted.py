"""How much each labeler's word weighs on a prompt, and the strengths that follow.

A labeler's weight comes from how far they and everybody else agree in the whole project
(`consensus_labelers.reliability_of_counts`), not on this prompt alone: three rankings
cannot tell who of the three is right.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from annotation.models import Membership, Project
from ranking.consensus import ballots, score_ranks
from ranking.consensus_labelers import (
    UNKNOWN,
    reliability_of_counts,
    weighted_bradley_terry,
)
from ranking.filters import Filters
from ranking.prompt_consensus import Consensus
from ranking.rank_table import IntArray, RankTable
from ranking.summaries import tallies_of
from ranking.tallies import Tallies


@dataclass(frozen=True, kw_only=True, slots=True)
class Weight:
    """One labeler of the prompt.

    - `reliability`: the chance that they order a pair as somebody would who is always
      right; UNKNOWN where nobody else ordered a pair that they ordered.
    - `comparable`: pairs that they and others ordered, in the whole project.
    """

    labeler: Membership
    reliability: float
    comparable: int

    @property
    def is_known(self) -> bool:
        """Whether anybody can be compared with them."""
        return self.comparable > 0

    @property
    def counts(self) -> float:
        """What their word counts for: 1 for somebody always right, 0 for a coin."""
        return max(2 * self.reliability - 1, 0.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Weighed:
    """A response: its log-strength, of mean 0, and its rank by it (equal: tied)."""

    response: str
    strength: float
    rank: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Weighted:
    """Of one prompt: labelers in the order of its columns, responses the best first."""

    weights: list[Weight]
    responses: list[Weighed]


def weighted_consensus(
    project: Project, labelers: Sequence[Membership], found: Consensus | None
) -> Weighted | None:
    """Strengths by Bradley and Terry in which reliable labelers weigh more; None where
    fewer than two ranked the prompt. `labelers`: whose rankings `found` is made of, in
    their order. Two queries."""
    if found is None or len(labelers) < 2:
        return None
    tallies = tallies_of(project, Filters(pool="random"))
    return weighted(found, labelers, tallies)


def weighted(
    found: Consensus, labelers: Sequence[Membership], tallies: Tallies
) -> Weighted:
    """The same of sums that are at hand."""
    weights = _weights(labelers, tallies)
    ranks = np.array([one.ranks for one in found.placed]).T
    n = len(ranks)
    cast = ballots(
        RankTable(ranks=ranks, cluster=np.zeros(n, int), labeler=np.arange(n))
    )
    eta = np.array([weight.reliability for weight in weights])
    strengths = weighted_bradley_terry(cast, eta)
    places = score_ranks(strengths)[0].tolist()
    rows = zip(found.placed, strengths[0].tolist(), places, strict=True)
    weighed = [
        Weighed(response=placed.response.external_id, strength=strength, rank=place)
        for placed, strength, place in rows
    ]
    return Weighted(
        weights=weights,
        responses=sorted(weighed, key=lambda one: (one.rank, one.response)),
    )


def _weights(labelers: Sequence[Membership], tallies: Tallies) -> list[Weight]:
    keys, agree, differ = pairs_of_labelers(tallies)
    values = reliability_of_counts(agree, differ)
    comparable = (agree + differ).sum(axis=1)
    place = {key: number for number, key in enumerate(keys.tolist())}
    known = [place.get(labeler.pk) for labeler in labelers]
    return [
        Weight(
            labeler=labeler,
            reliability=UNKNOWN
            if at is None or not comparable[at]
            else float(values[at]),
            comparable=0 if at is None else int(comparable[at]),
        )
        for labeler, at in zip(labelers, known, strict=True)
    ]


def pairs_of_labelers(tallies: Tallies) -> tuple[IntArray, IntArray, IntArray]:
    """`(keys (L,), agree (L, L), differ (L, L))`: strict pairs of every two labelers,
    both ways round."""
    keys, code = np.unique(tallies.judged.labeler, return_inverse=True)
    size, rows = len(keys), tallies.compared
    cell = code[rows.first] * size + code[rows.second]
    agree, differ = (
        np.bincount(cell, counts, size * size).reshape(size, size).astype(np.int64)
        for counts in (rows.agree, rows.differ)
    )
    return keys, agree + agree.T, differ + differ.T
