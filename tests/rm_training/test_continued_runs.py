"""A run that ended without a model goes on from its last checkpoint, or runs again."""

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db.models import Value
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from annotation import jobs
from annotation.jobs import Job, JobState
from annotation.models import Membership, Project, Prompt
from ranking.takedown import take_down
from rm_training import attempts, continuing, reporting, tasks
from rm_training.continuing import continue_run, run_again, way_on
from rm_training.data import read_examples
from rm_training.models import RewardModel, TrainingRun
from rm_training.registry import newest_checkpoint
from rm_training.runs import RunRefusedError, cancel
from tests.racing import at_once, together
from tests.rm_training.ranked_project import STEPS, at_question, new_run
from tests.rm_training.test_runs import (
    Questions,
    carry_out,
    left_below_model_root,
    weights_of,
)

SignedIn = Callable[[Membership], Client]


@pytest.fixture(autouse=True)
def by_itself(own_folders: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporting, "SECONDS_BETWEEN_WRITES", 0.0)
    monkeypatch.setattr(tasks.train, "delay", lambda pk: None)
    # Its thread has a connection of its own, and would not find a run that only this
    # test's transaction knows.
    monkeypatch.setattr(jobs, "HEARTBEAT_SECONDS", 3600.0)


@pytest.fixture
def cancelled(ranked: Project) -> TrainingRun:
    """Cancelled before step 6; its checkpoint is of step 4."""
    run = new_run(ranked)
    return carry_out(run, at_question(6, lambda: cancel(run) and False))


def go_on(run: TrainingRun, member: Membership) -> bool:
    assert member.user is not None
    return continue_run(run, user=member.user)


def no_more_memory() -> None:
    raise MemoryError


def press(client: Client, name: str, run: TrainingRun) -> str:
    address = reverse(name, args=["tides", run.pk])
    said = client.post(address, follow=True).content.decode()
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", said))


# --- Continue -----------------------------------------------------------------------


def test_a_cancelled_run_goes_on_from_its_checkpoint_to_the_same_weights(
    ranked: Project, cancelled: TrainingRun, researcher: Membership, tmp_path: Path
) -> None:
    assert (cancelled.step, newest_checkpoint(cancelled)) == (5, 4)
    assert go_on(cancelled, researcher)
    cancelled.refresh_from_db()
    assert (cancelled.state, cancelled.step) == (JobState.QUEUED, 4)
    assert cancelled.finished_at is None

    questions = Questions()
    done = carry_out(cancelled, questions)
    assert (done.state, done.attempt) == (JobState.DONE, 2)
    assert questions.asked == STEPS - 4
    steps = list(done.metrics.values_list("step", "attempt"))
    assert steps == [(s, 1) for s in range(1, 5)] + [(s, 2) for s in range(5, 9)]
    assert left_below_model_root(tmp_path) == [f"run-{done.pk}-attempt-2"]
    assert weights_of(done.reward_model) == weights_of(
        carry_out(new_run(ranked)).reward_model
    )
    said = [line.text for line in done.notes.all()]
    assert f"continued from step 4 by {researcher.user}" in said
    assert "resumed after step 4" in said


def test_a_failed_run_goes_on_once_its_cause_is_mended(
    ranked: Project, researcher: Membership
) -> None:
    run = carry_out(new_run(ranked), at_question(6, no_more_memory))
    TrainingRun.objects.update(lost_leases=3)  # as if three workers had vanished
    assert go_on(run, researcher)
    run.refresh_from_db()
    assert (run.reason, run.lost_leases) == ("", 0)
    assert carry_out(run).state == JobState.DONE


def test_a_run_that_is_under_way_or_done_is_left_alone(
    ranked: Project, researcher: Membership
) -> None:
    run = new_run(ranked)
    assert not go_on(run, researcher)
    carry_out(run)
    assert not go_on(run, researcher)
    assert (run.state, way_on(run)) == (JobState.DONE, None)


def test_without_a_checkpoint_it_can_only_be_run_again(
    ranked: Project, researcher: Membership, signed_in: SignedIn
) -> None:
    run = carry_out(new_run(ranked, checkpoint_every=0), at_question(3, no_more_memory))
    client = signed_in(researcher)
    page = client.get(reverse("run", args=["tides", run.pk])).content.decode()
    assert "continue-run" not in page
    assert "run-again" in page
    assert "no checkpoint to continue from" in press(client, "continue_run", run)
    run.refresh_from_db()
    assert run.state == JobState.FAILED


def test_a_checkpoint_that_was_never_published_is_none(
    cancelled: TrainingRun, settings: Settings
) -> None:
    root = settings.MODEL_ROOT / f"reward-models/run-{cancelled.pk}-attempt-1"
    (checkpoints := root.with_name(f"{root.name}.checkpoints")).mkdir(exist_ok=True)
    (checkpoints / "step-00000006").mkdir()
    assert newest_checkpoint(cancelled) == 4


def test_a_dataset_that_lost_a_prompt_can_neither_be_continued_nor_run_again(
    cancelled: TrainingRun, researcher: Membership, signed_in: SignedIn
) -> None:
    take_down(Prompt.objects.earliest("pk"), reason="A name.", user=None)
    client = signed_in(researcher)
    for name in ("continue_run", "run_again"):
        assert "Nothing was queued." in press(client, name, cancelled)
    page = client.get(reverse("run", args=["tides", cancelled.pk])).content.decode()
    assert "can neither be continued nor run again" in page
    assert "has lost something since it was frozen" in page
    assert list(TrainingRun.objects.values_list("state", flat=True)) == ["cancelled"]


def test_a_dataset_that_changed_under_a_checkpoint_refuses_to_resume(
    cancelled: TrainingRun,
    researcher: Membership,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No page changes one: as if somebody had, in the database."""
    monkeypatch.setattr(
        attempts, "read_examples", lambda folder: read_examples(folder)[:-1]
    )
    assert go_on(cancelled, researcher)
    failed = carry_out(cancelled)
    assert failed.state == JobState.FAILED
    assert failed.reason.startswith("checkpoint: ")
    assert "data differ" in failed.reason
    assert not RewardModel.objects.exists()


def test_a_base_model_that_is_gone_is_named(
    ranked: Project, cancelled: TrainingRun, researcher: Membership
) -> None:
    ranked.sft_model = ""
    ranked.save(update_fields=["sft_model"])
    with pytest.raises(RunRefusedError, match="is not among those of this project"):
        go_on(cancelled, researcher)


def test_beside_an_equal_run_that_is_under_way_nothing_is_trained_twice(
    ranked: Project, cancelled: TrainingRun, researcher: Membership
) -> None:
    twin = new_run(ranked)
    with pytest.raises(RunRefusedError, match=f"Run {twin.pk} has the same data"):
        go_on(cancelled, researcher)


def test_the_worker_from_before_the_cancel_finds_the_run_is_not_its_own(
    ranked: Project, researcher: Membership, tmp_path: Path
) -> None:
    """It was in the middle of a step: the run is cancelled, continued, and at work on
    another machine before it looks."""
    run = new_run(ranked)

    def meanwhile() -> None:
        cancel(run)
        assert go_on(run, researcher)
        assert TrainingRun.claim(run.pk, worker="second") is not None
        writing = tmp_path / "models/reward-models" / f"run-{run.pk}-attempt-2"
        writing.mkdir()

    carry_out(run, at_question(6, meanwhile))
    assert (run.state, run.attempt, run.worker) == ("running", 2, "second")
    assert left_below_model_root(tmp_path) == [
        f"run-{run.pk}-attempt-1.checkpoints",
        f"run-{run.pk}-attempt-2",
    ]


def test_checkpoints_of_a_cancelled_run_go_after_a_week_and_of_a_continued_one_stay(
    cancelled: TrainingRun, researcher: Membership
) -> None:
    long_ago = Now() - Value(timedelta(days=8))
    assert go_on(cancelled, researcher)
    tasks.forget_checkpoints()
    assert newest_checkpoint(cancelled) == 4
    TrainingRun.objects.update(state=JobState.CANCELLED, finished_at=long_ago)
    tasks.forget_checkpoints()
    assert newest_checkpoint(cancelled) is None


# --- Two at once --------------------------------------------------------------------


def press_twice(run: TrainingRun, who: Membership) -> list[bool]:
    return at_once(lambda pk: go_on(TrainingRun.objects.get(pk=pk), who), [run.pk] * 2)


@pytest.mark.django_db(transaction=True)
def test_two_presses_at_once_continue_the_run_once(
    cancelled: TrainingRun, researcher: Membership
) -> None:
    assert sorted(press_twice(cancelled, researcher)) == [False, True]
    assert cancelled.notes.filter(text__startswith="continued").count() == 1


@pytest.mark.django_db(transaction=True)
def test_without_lock_and_condition_two_presses_continue_it_twice(
    cancelled: TrainingRun, researcher: Membership, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: both look before either acts, and neither asks again."""
    both_looked = together(2)

    def look(run: TrainingRun) -> int | None:
        both_looked()
        return newest_checkpoint(run)

    def whatever_it_is(job: Job, **fields: Any) -> bool:
        queued = {"state": JobState.QUEUED, "finished_at": None, **fields}
        return bool(TrainingRun.objects.filter(pk=job.pk).update(**queued))

    monkeypatch.setattr(continuing, "newest_checkpoint", look)
    monkeypatch.setattr(continuing, "lock_project", lambda pk: None)
    monkeypatch.setattr(Job, "reopen", whatever_it_is)
    assert press_twice(cancelled, researcher) == [True, True]


# --- Run again, and the buttons -----------------------------------------------------


def test_run_again_is_a_new_run_with_the_same_data_and_settings(
    cancelled: TrainingRun, researcher: Membership
) -> None:
    user = researcher.user
    assert user is not None
    again = run_again(cancelled, user=user)
    assert again.pk != cancelled.pk
    for name in ("dataset", "base_model", "config"):
        assert getattr(again, name) == getattr(cancelled, name)
    assert run_again(cancelled, user=user) == again  # a second press


def test_the_buttons_of_a_cancelled_run(
    cancelled: TrainingRun, researcher: Membership, signed_in: SignedIn
) -> None:
    client = signed_in(researcher)
    page = client.get(reverse("run", args=["tides", cancelled.pk])).content.decode()
    assert "Continue from step 4" in page
    assert page.count("csrfmiddlewaretoken") == 3  # with that of "Sign out"
    assert f"Run {cancelled.pk} goes on." in press(client, "continue_run", cancelled)
    said = press(client, "continue_run", cancelled)
    assert f"Run {cancelled.pk} is queued: nothing was changed." in said
    cancel(cancelled)
    press(client, "run_again", cancelled)
    assert TrainingRun.objects.latest("pk").state == JobState.QUEUED
    assert TrainingRun.objects.count() == 2
