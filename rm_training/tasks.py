"""Celery's entry points. A message carries an id; the row it names is the job."""

from celery import shared_task

from annotation import jobs
from annotation.tasks import worker_name
from rm_training import registry
from rm_training.models import TrainingRun


@shared_task
def train(run_id: int) -> None:
    """Train a run, if it is free."""
    # Only a worker that trains loads torch.
    from rm_training.attempts import attempt  # noqa: PLC0415

    with jobs.sigterm_asks_to_stop():
        attempt(run_id, worker=worker_name(), stopping=jobs.worker_is_stopping)


@shared_task
def reconcile() -> None:
    """Wake the runs that a broker, a beat or a worker lost."""
    jobs.reconcile(TrainingRun.objects.all(), train.delay)


@shared_task
def retrain() -> None:
    """Queue the runs that projects asked for by their settings, where they are due."""
    # It asks for runs, and these send messages of this module.
    from rm_training.retraining import retrain_where_due  # noqa: PLC0415

    retrain_where_due()


@shared_task
def forget_checkpoints() -> None:
    """Runs where the checkpoints lie: on a worker that trains."""
    registry.forget_checkpoints()
