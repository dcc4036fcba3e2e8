"""SmolLM2-135M learns from PandaLM's rankings on two CPU cores: its loss falls.

The command that people use, in a process of its own; what the site's worker does with
the same model is test_whole_job_with_smollm2.py.
"""

from dataclasses import replace
from pathlib import Path

import pytest

from rm_training.data import Example, read_examples
from rm_training.scoring import RewardModel
from tests.pandalm import export_rows, records, write_rows
from tests.preferences import write_rankings
from tests.rm_training.launched import command, finish, start
from tests.rm_training.test_several_processes import log_of

# A step of two prompts takes 5 s of CPU, and the start 10 s.
PROMPTS, EPOCHS, PER_STEP = 6, 4, 2
STEPS = PROMPTS // PER_STEP
FLAGS = (
    *("--lr=2e-5", f"--epochs={EPOCHS}", f"--prompts-per-step={PER_STEP}"),
    *("--prompts-per-pass=1", "--max-length=512", "--checkpoint-every=0"),
)
SECONDS = 1200  # on two cores that are ours alone: 40


def length_of(example: Example) -> int:
    """What a step of it costs, in characters."""
    prompt = sum(len(message["content"]) for message in example.messages)
    return prompt + sum(map(len, example.responses))


def shortest(folder: Path) -> list[Example]:
    """The shortest prompts whose every ranking has a pair. All train, so that each
    epoch has the same ones and their means can be compared."""
    rows = export_rows(records("pandalm_k4_5_rankings.jsonl.gz"))
    examples = read_examples(write_rows(folder / "all.jsonl", rows))
    ordered = [e for e in examples if all(len(set(r)) > 1 for r in e.rankings)]
    ordered.sort(key=length_of)
    return [replace(one, split="train") for one in ordered[:PROMPTS]]


@pytest.mark.timeout(SECONDS + 60)
def test_the_loss_falls_from_epoch_to_epoch(smollm2: Path, tmp_path: Path) -> None:
    examples = shortest(tmp_path)
    data, out = write_rankings(tmp_path / "data", examples), tmp_path / "rm"
    finish(
        start("manage.py", *command(data, smollm2, out, *FLAGS), threads=2),
        seconds=SECONDS,
    )
    losses = [entry["loss"] for entry in log_of(out) if "loss" in entry]
    assert len(losses) == EPOCHS * STEPS
    first, last = sum(losses[:STEPS]), sum(losses[-STEPS:])
    assert last < 0.9 * first
    model = RewardModel.load(out, device="cpu")
    (rewards,) = model.score([examples[0].messages], [examples[0].responses])
    assert len(set(rewards)) > 1
