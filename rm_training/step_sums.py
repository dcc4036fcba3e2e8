"""What the passes of an optimizer step add up to, over all processes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

from rm_training.batch import EncodedPrompt
from rm_training.layouts import Positions
from rm_training.metrics import PairCounts, RewardSums, count_prompt


@dataclass(frozen=True, kw_only=True)
class StepSums:
    """Parts of a step; they add up in any grouping."""

    loss: float = 0.0
    """Already divided by the denominator of the whole step."""
    counts: PairCounts = field(default_factory=PairCounts)
    rewards: RewardSums = field(default_factory=RewardSums)
    tokens: int = 0
    """That went through the trunk, padding not counted."""
    padding: int = 0
    """Padding positions beside them."""

    def __add__(self, other: Self) -> "StepSums":
        return StepSums(
            loss=self.loss + other.loss,
            counts=self.counts + other.counts,
            rewards=self.rewards + other.rewards,
            tokens=self.tokens + other.tokens,
            padding=self.padding + other.padding,
        )


def sums_of_pass(
    prompts: Sequence[EncodedPrompt],
    *,
    loss: float,
    rewards: Sequence[Sequence[float]],
    encoded: Positions,
) -> StepSums:
    """One pass over B prompts with rewards (B, K), the padding of K included."""
    counts = (
        count_prompt(row, prompt.rankings)
        for prompt, row in zip(prompts, rewards, strict=True)
    )
    given = (
        RewardSums.of(row[: len(prompt.responses)])
        for prompt, row in zip(prompts, rewards, strict=True)
    )
    return StepSums(
        loss=loss,
        counts=sum(counts, PairCounts()),
        rewards=sum(given, RewardSums()),
        tokens=encoded.tokens,
        padding=encoded.padding,
    )
