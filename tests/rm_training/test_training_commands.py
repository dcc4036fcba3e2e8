"""`train_reward_model --data` and `score` as a person calls them."""

import dataclasses
import io
import json
import statistics
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.management.base import CommandError, CommandParser

from rm_training.config import TrainingConfig
from rm_training.listener import TrainingResult
from rm_training.management.commands import score, train_reward_model
from rm_training.management.commands.train_reward_model import (
    OPTIONS,
    TerminalListener,
    config_of,
    summary,
)
from rm_training.trainer import train
from tests.pandalm import export_rows, records, write_rows
from tests.preferences import polite_preferences, write_rankings

FLAGS = ["--device", "cpu", "--lr", "0.003", "--prompts-per-step", "8", "--epochs=2"]


def write_export(folder: Path) -> Path:
    """The rankings export of the polite preferences."""
    return write_rankings(folder, polite_preferences(40))


def call(module: Any, *argv: str) -> str:
    """Parses like manage.py, runs the command, and gives what it printed."""
    out = io.StringIO()
    command = module.Command(stdout=out)
    parser = command.create_parser("manage.py", module.__name__.rpartition(".")[2])
    command.handle(**vars(parser.parse_args(argv)))
    return out.getvalue()


def test_training_on_an_export_prints_the_accuracy_with_its_n(
    tiny_sft: Path, tmp_path: Path
) -> None:
    export = write_export(tmp_path / "export")
    out = tmp_path / "rm"
    printed = call(
        train_reward_model,
        *["--data", str(export), "--base", str(tiny_sft), "--out", str(out)],
        *FLAGS,
    )
    meta = json.loads((out / "meta.json").read_text())
    counts = meta["metrics"]["valid2"]["counts"]
    share = f"{100 * counts['accuracy']:.1f} % (n = {counts['n']} pairs of 4 prompts)"
    assert printed.splitlines() == [
        f"{out}: 8 steps, kept step 8",
        printed.splitlines()[1],
        f"valid2 (reported once): accuracy {share}",
    ]
    assert meta["config"]["epochs"] == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["export", "rm"]


@pytest.mark.parametrize(
    ("flags", "code", "reason"),
    [
        (["--epochs", "0"], 2, "epochs must be"),
        (["--seeds", "0"], 2, "seeds must be"),
        (["--device", "abacus"], 2, "unknown to torch"),
        (["--data", "nowhere"], 1, "there is no file or folder nowhere"),
        (["--base", "./nowhere"], 1, "there is no model directory ./nowhere"),
        (["--out", "."], 1, "is not empty"),
    ],
)
def test_a_mistake_is_one_line_and_an_exit_code(
    tiny_sft: Path, tmp_path: Path, flags: list[str], code: int, reason: str
) -> None:
    export = write_export(tmp_path / "export")
    with pytest.raises(CommandError, match=reason) as caught:
        call(
            train_reward_model,
            *["--data", str(export), "--base", str(tiny_sft)],
            *["--out", str(tmp_path / "rm"), *flags],
        )
    assert caught.value.returncode == code
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "rm").exists()


def test_every_setting_of_the_config_is_an_option() -> None:
    assert set(OPTIONS) == {field.name for field in dataclasses.fields(TrainingConfig)}
    parser = CommandParser()
    train_reward_model.Command().add_arguments(parser)
    required = ["--data", "d", "--base", "b", "--out", "o"]
    parsed = vars(parser.parse_args([*required, "--seed", "5", "--ties", "soft"]))
    assert config_of(parsed) == TrainingConfig(seed=5, ties="soft")


def test_of_several_seeds_the_best_on_valid1_is_kept_and_the_spread_told(
    tiny_sft: Path, tmp_path: Path
) -> None:
    export, out = write_export(tmp_path / "export"), tmp_path / "rm"
    arguments = ["--data", str(export), "--base", str(tiny_sft), "--out", str(out)]
    few = [*FLAGS, "--max-steps=3", "--seeds=3", "--seed=5"]
    # As a killed call leaves it: seed 6 is there already, and is not trained again.
    kept = tmp_path / "rm.seeds" / "seed-6"
    call(train_reward_model, *arguments[:5], str(kept), *few[:-2], "--seed=6")
    before = (kept / "manifest.json").stat().st_mtime_ns
    printed = call(train_reward_model, *arguments, *few)

    found = {}
    for folder in (out, *(tmp_path / "rm.seeds").glob("seed-?")):
        meta = json.loads((folder / "meta.json").read_text())
        found[meta["seed"]] = (folder, meta["metrics"])
    assert sorted(found) == [5, 6, 7]
    shares = [found[seed][1]["valid1"]["counts"]["accuracy"] for seed in (5, 6, 7)]
    (chosen,) = [seed for seed, (folder, _) in found.items() if folder == out]
    assert shares[chosen - 5] == max(shares)
    assert f"seed {chosen} was best on valid1" in printed
    mean, deviation = 100 * statistics.mean(shares), 100 * statistics.stdev(shares)
    assert (
        f"valid1 over the seeds: mean accuracy {mean:.1f} %, "
        f"standard deviation {deviation:.1f} points (3 seeds)"
    ) in printed
    assert (found[6][0] / "manifest.json").stat().st_mtime_ns == before
    assert not list(tmp_path.rglob("*.checkpoints"))


def test_the_summary_says_where_an_accuracy_is_undefined(
    polite_run: TrainingResult,
) -> None:
    text = summary(dataclasses.replace(polite_run, valid1=None))
    assert "valid1 (selected on): accuracy undefined" in text


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("stream", [Terminal(), io.StringIO()])
def test_a_bar_is_drawn_on_a_terminal_only(
    tiny_sft: Path, tmp_path: Path, stream: io.StringIO
) -> None:
    with TerminalListener(stream) as listener:
        train(
            polite_preferences(20),
            base=str(tiny_sft),
            out=tmp_path / "rm",
            config=TrainingConfig(device="cpu", prompts_per_step=4),
            listener=listener,
        )
    shown = stream.getvalue()
    assert "step 4, valid1: accuracy " in shown
    assert ("4/4" in shown) == stream.isatty()
    assert ("loss=" in shown) == stream.isatty()


def score_with(folder: Path, stdin: bytes, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
    return call(score, "--model", str(folder), "--device", "cpu")


def test_score_answers_line_by_line(
    polite_run: TrainingResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"prompt": "Hi", "responses": ["a", "b"], "n": n} for n in range(3)]
    stdin = "".join(json.dumps(row) + "\n" for row in rows).encode()
    printed = score_with(polite_run.folder, stdin, monkeypatch)
    answers = [json.loads(line) for line in printed.splitlines()]
    assert [answer["n"] for answer in answers] == [0, 1, 2]
    assert all(len(answer["rewards"]) == 2 for answer in answers)


def test_score_fails_with_one_line_that_names_the_bad_one(
    polite_run: TrainingResult, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(CommandError, match=r"^line 1: ") as caught:
        score_with(polite_run.folder, b"{}\n", monkeypatch)
    assert caught.value.returncode == 1
    with pytest.raises(CommandError, match="never published whole"):
        score_with(tmp_path, b"", monkeypatch)


def test_training_on_real_rankings_runs(tiny_sft: Path, tmp_path: Path) -> None:
    """PandaLM's 98 rankings of 35 prompts, K = 4 and 5, as rows of an export."""
    rows = export_rows(records("pandalm_k4_5_rankings.jsonl.gz"))
    path = write_rows(tmp_path / "rankings.jsonl", rows)
    printed = call(
        train_reward_model,
        *["--data", str(path), "--base", str(tiny_sft), "--out", str(tmp_path / "rm")],
        *["--device", "cpu", "--max-steps", "2", "--prompts-per-step", "4"],
    )
    assert "2 steps" in printed
    meta = json.loads((tmp_path / "rm" / "meta.json").read_text())
    assert (meta["data"]["prompts"], meta["data"]["rankings"]) == (35, 98)
    assert meta["notes"][0].startswith("the data has no split column")
