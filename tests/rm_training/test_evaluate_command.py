"""`evaluate_reward_model` as a person calls it, and what training leaves beside it."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from django.core.management.base import CommandError

from rm_training import invariances as checked
from rm_training import network
from rm_training.config import TrainingConfig
from rm_training.data import DataError, data_sha256, read_examples
from rm_training.evaluation.choice import chosen_splits
from rm_training.judging import (
    HeldOut,
    evaluation_of,
    evaluation_of_run,
    rewards_of,
)
from rm_training.listener import SilentListener, TrainingResult, TrainingStopped
from rm_training.management.commands import evaluate_reward_model
from rm_training.manifest import verify
from rm_training.metrics import PairCounts
from rm_training.network import rewards_of_prompts
from rm_training.preparation import prepare
from rm_training.scoring import RewardModel
from tests.preferences import make_example, polite_preferences

EVIL = "<script>alert(1)</script>\x00\ud800"


def write_rankings(file: Path, *, labelers: tuple[str, ...] = ("ada", EVIL)) -> Path:
    """The very data of `polite_run`, and who ranked them."""
    with file.open("w") as lines:
        for number, example in enumerate(polite_preferences(60)):
            responses = zip(example.response_ids, example.responses, strict=True)
            row = {
                "prompt_id": example.prompt_id,
                "prompt": list(example.messages),
                "responses": [
                    {"id": i, "text": t, "model": EVIL} for i, t in responses
                ],
                "ranks": list(example.rankings[0]),
                "labeler": labelers[number % len(labelers)],
                "tags": ["poem", EVIL],
                "ratings": [7, None, *(EVIL for _ in example.responses[2:])],
                "split": example.split,
            }
            lines.write(json.dumps(row) + "\n")
    return file


def call(*argv: str) -> str:
    """Parses like manage.py, runs the command, and gives what it printed."""
    out = io.StringIO()
    command = evaluate_reward_model.Command(stdout=out)
    parser = command.create_parser("manage.py", "evaluate_reward_model")
    command.handle(**vars(parser.parse_args([*argv, "--device", "cpu"])))
    return out.getvalue()


def options(model: TrainingResult, data: Path) -> list[str]:
    return ["--model", str(model.folder), "--data", str(data)]


def counts_of(split: dict[str, Any]) -> Any:
    number = split["accuracy"]["pair_mean"]
    return number["value"], number["n"]


def test_training_writes_the_evaluation_beside_the_weights(
    polite_run: TrainingResult,
) -> None:
    found = json.loads((polite_run.folder / "evaluation.json").read_text())
    assert found == json.loads(json.dumps(polite_run.evaluation))
    assert "evaluation.json" in verify(polite_run.folder)
    assert found["data_sha256"] == polite_run.meta["data"]["sha256"]
    for name, evaluation in (
        ("valid1", polite_run.valid1),
        ("valid2", polite_run.valid2),
    ):
        assert evaluation is not None
        counts: PairCounts = evaluation.counts
        expected = (pytest.approx(counts.accuracy), counts.n)
        assert counts_of(found["splits"][name]) == expected
    assert [check["passed"] for check in found["invariances"]] == [True] * 5


def test_the_command_says_the_same_of_the_same_prompts_as_training_did(
    polite_run: TrainingResult, tmp_path: Path
) -> None:
    data = write_rankings(tmp_path / "rankings.jsonl")
    out = tmp_path / "out"
    printed = call(*options(polite_run, data), "--split", "valid2", "--out", str(out))
    found = json.loads((out / "evaluation.json").read_text())
    assert set(verify(out)) == {"evaluation.json", "evaluation.html"}
    split = found["splits"]["valid2"]
    trained = polite_run.evaluation["splits"]["valid2"]
    assert counts_of(split) == counts_of(trained)
    close = pytest.approx(trained["accuracy"]["nll"]["value"], abs=1e-5)
    assert split["accuracy"]["nll"]["value"] == close
    # Fitted on valid1 when the model was trained.
    assert found["temperature"] == polite_run.evaluation["temperature"]
    assert split["labelers"]["labelers"] == 2
    html = (out / "evaluation.html").read_text()
    assert "<script" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\ufffd\ufffd" in html
    value, n = counts_of(split)
    assert f"valid2: accuracy {100 * value:.1f} %" in printed
    assert f"of {n} pairs, 6 prompts" in printed
    assert printed.count("ok  ") == 5


def test_without_a_folder_the_report_goes_to_stdout(
    polite_run: TrainingResult, tmp_path: Path
) -> None:
    data = write_rankings(tmp_path / "rankings.jsonl")
    found = json.loads(call(*options(polite_run, data)))
    assert list(found["splits"]) == ["valid1", "valid2"]
    assert found["model"] == "rm"


def test_nothing_is_overwritten_and_mistakes_are_one_line(
    polite_run: TrainingResult, tmp_path: Path
) -> None:
    data = write_rankings(tmp_path / "rankings.jsonl")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("kept")
    for argv, reason in (
        ([*options(polite_run, data), "--out", str(tmp_path / "full")], "not empty"),
        ([*options(polite_run, tmp_path / "no")], "there is no file"),
        (["--model", str(tmp_path), "--data", str(data)], "never published"),
    ):
        with pytest.raises(CommandError, match=reason) as caught:
            call(*argv)
        assert "\n" not in str(caught.value)
    assert (tmp_path / "full" / "thesis.txt").read_text() == "kept"


def test_names_are_read_beside_what_training_reads_and_change_no_hash(
    tmp_path: Path,
) -> None:
    named = read_examples(write_rankings(tmp_path / "a.jsonl"))
    others = read_examples(write_rankings(tmp_path / "b.jsonl", labelers=("bob",)))
    assert data_sha256(named) == data_sha256(others)
    assert data_sha256(named) == data_sha256(polite_preferences(60))
    assert named[1].labelers == ("<script>alert(1)</script>\ufffd\ufffd",)
    assert named[0].tags[0] == "poem"
    assert len(named[0].models) == len(named[0].responses)
    assert others[0].labelers == ("bob",)
    assert named[0].ratings[0][:2] == (7, None)
    assert not any(named[0].ratings[0][2:])  # what is no number is no rating


def test_splits_are_those_of_the_data_or_of_training() -> None:
    with_column = polite_preferences(20)
    found = chosen_splits(with_column, asked=None, trained_on_it=False)
    assert {name: len(part) for name, part in found.items()} == {
        "valid1": 2,
        "valid2": 2,
    }
    without = [make_example(f"p{number}") for number in range(30)]
    own = chosen_splits(without, asked=None, trained_on_it=True)
    assert list(own) == ["valid1", "valid2"]
    foreign = chosen_splits(without, asked=None, trained_on_it=False)
    assert {name: len(part) for name, part in foreign.items()} == {"all": 30}
    with pytest.raises(DataError, match="no split train; they have all"):
        chosen_splits(without, asked=["train"], trained_on_it=False)
    with pytest.raises(DataError, match="all must, or none"):
        chosen_splits([*with_column, *without], asked=None, trained_on_it=False)


def test_rewards_are_those_of_the_scorer_and_what_does_not_fit_is_counted(
    polite_run: TrainingResult,
) -> None:
    model = RewardModel.load(polite_run.folder, device="cpu")
    long = "egg " * 1200
    examples = [
        make_example("a", responses=["x y z", long, "Thank you"]),
        make_example("b", responses=["one", "two"], rankings=[[2, 1]]),
        make_example("c", responses=[long, "short"], rankings=[[1, 2]]),
    ]
    heldout = HeldOut.of({"valid2": examples}, model.encoder)
    told: list[int] = []
    rewards = rewards_of(model.model, heldout.splits["valid2"], after_pass=told.append)
    expected = model.score(
        ["Question a?", "Question b?"], [["x y z", "Thank you"], ["one", "two"]]
    )
    for ours, theirs in zip(rewards, expected, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-5)
    assert sum(told) == len(heldout) == 2
    found = evaluation_of(model.model, heldout, {"valid2": rewards})
    assert found["left_out"] == {"valid2": 2}
    assert found["splits"]["valid2"]["size"]["pairs"] == 2


def test_a_model_that_depends_on_its_batch_fails_the_check(
    polite_run: TrainingResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = RewardModel.load(polite_run.folder, device="cpu")
    heldout = HeldOut.of({"valid2": polite_preferences(4)}, model.encoder)
    honest = rewards_of_prompts

    def by_batch(model: Any, prompts: Any, **how: Any) -> torch.Tensor:
        return honest(model, prompts, **how) + 0.01 * len(prompts)

    monkeypatch.setattr(checked, "rewards_of_prompts", by_batch)
    encoded = [prompt.encoded for prompt in heldout.splits["valid2"]]
    found = {row["check"]: row for row in checked.invariances(model.model, encoded)}
    assert not found["all prompts in one batch"]["passed"]
    assert found["all prompts in one batch"]["largest"] == pytest.approx(0.03, abs=1e-5)
    assert found["responses in the reverse order"]["passed"]
    assert checked.invariances(model.model, []) == []


class Impatient(SilentListener):
    """Asks to stop at the first question."""

    def should_stop(self) -> bool:
        return True


def test_a_request_to_stop_is_heard_between_two_passes_of_the_evaluation(
    tiny_sft: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    examples = polite_preferences(40)
    run = prepare(
        examples,
        base=str(tiny_sft),
        out=tmp_path / "rm",
        config=TrainingConfig(device="cpu"),
        listener=Impatient(),
    )
    unknown = {"valid1": None, "valid2": None}
    # All prompts of a split fit into one pass: nothing lies between.
    found = evaluation_of_run(run, examples, known=unknown, step=3)
    assert set(found["splits"]) == {"valid1", "valid2"}
    monkeypatch.setattr(network, "POSITIONS_AT_ONCE", 1)
    with pytest.raises(TrainingStopped) as stopped:
        evaluation_of_run(run, examples, known=unknown, step=3)
    assert stopped.value.step == 3
