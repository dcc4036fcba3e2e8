"""A published folder is whole, unchanged and readable by others, or refused."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from rm_training.checkpoint import CheckpointError
from rm_training.listener import TrainingResult
from rm_training.manifest import (
    DamagedFolder,
    OutputRefused,
    check_output,
    publishing,
    verify,
)
from rm_training.published import publish
from rm_training.scoring import RewardModel

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A published folder of two small files."""
    with publishing(tmp_path / "published") as partial:
        (partial / "weights").write_bytes(b"\0" * 1000)
        (partial / "sub").mkdir()
        (partial / "sub" / "note").write_text("hello")
    return tmp_path / "published"


def test_a_published_folder_lists_every_file_with_size_and_hash(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["schema_version"] == 1
    assert manifest["files"]["weights"] == {
        "bytes": 1000,
        # sha256 of a thousand zero bytes
        "sha256": "541b3e9daa09b20bf85fa273e5cbd3e80185aa4ec298e765db87742b70138a53",
    }
    assert verify(folder) == manifest["files"]
    assert sorted(manifest["files"]) == ["sub/note", "weights"]
    assert [path.name for path in folder.parent.iterdir()] == ["published"]


def test_a_flipped_bit_is_noticed(folder: Path) -> None:
    (folder / "weights").write_bytes(b"\0" * 999 + b"\1")
    with pytest.raises(DamagedFolder, match="weights has changed"):
        verify(folder)


def test_a_torn_file_is_noticed(folder: Path) -> None:
    (folder / "weights").write_bytes(b"\0" * 500)
    with pytest.raises(DamagedFolder, match="weights has 500 bytes instead of 1000"):
        verify(folder)


def test_a_missing_or_unknown_file_is_noticed(folder: Path) -> None:
    (folder / "adapter_config.json").write_text("{}")
    with pytest.raises(DamagedFolder, match=r"adapter_config\.json is not in the man"):
        verify(folder)
    (folder / "adapter_config.json").unlink()
    (folder / ".gitattributes").write_text("hidden files do no harm")
    verify(folder)
    (folder / "sub" / "note").unlink()
    with pytest.raises(DamagedFolder, match="sub/note is missing"):
        verify(folder)


@pytest.mark.parametrize(
    "manifest", ["", "[]", "{}", '{"files": {}}', '{"files": {"weights": 3}}']
)
def test_a_damaged_manifest_is_refused(folder: Path, manifest: str) -> None:
    (folder / "manifest.json").write_text(manifest)
    with pytest.raises(DamagedFolder, match=r"manifest\.json"):
        verify(folder)


def test_a_folder_without_manifest_does_not_count(folder: Path) -> None:
    (folder / "manifest.json").unlink()
    with pytest.raises(DamagedFolder, match="never published whole"):
        verify(folder)
    with pytest.raises(DamagedFolder, match="there is no folder"):
        verify(folder / "nowhere")


def test_a_failure_while_writing_leaves_nothing(tmp_path: Path) -> None:
    def write() -> None:
        with publishing(tmp_path / "out") as partial:
            (partial / "half").write_text("…")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write()
    assert list(tmp_path.iterdir()) == []


def test_an_occupied_output_is_refused_and_untouched(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    with pytest.raises(OutputRefused, match="is not empty"):
        check_output(tmp_path)
    with pytest.raises(OutputRefused, match="is a file"):
        check_output(tmp_path / "mine")
    check_output(tmp_path / "nowhere")
    check_output(tmp_path / "deep" / "nowhere")
    (tmp_path / "empty").mkdir()
    check_output(tmp_path / "empty")


def test_a_place_that_cannot_be_written_is_refused_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputRefused, match="file is a file"):
        check_output(tmp_path / "file" / "out")
    # Root may write everywhere, so the system's answer is played.
    asked: list[Path] = []
    monkeypatch.setattr(os, "access", lambda path, _: asked.append(path))
    with pytest.raises(OutputRefused, match="may not be written"):
        check_output(tmp_path / "deep" / "out")
    assert asked == [tmp_path]


def test_a_disk_that_refuses_is_one_clear_error_and_leaves_nothing(
    polite_run: TrainingResult, tmp_path: Path
) -> None:
    reward_model = RewardModel.load(polite_run.folder, device="cpu")

    def full(folder: Path) -> None:
        assert (folder / "model.safetensors").exists()
        raise OSError(28, "No space left on device")

    with pytest.raises(CheckpointError, match="No space left on device"):
        publish(
            reward_model.model,
            reward_model.encoder.tokenizer,
            papers={},
            out=tmp_path / "rm",
            check=full,
        )
    assert list(tmp_path.iterdir()) == []


def test_of_two_publishers_one_wins_and_the_other_is_told(tmp_path: Path) -> None:
    out = tmp_path / "out"

    def lose() -> None:
        with publishing(out) as second:
            (second / "f").write_text("second")
            with publishing(out) as first:
                (first / "f").write_text("first")

    with pytest.raises(OutputRefused):
        lose()
    assert (out / "f").read_text() == "first"
    assert list(tmp_path.iterdir()) == [out]


def test_meta_and_card_say_what_the_model_was_made_of(
    polite_run: TrainingResult,
) -> None:
    meta = json.loads((polite_run.folder / "meta.json").read_text())
    assert meta == json.loads(json.dumps(polite_run.meta))
    assert meta["base"]["name"] == "sft"
    assert meta["template"]["name"] == "chat"
    assert "<|im_start|>" in meta["template"]["text"]
    assert meta["data"]["prompts"] == 60
    assert meta["bias"] is None
    assert meta["encoding"]["pad_token_id"] != meta["encoding"]["eos_token_id"]
    card = (polite_run.folder / "README.md").read_text()
    counts = meta["metrics"]["valid2"]["counts"]
    assert f"of {counts['n']} pairs (6 prompts)" in card
    assert f"{100 * counts['accuracy']:.1f} %" in card
    assert meta["data"]["sha256"] in card
    assert str(polite_run.folder.parent) not in card


FRESH = """
import json, sys, warnings
warnings.simplefilter("error")
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer
torch.set_num_threads(1)
folder, texts = sys.argv[1], json.loads(sys.argv[2])
model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
tokenizer = AutoTokenizer.from_pretrained(folder)
texts = [
    tokenizer.apply_chat_template(
        [{"role": "user", "content": prompt}], tokenize=False,
        add_generation_prompt=True,
    ) + response + tokenizer.eos_token
    for prompt, response in texts
]
batch = tokenizer(
    texts, add_special_tokens=False, padding=True, padding_side="right",
    return_tensors="pt",
)
with torch.no_grad():
    print(json.dumps(model(**batch).logits[:, 0].tolist()))
"""


def test_a_fresh_process_with_transformers_alone_gets_our_rewards(
    polite_run: TrainingResult,
) -> None:
    responses = ["sea wind Thank you", "egg cold night", "", "poem Thank you " * 5]
    ours = RewardModel.load(polite_run.folder, device="cpu").score(
        ["Write of the sea."], [responses]
    )[0]
    texts = json.dumps([["Write of the sea.", response] for response in responses])
    done = subprocess.run(
        [sys.executable, "-c", FRESH, str(polite_run.folder), texts],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
    )
    theirs = json.loads(done.stdout)
    assert ours == pytest.approx(theirs, abs=1e-6)
    assert max(ours) - min(ours) > 1


def test_other_accounts_may_read_what_was_published(
    polite_run: TrainingResult,
) -> None:
    folder = polite_run.folder
    modes = {path.stat().st_mode & 0o777 for path in folder.iterdir()}
    assert (folder.stat().st_mode & 0o777, modes) == (0o755, {0o644})


def test_weights_on_disk_are_float32_safetensors_only(
    polite_run: TrainingResult,
) -> None:
    names = {path.name for path in polite_run.folder.iterdir()}
    assert names == {
        "README.md",
        "chat_template.jinja",
        "config.json",
        "evaluation.json",
        "manifest.json",
        "meta.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "training_log.jsonl",
    }
    weights = RewardModel.load(polite_run.folder, device="cpu").model.state_dict()
    assert {weight.dtype for weight in weights.values()} == {torch.float32}
