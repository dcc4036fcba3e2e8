"""A run of a large project is queued at once; its worker freezes the rankings."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client
from django.urls import reverse

from annotation import jobs
from annotation.jobs import JobState
from annotation.models import Membership, Project
from ranking import job_progress
from ranking.models import Dataset
from rm_training import run_freezing, runs, tasks
from rm_training.models import TrainingRun
from tests.conftest import make_prompt
from tests.racing import closing, wait_until
from tests.ranking.held_freeze import HeldUp, held_up
from tests.ranking.rows import store_ranking
from tests.rm_training.ranked_project import dataset_of, new_run
from tests.rm_training.test_runs import (
    Questions,
    carry_out,
    let_the_lease_run_out,
)

__all__ = ["held_up"]

SignedIn = Callable[[Membership], Client]
RANKS = {"r1": 1, "r2": 2, "r3": 3, "r4": 4}


@pytest.fixture(autouse=True)
def by_itself(own_folders: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks.train, "delay", lambda pk: None)
    # The threads of a lease have connections of their own, and would not find a run
    # that only this test's transaction knows.
    monkeypatch.setattr(job_progress, "REPORT_SECONDS", 3600.0)
    monkeypatch.setattr(jobs, "HEARTBEAT_SECONDS", 3600.0)


@pytest.fixture
def large(ranked: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """20 rankings are many here."""
    monkeypatch.setattr(runs, "AT_ONCE", 19)
    return ranked


def test_the_request_freezes_nothing_and_the_worker_trains_on_what_it_froze(
    large: Project,
) -> None:
    run = new_run(large)
    assert (run.state, run.dataset) == (JobState.QUEUED, None)
    assert not Dataset.objects.exists()
    assert new_run(large) == run  # a second press

    done = carry_out(run)
    assert done.state == JobState.DONE
    assert (done.prompts_done, done.prompts_total) == (20, 20)
    assert dataset_of(done).counts["rankings"] == 20
    phases = list(done.notes.filter(kind="phase").values_list("text", flat=True))
    assert phases[:2] == ["freezing the rankings that count", "reading the dataset"]


def test_few_rankings_are_frozen_while_the_page_waits(
    large: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "AT_ONCE", 20)
    assert dataset_of(new_run(large)).counts["rankings"] == 20


def test_what_is_ranked_while_the_run_waits_is_learned_from(
    large: Project, alice: Membership
) -> None:
    run = new_run(large)
    store_ranking(make_prompt(large, "late"), alice, RANKS)
    assert run_freezing.freeze_for(claimed(run))
    run.refresh_from_db()
    assert dataset_of(run).counts["rankings"] == 21


def claimed(run: TrainingRun) -> TrainingRun:
    mine = TrainingRun.claim(run.pk, worker="test")
    assert mine is not None
    return mine


def test_a_second_run_that_turns_out_to_be_the_same_is_not_trained(
    large: Project,
) -> None:
    first = new_run(large)
    assert run_freezing.freeze_for(claimed(first))
    second = new_run(large)  # it cannot know yet what it will hold
    assert second != first
    questions = Questions()
    carry_out(second, questions)
    assert (second.state, questions.asked) == (JobState.CANCELLED, 0)
    assert second.reason == (
        f"run {first.pk} learns from the same rankings, with the same settings"
    )


def test_with_nothing_left_to_freeze_the_run_fails_in_words(
    large: Project,
) -> None:
    run = new_run(large)
    empty = Project.objects.create(
        slug="empty", title="Empty", sft_model=large.sft_model
    )
    TrainingRun.objects.update(project=empty)
    failed = carry_out(run)
    assert failed.state == JobState.FAILED
    assert failed.reason.startswith("data: no ranking of the project empty counts")


def test_an_error_nobody_foresaw_fails_the_run(
    large: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def surprise(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("by naught")

    run = new_run(large)
    monkeypatch.setattr(run_freezing, "freeze", surprise)
    with pytest.raises(ZeroDivisionError):
        carry_out(run)
    run.refresh_from_db()
    assert (run.state, run.reason) == ("failed", "error: ZeroDivisionError: by naught")


def test_a_database_that_is_away_leaves_the_freeze_to_the_next_worker(
    large: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise OperationalError("server closed the connection")

    run = new_run(large)
    with monkeypatch.context() as patch:
        patch.setattr(run_freezing, "freeze", away)
        with pytest.raises(OperationalError):
            carry_out(run)
    let_the_lease_run_out(run)
    assert carry_out(run).state == JobState.DONE


def test_a_worker_that_must_end_gives_the_run_back(
    large: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = new_run(large)
    monkeypatch.setattr(jobs, "worker_is_stopping", lambda: True)
    carry_out(run)
    assert (run.state, run.dataset, run.lost_leases) == (JobState.QUEUED, None, 0)
    assert not Dataset.objects.exists()


# --- Seen from outside --------------------------------------------------------------


def beginning(run: TrainingRun) -> threading.Thread:
    thread = threading.Thread(target=closing(carry_out), args=[run])
    thread.start()
    return thread


@pytest.mark.django_db(transaction=True)
def test_the_page_shows_how_far_the_freeze_is_and_a_cancel_undoes_it(
    large: Project,
    researcher: Membership,
    signed_in: SignedIn,
    held_up: HeldUp,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ranking.frozen.PROMPTS_AT_ONCE", 5)
    there, go_on = held_up
    client, run = signed_in(researcher), new_run(large)
    page = reverse("run", args=["tides", run.pk])
    assert "it freezes them first" in client.get(page).content.decode()
    thread = beginning(run)
    assert there.wait(60)
    wait_until(lambda: TrainingRun.objects.get().prompts_done == 5)
    shown = client.get(page).content.decode()
    assert "freezing the rankings that count" in shown
    assert "5 of 20 prompts read" in shown
    listed = client.get(reverse("runs", args=["tides"])).content.decode()
    assert "5 of 20 prompts read" in listed
    client.post(reverse("cancel_run", args=["tides", run.pk]))
    go_on.set()
    thread.join()
    run.refresh_from_db()
    assert (run.state, run.dataset) == (JobState.CANCELLED, None)
    assert not Dataset.objects.exists()
    assert "ended before the rankings were frozen" in client.get(page).content.decode()
