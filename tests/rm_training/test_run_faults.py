"""What a run does when the machine fails it: F9, F14 to F17, and the broker of F5.

Real killings are in tests/chaos/test_killed_run_workers.py.
"""

import os
import pickle
import subprocess
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
from django.conf import settings as site
from django.db.models import Value
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse
from kombu import Connection
from kombu.exceptions import OperationalError
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from annotation.models import Membership, Project
from rm_training import network, reporting, tasks, training_step
from rm_training.attempts import attempt, reason_of
from rm_training.manifest import verify
from rm_training.models import RewardModel, TrainingRun
from rm_training.registry import REWARD_MODELS, attempt_name
from tests.rm_training.ranked_project import (
    STEPS,
    at_question,
    new_run,
)

pytestmark = pytest.mark.usefixtures("own_folders")

POLICY = site.CELERY_TASK_PUBLISH_RETRY_POLICY
SignedIn = Callable[[Membership], Client]


def carry_out(run: TrainingRun, stopping: Callable[[], bool] = bool) -> TrainingRun:
    attempt(run.pk, worker="test", stopping=stopping)
    run.refresh_from_db()
    return run


def left(settings: Settings) -> list[str]:
    root = settings.MODEL_ROOT / REWARD_MODELS
    return sorted(path.relative_to(root).as_posix() for path in root.glob("*/*"))


# --- F5: the broker is away ---------------------------------------------------------


@pytest.fixture
def no_broker(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody listens where the messages go."""
    settings.EMBEDDED_VALKEY = False  # else who publishes would start it
    settings.CELERY_BROKER_URL = f"redis+socket://{tmp_path}/nobody.sock"

    def send(pk: int) -> None:
        with Connection(settings.CELERY_BROKER_URL) as nobody:
            options: dict[str, Any] = {"connection": nobody, "retry_policy": POLICY}
            tasks.train.apply_async((pk,), **options)

    monkeypatch.setattr(tasks.train, "delay", send)
    with pytest.raises(OperationalError):
        send(0)


@pytest.mark.usefixtures("no_broker")
def test_without_a_broker_a_run_is_queued_and_its_page_says_what_it_waits_for(
    ranked: Project,
    researcher: Membership,
    signed_in: SignedIn,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    client = signed_in(researcher)
    posted = {
        "base_model": ranked.sft_model,
        "epochs": "1",
        "lr": "1e-5",
        "prompts_per_step": "4",
        "seed": "0",
    }
    with django_capture_on_commit_callbacks(execute=True):
        answer = client.post(reverse("retrain", args=["tides"]), posted)
    assert answer.status_code == 302
    run = TrainingRun.objects.get()
    assert run.state == "queued"
    page = client.get(answer["Location"]).content.decode()
    assert "The broker is unavailable" in page


def test_a_broker_that_is_back_hears_of_the_run_from_the_reconciler(
    ranked: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[int] = []
    run = new_run(ranked)
    monkeypatch.setattr(tasks.train, "delay", sent.append)
    tasks.reconcile()
    assert sent == []  # its own message may be on its way
    TrainingRun.objects.update(queued_at=Now() - Value(timedelta(seconds=16)))
    tasks.reconcile()
    tasks.reconcile()
    assert sent == [run.pk, run.pk]  # a duplicate finds nothing to claim
    for pk in sent:
        carry_out(TrainingRun.objects.get(pk=pk))
    assert TrainingRun.objects.get().attempt == 1
    assert RewardModel.objects.count() == 1


# --- F9: no memory ------------------------------------------------------------------


def test_memory_that_the_system_refuses_fails_the_run_by_name(ranked: Project) -> None:
    """What torch says on a CPU is no MemoryError."""

    def ask_for_too_much() -> None:
        torch.empty(2**46)

    run = carry_out(new_run(ranked), at_question(3, ask_for_too_much))
    assert run.state == "failed"
    assert run.reason.startswith("out_of_memory: ")
    # The worker goes on with the next one.
    assert carry_out(new_run(ranked, seed=1)).state == "done"


# --- F14: a full disk ---------------------------------------------------------------


@pytest.fixture
def small_disk(settings: Settings) -> Iterator[Path]:
    """All that runs write lies on a file system of 2 MB."""
    folder = settings.MODEL_ROOT / REWARD_MODELS
    folder.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("a file system can be mounted by root only")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_fills_up_fails_the_run_and_spoils_no_checkpoint(
    ranked: Project,
    small_disk: Path,
    alice: Membership,
    signed_in: SignedIn,
) -> None:
    run = new_run(ranked)

    def fill() -> None:
        space = os.statvfs(small_disk)
        rest = space.f_bavail * space.f_frsize - 64 * 1024
        (small_disk / "somebody-elses").write_bytes(b"\0" * rest)

    carry_out(run, at_question(4, fill))
    assert run.state == "failed"
    assert run.reason.startswith("disk_full: ")
    assert not RewardModel.objects.exists()
    checkpoints = small_disk / f"run-{run.pk}-attempt-1.checkpoints"
    assert [path.name for path in checkpoints.iterdir()] == ["step-00000002"]
    verify(checkpoints / "step-00000002")  # the last good one
    assert not (small_disk / attempt_name(run)).exists()
    page = signed_in(alice).get(reverse("project", args=["tides"]), follow=True)
    assert page.status_code == 200  # labelers go on


def test_kept_checkpoints_go_after_a_week(ranked: Project, settings: Settings) -> None:
    kept, fresh = (
        carry_out(new_run(ranked, lr=rate, warmup=0.0)) for rate in (1e30, 2e30)
    )
    for run in (kept, fresh):
        folder = settings.MODEL_ROOT / f"{attempt_name(run)}.checkpoints"
        (folder / "step-00000002").mkdir(parents=True, exist_ok=True)
    TrainingRun.objects.filter(pk=kept.pk).update(
        finished_at=Now() - Value(timedelta(days=8))
    )
    tasks.forget_checkpoints()
    assert left(settings) == [f"run-{fresh.pk}-attempt-1.checkpoints/step-00000002"]


# --- F16: nothing finite ------------------------------------------------------------


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_what_is_not_finite_stops_the_run_and_leaves_the_checkpoint_before_it(
    ranked: Project,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
) -> None:
    """Spoiled between two steps, as by a fault of the memory."""
    listen = reporting.AttemptReporter.on_step
    spoiled: list[Any] = []
    clip = torch.nn.utils.clip_grad_norm_

    def step_three(reporter: Any, report: Any) -> None:
        listen(reporter, report)
        if report.step == 3:
            spoiled.append(report)

    def spoil_gradient(parameters: Any, norm: float) -> Any:
        parameters = list(parameters)
        if spoiled:
            parameters[0].grad.fill_(float("inf"))
        return clip(parameters, norm)

    score = network.rewards_of_prompts

    def spoil_rewards(*args: Any, **kwargs: Any) -> Any:
        rewards = score(*args, **kwargs)
        return rewards * float("nan") if spoiled else rewards

    monkeypatch.setattr(reporting.AttemptReporter, "on_step", step_three)
    if what == "loss":
        monkeypatch.setattr(training_step, "rewards_of_prompts", spoil_rewards)
    else:
        monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", spoil_gradient)
    run = carry_out(new_run(ranked))
    assert run.state == "failed"
    assert run.reason.startswith(f"nonfinite: the {what} is not finite at step 4")
    assert run.step == 3
    assert not RewardModel.objects.exists()
    assert {name.split("/")[0] for name in left(settings)} == {
        f"run-{run.pk}-attempt-1.checkpoints"
    }
    verify(settings.MODEL_ROOT / f"{attempt_name(run)}.checkpoints" / "step-00000002")


# --- F15, F17: what lies in a run's folder ------------------------------------------


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, sentinel: Path) -> None:
        self.sentinel = sentinel

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.sentinel,)


@pytest.mark.parametrize(
    "name", ["optimizer.pt", "pytorch_model.bin", "optimizer.safetensors"]
)
def test_a_pickle_in_a_checkpoint_is_passed_over_unread(
    ranked: Project, settings: Settings, tmp_path: Path, name: str
) -> None:
    run, sentinel = new_run(ranked), tmp_path / "sentinel"
    carry_out(run, at_question(4, lambda: True))
    root = settings.MODEL_ROOT / f"{attempt_name(run)}.checkpoints"
    newest = max(root.glob("step-*"))
    (newest / name).write_bytes(pickle.dumps(Bomb(sentinel)))
    carry_out(run)
    assert run.state == "done"
    assert not sentinel.exists()
    told = [line.text for line in run.notes.all()]
    assert any(text.startswith("skipped a damaged checkpoint") for text in told)
    assert "resumed after step 2" in told
    pickle.loads(pickle.dumps(Bomb(sentinel)))
    assert sentinel.exists()  # it would have gone off


def test_with_every_checkpoint_damaged_the_run_begins_anew_and_says_so(
    ranked: Project, settings: Settings
) -> None:
    run = new_run(ranked)
    carry_out(run, at_question(6, lambda: True))
    root = settings.MODEL_ROOT / f"{attempt_name(run)}.checkpoints"
    for checkpoint in root.glob("step-*"):
        (checkpoint / "manifest.json").unlink()
    carry_out(run)
    told = [line.text for line in run.notes.filter(attempt=2)]
    assert sum(text.startswith("skipped a damaged") for text in told) == 2
    assert not any(text.startswith("resumed") for text in told)
    assert run.metrics.filter(attempt=2).count() == STEPS


def test_a_reason_of_torchs_allocator_is_named() -> None:
    with pytest.raises(RuntimeError) as refused:
        torch.empty(2**46)
    assert reason_of(refused.value).startswith("out_of_memory: ")
    assert reason_of(RuntimeError("else")) == "error: RuntimeError: else"
