"""Which split new prompts take: that of their near-duplicates. PURE.

What comes out depends on the prompts alone, not on the order in which they stand.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import (
    Iterable,
    Iterator,
    Mapping,
    MutableMapping,
    Sequence,
)
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ranking.near_duplicates import are_similar, near_duplicates_of
from ranking.splits import split_of


class Place(NamedTuple):
    """Where a prompt belongs: the group of near-duplicates, and its split."""

    group: str
    split: str


@dataclass(frozen=True, kw_only=True)
class NewPrompts:
    """Prompts that enter a dataset for the first time; everything aligned."""

    names: Sequence[str]  # `splits.group_of` each
    signatures: NDArray[np.uint32]  # (N, VALUES)
    bands: NDArray[np.int64]  # (N, BANDS)


@dataclass(frozen=True, kw_only=True)
class FixedPrompts:
    """Some prompts that have a place already; everything aligned."""

    names: Sequence[str]
    signatures: NDArray[np.uint32]  # (N, VALUES)
    places: Sequence[Place]


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Where fixed prompts lie that a new one is like.

    `twins` have its very text. They decide alone: a prompt that is there already can
    join no two splits that it did not join before. `similar` need not be looked for
    where there are twins.
    """

    twins: set[Place] = field(default_factory=set)
    similar: set[Place] = field(default_factory=set)

    @property
    def places(self) -> set[Place]:
        """Those that decide."""
        return self.twins or self.similar


def look_for(
    new: NewPrompts,
    among: FixedPrompts,
    near: MutableMapping[int, Neighbours],
    *,
    some: Iterable[int],
) -> None:
    """Add what is found `among` fixed prompts to the neighbours of `some` new ones.

    Each new prompt is compared with all of `among`, whether they came for its sake or
    another's.
    """
    named: dict[str, set[Place]] = defaultdict(set)
    for name, where in zip(among.names, among.places, strict=True):
        named[name].add(where)
    known = sorted(set(among.places))
    number = np.array([bisect_left(known, one) for one in among.places], dtype=np.int64)
    for index in some:
        beside = near.setdefault(index, Neighbours())
        beside.twins.update(named.get(new.names[index], ()))
        if not beside.twins:
            alike = near_duplicates_of(new.signatures[index], among.signatures)
            beside.similar.update(known[at] for at in np.unique(number[alike]))


def place(
    new: NewPrompts, neighbours: Mapping[int, Neighbours]
) -> dict[int, Place | None]:
    """By index: the group and split of each new prompt; None: it is left out.

    1. One that is like fixed prompts of two splits would join them: it is left out.
    2. The others are grouped: near-duplicates, and near-duplicates of those.
    3. A group that touches one split takes it, and one that touches none gets the split
       of its first name. One that touches two, through several members, is left out.
    """
    bridges = {
        index for index, near in neighbours.items() if len(_splits(near.places)) > 1
    }
    placed: dict[int, Place | None] = dict.fromkeys(bridges)
    for members in groups_of(new, without=bridges):
        touched = {
            one
            for index in members
            for one in (neighbours[index].places if index in neighbours else ())
        }
        name = min(new.names[index] for index in members)
        placed.update(dict.fromkeys(members, _place(name, touched)))
    return placed


def _place(name: str, touched: set[Place]) -> Place | None:
    if not touched:
        return Place(name, split_of(name))
    return min(touched) if len(_splits(touched)) == 1 else None


def _splits(places: set[Place]) -> set[str]:
    return {one.split for one in places}


def groups_of(new: NewPrompts, *, without: set[int]) -> list[list[int]]:
    """The connected parts of the graph of near-duplicates, as lists of indices.

    1. Equal signatures are one: of a text that stands there a thousand times, one is
       looked at.
    2. Only those with a band in common are compared, and not those that are in one
       group already. Where thousands come from one template and are not alike, every
       two of a band are compared: nothing less can say that they are not.
    """
    groups = _Groups(len(new.names))
    seen: dict[bytes, int] = {}
    for index in sorted(set(range(len(new.names))) - without):
        groups.join([index, seen.setdefault(new.signatures[index].tobytes(), index)])
    different = np.array(list(seen.values()), dtype=np.int64)
    for column in new.bands[different].T:
        for bucket in _buckets(different, column):
            _join(bucket, groups, new.signatures)
    return [members for members in groups.members if not without.issuperset(members)]


class _Groups:
    """Which prompts are together; the smaller joins the larger."""

    def __init__(self, size: int) -> None:
        self.label = np.arange(size)
        self.members = [[index] for index in range(size)]

    def join(self, indices: Sequence[int] | NDArray[np.int64]) -> None:
        """Make one group of those of these prompts."""
        labels = np.unique(self.label[indices]).tolist()
        *smaller, largest = sorted(labels, key=lambda one: len(self.members[one]))
        for one in smaller:
            self.label[self.members[one]] = largest
            self.members[largest] += self.members[one]
            self.members[one] = []


def _buckets(
    taken: NDArray[np.int64], column: NDArray[np.int64]
) -> Iterator[NDArray[np.int64]]:
    """Indices with an equal band, two or more."""
    order = np.argsort(column, kind="stable")
    ends = np.flatnonzero(np.diff(column[order])) + 1
    for run in np.split(taken[order], ends):
        if len(run) > 1:
            yield run


def _join(
    bucket: NDArray[np.int64], groups: _Groups, signatures: NDArray[np.uint32]
) -> None:
    """Join the groups of near-duplicates among those with an equal band."""
    for at, one in enumerate(bucket[:-1]):
        later = bucket[at + 1 :]
        others = later[groups.label[later] != groups.label[one]]
        if not len(others):
            return  # they are all together
        near = others[are_similar(signatures[one], signatures[others])]
        if len(near):
            groups.join(np.append(near, one))
