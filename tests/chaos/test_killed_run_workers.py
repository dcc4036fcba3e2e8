"""Workers that train and are killed or put to sleep: F8, F9, F11, F12, with real
processes and signals. A tiny model; a lease ends by moving it in the database."""

import dataclasses
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
from django.db import connection
from django.db.models import Value
from django.db.models.functions import Now
from pytest_django import Settings

from annotation import jobs
from annotation.models import Membership, Project
from rm_training import reporting, tasks
from rm_training.attempts import attempt
from rm_training.manifest import file_sha256
from rm_training.models import RewardModel, TrainingRun
from rm_training.registry import REWARD_MODELS, folder_of
from rm_training.runs import request_run
from tests.rm_training.ranked_project import QUICK, STEPS, rank_politely
from tests.tiny_model import make_tiny_sft

pytestmark = pytest.mark.django_db(transaction=True)
ROOT = Path(__file__).resolve().parents[2]
AFTER = 5  # the step after which something happens; the last checkpoint is of step 4

WORKER = """
import os, resource, signal, sys, torch
torch.set_num_threads(1)
from django.conf import settings
from pathlib import Path
settings.VAR_DIR = Path(VAR_DIR)
settings.MODEL_ROOT = settings.VAR_DIR / "models"
from rm_training import reporting
from rm_training.attempts import attempt
reporting.SECONDS_BETWEEN_WRITES = 0.0
listen = reporting.AttemptReporter.on_step

def on_step(reporter, report):
    listen(reporter, report)
    if report.step == AFTER:
        ACT

reporting.AttemptReporter.on_step = on_step
attempt(RUN, worker=f"doomed:{os.getpid()}", stopping=bool)
print("ended", flush=True)
"""
# The control of F11: what a worker writes names no attempt.
UNFENCED = """
from rm_training.models import TrainingRun

def write(run, **fields):
    TrainingRun.objects.filter(pk=run.pk).update(**fields)

TrainingRun.write = write
"""
STAND_STILL = 'print("there", flush=True); sys.stdin.readline()'
DIE = "os.kill(os.getpid(), signal.SIGKILL)"
ASK_FOR_TOO_MUCH = (
    "resource.setrlimit(resource.RLIMIT_AS, (2**33, 2**33)); torch.empty(2**32)"
)


@pytest.fixture(autouse=True)
def places(settings: Settings, tmp_path: Path) -> None:
    settings.VAR_DIR = tmp_path
    settings.MODEL_ROOT = tmp_path / "models"


@pytest.fixture(autouse=True)
def every_step_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporting, "SECONDS_BETWEEN_WRITES", 0.0)
    torch.set_num_threads(1)


@pytest.fixture
def run(project: Project, alice: Membership, tmp_path: Path) -> TrainingRun:
    project.sft_model = str(make_tiny_sft(tmp_path / "sft"))
    project.save(update_fields=["sft_model"])
    rank_politely(project, alice)
    return new_run(project)


def new_run(project: Project, **changes: Any) -> TrainingRun:
    config = dataclasses.replace(QUICK, **changes)
    return request_run(project, user=None, base_model=project.sft_model, config=config)


@contextmanager
def worker(
    run: TrainingRun, act: str, var_dir: Path, *, first: str = ""
) -> Iterator[Any]:
    """A process of its own that trains the run and does something after a step."""
    database = connection.settings_dict["NAME"]
    script = (
        "from django.conf import settings\n"
        f"settings.DATABASES['default']['NAME'] = {database!r}\n"
        "from django.db import connection\n"
        f"connection.settings_dict['NAME'] = {database!r}\n"
        + first
        + WORKER.replace("VAR_DIR)", f"{str(var_dir)!r})", 1)
        .replace("AFTER", str(AFTER))
        .replace("ACT", act)
        .replace("RUN", str(run.pk))
    )
    command = [sys.executable, "manage.py", "shell", "--no-imports", "-c", script]
    process = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def let_the_lease_run_out(run: TrainingRun) -> None:
    TrainingRun.objects.filter(pk=run.pk).update(
        lease_until=Now() - Value(timedelta(seconds=1))
    )


def take_over(run: TrainingRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reconciler finds the lease over, and a second worker trains."""
    let_the_lease_run_out(run)
    monkeypatch.setattr(
        tasks.train, "delay", lambda pk: attempt(pk, worker="second", stopping=bool)
    )
    tasks.reconcile()
    run.refresh_from_db()


def weights_of(run: TrainingRun) -> str:
    return file_sha256(folder_of(run.reward_model) / "model.safetensors")


def quiet_weights(run: TrainingRun) -> str:
    """Of a run with the same settings that nothing happens to."""
    other = new_run(run.project)
    attempt(other.pk, worker="quiet", stopping=bool)
    other.refresh_from_db()
    return weights_of(other)


def folders(settings: Settings, run: TrainingRun) -> list[str]:
    root = settings.MODEL_ROOT / REWARD_MODELS
    return sorted(path.name for path in root.glob(f"*run-{run.pk}-*"))


def test_a_worker_killed_in_mid_training_costs_the_steps_since_the_checkpoint(
    run: TrainingRun,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    settings: Settings,
) -> None:
    """F8, F9: kill -9."""
    with worker(run, STAND_STILL, tmp_path) as process:
        assert process.stdout.readline() == b"there\n"
        process.send_signal(signal.SIGKILL)
        assert process.wait(60) == -signal.SIGKILL
    run.refresh_from_db()
    assert (run.state, run.attempt, run.step) == ("running", 1, AFTER)
    assert TrainingRun.claim(run.pk, worker="too early") is None
    take_over(run, monkeypatch)
    assert (run.state, run.attempt, run.lost_leases) == ("done", 2, 1)
    measured = list(run.metrics.values_list("step", "attempt"))
    assert measured == [(s, 1 if s <= 4 else 2) for s in range(1, STEPS + 1)]
    assert folders(settings, run) == [f"run-{run.pk}-attempt-2"]
    assert weights_of(run) == quiet_weights(run)


def test_a_worker_that_slept_past_its_lease_publishes_nothing(
    run: TrainingRun,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    settings: Settings,
) -> None:
    """F11: SIGSTOP, somebody else finishes, SIGCONT."""
    with worker(run, STAND_STILL, tmp_path) as process:
        assert process.stdout.readline() == b"there\n"
        process.send_signal(signal.SIGSTOP)
        take_over(run, monkeypatch)
        assert (run.state, run.attempt) == ("done", 2)
        finished, weights = run.finished_at, weights_of(run)
        process.send_signal(signal.SIGCONT)
        out, _ = process.communicate(b"\n", timeout=60)
        assert out == b"ended\n"  # it gave way, and was not killed
        assert process.returncode == 0
    run.refresh_from_db()
    assert (run.finished_at, weights_of(run)) == (finished, weights)
    assert RewardModel.objects.count() == 1
    assert run.metrics.filter(attempt=1).count() == 4
    assert folders(settings, run) == [f"run-{run.pk}-attempt-2"]


def test_control_without_the_fence_the_sleeper_writes_over_what_is_finished(
    run: TrainingRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F11. That there is one model of a run, the database sees to in any case."""
    with worker(run, STAND_STILL, tmp_path, first=UNFENCED) as process:
        assert process.stdout.readline() == b"there\n"
        process.send_signal(signal.SIGSTOP)
        take_over(run, monkeypatch)
        assert (run.state, run.step) == ("done", STEPS)
        assert run.metrics.filter(attempt=1).count() == 4
        process.send_signal(signal.SIGCONT)
        process.communicate(b"\n", timeout=120)
        assert process.returncode != 0  # it came as far as to publish a second one
    assert run.metrics.filter(attempt=1).count() > 4


def test_a_run_that_kills_its_workers_has_three_attempts(
    run: TrainingRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F12. The control: without the count it would go on for ever."""
    sent: list[int] = []
    monkeypatch.setattr(tasks.train, "delay", sent.append)
    for number in (1, 2, 3):
        with worker(run, DIE, tmp_path) as process:
            assert process.wait(120) == -signal.SIGKILL
        run.refresh_from_db()
        assert (run.state, run.attempt) == ("running", number)
        let_the_lease_run_out(run)
        with monkeypatch.context() as uncounted:
            uncounted.setattr(jobs, "MOST_LOST_LEASES", 99)
            tasks.reconcile()
        assert sent == [run.pk]
        sent.clear()
        tasks.reconcile()
        assert sent == ([run.pk] if number < 3 else [])
        sent.clear()
    run.refresh_from_db()
    assert (run.state, run.attempt, run.lost_leases) == ("failed", 3, 3)
    assert run.reason.startswith("worker_lost: ")
    tasks.reconcile()
    assert sent == []  # the queue is empty
    assert TrainingRun.claim(run.pk, worker="fourth") is None
    other = new_run(run.project, seed=1)
    attempt(other.pk, worker="next", stopping=bool)
    other.refresh_from_db()
    assert other.state == "done"  # whoever waits behind it is served


def test_a_worker_at_its_limit_of_memory_fails_the_run_and_lives(
    run: TrainingRun, tmp_path: Path
) -> None:
    """F9: `ulimit -v`, so the system refuses, and nobody is killed."""
    with worker(run, ASK_FOR_TOO_MUCH, tmp_path) as process:
        out, _ = process.communicate(timeout=120)
        assert (out, process.returncode) == (b"ended\n", 0)
    run.refresh_from_db()
    assert (run.state, run.attempt) == ("failed", 1)
    assert run.reason.startswith("out_of_memory: ")
