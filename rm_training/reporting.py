"""Carries what the trainer tells to the database, and the database's word back."""

import time
from collections.abc import Callable
from typing import Any, Final

import structlog
from django.db import transaction

from annotation.jobs import KeptLease
from rm_training.listener import Evaluation, StepReport
from rm_training.models import NoteKind, TrainingMetric, TrainingRun
from rm_training.run_log import add_line

LONGEST_PHASE: Final = 100
SECONDS_BETWEEN_WRITES: Final = 1.0
"""Steps of a tiny model take milliseconds; their rows are written together."""

log = structlog.get_logger(__name__)


class AttemptReporter:
    """The trainer's listener for one attempt of a run.

    Every write names the attempt. Once the run is cancelled or another worker has it,
    the next write or question raises LeaseLostError, which ends the training.
    """

    def __init__(
        self, run: TrainingRun, *, lease: KeptLease, stopping: Callable[[], bool]
    ) -> None:
        """`stopping` says whether this process was asked to end."""
        self._run = run
        self._lease = lease
        self._stopping = stopping
        self._latest: dict[str, Any] = {}  # values of the newest step
        self._unwritten: dict[int, dict[str, Any]] = {}
        self._first_step: int | None = None
        self._started = self._written_at = time.monotonic()

    def phase(self, words: str) -> None:
        """Say on the run's page what is going on now, and in its log since when."""
        self._add_line(words, NoteKind.PHASE, phase=words[:LONGEST_PHASE])

    def on_step(self, report: StepReport) -> None:
        """Keep the step's numbers; write them if the last write was a while ago."""
        first = self._first_step is None
        if self._first_step is None:
            self._first_step = report.step
            self._started = time.monotonic() - report.seconds
        elapsed = time.monotonic() - self._started
        pace = elapsed / (report.step - self._first_step + 1)
        self._latest = report.to_dict() | {"seconds_per_step": pace}
        self._unwritten[report.step] = self._latest
        waited = time.monotonic() - self._written_at
        if first or waited >= SECONDS_BETWEEN_WRITES or self._is_kept(report.step):
            self._write()

    def on_evaluation(self, evaluation: Evaluation) -> None:
        """Add it to the row of its step, and write at once."""
        self._latest[evaluation.split] = evaluation.to_dict()
        self._unwritten[evaluation.step] = self._latest
        self._write()

    def on_note(self, note: str) -> None:
        """A line of the run's log; those of a finished run stand in its model's
        metrics, too."""
        log.info("training note", run=self._run.pk, note=note)
        self._add_line(note, NoteKind.NOTE)

    def should_stop(self) -> bool:
        """Whether the process was asked to end; then all is written, because the next
        attempt goes on after this step. Raises LeaseLostError."""
        self._lease.check()
        stop = self._stopping()
        if stop:
            self.flush()
        return stop

    def flush(self) -> None:
        """Write the steps that were not written yet: the last ones before an end."""
        if self._unwritten:
            self._write()

    def _add_line(self, text: str, kind: NoteKind, **fields: Any) -> None:
        """Fenced by the write of the run's row, which comes first."""
        with transaction.atomic():
            self._run.write(**fields)
            add_line(self._run, text, kind=kind, attempt=self._run.attempt)

    def _is_kept(self, step: int) -> bool:
        """Whether a checkpoint follows: no later attempt will measure this step."""
        every = self._run.config["checkpoint_every"]
        return bool(every) and step % every == 0

    def _write(self) -> None:
        """One transaction, fenced by its first statement:

        1. `write` changes the run's row if this attempt owns it, and locks it.
        2. Steps that an earlier attempt measured, and this one repeats, are replaced:
           `a_step_is_measured_once`.
        """
        with transaction.atomic():
            self._run.write(
                step=max(self._unwritten),
                steps_total=self._latest["total_steps"],
                phase="training",
            )
            measured = TrainingMetric.objects.filter(run=self._run)
            measured.filter(step__gte=self._first_step).exclude(
                attempt=self._run.attempt
            ).delete()
            TrainingMetric.objects.bulk_create(
                [self._metric(step, row) for step, row in self._unwritten.items()],
                update_conflicts=True,
                unique_fields=["run", "step"],
                update_fields=["attempt", "values"],
            )
        self._unwritten.clear()
        self._written_at = time.monotonic()

    def _metric(self, step: int, values: dict[str, Any]) -> TrainingMetric:
        return TrainingMetric(
            run=self._run, attempt=self._run.attempt, step=step, values=values
        )
