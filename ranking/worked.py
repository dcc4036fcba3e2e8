"""PURE: every current ranking of a project's work prompts, as summary rows hold them.

The records are described in `ranking.summary_sql`. They say of a ranking what a card
or a list of labelers needs, without a look at the ranking itself.
"""

from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ranking.rank_table import BoolArray, FloatArray, IntArray, RankTable
from ranking.tallies import MOST_RESPONSES, POSTGRES_EPOCH
from ranking.weeks import Moments, iso_weeks

STATUSES: Final = ("counted", "late", "surplus")  # in the order of their numbers
RECORD: Final = np.dtype(
    [
        ("ranking", ">i8"),
        ("labeler", ">i8"),
        ("submitted", ">i8"),
        ("first", ">i8"),
        ("seconds", ">f8"),
        ("spent", ">f8"),
        ("version", ">i4"),
        ("repeat", ">i2"),
        ("status", "u1"),
        ("targeted", "u1"),
        ("ranks", "u1", MOST_RESPONSES),
        ("shown", "u1", MOST_RESPONSES),
    ]
)
SIZES: Final = 1 + MOST_RESPONSES  # numbers of a prompt


@dataclass(frozen=True, eq=False)
class Worked:
    """One row a ranking, `(n,)`.

    - `prompt`, `ranking`, `labeler`: keys of the database.
    - `submitted`, `first_at`: UTC; the ranking itself, and the first one that it
      corrects.
    - `seconds`: active time of the ranking itself; `spent`: over all revisions of its
      assignment. NaN where none was timed.
    - `version`: of the instructions, 0 for none. `repeat`: 0 for the first time that
      the labeler had the prompt. `status`: a place in STATUSES. `targeted`: of the
      pool of extra votes, which measures no agreement.
    - `ranks`, `shown (n, 9)`: as in `tallies.Judged`.
    - `asked (n,)`, `lengths (n, 9)`: characters of the prompt and of its responses.
    - `wanted`: whether its prompt is one that the question is about.
    """

    prompt: IntArray
    ranking: IntArray
    labeler: IntArray
    submitted: Moments
    first_at: Moments
    seconds: FloatArray
    spent: FloatArray
    version: IntArray
    repeat: IntArray
    status: IntArray
    targeted: BoolArray
    ranks: NDArray[np.uint8]
    shown: NDArray[np.uint8]
    asked: IntArray
    lengths: IntArray
    wanted: BoolArray

    def __len__(self) -> int:
        return len(self.ranking)

    @property
    def k(self) -> IntArray:
        """How many responses each prompt has, `(n,)`."""
        k: IntArray = np.count_nonzero(self.ranks, axis=1)
        return k

    def only(self, rows: BoolArray | IntArray) -> "Worked":
        """Where the mask holds, or the rows of these numbers in their order."""
        return Worked(*(getattr(self, f.name)[rows] for f in fields(self)))

    def latest(self, most: int, among: BoolArray) -> "Worked":
        """Of each labeler the latest `most` of these rows, of two of one moment the
        later key; in the order of the keys."""
        rows = np.flatnonzero(among)
        ranking, submitted = self.ranking[rows], self.submitted[rows]
        order = np.lexsort([-ranking, -submitted.astype(np.int64), self.labeler[rows]])
        labeler = self.labeler[rows[order]]
        starts = np.searchsorted(labeler, labeler)
        kept = rows[order[np.arange(len(order)) - starts < most]]
        return self.only(kept[np.argsort(self.ranking[kept])])


def rank_tables(worked: Worked, labelers: IntArray) -> list[RankTable]:
    """What the report takes, by K; `labelers` are the sorted keys that it counts."""
    k = worked.k
    return [
        _table(worked.only(k == size), size, labelers) for size in np.unique(k).tolist()
    ]


def _table(rows: Worked, k: int, labelers: IntArray) -> RankTable:
    return RankTable(
        ranks=rows.ranks[:, :k].astype(np.int16),
        cluster=rows.prompt,
        labeler=np.searchsorted(labelers, rows.labeler),
        repeat=rows.repeat,
        version=rows.version,
        week=iso_weeks(rows.submitted),
        seconds=rows.seconds,
        positions=_positions(rows.shown[:, :k]),
        lengths=rows.lengths[:, :k],
    )


def _positions(shown: NDArray[np.uint8]) -> IntArray:
    """Where each response stood on the page, 0 first: the inverse of the order shown.

    `(n, k)`; -1 where the order is not known.
    """
    positions = np.full(shown.shape, -1, np.int16)
    known = shown[:, 0] > 0
    places = np.broadcast_to(np.arange(shown.shape[1], dtype=np.int16), shown.shape)
    found = positions[known]
    np.put_along_axis(found, shown[known].astype(np.intp) - 1, places[known], axis=1)
    positions[known] = found
    return positions


def read_worked(
    prompts: bytes, rankings: bytes, wanted: bytes, worked: bytes, sizes: bytes
) -> Worked:
    """The records of many summary rows, one after the other in the same order.

    `prompts`, `rankings` and `wanted` are the rows' keys, how many records each holds,
    and 1 where the question is about the prompt.
    """
    each = np.frombuffer(rankings, ">i4").astype(np.int64)
    of = np.repeat(np.arange(len(each)), each)
    rows = np.frombuffer(worked, RECORD)
    texts = _native(np.frombuffer(sizes, ">i4")).reshape(-1, SIZES)[of]
    return Worked(
        prompt=_native(np.frombuffer(prompts, ">i8"))[of],
        ranking=_native(rows["ranking"]),
        labeler=_native(rows["labeler"]),
        submitted=_moments(rows["submitted"]),
        first_at=_moments(rows["first"]),
        seconds=_native(rows["seconds"]),
        spent=_native(rows["spent"]),
        version=_native(rows["version"]),
        repeat=_native(rows["repeat"]),
        status=rows["status"],
        targeted=rows["targeted"] > 0,
        ranks=rows["ranks"],
        shown=rows["shown"],
        asked=texts[:, 0],
        lengths=texts[:, 1:],
        wanted=np.frombuffer(wanted, np.uint8)[of] > 0,
    )


def _moments(numbers: NDArray[Any]) -> Moments:
    moments: Moments = POSTGRES_EPOCH + _native(numbers).astype("timedelta64[us]")
    return moments


def _native(numbers: NDArray[Any]) -> NDArray[Any]:
    """In this machine's order of bytes."""
    return numbers.astype(numbers.dtype.newbyteorder("="))
