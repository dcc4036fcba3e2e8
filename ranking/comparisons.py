"""Two rankings of the same responses, compared pair by pair.

Section 2 of `agreement.md` sorts every pair that two labelers judged into SE (both
strict and equal), SO (both strict and opposite), TT (both tied) and TS (one tied,
one strict). Strict, half-credit and three-way agreement, kappa, alpha, tau-b, the
matrix and all slices are sums over these four counts.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import count

import numpy as np

from ranking.conventions import ratio
from ranking.rank_table import BoolArray, FloatArray, IntArray, Rankings

# Pairs looked at in one go, so that the work stays in the processor's cache.
PAIRS_AT_ONCE = 300_000


@dataclass(frozen=True, eq=False)
class Comparisons:
    """All two rankings of one set of responses; one row each, `n` rows.

    - `prompt`, `k`, `first`, `second (n,)`: the prompt's running number, its K, and
      the two labelers' codes, `first <= second`.
    - `both_counted (n,)`: neither ranking is a repeat.
    - `version (n,)`: of the instructions, where both rankings were made under the
      same one; else 0. `week (n,)`: the later of the two, as 202647, since a
      comparison comes into being with its second ranking; 0 where one is unknown.
    - `agree_at`, `differ_at (n, D)`: SE and SO by rank distance 1..D, the smaller of
      the two differences in dense rank.
    - `both_tied`, `one_tied (n,)`: TT and TS.
    - `tau_b (n,)`: Kendall's tau-b, NaN where one of them tied everything.
    - `unit_weight (n,)`: 1 / (rankings of the set - 1), Krippendorff's weight of the
      two values that a unit pairs.
    """

    prompt: IntArray
    k: IntArray
    first: IntArray
    second: IntArray
    both_counted: BoolArray
    version: IntArray
    week: IntArray
    agree_at: IntArray
    differ_at: IntArray
    both_tied: IntArray
    one_tied: IntArray
    tau_b: FloatArray
    unit_weight: FloatArray

    def __len__(self) -> int:
        return len(self.prompt)

    @property
    def agree(self) -> IntArray:
        """SE of each row, `(n,)`."""
        agree: IntArray = self.agree_at.sum(axis=1)
        return agree

    @property
    def differ(self) -> IntArray:
        """SO of each row, `(n,)`."""
        differ: IntArray = self.differ_at.sum(axis=1)
        return differ

    def only(self, rows: BoolArray) -> "Comparisons":
        """The rows where the mask holds."""
        return Comparisons(*(getattr(self, f.name)[rows] for f in fields(self)))

    def between_labelers(self) -> "Comparisons":
        """Comparisons proper; `compare` sets no repeat beside another labeler."""
        return self.only(self.first != self.second)

    def with_oneself(self) -> "Comparisons":
        """A labeler beside the same labeler: self-consistency, never agreement."""
        return self.only(self.first == self.second)


def compare(tables: Sequence[Rankings]) -> Comparisons:
    """Every comparison of every table; `D` is the largest K less 1.

    A repeat is set beside its own labeler's rankings only.
    """
    widest = max((table.k for table in tables), default=2)
    distances = max(widest - 1, 1)
    parts = [
        _compared(table, rows, distances=distances)
        for table in tables
        for rows in _comparable_rows(table)
    ]
    if not parts:
        return _no_comparisons(distances)
    return Comparisons(
        *(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(parts[0]))
    )


def _comparable_rows(table: Rankings) -> Iterator[tuple[IntArray, IntArray]]:
    """Rows (first, second) of one set, in blocks: neighbours, next but one, …

    Rows of a set stand together, so a row without a partner at one offset has none
    at a larger one.
    """
    if table.n_pairs == 0:
        return
    size = max(1, PAIRS_AT_ONCE // table.n_pairs)
    rows = np.arange(len(table.item))
    for offset in count(1):
        rows = rows[rows + offset < len(table.item)]
        rows = rows[table.item[rows] == table.item[rows + offset]]
        if not rows.size:
            return
        mine = table.labeler[rows] == table.labeler[rows + offset]
        kept = rows[mine | (table.counted[rows] & table.counted[rows + offset])]
        for start in range(0, len(kept), size):
            block = kept[start : start + size]
            yield block, block + offset


def _compared(
    table: Rankings, rows: tuple[IntArray, IntArray], *, distances: int
) -> Comparisons:
    first, second = rows
    confusion = _confusion(table, rows)  # (m, 2K): TS, SO far to near, TT, SE near..far
    k = table.k
    agree_at, differ_at = confusion[:, k + 1 :], confusion[:, k - 1 : 0 : -1]
    versions, weeks = table.version[first], table.week[first]
    known = (weeks > 0) & (table.week[second] > 0)
    return Comparisons(
        prompt=table.prompt[first],
        k=np.full(len(first), k),
        first=table.labeler[first],
        second=table.labeler[second],
        both_counted=table.counted[first] & table.counted[second],
        version=np.where(versions == table.version[second], versions, 0),
        week=np.where(known, np.maximum(weeks, table.week[second]), 0),
        agree_at=_padded(agree_at, distances),
        differ_at=_padded(differ_at, distances),
        both_tied=confusion[:, k],
        one_tied=confusion[:, 0],
        tau_b=_tau_b(table, rows, (agree_at.sum(axis=1) - differ_at.sum(axis=1))),
        unit_weight=1 / np.maximum(table.judges[first] - 1, 1),
    )


def _confusion(table: Rankings, rows: tuple[IntArray, IntArray]) -> IntArray:
    """Pairs of each comparison by outcome, `(m, 2K)`: one bincount for all of them.

    Column 0 is TS, column K is TT, column K + d is SE and K - d is SO at distance d.
    """
    ours, theirs = table.gaps[:, rows[0]], table.gaps[:, rows[1]]  # (C(K, 2), m)
    direction = np.sign(ours) * np.sign(theirs)  # 1 same, -1 opposite, 0 a tie
    outcome = table.k + direction * np.minimum(np.abs(ours), np.abs(theirs))
    outcome[(direction == 0) & (ours != theirs)] = 0
    width, m = 2 * table.k, len(rows[0])
    cells = outcome + np.arange(0, m * width, width)  # int64: row, then outcome
    return np.bincount(cells.ravel(), minlength=m * width).reshape(m, width)


def _tau_b(
    table: Rankings, rows: tuple[IntArray, IntArray], concordance: IntArray
) -> FloatArray:
    """(SE - SO) / √(strict pairs of one · strict pairs of the other); else NaN."""
    strict = table.n_pairs - table.ties
    norm = np.sqrt(strict[rows[0]] * strict[rows[1]])
    return ratio(concordance, norm)


def _padded(counts: IntArray, width: int) -> IntArray:
    """Zeros to the right: no two responses of a smaller K are that far apart."""
    return np.pad(counts, ((0, 0), (0, width - counts.shape[1]))).astype(np.int32)


def _no_comparisons(distances: int) -> Comparisons:
    none, flags = np.zeros(0, np.int64), np.zeros(0, np.bool_)
    by_distance, shares = np.zeros((0, distances), np.int32), np.zeros(0)
    return Comparisons(
        prompt=none,
        k=none,
        first=none,
        second=none,
        both_counted=flags,
        version=none,
        week=none,
        agree_at=by_distance,
        differ_at=by_distance,
        both_tied=none,
        one_tied=none,
        tau_b=shares,
        unit_weight=shares,
    )
