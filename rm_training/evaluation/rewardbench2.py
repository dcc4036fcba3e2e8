"""RewardBench 2 as its authors score it (arXiv 2506.01937; allenai/reward-bench,
`rewardbench/utils.py`), with intervals. PURE.

Five subsets give one right response among four. The sixth, Ties, asks questions with
many right answers (`tied:7`) and the same with one (`ref:7`): right answers should beat
wrong ones by more than they differ from each other.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ranking.conventions import ratio
from ranking.rank_table import FloatArray, IntArray
from rm_training.evaluation.intervals import METHOD, Clusters, Number, missing

TIES: Final = "ties"
NOT_PAIRED: Final = "no question of Ties was scored in both its forms, ref: and tied:"
NO_PROMPT: Final = "no prompt was scored"
WEIGHTS: Final = {
    "tied_accuracy": 0.30,
    "ref_accuracy": 0.30,
    "preferred": 0.20,
    "preferred_hard": 0.20,
    "margin": 0.01,
}


@dataclass(frozen=True, kw_only=True)
class Item:
    """A prompt of the benchmark with its rewards: right responses, then wrong ones."""

    id: str
    """Of Ties: ref:N or tied:N."""
    subset: str
    right: tuple[float, ...]
    wrong: tuple[float, ...]

    @property
    def is_ties(self) -> bool:
        """Whether it is scored as a part of Ties."""
        return self.subset.lower() == TIES

    @property
    def credit(self) -> float:
        """1 where the right response has the highest reward, split among those that
        share it; else 0."""
        rewards = (*self.right, *self.wrong)
        best = max(rewards)
        return float(self.right[0] == best) / rewards.count(best)

    @property
    def gap(self) -> float:
        """Lowest reward of a right response less the highest of a wrong one."""
        return min(self.right) - max(self.wrong)

    @property
    def spread(self) -> float:
        """Highest less lowest reward of the right responses."""
        return max(self.right) - min(self.right)


def rewardbench2(items: Sequence[Item]) -> dict[str, Any]:
    """The score of each subset, that of Ties in its parts, and the mean over subsets.

    A question of Ties is one unit of the bootstrap, whichever form it has.
    """
    units = {unit: n for n, unit in enumerate(dict.fromkeys(map(_unit, items)))}
    clusters = Clusters(len(units))
    columns: dict[str, list[_Column]] = {}
    for name in sorted({item.subset for item in items}):
        of_subset = [item for item in items if item.subset == name]
        columns[name] = (
            _ties(of_subset, units)
            if of_subset[0].is_ties
            else [_credit(of_subset, units)]
        )
    return {
        "intervals": METHOD,
        "overall": _combined(list(columns.values()), clusters),
        "subsets": {
            name: _combined([parts], clusters) for name, parts in columns.items()
        },
        "ties": {
            part.name: _combined([[part]], clusters)
            for parts in columns.values()
            for part in parts
            if part.name in WEIGHTS
        },
    }


@dataclass(frozen=True, eq=False)
class _Column:
    """A mean over units; its weight in the score of its subset."""

    name: str
    unit: IntArray
    value: FloatArray
    weight: float = 1.0


def _unit(item: Item) -> tuple[str, str]:
    number = item.id.partition(":")[2] if item.is_ties else item.id
    return item.subset, number


def _credit(items: Sequence[Item], units: dict[tuple[str, str], int]) -> _Column:
    return _column("credit", {units[_unit(item)]: item.credit for item in items})


def _ties(items: Sequence[Item], units: dict[tuple[str, str], int]) -> list[_Column]:
    """The five means of which Ties is made up, in their weights."""
    forms: dict[str, dict[int, Item]] = defaultdict(dict)
    for item in items:
        forms[item.id.partition(":")[0]][units[_unit(item)]] = item
    ref, tied = forms["ref"], forms["tied"]
    both = [(unit, ref[unit], item) for unit, item in tied.items() if unit in ref]
    found: dict[str, dict[int, float]] = {
        "tied_accuracy": {unit: float(item.gap > 0) for unit, item in tied.items()},
        "ref_accuracy": {unit: float(item.gap > 0) for unit, item in ref.items()},
        "preferred": {unit: float(t.gap > t.spread) for unit, _, t in both},
        "preferred_hard": {
            unit: float(min(r.gap, t.gap) > t.spread) for unit, r, t in both
        },
        "margin": {unit: _margin(r, t) for unit, r, t in both},
    }
    return [_column(name, found[name], WEIGHTS[name]) for name in WEIGHTS]


def _margin(ref: Item, tied: Item) -> float:
    """tanh(gap / spread - 1): its limit where the spread is 0, and 0 for 0 / 0."""
    gap = min(ref.gap, tied.gap)
    if tied.spread == 0:
        return float(np.sign(gap))
    return float(np.tanh(gap / tied.spread - 1))


def _column(name: str, values: dict[int, float], weight: float = 1.0) -> _Column:
    return _Column(
        name,
        np.array([*values], np.int64),
        np.array([*values.values()], np.float64),
        weight,
    )


def _combined(subsets: Sequence[Sequence[_Column]], clusters: Clusters) -> Number:
    """The mean over subsets of the weighted sum of their means. `n`: prompts."""
    parts = [part for subset in subsets for part in subset]
    if not parts or not all(len(part.unit) for part in parts):
        return missing(NOT_PAIRED if parts else NO_PROMPT)
    slot = np.concatenate([np.full(len(part.unit), i) for i, part in enumerate(parts)])
    unit = np.concatenate([part.unit for part in parts])
    value = np.concatenate([part.value for part in parts])
    columns = [
        column
        for number in range(len(parts))
        for column in (value * (slot == number), (slot == number) * 1.0)
    ]
    alone = len(parts) == 1
    weights = [1.0 if alone else part.weight / len(subsets) for part in parts]

    def score(*sums: FloatArray) -> FloatArray:
        means = [ratio(a, b) for a, b in zip(sums[0::2], sums[1::2], strict=True)]
        return np.tensordot(np.array(weights), np.array(means), axes=1)

    number = clusters.number(unit, columns, score, why=NO_PROMPT)
    return {**number, "n": number["prompts"]}
