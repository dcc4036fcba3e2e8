"""A ranking as the strict pairs that it implies.

Pairs are always derived from the weak order, never stored beside it: a ranking of
K responses holds C(K, 2) pairs, and each of them is either strict or a tie.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from math import comb
from typing import Generic, TypeVar

from ranking.weak_order import dense_ranks

Key = TypeVar("Key")


@dataclass(frozen=True, slots=True)
class StrictPair(Generic[Key]):
    """One response preferred to another by one ranking."""

    chosen: Key
    rejected: Key
    rank_gap: int  # difference of their dense ranks, 1 or more


def strict_pairs(ranks: Mapping[Key, int]) -> list[StrictPair[Key]]:
    """All pairs of the ranking of which one response is better; ties give none.

    The order is the ranking's own: by the rank of the chosen response, then by the
    rank of the rejected one, and by the text of the keys inside a tier. So it does
    not depend on the order of the mapping. K responses without a tie give C(K, 2)
    pairs: 36 for K = 9.

    Raises what `dense_ranks` raises: ValueError for no ranks or for a rank that is
    not an integer.
    """
    tiers = _tiers(dense_ranks(ranks))
    return [
        StrictPair(chosen, rejected, rank_gap)
        for upper, best in enumerate(tiers)
        for chosen in best
        for rank_gap, lower in enumerate(tiers[upper + 1 :], start=1)
        for rejected in lower
    ]


def ties(ranks: Mapping[Key, int]) -> int:
    """Number of pairs of the ranking that are tied; C(K, 2) less the strict ones.

    Raises ValueError as `dense_ranks` does.
    """
    return sum(comb(size, 2) for size in Counter(dense_ranks(ranks).values()).values())


def _tiers(dense: Mapping[Key, int]) -> list[list[Key]]:
    """The responses of each tier, best tier first."""
    ordered = sorted(dense, key=lambda key: (dense[key], str(key)))
    return [list(tier) for _, tier in groupby(ordered, key=lambda key: dense[key])]
