"""Celery's entry points. A message carries an id; the row it names is the job."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from celery import shared_task

from annotation import jobs
from annotation.tasks import worker_name
from rm_training.models import TrainingRun


@shared_task
def train(run_id: int) -> None:
    """Train a run, if it is free."""
    # Only a worker that trains loads torch.
    from rm_training.attempts import attempt  # noqa: PLC0415

    with _sigterm_asks_to_stop():
        attempt(run_id, worker=worker_name(), stopping=jobs.worker_is_stopping)


@shared_task
def reconcile() -> None:
    """Wake the runs that a broker, a beat or a worker lost."""
    jobs.reconcile(TrainingRun.objects.all(), train.delay)


@contextmanager
def _sigterm_asks_to_stop() -> Iterator[None]:
    """A process manager may signal the whole group: then the child that trains must
    not die of it. A worker without children has Celery's own handler, which stays."""
    if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def ask(signum: int, frame: FrameType | None) -> None:
        jobs.stop_working()

    signal.signal(signal.SIGTERM, ask)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
