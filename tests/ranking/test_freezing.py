"""Freezes as jobs: asked for, carried out, cancelled, found again after a crash."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from annotation import jobs
from annotation.jobs import JobState
from annotation.models import Membership, Project
from ranking import datasets, freezing, tasks
from ranking.filters import Filters
from ranking.freezing import carry_out, freeze_or_queue, request_freeze, runs_shown
from ranking.job_progress import PromptsTold
from ranking.models import Dataset, DatasetRanking, FreezeRun, PromptSplit, Ranking
from tests.conftest import make_prompt
from tests.racing import wait_until
from tests.ranking.held_freeze import HeldUp, held_up
from tests.ranking.rows import store_ranking

__all__ = ["held_up"]

pytestmark = pytest.mark.django_db
SignIn = Callable[[Membership], Client]
LIST = "/p/tides/datasets/"
RANKS = {"r1": 1, "r2": 2, "r3": 2, "r4": 3}


@pytest.fixture(autouse=True)
def woken(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The ids that a worker was sent; no broker runs."""
    sent: list[int] = []
    monkeypatch.setattr(tasks.freeze_dataset, "delay", sent.append)
    return sent


@pytest.fixture
def ranking(project: Project, alice: Membership) -> Ranking:
    return store_ranking(make_prompt(project), alice, RANKS)


def claimed(run: FreezeRun) -> FreezeRun:
    mine = FreezeRun.claim(run.pk, worker="w")
    assert mine is not None
    return mine


@pytest.mark.usefixtures("ranking")
def test_a_few_rankings_are_frozen_at_once_and_many_by_a_worker(
    project: Project,
    researcher: Membership,
    monkeypatch: pytest.MonkeyPatch,
    woken: list[int],
    django_capture_on_commit_callbacks: Any,
) -> None:
    assert researcher.user
    found = freeze_or_queue(project, Filters(), user=researcher.user)
    assert isinstance(found, Dataset)
    monkeypatch.setattr(freezing, "AT_ONCE", 0)
    with django_capture_on_commit_callbacks(execute=True):
        run = freeze_or_queue(project, Filters(), user=researcher.user, seed=3)
    assert isinstance(run, FreezeRun)
    assert woken == [run.pk]
    assert (run.seed, run.filters, run.state) == (3, {"pool": "all"}, "queued")


@pytest.mark.django_db(transaction=True)
def test_a_worker_freezes_what_was_asked_for(
    project: Project, ranking: Ranking, alice: Membership, researcher: Membership
) -> None:
    filters = Filters(labelers=frozenset({alice.pk}))
    run = request_freeze(project, filters, user=researcher.user, seed=7)
    tasks.freeze_dataset(run.pk)
    run.refresh_from_db()
    assert (run.state, run.prompts_done, run.prompts_total) == ("done", 1, 1)
    assert run.dataset is not None
    assert run.dataset.created_by == researcher.user
    assert run.dataset.seed == 7
    assert run.dataset.filters == filters.as_json(project)
    tasks.freeze_dataset(run.pk)  # a message that came twice
    assert Dataset.objects.count() == 1


def test_the_same_request_again_is_the_same_run_until_it_ended(
    project: Project, ranking: Ranking
) -> None:
    first = request_freeze(project, Filters(), user=None)
    assert request_freeze(project, Filters(), user=None) == first
    assert request_freeze(project, Filters(), user=None, seed=1) != first
    assert first.cancel()
    assert request_freeze(project, Filters(), user=None) != first


@pytest.mark.django_db(transaction=True)
def test_what_cannot_be_frozen_is_said_on_the_run(
    project: Project, alice: Membership
) -> None:
    run = request_freeze(project, Filters(), user=None)
    carry_out(claimed(run))
    run.refresh_from_db()
    assert (run.state, run.dataset) == ("failed", None)
    assert "there is nothing to freeze" in run.reason
    gone = FreezeRun.objects.create(project=project, filters={"labeler": ["L-gone"]})
    carry_out(claimed(gone))
    gone.refresh_from_db()
    assert "no labeler 'L-gone'" in gone.reason


@pytest.mark.django_db(transaction=True)
def test_a_fault_is_on_the_run_and_in_the_log(
    project: Project, ranking: Ranking, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("boom")

    monkeypatch.setattr(freezing, "freeze", broken)
    run = request_freeze(project, Filters(), user=None)
    with pytest.raises(RuntimeError):
        carry_out(claimed(run))
    run.refresh_from_db()
    assert (run.state, run.reason) == ("failed", "error: RuntimeError: boom")


def in_a_thread(run: FreezeRun) -> threading.Thread:
    def work() -> None:
        carry_out(run)
        connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    return thread


@pytest.mark.django_db(transaction=True)
def test_progress_is_seen_while_nothing_of_the_freeze_is(
    project: Project,
    ranking: Ranking,
    held_up: HeldUp,
) -> None:
    there, go_on = held_up
    run = request_freeze(project, Filters(), user=None)
    thread = in_a_thread(claimed(run))
    assert there.wait(30)
    wait_until(lambda: FreezeRun.objects.get(pk=run.pk).prompts_done == 1)
    assert not Dataset.objects.exists()
    assert not PromptSplit.objects.exists()
    go_on.set()
    thread.join()
    run.refresh_from_db()
    assert run.state == "done"


@pytest.mark.django_db(transaction=True)
def test_a_cancelled_freeze_leaves_nothing(
    project: Project,
    alice: Membership,
    held_up: HeldUp,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ranking.frozen.PROMPTS_AT_ONCE", 1)
    for number in range(3):
        store_ranking(make_prompt(project, f"p{number}"), alice, RANKS)
    _, go_on = held_up
    run = request_freeze(project, Filters(), user=None)
    report = PromptsTold(claimed(run))
    with report:
        assert run.cancel()
        wait_until(report._lost.is_set)
        go_on.set()
        with pytest.raises(jobs.LeaseLostError):
            datasets.freeze(project, progress=report.progress)
    run.refresh_from_db()
    assert (run.state, run.dataset) == ("cancelled", None)
    assert not Dataset.objects.exists()
    assert not DatasetRanking.objects.exists()
    assert not PromptSplit.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_must_end_gives_the_freeze_back(
    project: Project, ranking: Ranking, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = request_freeze(project, Filters(), user=None)
    monkeypatch.setattr(jobs, "worker_is_stopping", lambda: True)
    carry_out(claimed(run))
    run.refresh_from_db()
    assert (run.state, run.lost_leases) == ("queued", 0)
    monkeypatch.undo()
    carry_out(claimed(run))
    run.refresh_from_db()
    assert (run.state, run.attempt) == ("done", 2)


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_died_after_its_dataset_is_followed_by_one_that_finds_it(
    project: Project, ranking: Ranking, woken: list[int]
) -> None:
    run = request_freeze(project, Filters(), user=None)
    claimed(run)
    dataset = datasets.freeze(project)
    FreezeRun.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    woken.clear()
    tasks.reconcile()
    assert woken == [run.pk]
    tasks.freeze_dataset(run.pk)
    run.refresh_from_db()
    assert (run.state, run.dataset) == (JobState.DONE, dataset)


# --- Pages ------------------------------------------------------------------------


def test_the_list_shows_a_freeze_until_it_ended_and_then_is_loaded_anew(
    project: Project, researcher: Membership, signed_in: SignIn
) -> None:
    browser = signed_in(researcher)
    run = FreezeRun.objects.create(
        project=project, filters={"pool": "all"}, created_by=researcher.user
    )
    page = browser.get(LIST).content.decode()
    assert "Waiting for a worker" in page
    assert 'hx-trigger="every 2s"' in page
    part = browser.get(f"{LIST}freezes/")
    assert "HX-Refresh" not in part
    browser.post(f"{LIST}freezes/{run.pk}/cancel/")
    run.refresh_from_db()
    assert run.state == "cancelled"
    assert browser.get(f"{LIST}freezes/")["HX-Refresh"] == "true"
    again = browser.post(f"{LIST}freezes/{run.pk}/cancel/", follow=True)
    assert "It had ended before" in again.content.decode()
    assert 'hx-trigger="every 2s"' not in again.content.decode()


def test_another_project_s_freeze_is_not_there(
    project: Project, stranger: Membership, researcher: Membership, signed_in: SignIn
) -> None:
    theirs = FreezeRun.objects.create(project=stranger.project, filters={})
    response = signed_in(researcher).post(f"{LIST}freezes/{theirs.pk}/cancel/")
    assert response.status_code == 404
    assert list(runs_shown(project)) == []
