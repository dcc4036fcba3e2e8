"""SmolLM2-135M learns from PandaLM's rankings on two CPU cores: its loss falls."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from annotation.demo_model import prepare
from rm_training.config import TrainingConfig
from rm_training.data import Example, read_examples
from rm_training.listener import SilentListener, StepReport
from rm_training.scoring import RewardModel
from rm_training.trainer import train
from tests.e2e.stack import ROOT
from tests.pandalm import export_rows, records, write_rows

PROMPTS, EPOCHS, PER_STEP = 4, 3, 2
CONFIG = TrainingConfig(
    lr=2e-5,
    epochs=EPOCHS,
    prompts_per_step=PER_STEP,
    prompts_per_pass=1,
    max_length=512,
    checkpoint_every=0,
    device="cpu",
)


@pytest.fixture(autouse=True)
def two_cores() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def short_prompts(folder: Path) -> list[Example]:
    """Those with a pair and the least text: a prompt takes seconds a step."""
    rows = export_rows(records("pandalm_k4_5_rankings.jsonl.gz"))
    examples = read_examples(write_rows(folder / "rankings.jsonl", rows))
    ordered = [one for one in examples if any(len(set(r)) > 1 for r in one.rankings)]
    ordered.sort(key=lambda one: sum(map(len, one.responses)))
    return ordered[:PROMPTS]


class Losses(SilentListener):
    """The loss of each step."""

    def __init__(self) -> None:
        self.losses: list[float] = []

    def on_step(self, report: StepReport) -> None:
        self.losses.append(report.loss)


@pytest.mark.timeout(1500)
def test_the_loss_falls_from_epoch_to_epoch(tmp_path: Path) -> None:
    """On the same prompts each time, so that the means can be compared."""
    examples = [
        Example(**{**vars(one), "split": "train"}) for one in short_prompts(tmp_path)
    ]
    heard = Losses()
    result = train(
        examples,
        base=str(prepare(ROOT / "var" / "models")),
        out=tmp_path / "rm",
        config=CONFIG,
        listener=heard,
    )
    steps = PROMPTS // PER_STEP
    assert len(heard.losses) == EPOCHS * steps
    first, last = sum(heard.losses[:steps]) / steps, sum(heard.losses[-steps:]) / steps
    assert last < 0.9 * first
    model = RewardModel.load(result.folder, device="cpu")
    (rewards,) = model.score([examples[0].messages], [examples[0].responses])
    assert len(set(rewards)) > 1
