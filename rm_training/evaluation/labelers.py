"""The model beside the people: labeler by labeler, majority, ceiling. PURE."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import comb
from typing import Any, Final

import numpy as np

from ranking.conventions import accuracy_band
from ranking.rank_table import FloatArray, IntArray
from rm_training.evaluation.accuracy import sliced
from rm_training.evaluation.intervals import Clusters, Number
from rm_training.evaluation.judged import Split

NO_OVERLAP: Final = "no two labelers ordered the same pair"
NO_MAJORITY: Final = "no pair has a majority of two labelers or more"
BELOW_HALF: Final = (
    "labelers agree on less than half of the pairs, where the ceiling has no formula"
)


def labelers(split: Split, clusters: Clusters) -> dict[str, Any]:
    """Part 2 of the suite.

    - `by_labeler`: the model's accuracy on the pairs of each named labeler.
    - `agreement`: of the pairs that two labelers ordered, those ordered alike.
    - `ceiling`: between which bounds the best accuracy against one label lies.
    - `leave_one_out`: on the pairs of a labeler that others ordered too, how often the
      majority of the others says the same (half where they are split), and how often
      the model does, on the same pairs.
    - `majority`: the model against the majority, each pair once.

    Rankings without a labeler's name are in none of these. Where a labeler ranked a
    prompt twice, the first time counts.
    """
    votes = Votes(split)
    agreement = votes.agreement(clusters)
    return {
        "labelers": len(votes.by_labeler),
        "by_labeler": sliced(split.strict, votes.by_labeler, clusters),
        "agreement": agreement,
        "ceiling": _ceiling(agreement),
        "leave_one_out": votes.leave_one_out(clusters),
        "majority": votes.majority(clusters),
    }


def _ceiling(agreement: Number) -> dict[str, Any]:
    band = accuracy_band(agreement["value"])
    if band is None:
        unknown = agreement["value"] is None
        why = agreement["why"] if unknown else BELOW_HALF
        return {"low": None, "high": None, "why": why}
    return {"low": band[0], "high": band[1], "why": ""}


@dataclass(frozen=True, eq=False)
class Votes:
    """What named labelers said of each pair: once each."""

    split: Split

    @cached_property
    def by_labeler(self) -> dict[str, IntArray]:
        """Places of each labeler's strict pairs, sorted by name."""
        found: defaultdict[str, list[int]] = defaultdict(list)
        for place, ranking in enumerate(self.split.strict.ranking):
            name = self.split.labelers[ranking]
            if name is not None and self._counts[ranking]:
                found[name].append(place)
        return {name: np.array(found[name]) for name in sorted(found)}

    @cached_property
    def _counts(self) -> list[bool]:
        """Whether each ranking is its labeler's first of the prompt."""
        seen: set[tuple[int, str | None]] = set()
        first = []
        prompts = self.split.ranking_prompt.tolist()
        for key in zip(prompts, self.split.labelers, strict=True):
            first.append(key not in seen)
            seen.add(key)
        return first

    @cached_property
    def _of_pairs(self) -> dict[tuple[int, int], Counter[int]]:
        """(first, second) response → votes for each of the two."""
        pairs, found = (
            self.split.strict,
            defaultdict[tuple[int, int], Counter[int]](Counter),
        )
        for place in self._places():
            better, worse = int(pairs.better[place]), int(pairs.worse[place])
            found[min(better, worse), max(better, worse)][better] += 1
        return found

    def _places(self) -> Iterator[int]:
        for places in self.by_labeler.values():
            yield from places.tolist()

    def agreement(self, clusters: Clusters) -> Number:
        """Strict agreement: comparisons of two labelers, each pair of labelers once."""
        rows = [
            (self._prompt_of(first), alike, alike + a * b)
            for (first, second), votes in self._of_pairs.items()
            for a, b in [(votes[first], votes[second])]
            for alike in [comb(a, 2) + comb(b, 2)]
            if a + b > 1
        ]
        prompt, alike, compared = _columns(rows)
        number = clusters.share(
            prompt.astype(np.int64), alike, compared, why=NO_OVERLAP
        )
        return {**number, "n": int(compared.sum())}

    def leave_one_out(self, clusters: Clusters) -> dict[str, Number]:
        """People and the model on the same pairs: those with another strict vote."""
        pairs, rows = self.split.strict, []
        for place in self._places():
            better, worse = int(pairs.better[place]), int(pairs.worse[place])
            votes = self._of_pairs[min(better, worse), max(better, worse)]
            same, other = votes[better] - 1, votes[worse]
            if same + other:
                human = (np.sign(same - other) + 1) / 2
                rows.append((pairs.prompt[place], human, pairs.credit[place]))
        prompt, human, model = _columns(rows)
        prompts = prompt.astype(np.int64)
        return {
            "people": clusters.share(prompts, human, why=NO_OVERLAP),
            "model": clusters.share(prompts, model, why=NO_OVERLAP),
            "difference": clusters.share(prompts, model - human, why=NO_OVERLAP),
        }

    def majority(self, clusters: Clusters) -> Number:
        """The model's accuracy against what most of two or more labelers prefer."""
        rewards, rows = self.split.rewards, []
        for (first, second), votes in self._of_pairs.items():
            if votes.total() > 1 and votes[first] != votes[second]:
                sign = np.sign(votes[first] - votes[second])
                credit = (np.sign(rewards[first] - rewards[second]) * sign + 1) / 2
                rows.append((self._prompt_of(first), credit))
        prompt, credits_ = _columns(rows, width=2)
        return clusters.share(prompt.astype(np.int64), credits_, why=NO_MAJORITY)

    def _prompt_of(self, response: int) -> int:
        first = self.split.first_response
        return int(np.searchsorted(first, response, side="right")) - 1


def _columns(rows: list[tuple[Any, ...]], *, width: int = 3) -> FloatArray:
    """Rows as columns `(width, n)`."""
    return np.array(rows, np.float64).reshape(-1, width).T
