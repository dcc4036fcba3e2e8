"""The loop: it learns, it is exact, it repeats itself, and it knows when to stop."""

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from rm_training import loading, published, trainer, training_step
from rm_training.checkpoint import CheckpointError
from rm_training.config import TrainingConfig
from rm_training.data import DataError, Example
from rm_training.heldout import better, evaluate, in_passes, score_passes
from rm_training.listener import (
    Evaluation,
    NonFiniteLoss,
    SilentListener,
    StepReport,
    TrainingResult,
    TrainingStopped,
)
from rm_training.manifest import OutputRefused
from rm_training.metrics import PairCounts
from rm_training.network import head_of, rewards_of_prompts
from rm_training.preparation import PreparedRun, prepare
from rm_training.scoring import RewardModel
from rm_training.trainer import train
from tests.preferences import make_example, polite_preferences

QUICK = TrainingConfig(lr=1e-3, prompts_per_step=4, device="cpu")


class Recorder(SilentListener):
    """Keeps what it hears; stops the run before the given step."""

    def __init__(self, *, stop_after: int | None = None) -> None:
        self.steps: list[StepReport] = []
        self.evaluations: list[Evaluation] = []
        self.notes: list[str] = []
        self.stop_after = stop_after

    def on_step(self, report: StepReport) -> None:
        self.steps.append(report)

    def on_evaluation(self, evaluation: Evaluation) -> None:
        self.evaluations.append(evaluation)

    def on_note(self, note: str) -> None:
        self.notes.append(note)

    def should_stop(self) -> bool:
        return len(self.steps) == self.stop_after


def run(
    examples: Sequence[Example],
    base: Path,
    out: Path,
    config: TrainingConfig = QUICK,
    listener: SilentListener | None = None,
) -> TrainingResult:
    return train(
        examples,
        base=str(base),
        out=out,
        config=config,
        listener=listener or SilentListener(),
    )


def weights_of(result: TrainingResult) -> dict[str, Tensor]:
    return dict(RewardModel.load(result.folder, device="cpu").model.state_dict())


def test_a_preference_is_learnt(polite_run: TrainingResult) -> None:
    assert polite_run.valid1 is not None
    assert polite_run.valid2 is not None
    assert polite_run.valid1.counts.n > 20
    assert polite_run.valid2.counts.n > 20
    assert polite_run.valid1.accuracy is not None
    assert polite_run.valid2.accuracy is not None
    assert polite_run.valid1.accuracy > 0.9
    assert polite_run.valid2.accuracy > 0.9
    assert polite_run.valid2.loss is not None
    assert polite_run.valid2.loss < math.log(2) / 2
    assert polite_run.valid2.counts.human_ties > 0


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(
    tiny_sft: Path, tmp_path: Path
) -> None:
    examples = polite_preferences(20)
    one, two = (run(examples, tiny_sft, tmp_path / name) for name in ("1", "2"))
    first, second = weights_of(one), weights_of(two)
    assert all(torch.equal(weight, second[name]) for name, weight in first.items())
    manifests = [(r.folder / "manifest.json").read_bytes() for r in (one, two)]
    assert manifests[0] == manifests[1]
    other = dataclasses.replace(QUICK, seed=1)
    third = weights_of(run(examples, tiny_sft, tmp_path / "3", other))
    assert not torch.equal(first["score.weight"], third["score.weight"])


def ragged() -> list[Example]:
    """Unequal K, ties, several rankings, a ranking without a pair."""
    return [
        make_example("p1", responses=["a b", "c", "the sea"], rankings=[[1, 2, 2]]),
        make_example(
            "p2",
            responses=["egg", "wind", "city " * 9, "poem", "x"],
            rankings=[[5, 1, 2, 3, 4], [1, 1, 1, 1, 1], [2, 1, 1, 0, 3]],
        ),
        make_example("p3", responses=["Thank you", ""], rankings=[[2, 1], [1, 2]]),
        make_example("p4", responses=["q", "r"], rankings=[[1, 2]]),
    ]


def gradients(
    base: Path, out: Path, config: TrainingConfig
) -> tuple[StepReport, dict[str, Tensor]]:
    """The clipped-at-infinity gradient of one step over all ragged prompts."""
    examples = [dataclasses.replace(one, split="train") for one in ragged()]
    prepared = prepare(
        examples, base=str(base), out=out, config=config, listener=SilentListener()
    )
    caught: dict[str, Tensor] = {}

    class Catch(torch.optim.SGD):
        def step(self, closure: Any = None) -> Any:
            for name, weight in prepared.model.named_parameters():
                assert weight.grad is not None
                caught[name] = weight.grad.clone()

    optimizer = Catch(prepared.model.parameters(), lr=0.0)
    return training_step.training_step(
        prepared, optimizer, prepared.train, step=1
    ), caught


@pytest.mark.parametrize("loss", ["prompt_mean", "pair_mean"])
@pytest.mark.parametrize("ties", ["drop", "soft"])
def test_passes_add_up_to_the_gradient_of_one_big_batch(
    tiny_sft: Path, tmp_path: Path, loss: str, ties: str
) -> None:
    fields = {"loss": loss, "ties": ties, "clip": 1e9, "prompts_per_step": 4}
    whole, one_pass = gradients(
        tiny_sft,
        tmp_path,
        TrainingConfig.from_dict(fields | {"prompts_per_pass": 4, "device": "cpu"}),
    )
    for per_pass in (1, 3):
        parts, added = gradients(
            tiny_sft,
            tmp_path,
            TrainingConfig.from_dict(
                fields | {"prompts_per_pass": per_pass, "device": "cpu"}
            ),
        )
        assert parts.loss == pytest.approx(whole.loss, abs=1e-6)
        assert parts.counts == whole.counts
        for name, gradient in one_pass.items():
            torch.testing.assert_close(added[name], gradient, atol=1e-6, rtol=1e-5)


def test_a_step_counts_the_tokens_that_went_through_the_trunk(
    tiny_sft: Path, tmp_path: Path
) -> None:
    """Each prompt once, each of its responses once: never K(K - 1) sequences."""
    config = dataclasses.replace(QUICK, prompts_per_step=16, prompts_per_pass=1)
    report, _ = gradients(tiny_sft, tmp_path, config)
    prepared = prepare(
        [dataclasses.replace(one, split="train") for one in ragged()],
        base=str(tiny_sft),
        out=tmp_path / "x",
        config=config,
        listener=SilentListener(),
    )
    once = sum(
        len(prompt.prompt) + sum(map(len, prompt.responses))
        for prompt in prepared.train
    )
    assert report.tokens == once


def test_the_listener_hears_every_step_and_evaluation(
    tiny_sft: Path, tmp_path: Path
) -> None:
    recorder = Recorder()
    config = dataclasses.replace(QUICK, eval_every=2, epochs=2)
    result = run(polite_preferences(25), tiny_sft, tmp_path / "rm", config, recorder)
    # 20 training prompts, 4 a step, twice.
    assert [report.step for report in recorder.steps] == list(range(1, 11))
    assert {report.total_steps for report in recorder.steps} == {10}
    heard = [(one.split, one.step) for one in recorder.evaluations]
    assert heard == [("valid1", s) for s in (2, 4, 6, 8, 10)] + [("valid2", 10)]
    assert recorder.steps[-1].learning_rate == pytest.approx(1e-4)
    assert all(report.gradient_norm > 0 for report in recorder.steps)
    assert result.meta["metrics"]["training_tokens"] == sum(
        report.tokens for report in recorder.steps
    )


def test_the_weights_that_were_best_on_valid1_are_the_ones_kept(
    tiny_sft: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Step 2 of 5 is made the best; its weights must be the published ones."""
    seen: dict[int, Tensor] = {}
    scored = score_passes

    def watched(model: Any, *rest: Any) -> list[list[float]]:
        seen.setdefault(len(seen) + 1, model.score.weight.detach().clone())
        return scored(model, *rest)

    def rigged(*args: Any, step: int, **rest: Any) -> Evaluation:
        honest = evaluate(*args, step=step, **rest)
        wins = 9 if step == 2 else 1
        return dataclasses.replace(honest, counts=PairCounts(wins=wins, losses=1))

    monkeypatch.setattr(trainer, "score_passes", watched)
    monkeypatch.setattr(trainer, "evaluate", rigged)
    config = dataclasses.replace(QUICK, eval_every=1)
    result = run(polite_preferences(25), tiny_sft, tmp_path / "rm", config)
    assert (result.steps, result.best_step) == (5, 2)
    kept = weights_of(result)["score.weight"]
    assert torch.equal(kept, seen[2])
    assert not torch.equal(kept, seen[5])
    assert result.valid1 is not None
    assert result.valid1.step == 2


def an_evaluation(wins: int, n: int, loss: float | None) -> Evaluation:
    counts = PairCounts(wins=wins, losses=n - wins)
    return Evaluation(step=1, split="valid1", prompts=1, counts=counts, loss=loss)


def test_better_is_accuracy_then_loss_then_the_earlier() -> None:
    base = an_evaluation(5, 10, 0.6)
    assert better(base, None)
    assert better(an_evaluation(6, 10, 0.9), base)
    assert not better(an_evaluation(4, 10, 0.1), base)
    assert better(an_evaluation(5, 10, 0.5), base)
    assert not better(an_evaluation(5, 10, 0.6), base)
    assert not better(an_evaluation(0, 0, None), None)


def test_the_reported_accuracy_is_that_of_the_published_model(
    polite_run: TrainingResult,
) -> None:
    model = RewardModel.load(polite_run.folder, device="cpu")
    held_out = [one for one in polite_preferences(60) if one.split == "valid2"]
    wins = n = 0
    for example in held_out:
        (rewards,) = model.score([example.messages], [example.responses])
        (ranks,) = example.rankings
        for i, better_rank in enumerate(ranks):
            for j, worse_rank in enumerate(ranks):
                if better_rank < worse_rank:
                    wins, n = wins + (rewards[i] > rewards[j]), n + 1
    assert polite_run.valid2 is not None
    assert (polite_run.valid2.counts.wins, polite_run.valid2.counts.n) == (wins, n)


def test_without_held_out_prompts_the_last_step_is_kept_and_told(
    tiny_sft: Path, tmp_path: Path
) -> None:
    examples = [make_example("a", split="train"), make_example("b", split="train")]
    recorder = Recorder()
    result = run(examples, tiny_sft, tmp_path / "rm", listener=recorder)
    assert result.valid1 is None
    assert result.valid2 is None
    assert result.best_step == result.steps == 1
    assert recorder.evaluations == []
    assert any("valid1 is empty" in note for note in recorder.notes)
    assert "undefined" in (result.folder / "README.md").read_text()


def test_held_out_prompts_with_ties_only_have_no_accuracy_and_select_nothing(
    tiny_sft: Path, tmp_path: Path
) -> None:
    examples = [
        make_example("a", split="train"),
        make_example("b", rankings=[[1, 1, 1]], split="valid1"),
    ]
    recorder = Recorder()
    result = run(examples, tiny_sft, tmp_path / "rm", listener=recorder)
    assert result.valid1 is None
    (heard,) = recorder.evaluations
    assert (heard.accuracy, heard.loss, heard.counts.human_ties) == (None, None, 3)


def test_prompts_without_a_pair_are_left_out_and_told(
    tiny_sft: Path, tmp_path: Path
) -> None:
    tied = make_example("tied", rankings=[[1, 1, 1]], split="train")
    good = make_example("good", split="train")
    recorder = Recorder()
    run([tied, good], tiny_sft, tmp_path / "rm", listener=recorder)
    assert "1 training prompts have no kept pair: left out" in recorder.notes
    with pytest.raises(DataError, match="nothing to learn from"):
        run([tied], tiny_sft, tmp_path / "none")
    soft = dataclasses.replace(QUICK, ties="soft")
    assert run([tied], tiny_sft, tmp_path / "soft", soft).steps == 1


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_a_loss_or_gradient_that_is_not_finite_stops_the_run_at_its_step(
    tiny_sft: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    recorder = Recorder()

    def poisoned(*args: Any, **options: Any) -> Tensor:
        rewards = rewards_of_prompts(*args, **options)
        if len(recorder.steps) == 2:
            if what == "loss":
                return rewards * math.nan
            hooked: Any = rewards  # its method carries no types
            hooked.register_hook(lambda gradient: gradient * math.inf)
        return rewards

    monkeypatch.setattr(training_step, "rewards_of_prompts", poisoned)
    with pytest.raises(NonFiniteLoss, match=f"the {what} is not finite at step 3"):
        run(polite_preferences(25), tiny_sft, tmp_path / "rm", listener=recorder)
    assert list(tmp_path.iterdir()) == []


def test_a_learning_rate_that_explodes_never_publishes(
    tiny_sft: Path, tmp_path: Path
) -> None:
    wild = dataclasses.replace(QUICK, lr=1e30, warmup=0.0)
    with pytest.raises(NonFiniteLoss):
        run(polite_preferences(25), tiny_sft, tmp_path / "rm", wild)
    assert not (tmp_path / "rm").exists()


def test_a_folder_that_reads_back_differently_is_not_published(
    tiny_sft: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = loading.load_classifier

    def read_back(folder: str) -> Any:
        model, missing = real(folder)
        with torch.no_grad():
            head_of(model).weight += 1e-3
        return model, missing

    monkeypatch.setattr(published, "load_classifier", read_back)
    with pytest.raises(CheckpointError, match="the model read back from disk scores"):
        run(polite_preferences(25), tiny_sft, tmp_path / "rm")
    assert list(tmp_path.iterdir()) == []


def test_a_listener_can_stop_the_run(tiny_sft: Path, tmp_path: Path) -> None:
    recorder = Recorder(stop_after=2)
    config = dataclasses.replace(QUICK, checkpoint_every=0)
    with pytest.raises(TrainingStopped, match="after 2 steps"):
        run(polite_preferences(25), tiny_sft, tmp_path / "rm", config, recorder)
    assert len(recorder.steps) == 2
    assert list(tmp_path.iterdir()) == []


def test_an_occupied_output_is_refused_before_any_work(
    tiny_sft: Path, tmp_path: Path
) -> None:
    (tmp_path / "precious").write_text("mine")
    recorder = Recorder()
    with pytest.raises(OutputRefused):
        run(polite_preferences(25), tiny_sft, tmp_path, listener=recorder)
    assert recorder.steps == []
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]


def test_a_base_without_chat_template_trains_under_the_name_plain(
    plain_sft: Path, tmp_path: Path
) -> None:
    result = run(polite_preferences(25), plain_sft, tmp_path / "rm")
    assert result.meta["template"]["name"] == "plain"
    model = RewardModel.load(result.folder, device="cpu")
    assert len(model.score(["Write."], [["a", "b"]])[0]) == 2


def test_bfloat16_trains_and_publishes_float32(tiny_sft: Path, tmp_path: Path) -> None:
    config = dataclasses.replace(QUICK, dtype="bfloat16")
    result = run(polite_preferences(25), tiny_sft, tmp_path / "rm", config)
    assert {w.dtype for w in weights_of(result).values()} == {torch.float32}


def test_an_evaluation_survives_json() -> None:
    evaluation = an_evaluation(3, 5, 0.5)
    assert Evaluation.from_dict(evaluation.to_dict()) == evaluation


def test_the_loss_of_an_evaluation_is_the_training_loss_without_centering(
    tiny_sft: Path, tmp_path: Path
) -> None:
    config = dataclasses.replace(QUICK, centering=0.0, prompts_per_pass=3)
    report, _ = gradients(tiny_sft, tmp_path, config)
    prepared: PreparedRun = prepare(
        [dataclasses.replace(one, split="train") for one in ragged()],
        base=str(tiny_sft),
        out=tmp_path,
        config=config,
        listener=SilentListener(),
    )
    passes = in_passes(prepared.train, config)
    heard = evaluate(
        prepared.train,
        score_passes(prepared.model, passes, config),
        config=config,
        split="train",
        step=0,
    )
    assert heard.loss == pytest.approx(report.loss, abs=1e-6)
    assert heard.counts == report.counts
