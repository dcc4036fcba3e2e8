"""Celery's entry points. A message carries an id; the row it names is the job."""

import multiprocessing
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from celery import shared_task
from celery.signals import worker_shutting_down

from annotation.jobs import reconcile as reconcile_jobs
from rm_training.models import TrainingRun

# One byte that a worker's parent process and its children share: the parent hears of
# the shutdown, the child trains. Without a lock, so a signal handler may set it.
_shutting_down = multiprocessing.RawValue("b", 0)


@shared_task
def train(run_id: int) -> None:
    """Train a run, if it is free."""
    # Only a worker that trains loads torch.
    from rm_training.attempts import attempt  # noqa: PLC0415

    with _sigterm_asks_to_stop():
        attempt(run_id, worker=_worker(), stopping=lambda: bool(_shutting_down.value))


@shared_task
def reconcile() -> None:
    """Wake the runs that a broker, a beat or a worker lost."""
    reconcile_jobs(TrainingRun.objects.all(), train.delay)


@worker_shutting_down.connect
def ask_to_stop(**_: Any) -> None:
    """Training ends at its next step; the run goes back to the queue."""
    _shutting_down.value = 1


@contextmanager
def _sigterm_asks_to_stop() -> Iterator[None]:
    """A process manager may signal the whole group: then the child that trains must
    not die of it. A worker without children has Celery's own handler, which stays."""
    if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def ask(signum: int, frame: FrameType | None) -> None:
        ask_to_stop()

    signal.signal(signal.SIGTERM, ask)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _worker() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"
