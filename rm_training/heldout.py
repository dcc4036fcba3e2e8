"""Scores a held-out split: exact counts, and the loss that training minimises."""

import math
from collections.abc import Iterable, Iterator, Sequence

import torch
from transformers import PreTrainedModel

from rm_training.batch import EncodedPrompt, pad_ranks
from rm_training.config import TrainingConfig
from rm_training.listener import Evaluation, NonFiniteLoss
from rm_training.loss import loss_denominator, pair_targets, preference_loss
from rm_training.metrics import PairCounts, count_prompt
from rm_training.network import rewards_of_prompts


def longest_first(prompts: Sequence[EncodedPrompt]) -> list[int]:
    """Indices of the prompts by their longest row: neighbours pad each other little.

    The longest come first so that memory that does not suffice is missed at once.
    """
    return sorted(range(len(prompts)), key=lambda i: -_longest_row(prompts[i]))


def in_passes(
    prompts: Sequence[EncodedPrompt], config: TrainingConfig
) -> Iterator[Sequence[EncodedPrompt]]:
    """Groups of prompts_per_pass prompts, in order."""
    for first in range(0, len(prompts), config.prompts_per_pass):
        yield prompts[first : first + config.prompts_per_pass]


@torch.no_grad()
def score_passes(
    model: PreTrainedModel,
    passes: Iterable[Sequence[EncodedPrompt]],
    config: TrainingConfig,
) -> list[list[float]]:
    """The K rewards of each prompt, pass by pass, without a gradient."""
    rewards: list[list[float]] = []
    for group in passes:
        table = rewards_of_prompts(model, group, bfloat16=config.dtype == "bfloat16")
        for prompt, row in zip(group, table.tolist(), strict=True):
            rewards.append(row[: len(prompt.responses)])
    return rewards


def evaluate(
    prompts: Sequence[EncodedPrompt],
    rewards: Sequence[Sequence[float]],
    *,
    config: TrainingConfig,
    split: str,
    step: int,
) -> Evaluation:
    """Accuracy counts and loss of prompts whose K rewards are known.

    Raises NonFiniteLoss where a reward is NaN or infinite.
    """
    if not all(math.isfinite(reward) for row in rewards for reward in row):
        raise NonFiniteLoss(step, f"reward of a {split} response")
    counts, loss, denominator = PairCounts(), 0.0, 0.0
    for prompt, row in zip(prompts, rewards, strict=True):
        weights = pair_targets(pad_ranks([prompt]), config).weights  # (1, N, K, K)
        table = torch.tensor([row], dtype=torch.float64)  # (1, K)
        loss += preference_loss(table, weights, loss=config.loss).item()
        denominator += loss_denominator(weights, config.loss).item()
        counts += count_prompt(row, prompt.rankings)
    return Evaluation(
        step=step,
        split=split,
        prompts=len(prompts),
        counts=counts,
        loss=loss / denominator if denominator else None,
        rewards=tuple(tuple(row) for row in rewards),
    )


def better(new: Evaluation, old: Evaluation | None) -> bool:
    """Whether to keep new: higher accuracy, then lower loss, then the earlier one.

    Where no pair is kept there is nothing to select by, and it is never kept.
    """
    if new.loss is None:
        return False
    return old is None or _rank(new) > _rank(old)


def _rank(evaluation: Evaluation) -> tuple[float, float]:
    accuracy, loss = evaluation.accuracy, evaluation.loss
    return (
        -math.inf if accuracy is None else accuracy,
        -math.inf if loss is None else -loss,
    )


def _longest_row(prompt: EncodedPrompt) -> int:
    return len(prompt.prompt) + max(map(len, prompt.responses))
