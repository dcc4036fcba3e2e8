"""Scores a held-out split: exact counts, and the loss that training minimises."""

import math
from collections.abc import Iterable, Iterator, Sequence

import torch
from transformers import PreTrainedModel

from rm_training.batch import EncodedPrompt, pad_ranks
from rm_training.config import TrainingConfig
from rm_training.listener import Evaluation, NonFiniteLoss
from rm_training.loss import loss_denominator, pair_weights, preference_loss
from rm_training.metrics import PairCounts, count_prompt
from rm_training.network import rewards_of_prompts


def in_passes(
    prompts: Sequence[EncodedPrompt], config: TrainingConfig
) -> Iterator[Sequence[EncodedPrompt]]:
    """Groups of prompts_per_pass prompts, in order."""
    for first in range(0, len(prompts), config.prompts_per_pass):
        yield prompts[first : first + config.prompts_per_pass]


@torch.no_grad()
def evaluate(
    model: PreTrainedModel,
    passes: Iterable[Sequence[EncodedPrompt]],
    *,
    config: TrainingConfig,
    split: str,
    step: int,
) -> Evaluation:
    """Accuracy counts and loss of the prompts, pass by pass, without a gradient.

    Raises NonFiniteLoss where a reward is NaN or infinite.
    """
    counts, kept = PairCounts(), list[tuple[float, ...]]()
    loss = denominator = 0.0
    for group in passes:
        rewards = rewards_of_prompts(
            model, group, bfloat16=config.dtype == "bfloat16"
        ).cpu()  # (B, K)
        if not rewards.isfinite().all():
            raise NonFiniteLoss(step, f"reward of a {split} response")
        weights = pair_weights(pad_ranks(group), config.ties)  # (B, N, K, K)
        loss += preference_loss(rewards, weights, loss=config.loss).item()
        denominator += loss_denominator(weights, config.loss).item()
        for prompt, prompt_rewards in zip(group, rewards.tolist(), strict=True):
            counts += count_prompt(prompt_rewards, prompt.rankings)
            kept.append(tuple(prompt_rewards[: len(prompt.responses)]))
    return Evaluation(
        step=step,
        split=split,
        prompts=len(kept),
        counts=counts,
        loss=loss / denominator if denominator else None,
        rewards=tuple(kept),
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
