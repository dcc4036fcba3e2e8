"""Prompts with rewards and rankings, made up for tests of the evaluation."""

import random
from collections.abc import Sequence
from math import exp

from rm_training.evaluation.judged import JudgedPrompt

LABELERS = ("L-ada", "L-bob", "L-cyd", "L-dee", "L-eve")


def judged_prompt(
    rewards: Sequence[float],
    *rankings: Sequence[int],
    lengths: Sequence[int] | None = None,
    labelers: Sequence[str | None] | None = None,
) -> JudgedPrompt:
    """One prompt; labelers are the first of LABELERS, lengths all 100, unless given."""
    names = LABELERS[: len(rankings)] if labelers is None else labelers
    return JudgedPrompt(
        rewards=tuple(rewards),
        lengths=tuple(lengths or [100] * len(rewards)),
        rankings=tuple(tuple(ranks) for ranks in rankings),
        labelers=tuple(names),
    )


def world(prompts: int, *, seed: int, labelers: int = 3) -> list[JudgedPrompt]:
    """Responses with a hidden quality; the model and each labeler see it through noise
    of their own, and labelers round it, so that they tie. K = 3 to 6."""
    draw = random.Random(seed)
    return [_drawn(draw, labelers) for _ in range(prompts)]


def _drawn(draw: random.Random, labelers: int) -> JudgedPrompt:
    quality = [draw.gauss(0, 1) for _ in range(draw.randint(3, 6))]
    rankings = []
    for _ in range(labelers):
        seen = [round(q + draw.gauss(0, 0.7)) for q in quality]
        rankings.append(tuple(1 + max(seen) - score for score in seen))
    return JudgedPrompt(
        rewards=tuple(2 * q + draw.gauss(0, 0.8) for q in quality),
        lengths=tuple(int(300 * exp(0.2 * q + draw.gauss(0, 0.5))) for q in quality),
        rankings=tuple(rankings),
        labelers=tuple(draw.sample(LABELERS, labelers)),
        models=tuple(draw.choice(("m1", "m2", "m3")) for _ in quality),
        tags=tuple(draw.sample(("code", "poem"), draw.randint(0, 2))),
        turns=draw.randint(1, 3),
    )
