"""The first thing that the worker of a large project's run does: freeze what counts.

A page that asks for a run must not wait for tens of thousands of prompts to be read.
"""

import structlog
from django.db import DatabaseError, transaction

from annotation.jobs import UNFINISHED, JobState, LeaseLostError, WorkerStops
from ranking.datasets import NothingToFreeze, freeze
from ranking.job_progress import PromptsTold
from ranking.models import Dataset
from rm_training.models import NoteKind, TrainingRun
from rm_training.registry import lock_project
from rm_training.run_log import add_line

FREEZING = "freezing the rankings that count"

log = structlog.get_logger(__name__)


def freeze_for(run: TrainingRun) -> bool:
    """Give the run, which this worker has claimed, its dataset.

    1. The freeze is one transaction: a worker that is killed leaves nothing of it. A
       thread writes how far it is, and notices when the run was cancelled.
    2. The dataset is committed before the run names it. A worker that dies in between
       is followed by one that finds the same dataset, or freezes what came since.
    3. Only now is it known whether an unfinished run learns the same already; the
       project's lock lets one of two such runs go on.

    False: the run has ended, or was given back. Raises LeaseLostError.
    """
    _say(run)
    try:
        with PromptsTold(run) as report:
            found = freeze(run.project, user=run.created_by, progress=report.progress)
    except WorkerStops:
        run.requeue()
        return False
    except NothingToFreeze as error:
        _fail(run, f"data: {error}")
        return False
    except (LeaseLostError, DatabaseError):
        raise  # nothing can be written down: the lease runs out, and the next one tries
    except Exception as error:
        _fail(run, f"error: {type(error).__name__}: {error}")
        raise
    return _take(run, found, **report.fields())


def _say(run: TrainingRun) -> None:
    with transaction.atomic():
        run.write(phase=FREEZING, prompts_done=0, prompts_total=0)
        add_line(run, FREEZING, kind=NoteKind.PHASE, attempt=run.attempt)


@transaction.atomic
def _fail(run: TrainingRun, reason: str) -> None:
    run.finish(JobState.FAILED, reason, phase="")
    add_line(run, reason, kind=NoteKind.PROBLEM, attempt=run.attempt)


@transaction.atomic
def _take(run: TrainingRun, dataset: Dataset, **told: int) -> bool:
    lock_project(run.project_id)
    run.write(dataset=dataset, phase="", **told)
    run.dataset = dataset
    twin = twin_of(run)
    if twin is None:
        return True
    reason = f"run {twin.pk} learns from the same rankings, with the same settings"
    run.finish(JobState.CANCELLED, reason)
    add_line(run, f"cancelled: {reason}", attempt=run.attempt)
    log.info("run has a twin", run=run.pk, twin=twin.pk)
    return False


def twin_of(run: TrainingRun) -> TrainingRun | None:
    """Another unfinished run with the same data, base and settings."""
    return (
        TrainingRun.objects.filter(
            project=run.project_id,
            dataset=run.dataset,
            base_model=run.base_model,
            config=run.config,
            state__in=UNFINISHED,
        )
        .exclude(pk=run.pk)
        .first()
    )
