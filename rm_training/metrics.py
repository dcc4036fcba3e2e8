"""How often a model agrees with people: integer counts first, shares last. PURE."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Self


@dataclass(frozen=True, kw_only=True)
class PairCounts:
    """Pairs that people ordered, by what the model says of them.

    Counts add up across prompts and evaluations; a mean of batch means would not.
    """

    wins: int = 0
    """The preferred response has the higher reward."""
    losses: int = 0
    """The other one has."""
    ties: int = 0
    """The model gives both the same reward."""
    human_ties: int = 0
    """Pairs that the labeler tied: in no accuracy, reported beside it."""

    def __add__(self, other: Self) -> "PairCounts":
        return PairCounts(
            wins=self.wins + other.wins,
            losses=self.losses + other.losses,
            ties=self.ties + other.ties,
            human_ties=self.human_ties + other.human_ties,
        )

    @property
    def n(self) -> int:
        """Pairs that a person ordered strictly."""
        return self.wins + self.losses + self.ties

    @property
    def accuracy(self) -> float | None:
        """(wins + ties / 2) / n, a share from 0 to 1; None without a strict pair."""
        return (self.wins + self.ties / 2) / self.n if self.n else None

    def to_dict(self) -> dict[str, int | float | None]:
        """JSON: the counts, n and the accuracy."""
        return {
            "wins": self.wins,
            "losses": self.losses,
            "ties": self.ties,
            "human_ties": self.human_ties,
            "n": self.n,
            "accuracy": self.accuracy,
        }


def count_pairs(rewards: Sequence[float], ranks: Sequence[int]) -> PairCounts:
    """Pairs of one ranking. ranks (K,): lower is better, 0 is not ranked.

    >>> count_pairs([2.0, 1.0, 1.0], [1, 2, 3])
    PairCounts(wins=2, losses=0, ties=1, human_ties=0)
    """
    wins = losses = ties = human_ties = 0
    for i, j in combinations(range(len(ranks)), 2):
        if ranks[i] == 0 or ranks[j] == 0:
            continue
        if ranks[i] == ranks[j]:
            human_ties += 1
            continue
        better, worse = (i, j) if ranks[i] < ranks[j] else (j, i)
        wins += rewards[better] > rewards[worse]
        losses += rewards[better] < rewards[worse]
        ties += rewards[better] == rewards[worse]
    return PairCounts(wins=wins, losses=losses, ties=ties, human_ties=human_ties)


def count_prompt(
    rewards: Sequence[float], rankings: Iterable[Sequence[int]]
) -> PairCounts:
    """Pairs of all rankings of a prompt: two labelers' same pair counts twice."""
    return sum((count_pairs(rewards, ranks) for ranks in rankings), PairCounts())


@dataclass(frozen=True, kw_only=True)
class RewardSums:
    """Rewards of some responses; parts of a step add up, in any grouping."""

    n: int = 0
    total: float = 0.0
    squares: float = 0.0

    @classmethod
    def of(cls, rewards: Sequence[float]) -> Self:
        """Of responses, padding left out by the caller."""
        squares = sum(reward * reward for reward in rewards)
        return cls(n=len(rewards), total=sum(rewards), squares=squares)

    def __add__(self, other: Self) -> "RewardSums":
        return RewardSums(
            n=self.n + other.n,
            total=self.total + other.total,
            squares=self.squares + other.squares,
        )

    @property
    def mean(self) -> float | None:
        """None without a response."""
        return self.total / self.n if self.n else None

    @property
    def spread(self) -> float | None:
        """The standard deviation of these very responses (divided by n).

        >>> RewardSums.of([1.0, 3.0]).spread
        1.0
        """
        if self.mean is None:
            return None
        # Rounding may leave less than nothing where all rewards are equal.
        return math.sqrt(max(0.0, self.squares / self.n - self.mean**2))
