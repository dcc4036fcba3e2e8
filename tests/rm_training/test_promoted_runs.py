"""A new model beside the one in use, in the worker that trained it."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from annotation.models import Project, Prompt
from rm_training import attempts, promotion
from rm_training.attempts import attempt
from rm_training.encoding import EncodingError
from rm_training.models import Retraining, RewardModel, TrainingRun
from rm_training.registry import folder_of, use
from rm_training.runs import request_run
from rm_training.scoring import RewardModel as LoadedModel
from tests.rm_training.ranked_project import QUICK, STEPS

pytestmark = pytest.mark.usefixtures("own_folders")

GOOD: dict[str, Any] = {"epochs": 6, "lr": 3e-3}
BAD: dict[str, Any] = {"lr": 1e-9, "seed": 6}  # a head that happens to be bad


@pytest.fixture(autouse=True)
def two_prompts_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(promotion, "FEWEST_PROMPTS", 2)


def train(
    project: Project, stopping: Callable[[], bool] = bool, **changes: Any
) -> TrainingRun:
    config = dataclasses.replace(QUICK, **changes)
    run = request_run(project, user=None, base_model=project.sft_model, config=config)
    attempt(run.pk, worker="test", stopping=stopping)
    run.refresh_from_db()
    return run


def in_use(project: Project) -> list[RewardModel]:
    return list(RewardModel.objects.filter(project=project, in_use=True))


def facts_of(run: TrainingRun) -> dict[str, Any]:
    facts = run.reward_model.comparison
    assert facts is not None
    return dict(facts)


def last_line(run: TrainingRun) -> str:
    line = run.notes.last()
    assert line is not None
    return line.text


def test_the_first_model_is_put_to_use_and_compared_with_none(ranked: Project) -> None:
    run = train(ranked)
    assert in_use(ranked) == [run.reward_model]
    assert run.reward_model.comparison is None
    assert last_line(run) == "put to use: no model of this project was in use"


def test_a_model_that_is_not_worse_replaces_the_one_in_use(ranked: Project) -> None:
    first = train(ranked, **BAD)
    second = train(ranked, **GOOD)
    assert in_use(ranked) == [second.reward_model]
    facts = facts_of(second)
    assert facts["promote"] is True
    assert (facts["model"], facts["run"]) == (first.reward_model.pk, first.pk)
    # What the trainer measured while it trained, measured again from the disk.
    for run, side in ((second, "new"), (first, "old")):
        counts = run.reward_model.metrics["valid1"]["counts"]
        assert facts[side] == counts["accuracy"]
        assert facts["pairs"] == counts["n"]
    assert facts["difference"] == pytest.approx(facts["new"] - facts["old"])
    assert facts["prompts"] == 2
    assert RewardModel.objects.count() == 2  # the earlier one stays


def test_a_model_that_may_be_worse_waits_for_a_person(ranked: Project) -> None:
    first = train(ranked, **GOOD)
    second = train(ranked, **BAD)
    assert in_use(ranked) == [first.reward_model]
    facts = facts_of(second)
    assert facts["promote"] is False
    assert facts["interval"][0] <= facts["difference"] < 0
    assert "is not above −1.00 points" in facts["why"]
    assert last_line(second).startswith("not put to use: the lower end")
    assert second.state == "done"


@pytest.mark.parametrize(("margin", "promoted"), [(100.0, True), (None, False)])
def test_the_margin_is_the_projects(
    ranked: Project, margin: float | None, *, promoted: bool
) -> None:
    Retraining.objects.create(project=ranked, margin=margin)
    first = train(ranked)
    second = train(ranked)  # the same weights: a difference of 0 in every draw
    expected = second if promoted else first
    assert facts_of(second)["interval"] == [0.0, 0.0]
    assert in_use(ranked) == [expected.reward_model]


def test_few_held_out_prompts_leave_it_to_a_person(
    ranked: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(promotion, "FEWEST_PROMPTS", 10)
    first, second = train(ranked), train(ranked)
    assert in_use(ranked) == [first.reward_model]
    assert "too few to decide by" in facts_of(second)["why"]


def test_a_model_in_use_that_cannot_be_read_leaves_it_to_a_person(
    ranked: Project,
) -> None:
    first = train(ranked)
    weights = folder_of(first.reward_model) / "model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    second = train(ranked)
    assert second.state == "done"
    assert in_use(ranked) == [first.reward_model]
    facts = facts_of(second)
    assert facts["difference"] is None
    assert "model.safetensors has changed" in facts["why"]


def test_a_model_put_to_use_meanwhile_is_not_replaced_unseen(
    ranked: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, _ = train(ranked, **BAD), train(ranked, **GOOD)
    summarise = attempts.metrics_of

    def somebody_chooses(result: Any) -> dict[str, Any]:
        use(other.reward_model)
        return summarise(result)

    monkeypatch.setattr(attempts, "metrics_of", somebody_chooses)
    third = train(ranked, **GOOD, seed=1)
    assert in_use(ranked) == [other.reward_model]
    assert facts_of(third)["why"] == (
        f"the model of run {other.pk} was put to use while this one was compared with "
        "another"
    )


def test_a_prompt_that_one_of_them_cannot_read_counts_for_neither(
    ranked: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(ranked)
    long, _ = Prompt.objects.filter(promptsplit__split="valid1").order_by("pk")
    score, scored = LoadedModel.score, []

    def short_sighted(model: Any, prompts: Any, responses: Any) -> Any:
        # The first model to be loaded here is the new one.
        scored.append(model)
        if model is not scored[0] and long.messages in prompts:
            raise EncodingError("too long")
        return score(model, prompts, responses)

    monkeypatch.setattr(LoadedModel, "score", short_sighted)
    run = train(ranked)
    facts = facts_of(run)
    assert (facts["left_out"], facts["prompts"]) == (1, 1)
    assert 0 < facts["pairs"] < run.reward_model.metrics["valid1"]["counts"]["n"]


def test_a_worker_that_must_end_while_it_compares_gives_the_run_back(
    ranked: Project,
) -> None:
    train(ranked)
    questions = iter(range(1, 1000))
    run = train(ranked, lambda: next(questions) == STEPS + 1, seed=1)
    assert (run.state, run.attempt) == ("queued", 1)
    assert last_line(run) == "given back: its worker was asked to end"
    attempt(run.pk, worker="next", stopping=bool)
    run.refresh_from_db()
    assert run.state == "done"
    assert facts_of(run)["prompts"] == 2


def test_the_log_of_a_run_says_what_it_did_and_when(ranked: Project) -> None:
    lines = list(train(ranked).notes.values_list("attempt", "kind", "text"))
    assert [text for _, kind, text in lines if kind == "phase"] == [
        "reading the dataset",
        "loading the base model",
        "publishing",
    ]
    assert {number for number, kind, _ in lines if kind == "phase"} == {1}


def test_every_step_has_its_rewards_and_what_it_encoded(ranked: Project) -> None:
    for values in train(ranked).metrics.values_list("values", flat=True):
        assert values["reward_spread"] > 0
        assert abs(values["reward_mean"]) < 10
        assert values["tokens"] > 0
