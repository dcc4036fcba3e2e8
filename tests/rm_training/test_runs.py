"""A training run from the request to the model, on a real Postgres, with a model so
tiny that a whole run takes half a second."""

import contextlib
import errno
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
from django.db import OperationalError, connection
from django.db.models import Value
from django.db.models.functions import Now
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings
from transformers import AutoModelForSequenceClassification

from annotation import jobs
from annotation.jobs import JobState, LeaseLostError
from annotation.models import Membership, Project, Prompt
from ranking.datasets import freeze
from ranking.export.folder import write
from ranking.models import PromptSplit
from ranking.takedown import take_down
from rm_training import attempts, reporting, runs, tasks
from rm_training.attempts import attempt, reason_of
from rm_training.checkpoint import CheckpointError
from rm_training.config import TrainingConfig
from rm_training.data import Example, read_examples
from rm_training.manifest import file_sha256, verify
from rm_training.models import RewardModel, TrainingMetric, TrainingRun
from rm_training.registry import (
    UnknownModelError,
    base_models,
    base_source,
    data_folder,
    folder_of,
    inside_model_root,
    use,
)
from rm_training.runs import RunRefusedError, cancel, request_run
from rm_training.scoring import RewardModel as LoadedModel
from tests.conftest import make_prompt
from tests.ranking.rows import store_ranking
from tests.rm_training.ranked_project import (
    QUICK,
    STEPS,
    at_question,
    dataset_of,
    new_run,
)

pytestmark = pytest.mark.usefixtures("own_folders")

Stopping = Callable[[], bool]


class Killed(BaseException):
    """kill -9, as far as one process can play it: nothing handles it."""


@pytest.fixture(autouse=True)
def every_step_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporting, "SECONDS_BETWEEN_WRITES", 0.0)


@pytest.fixture(autouse=True)
def no_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its thread has a connection of its own, and would not find a run that only the
    test's transaction knows. A busy machine takes longer than until the first beat."""
    monkeypatch.setattr(jobs, "HEARTBEAT_SECONDS", 3600.0)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Arguments of every message that would have gone to the broker."""
    messages: list[tuple[Any, ...]] = []
    monkeypatch.setattr(tasks.train, "delay", lambda *args: messages.append(args))
    return messages


def never() -> bool:
    return False


class Questions:
    """Asked before every step, and counted."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self) -> bool:
        self.asked += 1
        return False


def carry_out(run: TrainingRun, stopping: Stopping = never) -> TrainingRun:
    attempt(run.pk, worker="test", stopping=stopping)
    run.refresh_from_db()
    return run


def let_the_lease_run_out(run: TrainingRun) -> None:
    TrainingRun.objects.filter(pk=run.pk).update(
        lease_until=Now() - Value(timedelta(seconds=1))
    )


def left_below_model_root(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "models").glob("reward-models/*"))


def copies_of_datasets(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "exports").rglob("*") if path.is_file()]


def weights_of(model: RewardModel) -> str:
    return file_sha256(folder_of(model) / "model.safetensors")


# --- Asking for a run ---------------------------------------------------------------


def test_a_request_freezes_what_counts_and_wakes_a_worker_with_the_id_alone(
    ranked: Project,
    researcher: Membership,
    sent: list[tuple[Any, ...]],
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        run = request_run(
            ranked,
            user=researcher.user,
            base_model=ranked.sft_model,
            config=QUICK,
        )
        assert sent == []  # not before the row is committed
    assert sent == [(run.pk,)]
    run.refresh_from_db()
    assert (run.state, run.attempt, run.created_by) == ("queued", 0, researcher.user)
    assert dataset_of(run).rankings.count() == 20
    assert TrainingConfig.from_dict(run.config) == QUICK


def test_a_run_outlives_a_broker_that_is_down(
    ranked: Project,
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    def refuse(pk: int) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr(tasks.train, "delay", refuse)
    with django_capture_on_commit_callbacks(execute=True):
        run = new_run(ranked)
    run.refresh_from_db()
    assert run.state == JobState.QUEUED


def test_rankings_without_a_strict_pair_are_refused_in_words(
    ranked: Project, alice: Membership
) -> None:
    empty = Project.objects.create(
        slug="tied", title="Tied", sft_model=ranked.sft_model
    )
    with pytest.raises(RunRefusedError, match="no ranking counts"):
        new_run(empty)
    store_ranking(make_prompt(empty), alice, {"r1": 1, "r2": 1, "r3": 1, "r4": 1})
    with pytest.raises(RunRefusedError, match=r"\(1\) are all ties"):
        new_run(empty)
    assert not TrainingRun.objects.exists()


def test_a_base_that_is_not_among_the_choices_is_refused(ranked: Project) -> None:
    for typed in ("/etc", "../secrets", "somebody/model", ""):
        with pytest.raises(RunRefusedError, match="not a base model"):
            request_run(ranked, user=None, base_model=typed, config=QUICK)


def test_a_dataset_of_another_project_is_refused(ranked: Project) -> None:
    elsewhere = Project.objects.create(
        slug="elsewhere", title="Elsewhere", sft_model=ranked.sft_model
    )
    with pytest.raises(RunRefusedError, match="another project"):
        request_run(
            elsewhere,
            user=None,
            base_model=elsewhere.sft_model,
            config=QUICK,
            dataset=freeze(ranked, user=None),
        )


def test_the_same_request_again_is_the_same_run_until_it_is_finished(
    ranked: Project,
) -> None:
    first = new_run(ranked)
    assert new_run(ranked) == first
    assert new_run(ranked, seed=1) != first
    first.cancel()
    assert new_run(ranked) not in (first, None)
    assert TrainingRun.objects.count() == 3


# --- The whole life -----------------------------------------------------------------


def test_a_run_trains_measures_publishes_and_its_model_loads(
    ranked: Project, tmp_path: Path
) -> None:
    run = carry_out(new_run(ranked))
    assert (run.state, run.reason, run.phase) == ("done", "", "")
    assert (run.step, run.steps_total) == (STEPS, STEPS)
    assert run.finished_at is not None

    model = run.reward_model
    assert model.in_use
    assert model.metrics["valid1"]["counts"]["n"] > 0
    assert model.metrics["valid2"]["prompts"] == 2
    evaluation = json.loads((folder_of(model) / "evaluation.json").read_text())
    assert model.evaluation == evaluation
    assert evaluation["splits"]["valid2"]["labelers"]["labelers"] == 1
    verify(folder_of(model))
    loaded = AutoModelForSequenceClassification.from_pretrained(folder_of(model))
    assert loaded.config.num_labels == 1
    assert left_below_model_root(tmp_path) == [f"run-{run.pk}-attempt-1"]
    assert copies_of_datasets(tmp_path) == []


def test_every_step_is_a_row_and_evaluations_stand_with_their_step(
    ranked: Project,
) -> None:
    run = carry_out(new_run(ranked))
    rows = dict(run.metrics.values_list("step", "values"))
    assert list(rows) == list(range(1, STEPS + 1))
    assert [step for step, row in rows.items() if "valid1" in row] == [2, 4, 6, 8]
    assert [step for step, row in rows.items() if "valid2" in row] == [STEPS]
    assert all(row["loss"] > 0 and row["counts"]["n"] > 0 for row in rows.values())
    assert rows[STEPS]["valid1"] == rows[STEPS]["valid1"] | {"split": "valid1"}
    assert all(row["seconds_per_step"] > 0 for row in rows.values())


def test_quick_steps_are_written_together_but_evaluations_at_once(
    ranked: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporting, "SECONDS_BETWEEN_WRITES", 3600.0)
    run = new_run(ranked, eval_every=4, checkpoint_every=0)
    seen: list[int] = []

    def look() -> bool:
        seen.append(TrainingMetric.objects.filter(run=run).count())
        return False

    carry_out(run, look)
    # Before step 1 none; step 1 shows at once; then the evaluation after step 4.
    assert seen == [0, 1, 1, 1, 4, 4, 4, 4]
    assert run.metrics.count() == STEPS


def test_the_model_prefers_what_people_preferred(ranked: Project) -> None:
    run = carry_out(new_run(ranked, epochs=6, lr=3e-3))
    rewards = LoadedModel.load(folder_of(run.reward_model), device="cpu").score(
        ["Write of the sea, number 99."],
        [["water city Thank you", "water city cold night"]],
    )
    assert rewards[0][0] > rewards[0][1]


def test_equal_runs_give_equal_weights(ranked: Project) -> None:
    first, second = carry_out(new_run(ranked)), carry_out(new_run(ranked))
    assert first.pk != second.pk
    assert weights_of(first.reward_model) == weights_of(second.reward_model)
    other = carry_out(new_run(ranked, seed=1))
    assert weights_of(first.reward_model) != weights_of(other.reward_model)


def test_later_models_wait_until_a_person_puts_them_to_use(ranked: Project) -> None:
    first = carry_out(new_run(ranked)).reward_model
    second = carry_out(new_run(ranked, seed=1)).reward_model
    assert (first.in_use, second.in_use) == (True, False)
    use(second)
    use(second)
    assert list(RewardModel.objects.filter(in_use=True)) == [second]


# --- Delivered twice, cancelled, taken over -----------------------------------------


def test_a_duplicate_message_trains_nothing(ranked: Project) -> None:
    run = carry_out(new_run(ranked))
    finished, attempts_made = run.finished_at, run.attempt
    carry_out(run)
    assert (run.finished_at, run.attempt) == (finished, attempts_made)
    assert RewardModel.objects.count() == 1


def test_a_message_that_comes_while_another_worker_trains_does_nothing(
    ranked: Project,
) -> None:
    run = new_run(ranked)
    second = Questions()

    def second_worker() -> None:
        attempt(run.pk, worker="second", stopping=second)

    carry_out(run, at_question(3, second_worker))
    assert second.asked == 0  # the second one never trained
    assert (run.state, run.attempt, run.worker) == ("done", 1, "test")


def test_a_cancelled_run_stops_at_the_next_step_and_leaves_its_checkpoint(
    ranked: Project, tmp_path: Path
) -> None:
    run = new_run(ranked)
    carry_out(run, at_question(4, run.cancel))
    assert run.state == JobState.CANCELLED
    assert run.metrics.count() == 3
    assert not RewardModel.objects.exists()
    assert left_below_model_root(tmp_path) == [f"run-{run.pk}-attempt-1.checkpoints"]
    assert copies_of_datasets(tmp_path) == []


def steal(run: TrainingRun) -> Callable[[], None]:
    """Another worker claims the run, as if this one had slept past its lease."""

    def act() -> None:
        let_the_lease_run_out(run)
        assert TrainingRun.claim(run.pk, worker="thief") is not None

    return act


def test_a_worker_that_lost_its_lease_stops_and_publishes_nothing(
    ranked: Project,
) -> None:
    run = new_run(ranked)
    carry_out(run, at_question(4, steal(run)))
    assert (run.state, run.attempt, run.worker) == ("running", 2, "thief")
    assert run.metrics.count() == 3
    assert not RewardModel.objects.exists()


def test_a_lease_lost_after_the_last_step_leaves_no_second_model(
    ranked: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run = new_run(ranked)
    summarise = attempts.metrics_of

    def overtaken(result: Any) -> dict[str, Any]:
        steal(run)()
        return summarise(result)

    monkeypatch.setattr(attempts, "metrics_of", overtaken)
    carry_out(run)
    assert (run.state, run.attempt) == ("running", 2)
    assert not RewardModel.objects.exists()
    # For the worker that took over.
    assert left_below_model_root(tmp_path) == [f"run-{run.pk}-attempt-1.checkpoints"]


def test_a_heartbeat_that_found_the_lease_gone_ends_the_run(
    ranked: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(lease: Any) -> None:
        raise LeaseLostError

    monkeypatch.setattr(jobs.KeptLease, "check", lost)
    run = carry_out(new_run(ranked))
    assert run.step == 0
    assert not run.metrics.exists()


# --- Killed and stopped -------------------------------------------------------------


def kill() -> None:
    raise Killed


def test_a_killed_worker_is_replaced_and_the_weights_are_those_of_a_quiet_run(
    ranked: Project, sent: list[tuple[Any, ...]], tmp_path: Path
) -> None:
    quiet = carry_out(new_run(ranked)).reward_model
    run = new_run(ranked)
    with pytest.raises(Killed):
        carry_out(run, at_question(6, kill))
    let_the_lease_run_out(run)
    tasks.reconcile()
    assert sent[-1] == (run.pk,)

    questions = Questions()
    carry_out(run, questions)
    assert (run.state, run.attempt, run.lost_leases) == ("done", 2, 1)
    # It goes on from the checkpoint after step 4; then each of two models is scored.
    assert questions.asked == STEPS - 4 + 2
    assert weights_of(run.reward_model) == weights_of(quiet)
    assert left_below_model_root(tmp_path) == [
        f"run-{quiet.run_id}-attempt-1",
        f"run-{run.pk}-attempt-2",
    ]


def test_a_database_that_is_away_at_the_end_costs_no_training(
    ranked: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise OperationalError("server closed the connection")

    run = new_run(ranked)
    with monkeypatch.context() as patch:
        patch.setattr(runs, "publish", away)
        with pytest.raises(OperationalError):
            carry_out(run)
    let_the_lease_run_out(run)
    questions = Questions()
    carry_out(run, questions)
    assert run.state == JobState.DONE
    assert questions.asked == STEPS - 6  # goes on from the checkpoint after step 6
    assert left_below_model_root(tmp_path) == [f"run-{run.pk}-attempt-2"]


def test_a_repeated_step_is_measured_once(ranked: Project) -> None:
    run = new_run(ranked)
    with pytest.raises(Killed):
        carry_out(run, at_question(6, kill))
    let_the_lease_run_out(run)
    carry_out(run)
    rows = list(run.metrics.values_list("step", "attempt"))
    assert rows == [(s, 1) for s in range(1, 5)] + [(s, 2) for s in range(5, 9)]


@pytest.mark.parametrize("ends", [kill, lambda: True])
def test_no_step_is_missing_where_a_later_attempt_goes_on(
    ranked: Project, monkeypatch: pytest.MonkeyPatch, ends: Callable[[], Any]
) -> None:
    monkeypatch.setattr(reporting, "SECONDS_BETWEEN_WRITES", 3600.0)
    run = new_run(ranked, eval_every=100, checkpoint_every=3)
    with contextlib.suppress(Killed):
        carry_out(run, at_question(6, ends))
    let_the_lease_run_out(run)
    carry_out(run)
    assert (run.state, run.attempt) == ("done", 2)
    steps = list(run.metrics.values_list("step", flat=True))
    assert steps == list(range(1, STEPS + 1))


def test_a_run_without_checkpoints_starts_over_and_its_old_steps_go(
    ranked: Project,
) -> None:
    run = new_run(ranked, checkpoint_every=0)
    with pytest.raises(Killed):
        carry_out(run, at_question(6, kill))
    let_the_lease_run_out(run)
    counted: list[int] = []

    def look() -> bool:
        counted.append(run.metrics.count())
        return False

    carry_out(run, look)
    assert counted == [5, 1, 2, 3, 4, 5, 6, 7]
    assert set(run.metrics.values_list("attempt", flat=True)) == {2}


def test_three_lost_workers_fail_the_run(ranked: Project) -> None:
    run = new_run(ranked)
    for _ in range(3):
        with pytest.raises(Killed):
            carry_out(run, at_question(1, kill))
        let_the_lease_run_out(run)
        tasks.reconcile()
    run.refresh_from_db()
    assert (run.state, run.attempt) == ("failed", 3)
    assert run.reason.startswith("worker_lost")


def test_a_worker_that_must_end_gives_the_run_back_at_no_cost(
    ranked: Project,
) -> None:
    run = new_run(ranked)
    carry_out(run, at_question(4, lambda: True))
    assert (run.state, run.attempt, run.lost_leases) == ("queued", 1, 0)
    assert run.step == 3
    questions = Questions()
    carry_out(run, questions)
    assert run.state == JobState.DONE
    assert questions.asked == STEPS - 3  # no step was lost


@pytest.fixture
def worker_goes_on() -> Iterator[None]:
    yield
    jobs._stopping.value = 0


@pytest.mark.usefixtures("worker_goes_on")
def test_sigterm_ends_the_training_at_a_step_and_not_the_process(
    ranked: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    listen = reporting.AttemptReporter.on_step

    def signalled(reporter: Any, report: Any) -> None:
        listen(reporter, report)
        if report.step == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(reporting.AttemptReporter, "on_step", signalled)
    run = new_run(ranked)
    before = signal.getsignal(signal.SIGTERM)
    tasks.train(run.pk)
    run.refresh_from_db()
    assert (run.state, run.step) == ("queued", 3)
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.usefixtures("worker_goes_on")
def test_the_workers_own_handler_of_sigterm_stays() -> None:
    def celerys(*_: object) -> None: ...

    before = signal.signal(signal.SIGTERM, celerys)
    try:
        with jobs.sigterm_asks_to_stop():
            assert signal.getsignal(signal.SIGTERM) is celerys
        assert signal.getsignal(signal.SIGTERM) is celerys
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_torn_checkpoint_of_an_earlier_attempt_is_passed_over(
    ranked: Project, tmp_path: Path
) -> None:
    run = new_run(ranked)
    with pytest.raises(Killed):
        carry_out(run, at_question(6, kill))
    newest = max((tmp_path / "models").glob("reward-models/*.checkpoints/step-*"))
    (newest / "optimizer.safetensors").write_bytes(b"torn")
    let_the_lease_run_out(run)
    questions = Questions()
    carry_out(run, questions)
    assert run.state == JobState.DONE
    assert questions.asked == STEPS - 2


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP, errno.EXDEV])
def test_a_file_system_without_hard_links_costs_no_step(
    ranked: Project, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", refuse)
    run = new_run(ranked)
    carry_out(run, at_question(4, lambda: True))
    questions = Questions()
    carry_out(run, questions)
    assert questions.asked == STEPS - 3


# --- Failures, with their reasons ---------------------------------------------------


def test_a_loss_that_is_not_finite_fails_the_run(
    ranked: Project, tmp_path: Path
) -> None:
    run = carry_out(new_run(ranked, lr=1e30, warmup=0.0))
    assert run.state == JobState.FAILED
    assert run.reason.startswith("nonfinite: ")
    assert "lower learning rate" in run.reason
    assert not RewardModel.objects.exists()
    assert f"run-{run.pk}-attempt-1" not in left_below_model_root(tmp_path)


def test_a_base_that_cannot_be_loaded_fails_the_run(
    ranked: Project, settings: Settings
) -> None:
    broken = settings.MODEL_ROOT / "broken"
    broken.mkdir(parents=True)
    (broken / "config.json").write_text('{"model_type": "llama"}')
    run = request_run(ranked, user=None, base_model="broken", config=QUICK)
    carry_out(run)
    assert run.state == JobState.FAILED
    assert run.reason.startswith("base_model: ")


def test_a_dataset_whose_training_prompts_are_all_tied_fails_the_run(
    project: Project, alice: Membership, tiny_sft: Path
) -> None:
    project.sft_model = str(tiny_sft)
    project.save(update_fields=["sft_model"])
    for name, ranks, split in (
        ("tied", (1, 1, 1, 1), "train"),
        ("strict", (1, 2, 3, 4), "valid1"),
    ):
        prompt = make_prompt(project, name)
        PromptSplit.objects.create(prompt=prompt, group=name, split=split)
        keys = ("r1", "r2", "r3", "r4")
        store_ranking(prompt, alice, dict(zip(keys, ranks, strict=True)))
    run = carry_out(new_run(project))
    assert run.reason.startswith("data: none of the 1 training prompts")


def test_a_full_disk_fails_the_run_in_words_and_publishes_nothing(
    ranked: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("rm_training.checkpoint.save_file", full)
    run = carry_out(new_run(ranked))
    assert run.state == JobState.FAILED
    assert run.reason.startswith("disk_full: ")
    assert not RewardModel.objects.exists()


def test_an_error_nobody_foresaw_is_on_the_row_and_in_the_log(
    ranked: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def surprise(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("by naught")

    monkeypatch.setattr(attempts, "train", surprise)
    run = new_run(ranked)
    with pytest.raises(ZeroDivisionError):
        carry_out(run)
    run.refresh_from_db()
    assert (run.state, run.reason) == ("failed", "error: ZeroDivisionError: by naught")


def test_a_failed_run_leaves_its_checkpoints_and_nothing_else_on_the_disk(
    ranked: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run = new_run(ranked)

    def no_more_memory() -> None:
        raise MemoryError

    carry_out(run, at_question(6, no_more_memory))
    assert run.reason == "out_of_memory: no memory is left for this run"
    assert left_below_model_root(tmp_path) == [f"run-{run.pk}-attempt-1.checkpoints"]
    assert copies_of_datasets(tmp_path) == []


def test_a_run_that_is_cancelled_after_it_was_given_back_leaves_its_checkpoints(
    ranked: Project, tmp_path: Path
) -> None:
    run = carry_out(new_run(ranked), at_question(4, lambda: True))
    (kept,) = left_below_model_root(tmp_path)
    assert kept == f"run-{run.pk}-attempt-1.checkpoints"
    folder = tmp_path / "models/reward-models"
    (folder / f".run-{run.pk}-attempt-1.partial-of-a-killed-worker").mkdir()
    (folder / f"run-{run.pk}0-attempt-1").mkdir()  # another run's
    assert cancel(run)
    assert left_below_model_root(tmp_path) == [kept, f"run-{run.pk}0-attempt-1"]
    assert not cancel(run)


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), "out_of_memory: CUDA"),
        (CheckpointError("elsewhere"), "checkpoint: elsewhere"),
        (OSError(errno.EDQUOT, "quota"), "disk_full: "),
        (CheckpointError("No space left on device"), "disk_full: "),
        (KeyError("x"), "error: KeyError: 'x'"),
    ],
)
def test_a_reason_begins_with_a_word(error: Exception, word: str) -> None:
    assert reason_of(error).startswith(word)


# --- A prompt of the dataset is taken down ------------------------------------------


def take_down_one() -> None:
    take_down(Prompt.objects.earliest("pk"), reason="A name.", user=None)


def assert_refused(run: TrainingRun, tmp_path: Path) -> None:
    lost = "is no longer reproducible: The prompt "
    assert run.state == JobState.FAILED
    assert run.reason.startswith(f"data: {dataset_of(run).name} {lost}")
    assert not RewardModel.objects.exists()
    assert copies_of_datasets(tmp_path) == []
    assert left_below_model_root(tmp_path) == []


def test_a_run_whose_dataset_lost_a_prompt_refuses_to_go_on(
    ranked: Project,
    tmp_path: Path,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    run = new_run(ranked)
    carry_out(run, at_question(4, lambda: True))
    assert left_below_model_root(tmp_path) != []
    # What a worker leaves that is killed while it reads.
    write(dataset_of(run), kind="rankings", out=data_folder(run) / "attempt-1" / "data")
    with django_capture_on_commit_callbacks(execute=True):
        take_down_one()
    assert copies_of_datasets(tmp_path) == []
    questions = Questions()
    assert_refused(carry_out(run, questions), tmp_path)
    assert questions.asked == 0


@pytest.mark.parametrize("removed", [True, False])
def test_what_is_taken_down_while_it_is_read_is_not_learned_from(
    ranked: Project,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
    *,
    removed: bool,
) -> None:
    """Whether its file is gone already, or about to be."""

    def read_late(folder: Path) -> list[Example]:
        with django_capture_on_commit_callbacks(execute=removed):
            take_down_one()
        return read_examples(folder)

    monkeypatch.setattr(attempts, "read_examples", read_late)
    questions = Questions()
    assert_refused(carry_out(new_run(ranked), questions), tmp_path)
    assert questions.asked == 0


def test_a_worker_that_reads_late_leaves_the_next_ones_copy_alone(
    ranked: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = new_run(ranked)
    theirs = data_folder(run) / "attempt-2" / "data"

    def overtaken(folder: Path) -> list[Example]:
        steal(run)()
        write(dataset_of(run), kind="rankings", out=theirs)
        return read_examples(folder)

    monkeypatch.setattr(attempts, "read_examples", overtaken)
    carry_out(run)
    assert (run.state, run.attempt) == ("running", 2)
    assert {path.parent for path in copies_of_datasets(tmp_path)} == {theirs}


def test_the_copy_of_a_dataset_is_gone_before_the_first_step(
    ranked: Project, tmp_path: Path
) -> None:
    run = new_run(ranked)
    seen: list[list[Path]] = []
    carry_out(run, at_question(1, lambda: seen.append(copies_of_datasets(tmp_path))))
    assert seen == [[]]


# --- Models by name -----------------------------------------------------------------


def make_folder(root: Path, name: str) -> Path:
    folder = root / name
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    return folder


def test_bases_are_the_sft_model_and_folders_below_the_root(
    project: Project, settings: Settings, tmp_path: Path
) -> None:
    root = settings.MODEL_ROOT
    assert base_models(project) == []
    for name in ("smol", "org/model", "reward-models/run-1-attempt-1"):
        make_folder(root, name)
    (root / "no-model").mkdir()
    (root / "link").symlink_to(make_folder(tmp_path, "outside"))
    project.sft_model = str(root / "smol")
    assert base_models(project) == [
        (str(root / "smol"), "SFT model: smol"),
        ("org/model", "org/model"),
    ]
    project.sft_model = "smol"  # the same folder, named below the root
    assert base_models(project) == [
        ("smol", "SFT model: smol"),
        ("org/model", "org/model"),
    ]


@pytest.mark.parametrize("name", ["..", ".", "", "/etc", "../outside", "a/../..", "no"])
def test_a_name_that_leaves_the_model_root_is_unknown(
    settings: Settings, tmp_path: Path, name: str
) -> None:
    make_folder(settings.MODEL_ROOT, "a")
    make_folder(tmp_path, "outside")
    with pytest.raises(UnknownModelError, match="no model"):
        inside_model_root(name)


def test_a_base_below_the_root_is_found_there_and_a_hub_id_stays(
    settings: Settings,
) -> None:
    folder = make_folder(settings.MODEL_ROOT, "smol")
    assert base_source("smol") == str(folder.resolve())
    assert base_source("org/on-a-hub") == "org/on-a-hub"


def test_a_folder_that_was_exchanged_is_not_the_published_model(
    ranked: Project,
) -> None:
    model = carry_out(new_run(ranked)).reward_model
    manifest = folder_of(model) / "manifest.json"
    manifest.write_text(manifest.read_text() + " ")
    with pytest.raises(UnknownModelError, match="its manifest differs"):
        folder_of(model)


@pytest.mark.django_db(transaction=True)
def test_two_first_models_at_once_are_not_both_in_use(
    ranked: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [new_run(ranked), new_run(ranked, seed=1)]
    meet = threading.Barrier(2, timeout=60)
    summarise = attempts.metrics_of

    def together(result: Any) -> dict[str, Any]:
        meet.wait()
        return summarise(result)

    monkeypatch.setattr(attempts, "metrics_of", together)

    def work(pk: int) -> None:
        try:
            attempt(pk, worker="w", stopping=never)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=[run.pk]) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {run.state for run in TrainingRun.objects.all()} == {"done"}
    assert RewardModel.objects.count() == 2
    assert RewardModel.objects.filter(in_use=True).count() == 1
