"""Two processes that train one model are one big batch: the same numbers (O14)."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from rm_training.config import TrainingConfig
from rm_training.data import Example, read_examples
from rm_training.listener import SilentListener
from rm_training.processes import Processes, join_processes
from rm_training.trainer import train
from tests.preferences import make_example, polite_preferences, write_rankings
from tests.rm_training.launched import command, finish, start

CONFIG = TrainingConfig(
    lr=1e-4, prompts_per_step=5, prompts_per_pass=2, eval_every=2, device="cpu"
)
FLAGS = ["--lr=1e-4", "--prompts-per-step=5", "--prompts-per-pass=2", "--eval-every=2"]


def uneven() -> list[Example]:
    """K = 2 to 6, ties, several rankings; the last step has one prompt for the two."""
    return [
        *polite_preferences(24),  # 20 to train on
        make_example(
            "many",
            responses=["egg", "wind", "city " * 9],
            rankings=[[3, 1, 2], [1, 1, 1], [1, 2, 0]],
            split="train",
        ),
    ]


def log_of(folder: Path) -> list[dict[str, Any]]:
    return [
        json.loads(line)
        for line in (folder / "training_log.jsonl").read_text().splitlines()
    ]


def test_two_processes_give_the_numbers_of_one(tiny_sft: Path, tmp_path: Path) -> None:
    data = write_rankings(tmp_path / "data", uneven())
    one, two = tmp_path / "one", tmp_path / "two"
    arguments = command(data, tiny_sft, two, *FLAGS)
    both = start("-m", "tests.rm_training.forked", "2", *arguments)
    train(
        read_examples(data),
        base=str(tiny_sft),
        out=one,
        config=CONFIG,
        listener=SilentListener(),
    )
    assert finish(both).count("5 steps") == 1, "the main process alone speaks"
    assert json.loads((two / "meta.json").read_text())["processes"] == 2

    expected, got = log_of(one), log_of(two)
    assert len(got) == len(expected) == 5 + 3 + 1  # steps, valid1, valid2
    for ours, theirs in zip(got, expected, strict=True):
        assert ours["counts"] == theirs["counts"]
        assert ours.get("tokens") == theirs.get("tokens")
        assert ours["loss"] == pytest.approx(theirs["loss"], abs=1e-6)
        assert ours.get("gradient_norm") == pytest.approx(
            theirs.get("gradient_norm"), abs=1e-5
        )
    weights = load_file(one / "model.safetensors")
    for name, weight in load_file(two / "model.safetensors").items():
        torch.testing.assert_close(weight, weights[name], atol=1e-5, rtol=0)
    left = sorted(path.name for path in tmp_path.iterdir() if "two" in path.name)
    assert left == ["two"], "one process cleared up after both"


def test_shares_are_disjoint_and_come_back_in_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cpu = torch.device("cpu")
    three = [Processes(rank=rank, count=3, device=cpu) for rank in range(3)]
    items = list("abcdefgh")
    parts = [list(process.share(items)) for process in three]
    assert parts == [["a", "d", "g"], ["b", "e", "h"], ["c", "f"]]
    monkeypatch.setattr(Processes, "gather", lambda *_: parts)
    assert three[0].unshare(parts[0]) == items


def test_a_process_that_was_not_launched_with_others_is_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    alone = join_processes("cpu")
    assert (alone.rank, alone.count, alone.is_main) == (0, 1, True)
    assert alone.gather("x") == ["x"]
    assert alone.from_main(lambda: 7) == 7
    weight = torch.nn.Parameter(torch.ones(2))
    alone.add_gradients([weight])
    assert weight.grad is None
