"""Celery's entry points. A message carries an id; the row it names is the job."""

from celery import shared_task
from django.conf import settings

from annotation import jobs
from annotation.tasks import worker_name
from ranking.expiry import remove_expired
from ranking.export.placing import remove_if_dead
from ranking.models import ExportRun, FreezeRun
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
def write_export(run_id: int) -> None:
    """Write a data file, if its job is free."""
    from ranking.exporting import carry_out  # noqa: PLC0415  it wakes this task

    run = ExportRun.claim(run_id, worker=worker_name())
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
    """Wake the freezes, exports and imports that a broker, beat or worker lost."""
    jobs.reconcile(FreezeRun.objects.all(), freeze_dataset)
    jobs.reconcile(ExportRun.objects.all(), write_export)
    jobs.reconcile(FileImport.objects.all(), import_file)


@shared_task
def forget_old_files() -> None:
    """Delete uploaded files that nobody imported."""
    from ranking import file_imports  # noqa: PLC0415  it wakes a task of this module

    file_imports.forget_old_files()


@shared_task
def sweep_exports() -> None:
    """Remove what exports and removals left unfinished whose process was killed."""
    exports = settings.VAR_DIR / "exports"
    for unfinished in ("*/*/.*.part-*", "*/*/.*.gone-*", "*/.*.gone-*"):
        for left in exports.glob(unfinished):
            remove_if_dead(left)


@shared_task
def remove_expired_exports() -> None:
    """Remove files of datasets that were written long ago."""
    remove_expired()
