"""F5, F6, F7: the message that should wake a worker is lost. The row in Postgres is the
job, so the reconciler finds it, and it is done once. F8: the process that trains is
killed within its worker. F13: a worker is told to end.

Real web, worker, beat and Valkey. Each loss is its own control: beat stands still until
it has been seen that nothing else would ever start what was asked for.
"""

import http.client
import json
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db.models import Max
from django.test import Client
from pytest_django import Settings

from annotation.jobs import JobState
from annotation.models import Membership, Project
from ranking.models import Ranking
from rm_training.models import RewardModel, TrainingRun
from rm_training.registry import REWARD_MODELS
from tests.conftest import make_prompt
from tests.faults.broker import Broker
from tests.faults.history import History
from tests.faults.job_site import JobSite
from tests.faults.labeler import Answer, Labeler
from tests.faults.progress import report
from tests.rm_training.ranked_project import QUICK, STEPS, rank_politely
from tests.tiny_model import make_tiny_sft

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(600)]
SILENCE = (OSError, http.client.HTTPException)
RUNS = "/api/v1/projects/tides/runs"
SignedIn = Callable[[Membership], Client]

MOST_SECONDS_TO_ANSWER = 2
MOST_SECONDS_TO_END = 30
MOST_SECONDS_TO_WAKE = 60  # 50 by the timers; then the new process loads torch
MOST_SECONDS_TO_START = {"broker": 60, "message": 40}
JOBS, SUBMITS, BEFORE_THE_KILL = 20, 8, 3


@pytest.fixture(scope="module")
def site(
    django_db_setup: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[JobSite]:
    """One for the file."""
    folder = tmp_path_factory.mktemp("site")
    running = JobSite(folder / "var", Broker(folder / "broker", append_only=False))
    try:
        running.broker.start()
        running.start_web()
        running.start_worker("worker", "--concurrency", "1")
        running.start_beat()
        running.workers_are_idle("worker")
        yield running
    finally:
        running.stop()
        running.broker.kill()


@pytest.fixture
def beat(site: JobSite) -> Iterator[str]:
    """Its name, for those who make it stand still; it goes on in any case."""
    yield "beat"
    site.resume("beat")


@pytest.fixture
def person(site: JobSite, researcher: Membership, signed_in: SignedIn) -> Labeler:
    """A researcher's browser that has been here before: the site is warm."""
    visitor = visitor_of(site, signed_in(researcher))
    assert visitor.get("/p/tides/runs/").status == 200
    return visitor


@pytest.fixture
def labeler(site: JobSite, bob: Membership, signed_in: SignedIn) -> Labeler:
    return visitor_of(site, signed_in(bob))


@pytest.fixture
def ranked(
    site: JobSite,
    project: Project,
    alice: Membership,
    settings: Settings,
    tmp_path: Path,
) -> Project:
    settings.EMBEDDED_VALKEY = False  # no message of the tests starts a broker
    project.sft_model = str(make_tiny_sft(tmp_path / "sft"))
    project.save(update_fields=["sft_model"])
    rank_politely(project, alice)
    return project


def visitor_of(site: JobSite, client: Client) -> Labeler:
    session = client.cookies["sessionid"].value
    return Labeler(site.port, session, History(), slug="tides")


def ask_for_run(
    person: Labeler, project: Project, *, die: str = "", **changes: Any
) -> Answer:
    """A quick one, unless `changes` say otherwise."""
    body = {"base_model": project.sft_model, "config": QUICK.to_dict() | changes}
    return person.send("POST", RUNS, body, **({"X-Die": die} if die else {}))


def rank_everything(labeler: Labeler) -> None:
    """Each prompt is answered at the first try, and stored once."""
    rng = random.Random(7)
    answers = [labeler.rank_one(rng) for _ in range(SUBMITS)]
    assert [answer and answer.status for answer in answers] == [201] * SUBMITS
    assert labeler.statuses == {302: SUBMITS, 201: SUBMITS}
    stored = Ranking.objects.filter(assignment__labeler__name="bob")
    rows = list(stored.values_list("submission_uuid", "body_sha256"))
    assert len(rows) == SUBMITS
    assert labeler.history.problems(rows) == []


def is_running_or_done(pk: int) -> bool:
    return TrainingRun.objects.filter(pk=pk, attempt__gt=0).exists()


def assert_all_are_done_once(site: JobSite) -> None:
    """Wait for every run: one attempt, each step measured once, one model in one
    folder, which is all that is left."""
    unfinished = TrainingRun.objects.exclude(state=JobState.DONE)
    site.until(lambda: not unfinished.exists(), "all runs are done")
    site.workers_are_idle("worker")
    runs = list(TrainingRun.objects.select_related("reward_model"))
    assert {(run.state, run.attempt, run.lost_leases) for run in runs} == {
        ("done", 1, 0)
    }
    for run in runs:
        measured = list(run.metrics.values_list("step", "attempt"))
        assert measured == [(step, 1) for step in range(1, STEPS + 1)]
        assert run.notes.filter(text__startswith="attempt ").count() == 1
    folders = {run.reward_model.folder for run in runs}
    assert len(folders) == len(runs) == RewardModel.objects.count()
    root = site.var_dir / "models"
    kept = {str(path.relative_to(root)) for path in (root / REWARD_MODELS).iterdir()}
    assert {name for name in kept if is_of(name, runs)} == folders


def is_of(folder: str, runs: list[TrainingRun]) -> bool:
    """Other tests of this file leave their folders there, and no rows."""
    return any(Path(folder).name.startswith(f"run-{run.pk}-") for run in runs)


def test_a_run_asked_for_without_a_broker_starts_once_when_it_is_back(
    site: JobSite,
    beat: str,
    ranked: Project,
    person: Labeler,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """F5."""
    site.broker.kill()
    began = time.monotonic()
    answer = ask_for_run(person, ranked)
    seconds = time.monotonic() - began
    said: dict[str, Any] = json.loads(answer.body)
    assert answer.status == 202
    assert seconds < MOST_SECONDS_TO_ANSWER
    assert said["state"] == "queued"
    assert said["broker"] == "unreachable: jobs wait in the database"
    assert (
        "The broker is unavailable" in person.get(f"/p/tides/runs/{said['id']}/").body
    )
    before = site.log(beat).count("Error")
    site.until(lambda: site.log(beat).count("Error") > before, "beat meets no broker")
    site.pause(beat)
    site.broker.start()
    site.workers_are_idle("worker")
    assert not is_running_or_done(said["id"])  # and never would be, without beat
    site.resume(beat)
    later = site.until(
        lambda: is_running_or_done(said["id"]),
        "the run starts",
        MOST_SECONDS_TO_START["broker"],
    )
    assert_all_are_done_once(site)
    report(capsys, f"F5: started {later:.0f} s after beat had a broker again")


def test_a_run_whose_web_process_died_before_it_sent_the_message_is_started(
    site: JobSite,
    beat: str,
    ranked: Project,
    person: Labeler,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """F6: kill -9 between the COMMIT of the run and its message."""
    site.pause(beat)
    with pytest.raises(SILENCE):
        ask_for_run(person, ranked, die="before-message")
    run = TrainingRun.objects.get()
    again = person.until_answered(lambda: ask_for_run(person, ranked))
    assert (again.status, json.loads(again.body)["id"]) == (202, run.pk)
    site.workers_are_idle("worker")
    assert not is_running_or_done(run.pk)  # and never would be, without beat
    site.resume(beat)
    seconds = site.until(
        lambda: is_running_or_done(run.pk),
        "the run starts",
        MOST_SECONDS_TO_START["message"],
    )
    assert_all_are_done_once(site)
    report(capsys, f"F6: started {seconds:.0f} s after beat went on")


def test_twenty_jobs_survive_a_broker_that_forgets_them_and_submits_go_on(
    site: JobSite,
    beat: str,
    ranked: Project,
    person: Labeler,
    labeler: Labeler,
) -> None:
    """F7: kill -9 without an append-only file, and a FLUSHALL on top."""
    site.pause(beat)
    for seed in range(JOBS):
        assert ask_for_run(person, ranked, seed=seed).status == 202
    for number in range(SUBMITS):
        make_prompt(ranked, f"to rank {number}", slots=1)
    done = TrainingRun.objects.filter(state=JobState.DONE)
    site.until(lambda: done.count() >= BEFORE_THE_KILL, "the first runs are done")
    site.broker.kill()
    rank_everything(labeler)
    site.broker.start()
    site.workers_are_idle("worker")
    waiting = TrainingRun.objects.filter(state=JobState.QUEUED)
    forgotten = waiting.count()
    assert forgotten > 0  # and they would wait for ever, without beat
    site.resume(beat)
    site.until(
        lambda: waiting.count() < forgotten and site.broker.waiting() > 0,
        "they are sent again",
    )
    site.broker.forget_everything()
    assert_all_are_done_once(site)
    assert TrainingRun.objects.count() == JOBS


def test_a_worker_that_is_told_to_end_gives_its_run_back_and_loses_no_step(
    site: JobSite,
    ranked: Project,
    person: Labeler,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """F13: SIGTERM, as a deploy sends it. No checkpoint is due for a long time, so the
    one that the next worker goes on from is the one that the signal asked for."""
    run = a_long_run(site, person, ranked, checkpoint_every=10_000)
    seconds = site.end("worker")
    assert seconds < MOST_SECONDS_TO_END
    run.refresh_from_db()
    assert (run.state, run.attempt, run.lost_leases) == ("queued", 1, 0)
    stopped_at = run.step
    site.start_worker("worker", "--concurrency", "1")
    site.until(lambda: step_of(run) > stopped_at, "the next worker goes on")
    assert run.notes.filter(attempt=2, text=f"resumed after step {stopped_at}").exists()
    assert (run.attempt, run.lost_leases) == (2, 0)
    measured = list(run.metrics.values_list("step", "attempt")[: stopped_at + 1])
    assert measured[:stopped_at] == [(n, 1) for n in range(1, stopped_at + 1)]
    assert measured[stopped_at] == (stopped_at + 1, 2)
    assert person.send("POST", f"{RUNS}/{run.pk}/cancel", {}).status == 200
    site.workers_are_idle("worker")
    report(capsys, f"F13: gone {seconds:.1f} s after SIGTERM, at step {stopped_at}")


def a_long_run(
    site: JobSite, person: Labeler, project: Project, **changes: int
) -> TrainingRun:
    """It has begun, and would take an hour."""
    long: dict[str, Any] = {"epochs": 100_000, "eval_every": 10_000, **changes}
    asked = ask_for_run(person, project, **long)
    run = TrainingRun.objects.get(pk=json.loads(asked.body)["id"])
    site.until(lambda: step_of(run) >= STEPS, "it trains")
    return run


def step_of(run: TrainingRun) -> int:
    run.refresh_from_db()
    return run.step


def test_a_process_that_is_killed_in_mid_training_is_replaced_and_its_run_goes_on(
    site: JobSite,
    ranked: Project,
    person: Labeler,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """F8: kill -9 of the child that trains; nobody moves a lease or a clock. That the
    end is that of a quiet run: tests/chaos/test_killed_run_workers.py."""
    run = a_long_run(site, person, ranked, checkpoint_every=1)
    child = int(run.worker.rpartition(":")[2])
    os.kill(child, signal.SIGKILL)
    again = f'"id": {run.pk}, "event": "job sent again"'
    seconds = site.until(
        lambda: again in site.log("worker"),
        "the lease is over and seen to be",
        MOST_SECONDS_TO_WAKE,
    )
    seconds += site.until(
        lambda: run.metrics.filter(attempt=2).exists(), "another process goes on"
    )
    began = run.notes.get(attempt=2, text__startswith="resumed after step ")
    resumed = int(began.text.rpartition(" ")[2])
    run.refresh_from_db()
    assert (run.attempt, run.lost_leases) == (2, 1)
    first = run.metrics.filter(attempt=1).aggregate(last=Max("step"))["last"]
    assert first == resumed  # the steps after its checkpoint are measured anew, once
    assert run.metrics.count() == run.metrics.values("step").distinct().count()
    assert person.send("POST", f"{RUNS}/{run.pk}/cancel", {}).status == 200
    site.workers_are_idle("worker")
    report(capsys, f"F8: step {resumed + 1} came {seconds:.0f} s after the kill")
