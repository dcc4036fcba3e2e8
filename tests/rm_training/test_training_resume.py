"""A run that was killed goes on as if it had not been, or says why it cannot."""

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from safetensors.torch import load_file

from rm_training.checkpoint import CheckpointError, checkpoints_of
from rm_training.config import TrainingConfig
from rm_training.listener import SilentListener, StepReport, TrainingStopped
from rm_training.trainer import train
from tests.preferences import polite_preferences
from tests.tiny_model import make_tiny_sft

CONFIG = TrainingConfig(
    lr=1e-3, prompts_per_step=4, eval_every=2, checkpoint_every=2, device="cpu"
)
EXAMPLES = polite_preferences(50)  # 40 to train on: 10 steps


class KilledError(RuntimeError):
    """Stands for a process that dies in the middle of a step."""


class Diary(SilentListener):
    """Notes the losses by step; dies, or asks to stop, after the given one."""

    def __init__(self, *, dies: int = 0, stops: int = 0) -> None:
        self.losses: dict[int, float] = {}
        self.notes: list[str] = []
        self.dies, self.stops = dies, stops

    def on_step(self, report: StepReport) -> None:
        self.losses[report.step] = report.loss
        if report.step == self.dies:
            raise KilledError

    def on_note(self, note: str) -> None:
        self.notes.append(note)

    def should_stop(self) -> bool:
        return bool(self.stops) and self.stops in self.losses


class AlwaysStops(Diary):
    """Asks to stop as soon as the run has resumed."""

    def should_stop(self) -> bool:
        return any(note.startswith("resumed") for note in self.notes)


def go(base: Path, out: Path, diary: Diary, config: TrainingConfig = CONFIG) -> Diary:
    train(EXAMPLES, base=str(base), out=out, config=config, listener=diary)
    return diary


def killed_after(base: Path, out: Path, step: int) -> Diary:
    diary = Diary(dies=step)
    with pytest.raises(KilledError):
        go(base, out, diary)
    return diary


@pytest.fixture(scope="module")
def whole(
    tiny_sft: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Diary]:
    """The run that nothing interrupts."""
    out = tmp_path_factory.mktemp("whole") / "rm"
    return out, go(tiny_sft, out, Diary())


def same_bytes(one: Path, other: Path) -> bool:
    return (one / "manifest.json").read_bytes() == (
        other / "manifest.json"
    ).read_bytes()


def test_a_killed_run_resumes_to_the_same_bytes(
    whole: tuple[Path, Diary], tiny_sft: Path, tmp_path: Path
) -> None:
    out = tmp_path / "rm"
    first = killed_after(tiny_sft, out, 7)
    assert not out.exists()
    (tmp_path / ".rm.partial-of-an-attempt-killed-while-publishing").mkdir()
    second = go(tiny_sft, out, Diary())
    assert "resumed after step 6" in second.notes
    assert sorted(second.losses) == [7, 8, 9, 10]
    assert first.losses | second.losses == whole[1].losses
    assert same_bytes(out, whole[0])
    assert sorted(tmp_path.iterdir()) == [out, checkpoints_of(out)]
    # Weights, optimizer, random state, counters and log of the last checkpoint as well.
    last = "step-00000008"
    assert same_bytes(checkpoints_of(out) / last, checkpoints_of(whole[0]) / last)


def test_a_killed_run_with_adapters_resumes_to_the_same_bytes(
    tiny_sft: Path, tmp_path: Path
) -> None:
    """Its checkpoints hold what learns, not the frozen trunk."""
    config = dataclasses.replace(CONFIG, lora_rank=2, gradient_checkpointing=True)
    whole, out = tmp_path / "whole", tmp_path / "rm"
    go(tiny_sft, whole, Diary(), config)
    with pytest.raises(KilledError):
        go(tiny_sft, out, Diary(dies=7), config)
    second = go(tiny_sft, out, Diary(), config)
    assert "resumed after step 6" in second.notes
    assert same_bytes(out, whole)
    saved = load_file(checkpoints_of(out) / "step-00000008" / "model.safetensors")
    assert set(saved) == {name for name in saved if "lora_" in name} | {"score.weight"}


def test_a_run_that_stops_early_stops_at_the_same_step_after_a_kill(
    tiny_sft: Path, tmp_path: Path
) -> None:
    """Step 1 is the best; the evaluations since then are counted across the kill."""
    config = dataclasses.replace(CONFIG, lr=1e-30, eval_every=1, patience=4)
    out = tmp_path / "rm"
    with pytest.raises(KilledError):
        go(tiny_sft, out, Diary(dies=3), config)
    second = go(tiny_sft, out, Diary(), config)
    assert sorted(second.losses) == [3, 4, 5]
    assert any("stopped early after step 5 of 10" in note for note in second.notes)


def test_a_run_that_is_asked_to_stop_loses_no_step(
    whole: tuple[Path, Diary], tiny_sft: Path, tmp_path: Path
) -> None:
    out = tmp_path / "rm"
    with pytest.raises(TrainingStopped):
        go(tiny_sft, out, Diary(stops=3))
    second = go(tiny_sft, out, Diary())
    assert sorted(second.losses) == list(range(4, 11))
    assert same_bytes(out, whole[0])


class StopsAtQuestion(Diary):
    """Asks to stop when it is asked for the n-th time."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.left = number

    def should_stop(self) -> bool:
        self.left -= 1
        return self.left == 0


@pytest.mark.parametrize(
    ("question", "finished", "resumed"),
    # A step asks before each of its 4 passes, an evaluation before 4 of its 5.
    [(6, 1, 1), (10, 2, None), (18, 3, 3)],
    ids=["in step 2", "in the evaluation after step 2", "in step 4"],
)
def test_a_stop_between_passes_resumes_to_the_same_bytes(
    tiny_sft: Path, tmp_path: Path, question: int, finished: int, resumed: int | None
) -> None:
    config = dataclasses.replace(CONFIG, prompts_per_pass=1)
    whole, out = tmp_path / "whole", tmp_path / "rm"
    go(tiny_sft, whole, Diary(), config)
    with pytest.raises(TrainingStopped, match=f"after {finished} steps"):
        go(tiny_sft, out, StopsAtQuestion(question), config)
    second = go(tiny_sft, out, Diary(), config)
    assert min(second.losses) == (resumed or 0) + 1
    assert same_bytes(out, whole)


def truncate(checkpoint: Path) -> None:
    torn = checkpoint / "optimizer.safetensors"
    torn.write_bytes(torn.read_bytes()[:-1])


def flip_a_bit(checkpoint: Path) -> None:
    """The format itself does not notice: a weight becomes another one."""
    weights = checkpoint / "model.safetensors"
    flipped = bytearray(weights.read_bytes())
    flipped[-1] ^= 1
    weights.write_bytes(flipped)
    load_file(weights)


def forget_the_manifest(checkpoint: Path) -> None:
    (checkpoint / "manifest.json").unlink()


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (truncate, "optimizer.safetensors"),
        (flip_a_bit, "model.safetensors"),
        (forget_the_manifest, "manifest.json"),
    ],
)
def test_a_damaged_checkpoint_is_skipped_and_told(
    whole: tuple[Path, Diary],
    tiny_sft: Path,
    tmp_path: Path,
    damage: Callable[[Path], None],
    named: str,
) -> None:
    """F15. The control is the run that is killed and resumes after step 6."""
    out = tmp_path / "rm"
    killed_after(tiny_sft, out, 7)
    damage(checkpoints_of(out) / "step-00000006")
    second = go(tiny_sft, out, Diary())
    assert any(named in note for note in second.notes)
    assert "resumed after step 4" in second.notes
    assert same_bytes(out, whole[0])


def test_without_a_good_checkpoint_the_run_starts_anew(
    whole: tuple[Path, Diary], tiny_sft: Path, tmp_path: Path
) -> None:
    out = tmp_path / "rm"
    killed_after(tiny_sft, out, 3)
    (checkpoints_of(out) / "step-00000002" / "manifest.json").unlink()
    second = go(tiny_sft, out, Diary())
    assert sorted(second.losses) == list(range(1, 11))
    assert same_bytes(out, whole[0])


def test_a_disk_that_is_too_small_is_refused_before_the_first_step(
    tiny_sft: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crowded(path: Path) -> SimpleNamespace:
        return SimpleNamespace(free=50_000)

    monkeypatch.setattr(shutil, "disk_usage", crowded)
    diary = Diary()
    with pytest.raises(CheckpointError, match=r"No space left .* GB are needed"):
        go(tiny_sft, tmp_path / "rm", diary)
    assert diary.losses == {}
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_stops_the_run_before_a_byte_is_written(
    tiny_sft: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, diary = tmp_path / "rm", Diary()

    def filling(path: Path) -> SimpleNamespace:
        return SimpleNamespace(free=10**12 if len(diary.losses) < 4 else 1000)

    monkeypatch.setattr(shutil, "disk_usage", filling)
    with pytest.raises(CheckpointError, match="What was there before is untouched"):
        go(tiny_sft, out, diary)
    left = [path.name for path in checkpoints_of(out).iterdir()]
    assert left == ["step-00000002"]
    monkeypatch.undo()
    assert "resumed after step 2" in go(tiny_sft, out, Diary()).notes


def test_checkpoints_may_be_kept_as_many_as_wanted(
    tiny_sft: Path, tmp_path: Path
) -> None:
    """How many, and how often, may change between attempts: it changes no weight."""
    out = tmp_path / "rm"
    config = dataclasses.replace(CONFIG, checkpoints_kept=1)
    with pytest.raises(KilledError):
        go(tiny_sft, out, Diary(dies=5), config)
    assert [path.name for path in checkpoints_of(out).iterdir()] == ["step-00000004"]
    config = dataclasses.replace(CONFIG, checkpoints_kept=3, checkpoint_every=1)
    assert "resumed after step 4" in go(tiny_sft, out, Diary(), config).notes
    names = sorted(path.name for path in checkpoints_of(out).iterdir())
    assert names == ["step-00000007", "step-00000008", "step-00000009"]


def test_the_newest_two_checkpoints_are_kept(tiny_sft: Path, tmp_path: Path) -> None:
    killed_after(tiny_sft, tmp_path / "rm", 9)
    names = sorted(path.name for path in checkpoints_of(tmp_path / "rm").iterdir())
    assert names == ["step-00000006", "step-00000008"]
    kinds = {p.suffix for p in checkpoints_of(tmp_path / "rm").rglob("*.*")}
    assert kinds == {".safetensors", ".json"}


def flip_last_bit(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def test_damaged_checkpoints_do_not_push_out_good_ones(
    tiny_sft: Path, tmp_path: Path
) -> None:
    out = tmp_path / "rm"
    killed_after(tiny_sft, out, 9)
    flip_last_bit(checkpoints_of(out) / "step-00000008" / "model.safetensors")
    with pytest.raises(TrainingStopped):
        go(tiny_sft, out, Diary(stops=7))
    names = sorted(path.name for path in checkpoints_of(out).iterdir())
    assert names == ["step-00000006", "step-00000007"]
    third = go(tiny_sft, out, Diary())
    assert "resumed after step 7" in third.notes


def test_a_stop_just_after_a_checkpoint_leaves_it_alone(
    tiny_sft: Path, tmp_path: Path
) -> None:
    out = tmp_path / "rm"
    killed_after(tiny_sft, out, 5)
    checkpoint = checkpoints_of(out) / "step-00000004"
    before = checkpoint.stat()
    with pytest.raises(TrainingStopped):
        go(tiny_sft, out, AlwaysStops())
    after = checkpoint.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_checkpoints_of_other_data_config_or_base_are_refused_by_name(
    tiny_sft: Path, plain_sft: Path, tmp_path: Path
) -> None:
    out = tmp_path / "rm"
    killed_after(tiny_sft, out, 3)
    options: dict[str, Any] = {"base": str(tiny_sft), "out": out, "config": CONFIG}
    other_base = make_tiny_sft(tmp_path / "sft2")
    shutil.copy(plain_sft / "tokenizer.json", other_base)
    (other_base / "chat_template.jinja").write_text("{{ messages[0]['content'] }}")
    for changed, names in (
        ({"examples": EXAMPLES[::-1]}, "data"),
        ({"config": dataclasses.replace(CONFIG, lr=2e-3)}, "config"),
        ({"base": str(other_base)}, "template, tokenizer"),
    ):
        with pytest.raises(CheckpointError, match=f"of another run: {names} differ"):
            train(
                **({"examples": EXAMPLES} | options | changed),
                listener=SilentListener(),
            )
    assert checkpoints_of(out).exists()
