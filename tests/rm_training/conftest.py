"""One core, one tiny SFT model and one trained reward model for these tests."""

from pathlib import Path

import pytest
import torch
from pytest_django import Settings

from annotation.models import Membership, Project
from rm_training.config import TrainingConfig
from rm_training.listener import SilentListener, TrainingResult
from rm_training.trainer import train
from tests.preferences import polite_preferences
from tests.rm_training.ranked_project import rank_politely
from tests.tiny_model import make_tiny_sft

torch.set_num_threads(1)

LEARNS = TrainingConfig(lr=3e-3, epochs=4, prompts_per_step=8, device="cpu")


@pytest.fixture(scope="session")
def tiny_sft(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a tiny causal LM with a chat template. Read-only."""
    return make_tiny_sft(tmp_path_factory.mktemp("base") / "sft")


@pytest.fixture(scope="session")
def plain_sft(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same without a chat template. Read-only."""
    return make_tiny_sft(tmp_path_factory.mktemp("base") / "plain", chat_template=False)


@pytest.fixture(scope="session")
def polite_run(
    tiny_sft: Path, tmp_path_factory: pytest.TempPathFactory
) -> TrainingResult:
    """A reward model that learnt to prefer thanks. Read-only."""
    return train(
        polite_preferences(60),
        base=str(tiny_sft),
        out=tmp_path_factory.mktemp("models") / "rm",
        config=LEARNS,
        listener=SilentListener(),
    )


@pytest.fixture
def own_folders(settings: Settings, tmp_path: Path) -> None:
    """Models and files of this test alone."""
    settings.VAR_DIR = tmp_path
    settings.MODEL_ROOT = tmp_path / "models"


@pytest.fixture
def ranked(project: Project, alice: Membership, tiny_sft: Path) -> Project:
    """A project that the tiny model can learn from in a second."""
    project.sft_model = str(tiny_sft)
    project.save(update_fields=["sft_model"])
    rank_politely(project, alice)
    return project
