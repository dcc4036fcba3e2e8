"""One worker's attempt at scoring a file. Loads torch: imported by workers only."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, Final

import structlog
from django.conf import settings
from django.db import DatabaseError

from annotation.jobs import JobState, KeptLease, LeaseLostError, WorkerStops
from annotation.jsonl import Line, LineReader, UnreadableFile
from rm_training.errors import RunError
from rm_training.models import ScoredFile
from rm_training.registry import folder_of
from rm_training.scoring import LINES_AT_ONCE, BadLine, RewardModel, score_window

TOLD_EVERY: Final = 1.0  # seconds between two words on how far it is
BYTES_AT_ONCE: Final = 4 * 2**20
"""Of lines that are held to be scored together."""
MOST_PROBLEMS: Final = 1_000  # refused lines whose reasons are kept

log = structlog.get_logger(__name__)


def attempt(pk: int, *, worker: str, stopping: Callable[[], bool]) -> None:
    """Score the file, if the job is free; however it ends, its row says so.

    1. Each attempt writes a file of its own, and the row's attempt says whose counts:
       a worker that lost the job cannot touch what another one wrote.
    2. The file is on the disk before the row says done.
    3. The lease is asked between two batches; a cancelled job stops there.
    """
    job = ScoredFile.claim(pk, worker=worker)
    if job is None:
        return
    try:
        _attempt(job, stopping)
    except LeaseLostError:
        log.info("file scoring ended by others", job=job.pk, attempt=job.attempt)
        _clear_up_after_losing(job)


def _attempt(job: ScoredFile, stopping: Callable[[], bool]) -> None:
    try:
        _score(job, stopping)
    except WorkerStops:
        job.requeue()
    except (RunError, UnreadableFile, OSError) as error:
        _fail(job, str(error))
    except (DatabaseError, LeaseLostError):
        # The row cannot be written now, and its lease will run out; or it is not ours.
        raise
    except Exception as error:
        _fail(job, f"error: {type(error).__name__}: {error}")
        raise
    else:
        _remove_all_but_rewards(job)


def _fail(job: ScoredFile, reason: str) -> None:
    """Of a failed job nothing is kept but its row. Raises LeaseLostError."""
    job.finish(JobState.FAILED, reason)
    shutil.rmtree(job.folder, ignore_errors=True)


def _score(job: ScoredFile, stopping: Callable[[], bool]) -> None:
    work = _Work(job)
    with KeptLease(job, seconds=TOLD_EVERY, progress=work.fields) as lease:
        model = RewardModel.load(folder_of(job.reward_model))
        with job.sent.open("rb") as sent, job.rewards.open("wb") as out:
            for window in _windows(_lines(sent, work)):
                lease.check()
                if stopping():
                    raise WorkerStops
                work.add(score_window(model, window), [n for n, _ in window], out)
            out.flush()
            os.fsync(out.fileno())
    job.finish(JobState.DONE, **work.fields(), **work.file_fields())


class _Work:
    """How far the job is, and what became of the lines so far."""

    def __init__(self, job: ScoredFile) -> None:
        self._job = job
        self._digest = hashlib.sha256()
        self._read = self._scored = self._responses = self._refused = self._size = 0
        self._problems: list[dict[str, Any]] = []

    def read(self, so_far: int) -> None:
        """So many bytes of the file have been read."""
        self._read = so_far

    def add(
        self, outcomes: list[str | BadLine], numbers: list[int], out: BinaryIO
    ) -> None:
        """Write the lines that were scored and note the others."""
        for number, outcome in zip(numbers, outcomes, strict=True):
            if isinstance(outcome, BadLine):
                self.refuse(number, str(outcome))
                continue
            written = outcome.encode() + b"\n"
            out.write(written)
            self._digest.update(written)
            self._size += len(written)
            self._scored += 1
            self._responses += len(json.loads(outcome)["rewards"])

    def refuse(self, number: int, message: str) -> None:
        """This line cannot be scored."""
        self._refused += 1
        if len(self._problems) < MOST_PROBLEMS:
            said = message.removeprefix(f"line {number}: ")
            self._problems.append({"line": number, "message": said})

    def fields(self) -> dict[str, Any]:
        """Columns of the job while it runs."""
        return {
            "read_bytes": self._read,
            "scored": self._scored,
            "responses": self._responses,
            "refused": self._refused,
        }

    def file_fields(self) -> dict[str, Any]:
        """Columns of the job when it is done."""
        return {
            "problems": self._problems,
            "sha256": self._digest.hexdigest(),
            "size": self._size,
        }


def _lines(sent: BinaryIO, work: _Work) -> Iterator[Line]:
    """The lines; those beyond the longest are refused here. Raises UnreadableFile."""
    reader = LineReader(sent, work.read, most_bytes=settings.UNPACKED_MAX_BYTES)
    for line in reader:
        if line.too_long:
            work.refuse(line.number, "the line is too long")
        else:
            yield line


def _windows(lines: Iterator[Line]) -> Iterator[list[tuple[int, bytes]]]:
    """Lines that are scored together, by number: few enough to be held."""
    window: list[tuple[int, bytes]] = []
    size = 0
    for line in lines:
        window.append((line.number, line.content))
        size += len(line.content)
        if len(window) == LINES_AT_ONCE or size > BYTES_AT_ONCE:
            yield window
            window, size = [], 0
    if window:
        yield window


def _remove_all_but_rewards(job: ScoredFile) -> None:
    """What was sent is not needed once it is scored, nor what other attempts wrote."""
    for left in job.folder.iterdir():
        if left != job.rewards:
            left.unlink(missing_ok=True)


def _clear_up_after_losing(job: ScoredFile) -> None:
    job.rewards.unlink(missing_ok=True)
    job.refresh_from_db(fields=["state"])
    if job.state == JobState.CANCELLED:
        shutil.rmtree(job.folder, ignore_errors=True)
