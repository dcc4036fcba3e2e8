"""Celery's entry points. A message carries an id; the row it names is the job."""

from celery import shared_task

from annotation import jobs
from annotation.tasks import worker_name
from ranking.models import FreezeRun


@shared_task
def freeze_dataset(run_id: int) -> None:
    """Freeze what a run asks for, if it is free."""
    # `freezing` wakes this task, so one of the two comes later.
    from ranking.freezing import carry_out  # noqa: PLC0415

    run = FreezeRun.claim(run_id, worker=worker_name())
    if run is not None:
        with jobs.sigterm_asks_to_stop():
            carry_out(run)


@shared_task
def reconcile() -> None:
    """Wake the freezes that a broker, a beat or a worker lost."""
    jobs.reconcile(FreezeRun.objects.all(), freeze_dataset.delay)
