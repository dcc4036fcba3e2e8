"""PURE: the orders nearest to all rankings of a prompt: Kemeny's rule, exact to K = 9.

The distance of two weak orders (Kemeny and Snell) counts 1 for a pair that they order
the opposite way and ½ for one that only one of them ties. The consensus are all weak
orders with the least sum of distances, not one of them: a pair is decided only where
all of them say the same of it. Sources: Kemeny and Snell, Mathematical Models in the
Social Sciences, chapter 2 (1962); Fagin, Kumar, Mahdian, Sivakumar and Vee, Comparing
Partial Rankings, SIAM Journal on Discrete Mathematics 20 (2006), where it is K^(1/2).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ranking.consensus import PairCounts
from ranking.rank_table import BoolArray, FloatArray, IntArray

MOST_RESPONSES = 9
# Sums held at once, so that they stay in the cache: 256 sets of 9 responses.
SUMS_AT_ONCE = 1 << 17
# Whole numbers up to 2^24 are exact: 233,000 rankings of 9 responses.
Costs = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Kemeny:
    """What all nearest orders of each set have in common.

    - `better (s, K, K)`: the first is better than the second in all of them.
    - `tied (s, K, K)`: the two are tied in all of them; False on the diagonal.
    - `distance (s,)`: sum of the distances from any of them to the rankings.
    """

    better: BoolArray
    tied: BoolArray
    distance: FloatArray

    @property
    def undecided(self) -> BoolArray:
        """Pairs on which the nearest orders differ, `(s, K, K)`: a split."""
        decided = self.better | self.better.transpose(0, 2, 1) | self.tied
        return ~decided & ~np.eye(decided.shape[1], dtype=np.bool_)

    @property
    def best_place(self) -> IntArray:
        """1 + how many are better than it in every nearest order, `(s, K)`."""
        best: IntArray = 1 + self.better.sum(axis=1)
        return best

    @property
    def worst_place(self) -> IntArray:
        """K less those that are worse than it in every nearest order, `(s, K)`."""
        worst: IntArray = self.better.shape[1] - self.better.sum(axis=2)
        return worst


def kemeny(counts: PairCounts) -> Kemeny:
    """The nearest weak orders of each set, exactly.

    1. Where each response of one group is better than each of the rest by the cheapest
       word on that pair alone, every nearest order puts the group first (the extended
       Condorcet criterion: Truchon, An extension of the Condorcet criterion and Kemeny
       orders, 1998): moving it there leaves all other pairs as they were. So each set
       falls into groups, which are ordered by themselves.
    2. Within a group, dynamic programming over subsets: the cheapest order of what is
       placed so far is the cheapest one of fewer, followed by a tier. A tier costs what
       tying its members costs, and what it costs that each of them is better than each
       that is still to be placed. Then back from the full group along every cheapest
       way: 3^m steps for m responses.

    A tie that costs as much as an order leaves the pair undecided: 2 for a > b and 2
    for b > a, or 1 for a > b and 1 for a = b. Pairs that nobody judged are undecided.

    Raises ValueError for K > 9, and for counts that are no whole numbers.
    """
    k = counts.wins.shape[1]
    if k > MOST_RESPONSES:
        raise ValueError(f"an exact order of {k} responses takes too long; at most 9")
    if not (_whole(counts.wins) and _whole(counts.ties)):
        raise ValueError("Kemeny's rule counts rankings: whole numbers, no weights")
    order, tie = _costs(counts)
    better, cuts, sequence = _condorcet_groups(order, tie)
    tied = np.zeros_like(better)
    doubled = (order * better).sum(axis=(1, 2), dtype=np.float64)
    for sets, members in _groups(cuts, sequence):
        rows = sets[:, None, None], members[:, :, None], members[:, None, :]
        better[rows], tied[rows], within = _nearest(order[rows], tie[rows])
        np.add.at(doubled, sets, within)
    return Kemeny(better=better, tied=tied, distance=doubled / 2)


def _whole(counts: FloatArray) -> bool:
    return bool((counts == np.rint(counts)).all())


def _costs(counts: PairCounts) -> tuple[Costs, Costs]:
    """Doubled: that the first is better than the second, and that they are tied."""
    losses = counts.wins.transpose(0, 2, 1)
    order = (2 * losses + counts.ties).astype(np.float32)
    return order, (counts.wins + losses).astype(np.float32)


# --- Groups that stand one before the other in every nearest order ----------------


def _condorcet_groups(
    order: Costs, tie: Costs
) -> tuple[BoolArray, BoolArray, IntArray]:
    """`(better (s, K, K), cuts (s, K), sequence (s, K))`.

    `sequence` are the responses by how many they beat outright, in which groups stand
    together; a group ends where `cuts` is True. `better` holds across groups.
    """
    sets, k = order.shape[:2]
    beats = order < np.minimum(order.transpose(0, 2, 1), tie)
    sequence = np.argsort(-beats.sum(axis=2), axis=1, kind="stable")
    row = np.arange(sets)[:, None, None]
    lined_up = beats[row, sequence[:, :, None], sequence[:, None, :]]
    cuts = np.ones((sets, k), np.bool_)
    for size in range(1, k):
        cuts[:, size - 1] = lined_up[:, :size, size:].all(axis=(1, 2))
    group = np.zeros((sets, k), np.int64)
    ends = np.cumsum(cuts[:, :-1], axis=1)
    np.put_along_axis(group, sequence[:, 1:], ends, axis=1)
    return group[:, :, None] < group[:, None, :], cuts, sequence


def _groups(cuts: BoolArray, sequence: IntArray) -> Iterator[tuple[IntArray, IntArray]]:
    """Groups of each size m ≥ 2, in blocks: their sets `(b,)` and members `(b, m)`."""
    sets, ends = np.nonzero(cuts)
    first = np.ones(len(sets), np.bool_)
    first[1:] = sets[1:] != sets[:-1]
    starts = np.where(first, 0, np.roll(ends, 1) + 1)
    sizes = ends - starts + 1
    for size in range(2, cuts.shape[1] + 1):
        found = np.flatnonzero(sizes == size)
        block = max(1, SUMS_AT_ONCE >> size)
        for at in range(0, len(found), block):
            some = found[at : at + block]
            places = starts[some, None] + np.arange(size)
            yield sets[some], sequence[sets[some, None], places]


# --- One group --------------------------------------------------------------------


class _Sums(NamedTuple):
    """What subsets of m responses cost; `b` groups, the last axis."""

    tier: Costs  # (2^m, b): that its members are tied
    beat_the_rest: Costs  # (2^m, m, b): that each response is better than all outside
    least: Costs  # (2^m, b): the cheapest way to place it, and all else behind it


def _nearest(order: Costs, tie: Costs) -> tuple[BoolArray, BoolArray, Costs]:
    """Pairs that all nearest orders put one before the other, and those that all tie,
    `(b, m, m)` each, of costs of the same shape; and the least cost, `(b,)`."""
    m = order.shape[1]
    sums = _sums(order.transpose(1, 2, 0).copy(), tie.transpose(1, 2, 0).copy())
    on_the_way, tiers = _ways_back(sums)
    inside = _members(m)
    parted = (inside[:, :, None] & ~inside[:, None, :]).astype(np.float32)
    together = (inside[:, :, None] & inside[:, None, :]).astype(np.float32)
    precedes = _occurs(on_the_way, parted)
    ties = _occurs(tiers, together) & ~np.eye(m, dtype=np.bool_)
    follows = precedes.transpose(0, 2, 1)
    better, tied = precedes & ~follows & ~ties, ties & ~precedes & ~follows
    return better, tied, sums.least[-1]


def _occurs(subsets: BoolArray, pairs: Costs) -> BoolArray:
    """Pairs that one of the subsets `(2^m, b)` holds, by `pairs (2^m, m, m)`."""
    size, m = pairs.shape[:2]
    counted = subsets.T.astype(np.float32) @ pairs.reshape(size, m * m)
    found: BoolArray = counted.reshape(-1, m, m) > 0
    return found


def _sums(order: Costs, tie: Costs) -> _Sums:
    m, groups = order.shape[1:]
    size = 1 << m
    tier, least = np.zeros((2, size, groups), np.float32)
    beat_the_rest = np.empty((size, m, groups), np.float32)
    beat_the_rest[0] = order.sum(axis=1)
    sums = _Sums(tier, beat_the_rest, least)
    for subset in range(1, size):
        lowest = (subset & -subset).bit_length() - 1
        fewer = subset & (subset - 1)
        tier[subset] = tier[fewer] + tie[lowest, _members(m)[fewer]].sum(axis=0)
        beat_the_rest[subset] = beat_the_rest[fewer] - order[:, lowest]
    for placed in range(1, size):
        least[placed] = _by_last_tier(sums, placed).min(axis=0)
    return sums


def _by_last_tier(sums: _Sums, placed: int) -> Costs:
    """What it costs to place these responses, by their last tier, `(tiers, b)`."""
    tiers, members = _tiers(placed, sums.beat_the_rest.shape[1])
    cost: Costs = members @ sums.beat_the_rest[placed]
    cost += sums.tier[tiers]
    cost += sums.least[placed ^ tiers]
    return cost


def _ways_back(sums: _Sums) -> tuple[BoolArray, BoolArray]:
    """What is placed at some time, and what is a tier, in some nearest order;
    `(2^m, b)` each."""
    size, m, _ = sums.beat_the_rest.shape
    on_the_way, tier = np.zeros((2, *sums.least.shape), np.bool_)
    on_the_way[-1] = True
    for placed in range(size - 1, 0, -1):
        tiers, _ = _tiers(placed, m)
        cheapest = _by_last_tier(sums, placed) == sums.least[placed]
        cheapest &= on_the_way[placed]
        on_the_way[placed ^ tiers] |= cheapest
        tier[tiers] |= cheapest
    return on_the_way, tier


@lru_cache(maxsize=2 << MOST_RESPONSES)
def _tiers(placed: int, m: int) -> tuple[IntArray, Costs]:
    """The subsets of a set of bits but the empty one, and 1 for each member."""
    candidates = np.arange(1, placed + 1)
    tiers = candidates[candidates & ~placed == 0]
    return tiers, _members(m)[tiers].astype(np.float32)


@lru_cache(maxsize=MOST_RESPONSES)
def _members(m: int) -> BoolArray:
    """Which responses are in each subset, `(2^m, m)`."""
    members: BoolArray = (np.arange(1 << m)[:, None] >> np.arange(m)) & 1 == 1
    return members
