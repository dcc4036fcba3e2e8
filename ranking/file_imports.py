"""Uploaded files: received, looked at, imported, forgotten.

The Postgres row is the job (`annotation.jobs`), and the file lies beside the database,
in VAR_DIR: web processes and workers share that folder.
"""

import os
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import structlog
from django.conf import settings
from django.db import DatabaseError, transaction
from django.db.models import Q, Value
from django.db.models.functions import Now

from annotation import jobs
from annotation.import_report import ImportReport
from annotation.importing import ImportMode, ImportStopped
from annotation.imports import import_prompts
from annotation.jobs import UNFINISHED, JobState, KeptLease, LeaseLostError
from annotation.jsonl import Progress, UnreadableFile
from annotation.models import Project, User
from ranking import tasks
from ranking.foreign_imports import import_foreign
from ranking.imports import import_rankings
from ranking.models.file_imports import PROMPTS, RANKINGS, FileImport

log = structlog.get_logger(__name__)
TOLD_EVERY: Final = 2.0  # seconds between two words on how far an import is
KEPT_FOR: Final = timedelta(days=7)
MOST_WAITING: Final = 20  # files of one project that lie here and were not imported


class FileTooLarge(ValueError):  # noqa: N818  reads as what happened
    """More than UPLOAD_MAX_BYTES was sent; nothing was kept."""

    def __init__(self) -> None:
        super().__init__(
            f"The file is larger than {settings.UPLOAD_MAX_BYTES} bytes, the most that"
            " this site takes (UPLOAD_MAX_BYTES). Nothing was kept. Pack it with gzip,"
            " or import it with the command."
        )


class ImportRefusedError(Exception):
    """The file was not taken, or not imported; the message says why and what to do."""


def receive(  # noqa: PLR0913  by keyword only
    project: Project,
    pieces: Iterable[bytes],
    *,
    shape: str,
    file_name: str,
    mode: ImportMode,
    user: User | None,
    columns: Mapping[str, str] | None = None,
) -> FileImport:
    """Write what was sent to the disk, and queue its job.

    The name on the disk is ours. The file is there before its row is; should that
    fail, the file goes again. Raises FileTooLarge, ImportRefusedError.
    """
    if waiting(project) >= MOST_WAITING:
        raise ImportRefusedError(
            f"{MOST_WAITING} files of this project wait to be imported. Import them or"
            " delete them first; nothing was kept of this one."
        )
    job = FileImport(
        project=project,
        created_by=user,
        shape=shape,
        mode=mode.name,
        columns=dict(columns or {}),
        file_name=readable(file_name),
    )
    try:
        job.size = write_upload(job.path, pieces)
        with transaction.atomic():
            job.save()
            jobs.wake(tasks.import_file, job.pk)
    except BaseException:
        job.path.unlink(missing_ok=True)
        raise
    return job


def readable(name: str) -> str:
    """A file's name for people: its last part, without what does not show."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(letter for letter in last if letter.isprintable())[:200]


def waiting(project: Project) -> int:
    """How many files of the project lie here that were not imported."""
    found = FileImport.objects.filter(project=project).exclude(
        state__in=[JobState.FAILED, JobState.CANCELLED]
    )
    return sum(job.is_here for job in found.only("stored_as").order_by("-pk")[:500])


def write_upload(path: Path, pieces: Iterable[bytes]) -> int:
    """Write what was sent to a new file; how many bytes. Raises FileTooLarge."""
    path.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with path.open("xb") as out:
        for piece in pieces:
            written += len(piece)
            if written > settings.UPLOAD_MAX_BYTES:
                raise FileTooLarge()
            out.write(piece)
        out.flush()
        os.fsync(out.fileno())
    return written


def start(job: FileImport, *, mode: ImportMode) -> None:
    """Import a file that was looked at. Raises ImportRefusedError.

    One conditional UPDATE: of two who ask at once, the second finds it queued.
    """
    if not job.may_import:
        raise ImportRefusedError(
            "This file cannot be imported now: it is being read, or was imported, or"
            " nothing in it is new."
        )
    ready = FileImport.objects.filter(pk=job.pk, state=JobState.DONE, mode=job.mode)
    with transaction.atomic():
        if not ready.update(
            state=JobState.QUEUED,
            mode=mode.name,
            queued_at=Now(),
            finished_at=None,
            lost_leases=0,
            done=0,
        ):
            raise ImportRefusedError("Somebody else has started its import already.")
        jobs.wake(tasks.import_file, job.pk)


def discard(job: FileImport) -> None:
    """Delete the file; its row and report stay. A run that reads it is cancelled."""
    job.cancel()
    job.path.unlink(missing_ok=True)


# --- The work ---------------------------------------------------------------------


def run(pk: int, *, worker: str) -> None:
    """Look at the file, or import it, if the job is free.

    A whole import and its report are committed together. A partial one commits piece
    by piece; if its worker vanishes, the next one finds what is stored `unchanged`. A
    job that was cancelled stops at the next lines: of a whole import nothing stays.
    """
    job = FileImport.claim(pk, worker=worker)
    if job is None:
        return
    try:
        _run(job)
    except LeaseLostError:
        log.info("import ended by others", job=job.pk, attempt=job.attempt)


def _run(job: FileImport) -> None:
    try:
        read = _Read()
        with KeptLease(job, seconds=TOLD_EVERY, progress=read.as_fields) as lease:
            read.lease = lease
            report = _import_and_finish(job, read)
    except (UnreadableFile, ImportStopped, OSError) as error:
        job.finish(JobState.FAILED, str(error))
    except (DatabaseError, LeaseLostError):
        # The row cannot be written now, and its lease will run out; or it is not ours.
        raise
    except Exception as error:
        job.finish(JobState.FAILED, f"{type(error).__name__}: {error}")
        raise
    else:
        if not job.is_dry and not (
            report.refused and job.mode == ImportMode.WHOLE.name
        ):
            job.path.unlink(missing_ok=True)


def _import_and_finish(job: FileImport, read: "_Read") -> ImportReport:
    together = job.mode != ImportMode.PARTIAL.name
    with transaction.atomic() if together else nullcontext():
        report = _import(job, read)
        job.finish(JobState.DONE, done=job.size, **report.as_json())
    return report


class _Read:
    """How far the import is; asks at every line whether it is still to go on."""

    def __init__(self) -> None:
        self.bytes = 0
        self.lease: KeptLease | None = None

    def __call__(self, read: int) -> None:
        self.bytes = read
        if self.lease is not None:
            self.lease.check()

    def as_fields(self) -> dict[str, Any]:
        """What the job's row is told meanwhile."""
        return {"done": self.bytes}


def _import(job: FileImport, read: Progress) -> ImportReport:
    mode = ImportMode[job.mode]
    common: dict[str, Any] = {
        "mode": mode,
        "progress": read,
        "most_bytes": settings.UNPACKED_MAX_BYTES,
    }
    with job.path.open("rb") as file:
        if job.shape == RANKINGS:
            return import_rankings(job.project, file, **common)
        common |= {"user": job.created_by, "file_name": job.file_name}
        if job.shape == PROMPTS:
            return import_prompts(job.project, file, **common)
        common |= {"shape": job.shape, "columns": job.columns}
        return import_foreign(job.project, file, **common)


# --- What is left -----------------------------------------------------------------


def forget_old_files() -> int:
    """Delete files that nobody imported in KEPT_FOR; how many. Their rows stay."""
    old = FileImport.objects.filter(
        ~Q(state__in=UNFINISHED), queued_at__lt=Now() - Value(KEPT_FOR)
    )
    paths = [job.path for job in old.only("stored_as") if job.is_here]
    for path in paths:
        path.unlink(missing_ok=True)
    return len(paths)
