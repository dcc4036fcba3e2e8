"""Runs that ended without a model: continued from their last checkpoint, or run again.

Nothing here loads torch: a press queues the run, and its next attempt resumes.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction

from annotation.jobs import GIVEN_UP, wake
from annotation.models import User
from rm_training import tasks
from rm_training.config import TrainingConfig
from rm_training.models import TrainingRun
from rm_training.registry import KEPT_DAYS, base_models, lock_project, newest_checkpoint
from rm_training.run_freezing import twin_of
from rm_training.run_log import add_line
from rm_training.runs import RunRefusedError, request_run


@dataclass(frozen=True, kw_only=True)
class WayOn:
    """What can be done with a run that failed or was cancelled."""

    step: int | None
    """After which its newest checkpoint was written; None: there is none."""
    obstacle: str
    """Why neither is possible, in words; empty where something is."""
    kept_until: datetime | None
    """When its checkpoints go."""


def way_on(run: TrainingRun) -> WayOn | None:
    """None for a run that is under way or done."""
    if run.state not in GIVEN_UP:
        return None
    kept_until = run.finished_at and run.finished_at + timedelta(days=KEPT_DAYS)
    return WayOn(
        step=newest_checkpoint(run), obstacle=_obstacle(run), kept_until=kept_until
    )


def continue_run(run: TrainingRun, *, user: User) -> bool:
    """Queue the run again; its next attempt goes on from the newest whole checkpoint.

    1. The project's lock keeps out a run with the same data and settings, which would
       train the same twice.
    2. `Job.reopen` is one conditional UPDATE: of two presses one queues the run.
    3. Attempts go on counting: a worker that was only asleep finds that the run is not
       its own, as after any lost lease.
    The trainer compares data, settings, template, tokenizer and base with those of
    the checkpoint, and refuses where one differs.

    False: it was not failed or cancelled any more. Raises RunRefusedError without a
    checkpoint, without its dataset or base, and beside a twin.
    """
    with transaction.atomic():
        lock_project(run.project_id)
        run.refresh_from_db()
        if run.state not in GIVEN_UP:
            return False
        step = _step_to_go_on_from(run)
        twin = twin_of(run)
        if twin is not None:
            raise RunRefusedError(
                f"Run {twin.pk} has the same data and settings and is under way."
            )
        if not run.reopen(step=step, phase=""):
            return False
        add_line(run, f"continued from step {step:,} by {user}")
        wake(tasks.train, run.pk)
    return True


def run_again(run: TrainingRun, *, user: User) -> TrainingRun:
    """A new run with the data, base and settings of this one; the same one for a
    second press. Raises RunRefusedError."""
    if obstacle := _obstacle(run):
        raise RunRefusedError(obstacle)
    return request_run(
        run.project,
        user=user,
        base_model=run.base_model,
        config=TrainingConfig.from_dict(run.config),
        dataset=run.dataset,
    )


def _step_to_go_on_from(run: TrainingRun) -> int:
    if obstacle := _obstacle(run):
        raise RunRefusedError(obstacle)
    step = newest_checkpoint(run)
    if step is None:
        raise RunRefusedError(
            f"Run {run.pk} has no checkpoint to continue from. It can be run again "
            "with the same settings."
        )
    return step


def _obstacle(run: TrainingRun) -> str:
    """Why neither this run nor an equal one can train; empty: nothing is known."""
    if run.base_model not in dict(base_models(run.project)):
        return (
            f"Its base model {run.base_model!r} is not among those of this project any "
            "more."
        )
    if run.dataset is not None and run.dataset.losses.exists():
        return (
            f"Its dataset {run.dataset} has lost something since it was frozen and "
            "cannot be learned from again. Retrain on the rankings that count now."
        )
    return ""
