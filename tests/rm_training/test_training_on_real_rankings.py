"""Real rankings: imported, frozen, exported, and learned from."""

import io
import json
from pathlib import Path

import pytest
from django.core.management import call_command

from annotation.models import Project
from ranking.models import Dataset
from tests.pandalm import pandalm_files

pytestmark = pytest.mark.django_db


def test_a_reward_model_learns_from_real_rankings_that_were_imported_and_frozen(
    project: Project, tiny_sft: Path, tmp_path: Path
) -> None:
    prompts, rankings = pandalm_files(tmp_path)
    quiet = {"stdout": io.StringIO(), "stderr": io.StringIO()}
    call_command("import_prompts", project.slug, str(prompts), **quiet)
    call_command("import_rankings", project.slug, str(rankings), **quiet)
    pairs = tmp_path / "pairs"
    call_command("export_dataset", project.slug, kind="pairs", out=pairs, **quiet)
    assert len((pairs / "pairs.jsonl").read_text().splitlines()) == 620
    dataset = Dataset.objects.get()
    assert dataset.counts["strict_pairs"] == 620
    assert dataset.counts["ties_dropped"] == 128

    out = tmp_path / "model"
    call_command(
        "train_reward_model",
        dataset=dataset.name,
        base=str(tiny_sft),
        out=out,
        max_steps=2,
        prompts_per_step=4,
        device="cpu",
        **quiet,
    )
    meta = json.loads((out / "meta.json").read_text())
    assert meta["data"]["rankings"] == 98
    assert meta["data"]["prompts"] == 35
