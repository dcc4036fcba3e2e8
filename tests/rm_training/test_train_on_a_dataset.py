"""`train_reward_model --dataset`: the same training as the job's, by hand."""

from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from annotation.models import Membership, Project
from ranking.datasets import freeze
from rm_training.published import read_meta
from tests.rm_training.ranked_project import rank_politely


def test_a_frozen_dataset_is_trained_on(
    project: Project,
    alice: Membership,
    tiny_sft: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rank_politely(project, alice)
    dataset = freeze(project)
    # What is ranked later is not in it.
    later = Project.objects.create(slug="later", title="Later")
    rank_politely(later, alice, prompts=5)
    out = tmp_path / "rm"
    flags = ["--base", str(tiny_sft), "--out", str(out), "--device", "cpu"]
    call_command("train_reward_model", "--dataset", dataset.name, *flags)
    data = read_meta(out)["data"]
    assert (data["train"], data["valid1"], data["valid2"]) == (16, 2, 2)
    assert data["rankings"] == 20
    assert "of 2 prompts" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["rm"]


@pytest.mark.django_db
def test_an_unknown_dataset_is_one_clear_line(tmp_path: Path) -> None:
    flags = ["--base", "x", "--out", str(tmp_path / "rm")]
    with pytest.raises(CommandError, match="there is no dataset 'ds-0'"):
        call_command("train_reward_model", "--dataset", "ds-0", *flags)
