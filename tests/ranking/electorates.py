"""Rankings of a set by several labelers, as tables and as brute force sees them."""

from collections.abc import Iterator, Sequence
from itertools import combinations, product

import numpy as np
from hypothesis import strategies as st

from ranking.consensus import Ballots, PairCounts, ballots, pair_counts
from ranking.gold import sign
from ranking.rank_table import RankTable
from ranking.weak_order import dense_ranks

Ranks = Sequence[int]  # lower is better; 0: left out
Electorate = Sequence[Ranks]


def cast_of(*sets: Electorate) -> Ballots:
    """The ballots of one set or more of the same K, in this order."""
    rows = [(number, row) for number, rows in enumerate(sets) for row in rows]
    ranks = np.array([row for _, row in rows])
    table = RankTable(
        ranks=ranks,
        cluster=np.array([number for number, _ in rows]),
        labeler=np.concatenate([np.arange(len(rows)) for rows in sets]),
    )
    return ballots(table, ranked=ranks > 0)


def counts_of(*sets: Electorate) -> PairCounts:
    """Their pair counts."""
    return pair_counts(cast_of(*sets))


def electorates(
    *, k: st.SearchStrategy[int], partial: bool = False
) -> st.SearchStrategy[list[list[int]]]:
    """One to five rankings of K responses, with ties."""
    lowest = 0 if partial else 1

    def of_size(size: int) -> st.SearchStrategy[list[list[int]]]:
        row = st.lists(st.integers(lowest, size), min_size=size, max_size=size)
        return st.lists(row, min_size=1, max_size=5)

    return k.flatmap(of_size)


def weak_orders(k: int) -> Iterator[tuple[int, ...]]:
    """Every weak order of K responses as dense ranks: 3, 13, 75 and 541 of them."""
    for ranks in product(range(1, k + 1), repeat=k):
        if tuple(dense_ranks(dict(enumerate(ranks))).values()) == ranks:
            yield ranks


def distance(order: Ranks, ranks: Ranks) -> float:
    """1 for a pair ordered the opposite way, ½ for one that only one of them ties."""
    pairs = [
        (sign(order[a] - order[b]), sign(ranks[a] - ranks[b]))
        for a, b in combinations(range(len(order)), 2)
        if ranks[a] and ranks[b]
    ]
    return sum(abs(ours - theirs) / 2 for ours, theirs in pairs)


def nearest_orders(rankings: Electorate) -> tuple[float, list[tuple[int, ...]]]:
    """The least sum of distances, and all weak orders that have it."""
    total = {
        order: sum(distance(order, ranks) for ranks in rankings)
        for order in weak_orders(len(rankings[0]))
    }
    least = min(total.values())
    return least, [order for order, sum_ in total.items() if sum_ == least]
