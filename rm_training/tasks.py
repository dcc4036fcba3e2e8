"""Celery's entry points. A message carries an id; the row it names is the job."""

from celery import shared_task

from annotation import jobs
from annotation.tasks import worker_name
from rm_training import registry
from rm_training.models import ScoredFile, TrainingRun


@shared_task
def train(run_id: int) -> None:
    """Train a run, if it is free."""
    # Only a worker that trains loads torch.
    from rm_training.attempts import attempt  # noqa: PLC0415

    with jobs.sigterm_asks_to_stop():
        attempt(run_id, worker=worker_name(), stopping=jobs.worker_is_stopping)


@shared_task
def score_file(pk: int) -> None:
    """Score an uploaded file, if its job is free."""
    # Only a worker that scores loads torch.
    from rm_training.file_scoring import attempt  # noqa: PLC0415

    with jobs.sigterm_asks_to_stop():
        attempt(pk, worker=worker_name(), stopping=jobs.worker_is_stopping)


@shared_task
def reconcile() -> None:
    """Wake the runs and scored files that a broker, a beat or a worker lost."""
    jobs.reconcile(TrainingRun.objects.all(), train)
    jobs.reconcile(ScoredFile.objects.all(), score_file)


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


@shared_task
def forget_old_files() -> None:
    """Delete rewards that were written long ago."""
    from rm_training import scored_files  # noqa: PLC0415  it wakes a task of this module

    scored_files.forget_old_files()
