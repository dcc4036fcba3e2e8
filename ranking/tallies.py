"""What the dashboards sum: rankings and comparisons as the summary rows hold them.

The records are described in `ranking.summary_sql`. A comparison is kept with its
counts already made, so that a page over a hundred thousand rankings only adds up.
"""

from collections.abc import Collection
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ranking.conventions import ratio
from ranking.rank_table import BoolArray, FloatArray, IntArray
from ranking.weeks import Moments, iso_weeks

MOST_RESPONSES: Final = 9
DISTANCES: Final = MOST_RESPONSES - 1
POSTGRES_EPOCH: Final = np.datetime64("2000-01-01T00:00:00", "us")
JUDGED: Final = np.dtype(
    [
        ("labeler", ">i8"),
        ("submitted", ">i8"),
        ("version", ">i4"),
        ("targeted", ">i2"),
        ("ranks", "u1", MOST_RESPONSES),
        ("shown", "u1", MOST_RESPONSES),
    ]
)
COMPARED: Final = np.dtype(
    [
        ("first", ">u2"),
        ("second", ">u2"),
        ("agree_at", "u1", DISTANCES),
        ("differ_at", "u1", DISTANCES),
        ("both_tied", "u1"),
        ("one_tied", "u1"),
    ]
)


@dataclass(frozen=True, eq=False)
class Judged:
    """One row a ranking, `(n,)`.

    - `prompt`: place in `Tallies.prompts`; `labeler`: a membership's id.
    - `submitted`: UTC. `version`: of the instructions, 0 for none.
    - `targeted`: of the pool of extra votes, which is in no headline.
    - `ranks (n, 9)`: dense, by the outside ids of the responses; then zeros.
    - `shown (n, 9)`: which response, counted from 1, stood at each place of the page;
      zeros where that is not known.
    """

    prompt: IntArray
    labeler: IntArray
    submitted: Moments
    version: IntArray
    targeted: BoolArray
    ranks: NDArray[np.uint8]
    shown: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.prompt)


@dataclass(frozen=True, eq=False)
class Compared:
    """One row for every two rankings of a prompt, `(m,)`.

    `first` and `second` are rows of `Judged`; the counts are those of
    `ranking.comparisons`, `agree_at` and `differ_at (m, 8)` by rank distance.
    """

    first: IntArray
    second: IntArray
    agree_at: NDArray[np.uint8]
    differ_at: NDArray[np.uint8]
    both_tied: IntArray
    one_tied: IntArray

    def __len__(self) -> int:
        return len(self.first)

    @cached_property
    def agree(self) -> IntArray:
        """SE, `(m,)`."""
        agree: IntArray = _columns(self.agree_at).sum(axis=0, dtype=np.int64)
        return agree

    @cached_property
    def differ(self) -> IntArray:
        """SO, `(m,)`."""
        differ: IntArray = _columns(self.differ_at).sum(axis=0, dtype=np.int64)
        return differ


@dataclass(frozen=True, eq=False)
class Tallies:
    """Everything that a dashboard counts.

    `prompts (P,)` are keys, sorted, of those with a ranking; `k (P,)` theirs.
    """

    prompts: IntArray
    k: IntArray
    judged: Judged
    compared: Compared

    def chosen(  # noqa: PLR0913  by keyword only, the filters of the pages
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        labelers: Collection[int] = (),
        without_labelers: Collection[int] = (),
        versions: Collection[int] = (),
        pool: str = "all",
    ) -> "Tallies":
        """The rankings that match, and the comparisons between them; empty: all."""
        rows, kept = self.judged, np.ones(len(self.judged), np.bool_)
        if since is not None:
            kept &= rows.submitted >= moment_of(since)
        if until is not None:
            kept &= rows.submitted < moment_of(until)
        if labelers:
            kept &= np.isin(rows.labeler, list(labelers))
        if without_labelers:
            kept &= ~np.isin(rows.labeler, list(without_labelers))
        if versions:
            kept &= np.isin(rows.version, list(versions))
        if pool != "all":
            kept &= rows.targeted == (pool == "targeted")
        return self if kept.all() else self._only(kept)

    def _only(self, kept: BoolArray) -> "Tallies":
        both = kept[self.compared.first] & kept[self.compared.second]
        place = np.cumsum(kept) - 1
        compared, judged = _picked(self.compared, both), _picked(self.judged, kept)
        prompts, renumbered = np.unique(judged.prompt, return_inverse=True)
        return Tallies(
            prompts=self.prompts[prompts],
            k=self.k[prompts],
            judged=replace(judged, prompt=renumbered),
            compared=replace(
                compared,
                first=place[compared.first],
                second=place[compared.second],
            ),
        )

    @cached_property
    def compared_prompt(self) -> IntArray:
        """The prompt of each comparison, `(m,)`: a place in `prompts`."""
        return self.judged.prompt[self.compared.first]

    @cached_property
    def week(self) -> IntArray:
        """Of each comparison, `(m,)`: the later of its two rankings', as 202647."""
        weeks = iso_weeks(self.judged.submitted)
        return np.maximum(weeks[self.compared.first], weeks[self.compared.second])

    @cached_property
    def version(self) -> IntArray:
        """Of each comparison, `(m,)`: the version that both saw, 0 if they differ."""
        one, other = (
            self.judged.version[rows]
            for rows in (self.compared.first, self.compared.second)
        )
        return np.where(one == other, one, 0)

    @cached_property
    def pairs(self) -> IntArray:
        """C(K, 2) of each ranking, `(n,)`."""
        k = self.k[self.judged.prompt].astype(np.int64)
        return k * (k - 1) // 2

    @cached_property
    def ties(self) -> IntArray:
        """Tied pairs of each ranking, `(n,)`."""
        ties = np.zeros(len(self.judged), np.int64)
        ranks = _columns(self.judged.ranks)
        for rank in range(1, MOST_RESPONSES + 1):
            tier = (ranks == rank).sum(axis=0)
            ties += tier * (tier - 1) // 2
        return ties

    @property
    def tiers(self) -> IntArray:
        """How many tiers each ranking has, `(n,)`: its greatest rank."""
        tiers: IntArray = self.judged.ranks.max(axis=1, initial=0).astype(np.int64)
        return tiers

    @property
    def tau_b(self) -> FloatArray:
        """Kendall's tau-b of each comparison, `(m,)`; NaN where one ties everything."""
        strict = self.pairs - self.ties
        both = strict[self.compared.first] * strict[self.compared.second]
        return ratio(self.compared.agree - self.compared.differ, np.sqrt(both))


def read_tallies(
    prompts: bytes, ks: bytes, rankings: bytes, judged: bytes, compared: bytes
) -> Tallies:
    """The records of many summary rows, one after the other in the same order.

    `prompts`, `ks` and `rankings` are the rows' keys, their K and how many rankings
    each holds: n of them bring n records of `judged` and n · (n - 1) / 2 of `compared`.
    """
    each = _native(np.frombuffer(rankings, ">i4")).astype(np.int64)
    rows, pairs = np.frombuffer(judged, JUDGED), np.frombuffer(compared, COMPARED)
    starts = np.repeat(np.cumsum(each) - each, each * (each - 1) // 2)
    keys = _native(np.frombuffer(prompts, ">i8"))
    order = np.argsort(keys)
    return Tallies(
        prompts=keys[order],
        k=_native(np.frombuffer(ks, ">i2"))[order],
        judged=Judged(
            prompt=np.repeat(np.argsort(order), each),
            labeler=_native(rows["labeler"]),
            submitted=POSTGRES_EPOCH
            + _native(rows["submitted"]).astype("timedelta64[us]"),
            version=_native(rows["version"]),
            targeted=rows["targeted"] > 0,
            ranks=rows["ranks"],
            shown=rows["shown"],
        ),
        compared=Compared(
            first=starts + pairs["first"],
            second=starts + pairs["second"],
            agree_at=pairs["agree_at"],
            differ_at=pairs["differ_at"],
            both_tied=pairs["both_tied"].astype(np.int64),
            one_tied=pairs["one_tied"].astype(np.int64),
        ),
    )


def moment_of(moment: datetime) -> np.datetime64:
    """A moment with its time zone, in UTC."""
    return np.datetime64(moment.astimezone(UTC).replace(tzinfo=None), "us")


def _native(numbers: NDArray[Any]) -> NDArray[Any]:
    """In this machine's order of bytes."""
    return numbers.astype(numbers.dtype.newbyteorder("="))


def _picked(rows: Any, kept: BoolArray) -> Any:
    return type(rows)(*(getattr(rows, f.name)[kept] for f in fields(rows)))


def _columns(rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """`(n, c)` to `(c, n)`: adding up long rows is many times as fast as short ones."""
    return np.ascontiguousarray(rows.T)
