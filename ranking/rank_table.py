"""Rankings as arrays: what the statistics take in, and the order they work in.

Every number of `agreement.md` is computed for all prompts of one K at once, so the
input is one table per K. `RankTable` is easy to fill from any source;
`canonical_rankings` turns it into dense ranks in one canonical order of rows, from
which equal input gives equal output whatever order the rows arrived in.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.integer[Any]]
FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, eq=False)
class RankTable:
    """Complete rankings of sets of K responses, one row a ranking.

    A *set* of responses is what a labeler ranked in one go: all responses of the
    prompt, or two of them where the data is pair judgements (a wins: ranks 1, 2; a
    tie: 1, 1). Two rows are comparable when they agree in `cluster` and `item`.

    - `ranks (n, K)`: lower is better, equal is a tie; gaps and offsets are harmless.
      The columns of one set stand in the order of the response ids, in every row
      the same and never in the order shown.
    - `cluster (n,)`: the prompt, as any integer; the unit that the bootstrap draws.
    - `labeler (n,)`: index into the list of names given to the report.
    - `item (n,)`: tells the sets of one prompt apart; None when there is one each.
    - `repeat (n,)`: 0 (or False) for work, else a re-served prompt, which counts
      only towards self-consistency; None when there is none.
    - `version (n,)`: version of the instructions, 0 where none was recorded.
    - `week (n,)`: ISO year and week in UTC as 202647, 0 where it is not known.
    - `seconds (n,)`: time spent, NaN where it is not known.
    - `positions (n, K)`: where each response was shown, 0 first; -1 where the order
      is not known (imports). None when it is known for no row.
    - `lengths (n, K)`: characters of each response, -1 where they are not known.

    Raises ValueError where shapes do not fit or ranks are not integers.
    """

    ranks: IntArray
    cluster: IntArray
    labeler: IntArray
    item: IntArray | None = None
    repeat: IntArray | BoolArray | None = None
    version: IntArray | None = None
    week: IntArray | None = None
    seconds: FloatArray | None = None
    positions: IntArray | None = None
    lengths: IntArray | None = None

    def __post_init__(self) -> None:
        if self.ranks.ndim != 2 or self.ranks.shape[1] == 0:
            raise ValueError(f"ranks must be (n, K), not {self.ranks.shape}")
        if not np.issubdtype(self.ranks.dtype, np.integer):
            raise ValueError(f"ranks must be integers, not {self.ranks.dtype}")
        for name in COLUMNS:
            column = getattr(self, name)
            if column is not None and column.shape != self.ranks.shape[:1]:
                raise ValueError(
                    f"{name} is {column.shape}, but there are {len(self.ranks)} rows"
                )
        for name in ("positions", "lengths"):
            cells = getattr(self, name)
            if cells is not None and cells.shape != self.ranks.shape:
                raise ValueError(
                    f"{name} are {cells.shape}, but ranks are {self.ranks.shape}"
                )


COLUMNS = ("cluster", "labeler", "item", "repeat", "version", "week", "seconds")


@dataclass(frozen=True, eq=False)
class Rankings:
    """One `RankTable` in canonical order: by prompt, set, labeler's name, repeat.

    `prompt` counts the sorted prompts of the whole report from 0, `labeler` the
    sorted names, `item` the sets of this table; `gaps (C(K, 2), n)` is the dense
    rank of the first response of each pair less that of the second, so that a
    negative gap means "first better" and 0 a tie.
    """

    k: int
    gaps: IntArray
    prompt: IntArray
    item: IntArray
    labeler: IntArray
    counted: BoolArray
    version: IntArray
    week: IntArray
    seconds: FloatArray
    positions: IntArray | None
    lengths: IntArray | None

    @property
    def n_pairs(self) -> int:
        """C(K, 2), the pairs of one ranking."""
        return len(self.gaps)

    @cached_property
    def ties(self) -> IntArray:
        """Tied pairs of each ranking, `(n,)`."""
        ties: IntArray = self.n_pairs - np.count_nonzero(self.gaps, axis=0)
        return ties

    @cached_property
    def judges(self) -> IntArray:
        """How many counted rankings the set of each row has, `(n,)`."""
        per_item = np.bincount(self.item, weights=self.counted)
        return per_item[self.item].astype(np.int64)

    @property
    def judged_again(self) -> BoolArray:
        """Counted rankings whose set has another counted one, `(n,)`."""
        again: BoolArray = self.counted & (self.judges >= 2)
        return again


def canonical_rankings(
    table: RankTable, *, clusters: IntArray, labelers: Sequence[str]
) -> Rankings:
    """Rows in canonical order, ranks made dense, ids turned into running numbers.

    `clusters` are the sorted distinct clusters of the whole report, `labelers` the
    names that `table.labeler` points into. Rows that agree in everything the order
    looks at are equal, so the result does not depend on the order of the input.
    """
    dense = dense_rank_rows(table.ranks)
    n = len(dense)
    by_name = _places_by_name(labelers)
    labeler = by_name[table.labeler]
    item = _or_zeros(table.item, n)
    repeat = _or_zeros(table.repeat, n)
    keys = [table.cluster, item, labeler, repeat, *dense.T]
    order = np.lexsort(keys[::-1])
    cluster = table.cluster[order]
    seconds = np.full(n, np.nan) if table.seconds is None else table.seconds
    return Rankings(
        k=dense.shape[1],
        gaps=_pair_gaps(dense[order]),
        prompt=np.searchsorted(clusters, cluster),
        item=_running_numbers(cluster, item[order]),
        labeler=labeler[order],
        counted=repeat[order] == 0,
        version=_or_zeros(table.version, n)[order],
        week=_or_zeros(table.week, n)[order],
        seconds=seconds[order].astype(np.float64),
        positions=_in_order(table.positions, order),
        lengths=_in_order(table.lengths, order),
    )


def dense_rank_rows(ranks: IntArray) -> NDArray[np.int16]:
    """`weak_order.dense_ranks` for every row of `ranks (n, K)`; same shape, 1..T.

    The dense rank of a response is 1 and the number of tiers before it; a tier is
    counted at the first response that stands in it. K² comparisons of columns are
    several times as fast as sorting rows.
    """
    columns = np.ascontiguousarray(ranks.T)
    dense = np.ones(columns.shape, np.int16)
    for place, rank in enumerate(columns):
        seen = [earlier == rank for earlier in columns[:place]]
        new = ~np.logical_or.reduce(seen) if seen else np.ones(len(rank), np.bool_)
        for tier, other in zip(dense, columns, strict=True):
            tier += new & (rank < other)
    return np.ascontiguousarray(dense.T)


def _pair_gaps(dense: NDArray[np.int16]) -> NDArray[np.int16]:
    """Dense rank of the first less that of the second: `(n, K)` to `(C(K, 2), n)`."""
    n, k = dense.shape
    columns = np.ascontiguousarray(dense.T)
    gaps = np.empty((k * (k - 1) // 2, n), np.int16)
    for gap, (a, b) in zip(gaps, combinations(columns, 2), strict=True):
        np.subtract(a, b, out=gap)
    return gaps


def _places_by_name(labelers: Sequence[str]) -> IntArray:
    """Place of each labeler in the sorted list of names."""
    if len(set(labelers)) != len(labelers):
        [name, *_] = [name for name in labelers if labelers.count(name) > 1]
        raise ValueError(f"two labelers are both named {name}")
    places = np.empty(len(labelers), np.int64)
    places[sorted(range(len(labelers)), key=labelers.__getitem__)] = np.arange(
        len(labelers)
    )
    return places


def _running_numbers(*sorted_columns: IntArray) -> IntArray:
    """0 for the first row, one more wherever a row differs from the one before."""
    n = len(sorted_columns[0])
    new = np.zeros(n, np.bool_)
    for column in sorted_columns:
        new[1:] |= column[1:] != column[:-1]
    return np.cumsum(new)


def _in_order(cells: IntArray | None, order: IntArray) -> IntArray | None:
    return None if cells is None else cells[order].astype(np.int64)


def _or_zeros(column: IntArray | BoolArray | None, n: int) -> IntArray:
    return np.zeros(n, np.int64) if column is None else column.astype(np.int64)
