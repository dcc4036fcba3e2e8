"""Exported files go into TRL's trainers and `datasets` as they are."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from transformers import LlamaConfig, LlamaForSequenceClassification

from annotation.models import Membership, Project
from ranking.datasets import freeze
from ranking.export.folder import write
from ranking.models import Dataset
from tests.conftest import make_prompt
from tests.ranking.rows import store_ranking
from tests.tiny_model import make_tiny_sft, make_tokenizer

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.filterwarnings("ignore"),  # of libraries that are not ours
]
FORMATS = ("jsonl", "parquet")


@pytest.fixture(autouse=True)
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Caches of its own, nothing asked of a hub, no report to anybody."""
    for name, value in (
        ("HF_HUB_OFFLINE", "1"),
        ("HF_DATASETS_CACHE", str(tmp_path / "cache")),
        ("WANDB_DISABLED", "true"),
    ):
        monkeypatch.setenv(name, value)


@pytest.fixture
def dataset(project: Project, alice: Membership, bob: Membership) -> Dataset:
    for number in range(2):
        prompt = make_prompt(project, f"p{number}")
        store_ranking(prompt, alice, {"r1": 1, "r2": 2, "r3": 2, "r4": 3})
        store_ranking(prompt, bob, {"r1": 2, "r2": 1, "r3": 3, "r4": 4})
    return freeze(project)


def loaded(folder: Path, cache: Path) -> Any:
    """By the folder alone: its card says where the rows are."""
    from datasets import load_dataset  # noqa: PLC0415  slow import

    return load_dataset(str(folder), split="train", cache_dir=str(cache))


@pytest.mark.parametrize("kind", ["rankings", "pairs", "kto", "openrlhf", "nemo"])
def test_datasets_reads_the_same_rows_of_either_format(
    dataset: Dataset, tmp_path: Path, kind: str
) -> None:
    rows = []
    for format in FORMATS:
        out = tmp_path / format
        write(dataset, kind=kind, format=format, out=out)
        found = loaded(out, tmp_path / "cache")
        rows.append(
            found.remove_columns("submitted_at") if kind == "rankings" else found
        )
    assert rows[0].to_list() == rows[1].to_list()
    assert len(rows[0]) > 0


def test_datasets_reads_the_csv(dataset: Dataset, tmp_path: Path) -> None:
    write(dataset, kind="rankings", format="csv", out=tmp_path / "csv")
    assert len(loaded(tmp_path / "csv", tmp_path / "cache")) == 4


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("disagreement", ["each", "soft"])
def test_the_reward_trainer_takes_a_step(
    dataset: Dataset, tmp_path: Path, format: str, disagreement: str
) -> None:
    from trl.trainer.reward_config import RewardConfig  # noqa: PLC0415  slow import
    from trl.trainer.reward_trainer import RewardTrainer  # noqa: PLC0415

    tokenizer = make_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        pad_token_id=tokenizer.pad_token_id,
    )
    config.num_labels = 1
    # Any: transformers' own classes are not typed.
    classifier: Any = LlamaForSequenceClassification
    model = classifier(config)
    trainer = RewardTrainer(
        model=model,
        args=RewardConfig(**one_step(tmp_path), max_length=128),
        train_dataset=pairs(dataset, tmp_path, format, disagreement),
        processing_class=tokenizer,
    )
    assert learned_from(trainer) == as_conversations(trainer, tmp_path, format)
    assert trainer.train().training_loss > 0


@pytest.mark.parametrize("format", FORMATS)
def test_the_dpo_trainer_takes_a_step(
    dataset: Dataset, tmp_path: Path, format: str
) -> None:
    from trl.trainer.dpo_config import DPOConfig  # noqa: PLC0415  slow import
    from trl.trainer.dpo_trainer import DPOTrainer  # noqa: PLC0415

    trainer = DPOTrainer(
        model=str(make_tiny_sft(tmp_path / "sft")),  # its reference model is read, too
        args=DPOConfig(**one_step(tmp_path), max_length=128),
        train_dataset=pairs(dataset, tmp_path, format, "each"),
        processing_class=make_tokenizer(),
    )
    assert learned_from(trainer) == as_conversations(trainer, tmp_path, format)
    assert trainer.train().training_loss > 0


def learned_from(trainer: Any) -> list[tuple[str, str]]:
    """What the trainer made of the rows, as texts: (chosen, rejected)."""
    decode = trainer.processing_class.decode
    return [
        (
            decode([*row.get("prompt_ids", []), *row["chosen_ids"]]).strip(),
            decode([*row.get("prompt_ids", []), *row["rejected_ids"]]).strip(),
        )
        for row in trainer.train_dataset
    ]


def as_conversations(
    trainer: Any, tmp_path: Path, format: str
) -> list[tuple[str, str]]:
    """The file's own rows, each answer behind its prompt in the chat template."""
    told = trainer.processing_class.apply_chat_template
    rows = load_rows(tmp_path / "out" / f"pairs.{format}")
    return [
        (
            told(row["prompt"] + row["chosen"], tokenize=False).strip(),
            told(row["prompt"] + row["rejected"], tokenize=False).strip(),
        )
        for row in rows
    ]


def load_rows(file: Path) -> list[dict[str, Any]]:
    if file.suffix == ".parquet":
        found: list[dict[str, Any]] = pq.read_table(file).to_pylist()
        return found
    return [json.loads(line) for line in file.read_bytes().split(b"\n") if line]


def pairs(dataset: Dataset, tmp_path: Path, format: str, disagreement: str) -> Any:
    out = tmp_path / "out"
    write(dataset, kind="pairs", format=format, disagreement=disagreement, out=out)
    return loaded(out, tmp_path / "cache")


def one_step(tmp_path: Path) -> dict[str, Any]:
    return {
        "output_dir": str(tmp_path / "trained"),
        "max_steps": 1,
        "per_device_train_batch_size": 2,
        "report_to": [],
        "save_strategy": "no",
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
    }
