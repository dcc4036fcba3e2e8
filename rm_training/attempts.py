"""One worker's attempt at a training run. Loads torch: imported by workers only."""

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import structlog
import torch
from django.conf import settings
from django.db import DatabaseError, transaction

from annotation.jobs import JobState, KeptLease, LeaseLostError
from ranking.export.choice import ExportRefused
from ranking.export.folder import refuse_if_lost, write
from rm_training import runs
from rm_training.checkpoint import CheckpointError, checkpoints_of
from rm_training.config import ConfigError, TrainingConfig
from rm_training.contest import compare_with_the_one_in_use
from rm_training.data import DataError, Example, read_examples
from rm_training.encoding import EncodingError
from rm_training.errors import RunError
from rm_training.listener import NonFiniteLoss, TrainingResult, TrainingStopped
from rm_training.models import NoteKind, RewardModel, TrainingRun
from rm_training.network import ModelError
from rm_training.registry import (
    attempt_name,
    base_source,
    data_folder,
    discard_attempts,
    discard_unfinished,
)
from rm_training.reporting import AttemptReporter
from rm_training.run_freezing import freeze_for
from rm_training.run_log import add_line
from rm_training.trainer import train

log = structlog.get_logger(__name__)

REASONS: Final[dict[type[Exception], str]] = {
    NonFiniteLoss: "nonfinite",
    ModelError: "base_model",
    DataError: "data",
    ExportRefused: "data",
    EncodingError: "data",
    ConfigError: "config",
    CheckpointError: "checkpoint",
    MemoryError: "out_of_memory",
    torch.OutOfMemoryError: "out_of_memory",
}
"""The word that a failure's reason begins with; others begin with `error`."""

DATA: Final = "data: "
"""Failures after which no checkpoint stays: without its data a run cannot go on."""


def attempt(pk: int, *, worker: str, stopping: Callable[[], bool]) -> None:
    """Train the run `pk`, if it is free: a duplicate message finds nothing to do.

    Ends with the run done and its model published; or failed with a reason; or queued
    again, when `stopping` says that this process must end; or without any effect, when
    the run was cancelled or another worker took it over.
    """
    run = TrainingRun.claim(pk, worker=worker)
    if run is None:
        log.info("run is finished or taken", run=pk)
        return
    log.info("attempt begins", run=pk, attempt=run.attempt)
    try:
        if run.dataset is None and not freeze_for(run):
            return
        with KeptLease(run) as lease:
            reporter = AttemptReporter(run, lease=lease, stopping=stopping)
            reporter.on_note(_beginning(run))
            _carry_out(run, reporter)
    except LeaseLostError:
        log.warning("attempt gave way", run=pk, attempt=run.attempt)
        _clear_up_after_losing(run)


def _beginning(run: TrainingRun) -> str:
    lost = f"; {run.lost_leases} before it vanished" if run.lost_leases else ""
    return f"attempt {run.attempt} on {run.worker}{lost}"


def _carry_out(run: TrainingRun, reporter: AttemptReporter) -> None:
    """Train and publish; whatever goes wrong is on the run's row afterwards."""
    try:
        examples = _examples(run, reporter)
        result = _train(run, examples, reporter)
        comparison = _compare(run, examples, result, reporter)
        reporter.phase("publishing")
        metrics = metrics_of(result)
        runs.publish(run, folder=result.folder, metrics=metrics, comparison=comparison)
    except TrainingStopped:
        reporter.on_note("given back: its worker was asked to end")
        run.requeue()
        log.info("run given back", run=run.pk, attempt=run.attempt)
    except (LeaseLostError, DatabaseError):
        # Without the database nothing can be written down: the lease runs out, and
        # the next attempt goes on from the last checkpoint.
        raise
    except (RunError, ExportRefused, MemoryError, OSError) as error:
        log.warning("run failed", run=run.pk, reason=reason_of(error))
        _fail(run, error, reporter)
    except Exception as error:
        _fail(run, error, reporter)
        if not _is_out_of_memory(error):
            raise
    else:
        discard_attempts(run, keep=result.folder)


def _fail(run: TrainingRun, error: Exception, reporter: AttemptReporter) -> None:
    """Close the run. What it wrote goes, but for the checkpoints: somebody may continue
    it. Where its data is the reason, nobody can."""
    reason = reason_of(error)
    reporter.flush()
    with transaction.atomic():
        run.finish(JobState.FAILED, reason, phase="")
        add_line(run, reason, kind=NoteKind.PROBLEM, attempt=run.attempt)
    if reason.startswith(DATA):
        discard_attempts(run)
    else:
        discard_unfinished(run)


def _train(
    run: TrainingRun, examples: list[Example], reporter: AttemptReporter
) -> TrainingResult:
    out = Path(settings.MODEL_ROOT) / attempt_name(run)
    adopt_checkpoints(run, checkpoints_of(out))
    reporter.phase("loading the base model")
    return train(
        examples,
        base=base_source(run.base_model),
        out=out,
        config=TrainingConfig.from_dict(run.config),
        listener=reporter,
    )


def _compare(
    run: TrainingRun,
    examples: list[Example],
    result: TrainingResult,
    reporter: AttemptReporter,
) -> dict[str, Any] | None:
    """How the new model does beside the one in use; None while none is."""
    in_use = RewardModel.objects.filter(project=run.project_id, in_use=True).first()
    if in_use is None:
        return None
    reporter.phase("comparing with the model in use")

    def between() -> None:
        if reporter.should_stop():
            raise TrainingStopped(result.steps)

    return compare_with_the_one_in_use(
        result.folder,
        in_use,
        examples,
        device=run.config.get("device", "auto"),
        between=between,
    )


def _examples(run: TrainingRun, reporter: AttemptReporter) -> list[Example]:
    """The run's dataset, read from the very file that people download.

    1. What earlier attempts left goes: their workers were killed while they read. Never
       what a later one writes, should this worker only have been asleep.
    2. A dataset that has lost something is refused before anything is written.
    3. The file goes as soon as it is read. A takedown of that moment either removes it
       under our hands, or is seen afterwards: its texts are not learned from.

    Raises ExportRefused, DataError, OSError.
    """
    dataset = run.dataset
    assert dataset is not None  # `freeze_for` came first
    reporter.phase("reading the dataset")
    for number in range(1, run.attempt):
        shutil.rmtree(_copies(run, number), ignore_errors=True)
    mine = _copies(run, run.attempt)
    try:
        write(dataset, kind="rankings", format="jsonl", out=mine / "data")
        examples = read_examples(mine / "data")
    except (OSError, DataError):
        refuse_if_lost(dataset)
        raise
    finally:
        shutil.rmtree(mine, ignore_errors=True)
    refuse_if_lost(dataset)
    return examples


def _copies(run: TrainingRun, attempt: int) -> Path:
    return data_folder(run) / f"attempt-{attempt}"


def metrics_of(result: TrainingResult) -> dict[str, Any]:
    """What the registry keeps of a result: its counts, and notes for the reader."""
    return {**result.meta["metrics"], "notes": list(result.notes)}


def reason_of(error: BaseException) -> str:
    """`word: what happened, in words` for the run's page.

    A full disk is found behind whatever it was wrapped in.
    """
    if any(_is_full_disk(cause) for cause in _chain(error)):
        return (
            "disk_full: there is no space left for the model or its checkpoints. The "
            "last good checkpoint is kept: make space, then continue the run"
        )
    if _is_out_of_memory(error):
        return f"out_of_memory: {error}"
    for kind, word in REASONS.items():
        if isinstance(error, kind):
            return f"{word}: {str(error) or 'no memory is left for this run'}"
    return f"error: {type(error).__name__}: {error}"


def adopt_checkpoints(run: TrainingRun, mine: Path) -> None:
    """Give this attempt the checkpoints of the earlier ones, to go on from.

    Each attempt writes into a folder of its own, so that a worker that was only asleep
    spoils nothing. Checkpoints never change once written, so they are linked. One that
    vanishes or is torn meanwhile is found by its manifest and passed over.
    """
    for number in range(run.attempt - 1, 0, -1):
        earlier = mine.with_name(
            mine.name.replace(f"attempt-{run.attempt}.", f"attempt-{number}.")
        )
        for checkpoint in earlier.glob("step-*"):
            _adopt(checkpoint, mine / checkpoint.name)


def _adopt(checkpoint: Path, target: Path) -> None:
    if target.exists():
        return
    try:
        shutil.copytree(checkpoint, target, copy_function=_link)
    except (shutil.Error, FileNotFoundError) as error:
        log.warning("checkpoint vanished", checkpoint=str(checkpoint), error=str(error))


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:  # without hard links: EPERM, EOPNOTSUPP, EXDEV, EMLINK, …
        shutil.copy2(source, target)


def _clear_up_after_losing(run: TrainingRun) -> None:
    """Remove what this attempt leaves behind, and the earlier ones if it was cancelled.

    Checkpoints stay: for the worker that took over, or for who continues the run.
    """
    shutil.rmtree(Path(settings.MODEL_ROOT) / attempt_name(run), ignore_errors=True)
    run.refresh_from_db(fields=["state"])
    if run.state == JobState.CANCELLED:
        discard_unfinished(run)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _is_out_of_memory(error: BaseException) -> bool:
    # On a CPU torch has no class for it: its message is the allocator's.
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)


def _is_full_disk(error: BaseException) -> bool:
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    # safetensors knows no errno: its message is the system's.
    return os.strerror(errno.ENOSPC) in str(error)
