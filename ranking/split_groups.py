"""Which split new prompts take: that of their near-duplicates. PURE.

What comes out depends on the prompts alone, not on the order in which they stand.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ranking.near_duplicates import are_similar
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


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Where fixed prompts lie that a new one is like.

    `twins` have its very text. They decide alone: a prompt that is there already can
    join no two splits that it did not join before.
    """

    twins: set[Place] = field(default_factory=set)
    similar: set[Place] = field(default_factory=set)

    @property
    def places(self) -> set[Place]:
        return self.twins or self.similar


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

    Only prompts with a band in common are compared, and those that are in one group
    already are not: a bucket of many equals costs one comparison each.
    """
    taken = np.array(sorted(set(range(len(new.names))) - without), dtype=np.int64)
    label = np.arange(len(new.names))
    for column in new.bands[taken].T:
        for bucket in _buckets(taken, column):
            _join(bucket, label, new.signatures)
    found: dict[int, list[int]] = defaultdict(list)
    for index in taken.tolist():
        found[int(label[index])].append(index)
    return list(found.values())


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
    bucket: NDArray[np.int64],
    label: NDArray[np.int64],
    signatures: NDArray[np.uint32],
) -> None:
    """Give those that are near-duplicates, and all of their groups, one label."""
    for at, one in enumerate(bucket[:-1]):
        later = bucket[at + 1 :]
        others = later[label[later] != label[one]]
        if not len(others):
            continue
        near = others[are_similar(signatures[one], signatures[others])]
        joined = np.unique(label[np.append(near, one)])
        if len(joined) > 1:
            label[np.isin(label, joined)] = joined[0]
