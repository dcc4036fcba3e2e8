"""What outside trainers make of our models and of the pairs that we export."""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import logsigmoid

from annotation.models import Membership, Project
from ranking.datasets import freeze
from ranking.export.folder import write
from rm_training.data import Example, read_examples
from rm_training.listener import TrainingResult
from rm_training.loss import loss_denominator, pair_weights, preference_loss
from rm_training.metrics import PairCounts, count_prompt
from rm_training.scoring import RewardModel
from tests.conftest import make_prompt
from tests.preferences import polite_preferences
from tests.ranking.rows import store_ranking


def pairs_of(example: Example) -> list[tuple[int, int]]:
    """(winner, loser) of every strict pair of every ranking."""
    places = range(len(example.responses))
    return [
        (i, j)
        for ranks in example.rankings
        for i in places
        for j in places
        if ranks[i] < ranks[j]
    ]


@pytest.mark.filterwarnings("ignore")  # of libraries that are not ours
def test_trl_evaluates_the_directory_as_we_do(
    polite_run: TrainingResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datasets import Dataset as Rows  # noqa: PLC0415  slow imports
    from trl.trainer.reward_config import RewardConfig  # noqa: PLC0415
    from trl.trainer.reward_trainer import RewardTrainer  # noqa: PLC0415

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    examples = polite_preferences(60)[-6:]
    model = RewardModel.load(polite_run.folder, device="cpu")
    scored = model.score(
        [list(example.messages) for example in examples],
        [example.responses for example in examples],
    )
    template, tokenizer = model.encoder.template, model.encoder.tokenizer
    margins = [
        rewards[i] - rewards[j]
        for example, rewards in zip(examples, scored, strict=True)
        for i, j in pairs_of(example)
    ]
    rows = [
        {
            # As text: a conversation would end with what the template writes after EOS.
            "prompt": template.render(example.messages, tokenizer),
            "chosen": example.responses[i],
            "rejected": example.responses[j],
        }
        for example in examples
        for i, j in pairs_of(example)
    ]
    trainer: Any = RewardTrainer(
        model=str(polite_run.folder),
        args=RewardConfig(
            output_dir=str(tmp_path / "trl"),
            per_device_eval_batch_size=len(rows),
            max_length=None,
            bf16=False,
            use_cpu=True,
            report_to=[],
        ),
        train_dataset=Rows.from_list(rows),
        eval_dataset=Rows.from_list(rows),
    )
    found: Mapping[str, float] = trainer.evaluate()
    counts = sum(
        (
            count_prompt(rewards, example.rankings)
            for example, rewards in zip(examples, scored, strict=True)
        ),
        PairCounts(),
    )
    loss = -sum(math.log(1 / (1 + math.exp(-margin))) for margin in margins)
    assert found["eval_loss"] == pytest.approx(loss / len(margins), abs=1e-5)
    assert found["eval_accuracy"] == pytest.approx(counts.accuracy)
    assert found["eval_margin"] == pytest.approx(sum(margins) / len(margins), abs=1e-4)


def reward_of(text: str) -> float:
    """Any number that depends on the text alone."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4]) / 2**31 - 1


@pytest.mark.django_db
def test_exported_pairs_hold_the_rankings_and_cost_what_these_cost(
    project: Project, alice: Membership, bob: Membership, tmp_path: Path
) -> None:
    """By their weights: mean over pairs, then rankings, then prompts, K unequal."""
    for number, k in enumerate((4, 6, 9)):
        prompt = make_prompt(project, f"p{number}", k=k)
        places = range(1, k + 1)
        store_ranking(prompt, alice, {f"r{n}": 1 + n // 2 for n in places})
        store_ranking(prompt, bob, {f"r{n}": k + 1 - n for n in places})
    dataset = freeze(project)
    write(dataset, kind="rankings", format="jsonl", out=tmp_path / "rankings")
    write(dataset, kind="pairs", format="jsonl", out=tmp_path / "pairs")
    pairs = read_rows(tmp_path / "pairs" / "pairs.jsonl")
    rankings = read_rows(tmp_path / "rankings" / "rankings.jsonl")

    differences = torch.tensor(
        [
            reward_of(row["chosen"][0]["content"])
            - reward_of(row["rejected"][0]["content"])
            for row in pairs
        ],
        dtype=torch.float64,
    )
    weights = torch.tensor([row["prompt_weight"] for row in pairs]).double()
    of_pairs = -(weights * logsigmoid(differences)).sum() / 3
    examples = read_examples(tmp_path / "rankings")
    assert of_pairs.item() == pytest.approx(loss_of(examples), abs=1e-7)
    assert beaten_by_pairs(pairs) == beaten_by_ranks(rankings)


def loss_of(examples: list[Example]) -> float:
    """The default of training, on the whole rankings."""
    total, prompts = 0.0, 0.0
    for example in examples:
        rewards = torch.tensor([[reward_of(text) for text in example.responses]])
        weights = pair_weights(torch.tensor([example.rankings]), "drop")
        summed = preference_loss(rewards.double(), weights, loss="prompt_mean")
        total += summed.item()
        prompts += loss_denominator(weights, "prompt_mean").item()
    return total / prompts


def read_rows(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_bytes().split(b"\n") if line]


def beaten_by_pairs(rows: list[dict[str, Any]]) -> Counter[tuple[str, str]]:
    """How many others each response of a ranking is above: its weak order."""
    return Counter((row["ranking_id"], row["chosen_id"]) for row in rows)


def beaten_by_ranks(rows: list[dict[str, Any]]) -> Counter[tuple[str, str]]:
    return Counter(
        (row["ranking_id"], response["id"])
        for row in rows
        for response, rank in zip(row["responses"], row["ranks"], strict=True)
        for other in row["ranks"]
        if rank < other
    )
