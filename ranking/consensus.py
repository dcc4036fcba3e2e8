"""PURE: several labelers' rankings of the same responses, counted pair by pair.

A consensus is offered beside the raw rankings, never instead (`agreement.md`, section
5), and a split stays a split: what the labelers leave open is called undecided, and
nothing (index, id, order of rows) ever breaks a tie. `consensus_kemeny` finds the
orders nearest to all rankings, `consensus_scores` gives every response a number (Borda,
Bradley-Terry), `consensus_luce` a Plackett-Luce strength, and `consensus_labelers`
weighs labelers by how reliable they are. All start from what is counted here.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from ranking.rank_table import (
    BoolArray,
    FloatArray,
    IntArray,
    RankTable,
    dense_rank_rows,
)

# Scores nearer to each other than this are equal: what is left of a sum of floats.
EQUAL_SCORES = 1e-6


@dataclass(frozen=True, eq=False)
class Ballots:
    """Rankings of sets of K responses; `n` rows, set by set, `s` sets.

    - `ranks (n, K)`: dense, 1 is best, equal is a tie; 0 where a ranking leaves the
      response out, which then says nothing of it.
    - `place (n,)`: the running number of each row's set, from 0, ascending.
    - `labeler (n,)`: as in the table.
    - `cluster`, `item (s,)`: what the table calls each set.
    """

    ranks: IntArray
    place: IntArray
    labeler: IntArray
    cluster: IntArray
    item: IntArray

    @property
    def k(self) -> int:
        """Responses of each set."""
        return int(self.ranks.shape[1])

    def __len__(self) -> int:
        return len(self.cluster)

    def only(self, sets: IntArray) -> "Ballots":
        """Those of some sets, given by their running numbers in ascending order."""
        rows = np.isin(self.place, sets)
        return Ballots(
            ranks=self.ranks[rows],
            place=np.searchsorted(sets, self.place[rows]),
            labeler=self.labeler[rows],
            cluster=self.cluster[sets],
            item=self.item[sets],
        )


def ballots(table: RankTable, *, ranked: BoolArray | None = None) -> Ballots:
    """The rankings of a table by set; repeats are left out, as in agreement.

    `ranked (n, K)` is False where a partial ranking leaves a response out; then its
    rank is not looked at. Without it every ranking is complete.

    Raises ValueError for K < 2 and where `ranked` has another shape.
    """
    k = table.ranks.shape[1]
    if k < 2:
        raise ValueError(f"a consensus needs two responses or more, not {k}")
    if ranked is not None and ranked.shape != table.ranks.shape:
        raise ValueError(f"ranked is {ranked.shape}, but ranks are {table.ranks.shape}")
    n = len(table.ranks)
    item = np.zeros(n, np.int64) if table.item is None else table.item
    work = np.ones(n, np.bool_) if table.repeat is None else table.repeat == 0
    rows = np.lexsort((table.labeler, item, table.cluster))
    rows = rows[work[rows]]
    keys = np.stack([table.cluster[rows], item[rows]], axis=1).reshape(-1, 2)
    new = np.ones(len(rows), np.bool_)
    new[1:] = (keys[1:] != keys[:-1]).any(axis=1)
    return Ballots(
        ranks=_dense(table.ranks[rows], None if ranked is None else ranked[rows]),
        place=np.cumsum(new) - 1,
        labeler=table.labeler[rows],
        cluster=keys[new, 0],
        item=keys[new, 1],
    )


def _dense(ranks: IntArray, ranked: BoolArray | None) -> IntArray:
    """Ranks 1..T of what is ranked, 0 for the rest."""
    if ranked is None:
        return dense_rank_rows(ranks)
    last = ranks.max(initial=0).astype(np.int64) + 1
    return np.where(ranked, dense_rank_rows(np.where(ranked, ranks, last)), 0)


@dataclass(frozen=True, eq=False)
class PairCounts:
    """What the rankings of each set say of each pair.

    `wins (s, K, K)`: how many ranked the first strictly better than the second;
    `ties (s, K, K)`: how many tied them, symmetric, 0 on the diagonal.
    """

    wins: FloatArray
    ties: FloatArray

    @property
    def credit(self) -> FloatArray:
        """Wins, a tie as half a win for each, `(s, K, K)`."""
        return self.wins + self.ties / 2

    @property
    def judged(self) -> FloatArray:
        """How many ranked both responses, `(s, K, K)`."""
        judged: FloatArray = self.wins + self.wins.transpose(0, 2, 1) + self.ties
        return judged


def pair_counts(cast: Ballots) -> PairCounts:
    """Sum the rankings of each set. One says a > b, another b > a: 1 win each."""
    wins = np.zeros((len(cast), cast.k, cast.k))
    ties = np.zeros_like(wins)
    for a, b, signs, both in signs_of_pairs(cast):
        for i, j, sign in ((a, b, -1), (b, a, 1)):
            won = both & (signs == sign)
            wins[:, i, j] = np.bincount(cast.place, won, len(cast))
        ties[:, a, b] = np.bincount(cast.place, both & (signs == 0), len(cast))
        ties[:, b, a] = ties[:, a, b]
    return PairCounts(wins, ties)


def signs_of_pairs(
    cast: Ballots,
) -> Iterator[tuple[int, int, IntArray, BoolArray]]:
    """`(a, b, signs (n,), both (n,))` for a < b: -1 where a is better, 0 for a tie.

    Where `both` is False one of the two is not ranked, and the sign means nothing.
    """
    for a, b in combinations(range(cast.k), 2):
        first, second = cast.ranks[:, a].astype(int), cast.ranks[:, b].astype(int)
        yield a, b, np.sign(first - second), (first > 0) & (second > 0)


def score_ranks(scores: FloatArray) -> IntArray:
    """Dense ranks of scores, the highest first, `(s, K)`; equal scores are tied.

    Scores within EQUAL_SCORES of the next one are equal. 0 where a score is NaN.
    """
    order = np.argsort(-scores, axis=1, kind="stable")  # NaN comes last
    ordered = np.take_along_axis(scores, order, axis=1)
    tiers = np.ones(scores.shape, np.int64)
    lower = np.diff(ordered, axis=1) < -EQUAL_SCORES
    tiers[:, 1:] += np.cumsum(lower, axis=1)
    tiers[np.isnan(ordered)] = 0
    ranks = np.empty_like(tiers)
    np.put_along_axis(ranks, order, tiers, axis=1)
    return ranks
