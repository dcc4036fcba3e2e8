"""What can be learnt is learnt, and what cannot be learnt is not (O16).

A made-up world, in which a response is worth the sum of its words and people order
responses with Gumbel noise on top. The probability that they prefer one of two is then
exactly sigma(worth - worth'), so the best possible accuracy is known.
"""

import dataclasses
import itertools
import math
import random
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from rm_training.config import TrainingConfig
from rm_training.data import Example
from rm_training.listener import SilentListener
from rm_training.scoring import RewardModel
from rm_training.trainer import train
from tests.preferences import WORDS, make_example
from tests.tiny_model import make_tiny_sft

VALUES = dict(zip(WORDS, (1.6, 1.1, 0.7, 0.2, -0.2, -0.7, -1.1, -1.6), strict=True))
CONFIG = TrainingConfig(
    lr=3e-3,
    prompts_per_pass=16,
    eval_every=1000,
    checkpoint_every=0,
    centering=0.0,  # it pulls rewards together, at the cost of calibration
    device="cpu",
)


@pytest.fixture(scope="module")
def sft(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return make_tiny_sft(tmp_path_factory.mktemp("base") / "sft")


def worth(text: str) -> float:
    return sum(VALUES[word] for word in text.split())


def sigma(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def world(prompts: int, *, split: str, seed: int, longest: int = 3) -> list[Example]:
    """K = 4 responses, one ranking each."""
    draw = random.Random(seed)
    examples = []
    for number in range(prompts):
        texts = [
            " ".join(draw.choices(WORDS, k=draw.randint(1, longest))) for _ in "four"
        ]
        noisy = [worth(text) - math.log(-math.log(draw.random())) for text in texts]
        ranks = [1 + sum(other > mine for other in noisy) for mine in noisy]
        examples.append(
            make_example(
                f"{split}{number}", responses=texts, rankings=[ranks], split=split
            )
        )
    return examples


def shuffled(examples: Sequence[Example], *, seed: int) -> list[Example]:
    """The same texts; every labeler ranks by lot."""
    draw = random.Random(seed)
    return [
        dataclasses.replace(one, rankings=(tuple(draw.sample(range(1, 5), 4)),))
        for one in examples
    ]


def learn(
    examples: Sequence[Example], sft: Path, out: Path, epochs: int
) -> RewardModel:
    result = train(
        examples,
        base=str(sft),
        out=out,
        config=dataclasses.replace(CONFIG, epochs=epochs),
        listener=SilentListener(),
    )
    return RewardModel.load(result.folder, device="cpu")


def rewards_of(model: RewardModel, examples: Sequence[Example]) -> list[list[float]]:
    return model.score([e.messages for e in examples], [e.responses for e in examples])


def pairs_of(example: Example) -> list[tuple[int, int]]:
    """Better and worse of each pair, by the example's first ranking."""
    ranks = example.rankings[0]
    return [
        (i, j) for i, j in itertools.permutations(range(4), 2) if ranks[i] < ranks[j]
    ]


def test_the_model_comes_within_two_points_of_bayes_and_is_calibrated(
    sft: Path, tmp_path: Path
) -> None:
    """Measured against the world's own probabilities, so without sampling noise."""
    model = learn(world(1000, split="train", seed=1), sft, tmp_path / "rm", 2)
    unseen = world(300, split="test", seed=2)
    right, best, forecasts = [], [], []
    for example, rewards in zip(unseen, rewards_of(model, unseen), strict=True):
        for i, j in itertools.permutations(range(4), 2):
            truth = sigma(worth(example.responses[i]) - worth(example.responses[j]))
            forecast = sigma(rewards[i] - rewards[j])
            right.append(
                truth if forecast > 0.5 else 1 - truth if forecast < 0.5 else 0.5
            )
            best.append(max(truth, 1 - truth))
            forecasts.append((forecast, truth))
    accuracy, bayes = sum(right) / len(right), sum(best) / len(best)
    assert bayes - 0.02 <= accuracy <= bayes
    assert 0.7 < bayes < 0.9
    assert calibration_error(forecasts) < 0.03


def calibration_error(forecasts: list[tuple[float, float]], bins: int = 15) -> float:
    """ECE over bins of equal mass."""
    forecasts = sorted(forecasts)
    edges = [b * len(forecasts) // bins for b in range(bins + 1)]
    gaps = [
        abs(sum(forecast - truth for forecast, truth in forecasts[first:last]))
        for first, last in itertools.pairwise(edges)
    ]
    return sum(gaps) / len(forecasts)


def test_rankings_by_lot_teach_nothing_about_other_prompts(
    sft: Path, tmp_path: Path
) -> None:
    noise = shuffled(world(300, split="train", seed=3), seed=4)
    model = learn(noise, sft, tmp_path / "rm", 2)
    unseen = shuffled(world(300, split="test", seed=5), seed=6)
    by_prompt = [
        sum(rewards[i] > rewards[j] for i, j in pairs_of(example)) / 6
        for example, rewards in zip(unseen, rewards_of(model, unseen), strict=True)
    ]
    accuracy = sum(by_prompt) / len(by_prompt)
    spread = sum((share - accuracy) ** 2 for share in by_prompt) / len(by_prompt)
    assert abs(accuracy - 0.5) < 2.6 * math.sqrt(spread / len(by_prompt))  # 99 %


def test_a_split_by_pairs_leaks_where_a_split_by_prompts_does_not(
    sft: Path, tmp_path: Path
) -> None:
    """On rankings by lot, a pair can be told from other pairs of its ranking only: a
    model that has learnt those by heart looks right on pairs that it has not seen.
    """
    noise = shuffled(world(40, split="train", seed=7, longest=6), seed=8)
    draw = random.Random(9)
    held = {one.prompt_id: set(draw.sample(pairs_of(one), 2)) for one in noise}
    seen = [
        dataclasses.replace(
            one,
            rankings=tuple(
                tuple(1 if k == i else 2 if k == j else 0 for k in range(4))
                for i, j in pairs_of(one)
                if (i, j) not in held[one.prompt_id]
            ),
        )
        for one in noise
    ]
    model = learn(seen, sft, tmp_path / "rm", 60)
    by_pairs = [
        rewards[i] > rewards[j]
        for one, rewards in zip(noise, rewards_of(model, noise), strict=True)
        for i, j in held[one.prompt_id]
    ]
    unseen = shuffled(world(100, split="test", seed=10, longest=6), seed=11)
    by_prompts = [
        rewards[i] > rewards[j]
        for one, rewards in zip(unseen, rewards_of(model, unseen), strict=True)
        for i, j in pairs_of(one)
    ]
    assert sum(by_pairs) / len(by_pairs) > 0.65
    assert abs(sum(by_prompts) / len(by_prompts) - 0.5) < 0.08
