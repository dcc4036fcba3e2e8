"""Celery's entry points. A message carries an id; the row it names is the job."""

from celery import shared_task
from django.conf import settings

from annotation import jobs
from annotation.tasks import worker_name
from ranking.export.folder import remove_if_dead
from ranking.models import FreezeRun
from ranking.models.file_imports import FileImport


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
def import_file(pk: int) -> None:
    """Look at an uploaded file, or import it, if its job is free."""
    from ranking.file_imports import run  # noqa: PLC0415  it wakes this task

    run(pk, worker=worker_name())


@shared_task
def reconcile() -> None:
    """Wake the freezes and imports that a broker, a beat or a worker lost."""
    jobs.reconcile(FreezeRun.objects.all(), freeze_dataset.delay)
    jobs.reconcile(FileImport.objects.all(), import_file.delay)


@shared_task
def forget_old_files() -> None:
    """Delete uploaded files that nobody imported."""
    from ranking import file_imports  # noqa: PLC0415  it wakes a task of this module

    file_imports.forget_old_files()


@shared_task
def sweep_exports() -> None:
    """Remove what downloads left unfinished whose process was killed."""
    for left in (settings.VAR_DIR / "exports").glob("*/*/.*.part-*"):
        remove_if_dead(left)
