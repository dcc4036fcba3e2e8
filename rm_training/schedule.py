"""How many steps a run takes, in which order, and how fast it learns. PURE."""

import math
import random

from rm_training.config import TrainingConfig


def steps_in_total(prompts: int, config: TrainingConfig) -> int:
    """Optimizer steps for so many training prompts; the last of an epoch may be short.

    >>> steps_in_total(33, TrainingConfig(prompts_per_step=16, epochs=2))
    6
    """
    steps = config.epochs * math.ceil(prompts / config.prompts_per_step)
    return steps if config.max_steps is None else min(steps, config.max_steps)


def learning_rate(step: int, *, total: int, config: TrainingConfig) -> float:
    """Learning rate of step 0 … total - 1: linear warm-up, then half a cosine.

    The warm-up takes w = ceil(warmup · total) steps and its last one has the peak.
    After it lr · (f + (1 - f) · (1 + cos(π · p)) / 2), where p goes from above 0 to 1
    at the last step and f is final_lr (InstructGPT C.2: 10 %).
    """
    warmup_steps = math.ceil(config.warmup * total)
    if step < warmup_steps:
        return config.lr * (step + 1) / warmup_steps
    progress = (step + 1 - warmup_steps) / (total - warmup_steps)
    cosine = (1 + math.cos(math.pi * progress)) / 2
    return config.lr * (config.final_lr + (1 - config.final_lr) * cosine)


def prompts_of_step(step: int, *, prompts: int, config: TrainingConfig) -> list[int]:
    """Indices of the prompts of a step: a fresh seeded permutation each epoch.

    A function of (step, seed) alone, so a resumed run needs no sampler state.
    """
    per_epoch = math.ceil(prompts / config.prompts_per_step)
    epoch, position = divmod(step, per_epoch)
    order = list(range(prompts))
    random.Random(f"{config.seed}/{epoch}").shuffle(order)  # noqa: S311  no secret
    first = position * config.prompts_per_step
    return order[first : first + config.prompts_per_step]
