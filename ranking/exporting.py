"""Data files of frozen datasets as jobs: asked for, written by a worker, shown.

A request for a file never writes it, for a million pairs take minutes. It finds the
file in the store, or the one job that writes it.
"""

from contextlib import suppress
from typing import Any, Final

import structlog
from django.db import DatabaseError, transaction
from django.db.models import QuerySet

from annotation import jobs
from annotation.jobs import (
    GIVEN_UP,
    JobState,
    LeaseLostError,
    WorkerStops,
    waits_long,
)
from annotation.models import User
from ranking import tasks
from ranking.dataset_facts import splits_of
from ranking.downloads import Download, folder_of, place_in_store, written_file
from ranking.export.choice import Choice, ExportRefused
from ranking.export.folder import refuse_if_lost, write
from ranking.export.store import exports_store
from ranking.job_progress import PromptsTold
from ranking.losses import remove_exports
from ranking.models import Dataset, ExportRun

log = structlog.get_logger(__name__)
NOT_TAKEN: Final = "The file could not be written: {}. The dataset is kept as it is."


# --- Asking -----------------------------------------------------------------------


def file_or_run(
    dataset: Dataset, choice: Choice, *, user: User | None, again: bool = False
) -> Download | ExportRun:
    """The file, if it is written; else the job that writes it.

    1. The row of the job is made once (a_file_is_written_by_one_job): of many who ask
       at once, one makes it and wakes a worker, and the others find it.
    2. A row that is done, whose file is not in the store, ended between two looks, or
       its file is gone: after another look the job is queued anew.
    3. A job that failed or was cancelled stays as it is, with its reason, until
       somebody asks `again`: who polls must not undo what another one stopped.

    Raises ExportRefused for a dataset that lost something; OSError where the disk or
    the store does not answer. One query if the file is written.
    """
    _refuse_and_clear_if_lost(dataset)
    found = written_file(dataset, choice)
    if found is not None:
        return found
    run, is_new = _row(dataset, choice, user)
    if is_new:
        return run
    if run.state == JobState.DONE:
        found = written_file(dataset, choice)
    return found or _queued_anew(run, again=again)


def _row(dataset: Dataset, choice: Choice, user: User | None) -> tuple[ExportRun, bool]:
    with transaction.atomic():
        run, is_new = ExportRun.objects.get_or_create(
            dataset=dataset,
            kind=choice.kind,
            format=choice.format,
            disagreement=choice.disagreement,
            split=choice.split,
            defaults={"created_by": user},
        )
        if is_new:
            jobs.wake(tasks.write_export, run.pk)
    return run, is_new


def _queued_anew(run: ExportRun, *, again: bool) -> ExportRun:
    """One conditional UPDATE: of several who ask, one queues it and wakes a worker."""
    ended = (JobState.DONE, *GIVEN_UP) if again else (JobState.DONE,)
    if run.state not in ended:
        return run
    with transaction.atomic():
        if run.reopen(ended, removed_at=None, prompts_done=0):
            jobs.wake(tasks.write_export, run.pk)
    run.refresh_from_db()
    return run


def cancel(run: ExportRun, *, user: User) -> bool:
    """Stop the writing of a file; False when it had ended before.

    Whoever else waits for it is told by whom. The worker notices at the next prompts.
    """
    return run.cancel(f"{user} cancelled it. Nothing was kept.")


def exports_of(dataset: Dataset) -> dict[str, Any]:
    """`exports` of a page, and whether one of them is `unfinished`. One query."""
    runs = list(runs_shown(dataset))
    return {"exports": runs, "unfinished": any(run.is_unfinished for run in runs)}


def runs_shown(dataset: Dataset) -> QuerySet[ExportRun]:
    """The files of a dataset that are written, are being written, failed, or were
    removed because they were old.

    Each has `waits_long`, as `annotation.jobs` says.
    """
    return (
        ExportRun.objects.filter(dataset=dataset)
        .exclude(state=JobState.CANCELLED)
        .annotate(waits_long=waits_long())
        .order_by("kind", "format", "disagreement", "split")
    )


# --- The work ---------------------------------------------------------------------


def carry_out(run: ExportRun) -> None:
    """Write the file; whatever goes wrong is on the job's row afterwards.

    1. The folder is made beside its place and renamed, and goes to the store with its
       manifest last. A worker that is killed leaves nothing that anybody finds; the
       next one writes the same bytes.
    2. A thread tells how far it is. It notices when the job was cancelled, by a person
       or by a takedown of something that the dataset holds: then the work stops, and
       what it made goes.
    3. A takedown that was committed before the file was in the store is seen at the
       end, and the file goes; one that is committed later removes it itself.
    """
    try:
        _carry_out(run)
    except (LeaseLostError, ExportRefused) as error:
        log.info("export given up", run=run.pk, attempt=run.attempt, why=str(error))
        _remove_if_cancelled(run)
    finally:
        with suppress(ExportRefused):
            _refuse_and_clear_if_lost(run.dataset)


def _carry_out(run: ExportRun) -> None:
    try:
        with PromptsTold(run, total=_prompts_in(run.dataset, run.split)) as told:
            facts = _write(run, told)
        run.finish(JobState.DONE, **facts, **told.fields())
    except WorkerStops:
        run.requeue()
    except OSError as error:
        log.exception("export failed", run=run.pk)
        run.finish(JobState.FAILED, NOT_TAKEN.format(error.strerror or error))
    except (DatabaseError, LeaseLostError, ExportRefused):
        # Nothing can be written down now, and the lease runs out; or the row is not
        # ours; or there is nothing to write any more.
        raise
    except Exception as error:
        run.finish(JobState.FAILED, f"error: {type(error).__name__}: {error}")
        raise


def _remove_if_cancelled(run: ExportRun) -> None:
    """A file that was whole just when its job was cancelled goes.

    The row stays locked meanwhile: who asks for the file again waits, and what the next
    worker writes is not touched.
    """
    with transaction.atomic():
        rows = ExportRun.objects.select_for_update(no_key=True, of=("self",))
        mine = rows.filter(pk=run.pk, attempt=run.attempt, state=JobState.CANCELLED)
        if mine.first() is not None:
            exports_store().remove(place_in_store(run.dataset, run.choice))


def _prompts_in(dataset: Dataset, split: str) -> int:
    if split == "all":
        return int(dataset.counts["prompts"])
    return splits_of(dataset)[split]


def _write(run: ExportRun, told: PromptsTold) -> dict[str, Any]:
    """Write the folder and hand it to the store; what the row says of the file."""
    choice = run.choice
    folder = folder_of(run.dataset, choice)
    manifest = write(
        run.dataset,
        kind=choice.kind,
        format=choice.format,
        disagreement=choice.disagreement,
        split=choice.split,
        out=folder,
        progress=told.more,
    )
    exports_store().keep(folder, place_in_store(run.dataset, choice))
    told.check()
    [file] = manifest["files"].values()
    return {"sha256": file["sha256"], "size": file["bytes"], "rows": file["rows"]}


def _refuse_and_clear_if_lost(dataset: Dataset) -> None:
    """Raises ExportRefused for a dataset that lost something; no file of it is left,
    also where one was not removed before. One query for a whole one."""
    try:
        refuse_if_lost(dataset)
    except ExportRefused:
        remove_exports([dataset])
        raise
