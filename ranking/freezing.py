"""Freezes as jobs: asked for, carried out by a worker, shown while they go on."""

from datetime import timedelta
from typing import Any, Final

import structlog
from django.db import DatabaseError, transaction
from django.db.models import Q, QuerySet, Value
from django.db.models.functions import Now

from annotation import jobs
from annotation.jobs import (
    UNFINISHED,
    JobState,
    LeaseLostError,
    WorkerStops,
    waits_long,
)
from annotation.models import Project, User
from ranking import tasks
from ranking.datasets import NothingToFreeze, freeze
from ranking.filter_words import filters_from_json
from ranking.filters import Filters, InvalidFilter, rankings_that_count
from ranking.job_progress import PromptsTold
from ranking.models import Dataset, FreezeRun

log = structlog.get_logger(__name__)
AT_ONCE: Final = 2_000  # rankings that are frozen while a page waits: about a second


def freeze_or_queue(
    project: Project, filters: Filters, *, user: User, seed: int = 0
) -> Dataset | FreezeRun:
    """The dataset, where few rankings match; else the job that will make it.

    Raises NothingToFreeze.
    """
    if rankings_that_count(project, filters).count() <= AT_ONCE:
        return freeze(project, filters, user=user, seed=seed)
    return request_freeze(project, filters, user=user, seed=seed)


def request_freeze(
    project: Project, filters: Filters, *, user: User | None, seed: int = 0
) -> FreezeRun:
    """Queue a freeze and wake a worker; the row is there first.

    The same request while such a run is unfinished gives that run (requests of a
    project wait for each other).
    """
    wanted: dict[str, Any] = {
        "project": project,
        "filters": filters.as_json(project),
        "seed": seed,
    }
    with transaction.atomic():
        Project.objects.select_for_update(no_key=True, of=("self",)).get(pk=project.pk)
        twin = FreezeRun.objects.filter(**wanted, state__in=UNFINISHED).first()
        if twin is not None:
            return twin
        run = FreezeRun.objects.create(**wanted, created_by=user)
        jobs.wake(tasks.freeze_dataset, run.pk)
    return run


def carry_out(run: FreezeRun) -> None:
    """Freeze what the run asks for; whatever goes wrong is on its row afterwards.

    1. The freeze is one transaction: a worker that is killed leaves nothing of it.
    2. A thread writes how far it is, and notices when the run was cancelled; then the
       transaction is undone.
    3. The dataset is committed before the run is done. A worker that dies in between
       is followed by one that finds the same dataset, or freezes what came since.
    """
    try:
        with PromptsTold(run) as report:
            found = freeze(
                run.project,
                filters_from_json(run.project, run.filters),
                user=run.created_by,
                seed=run.seed,
                progress=report.progress,
            )
        run.finish(JobState.DONE, dataset=found, **report.fields())
    except LeaseLostError:
        log.info("freeze gave way", run=run.pk, attempt=run.attempt)
    except WorkerStops:
        run.requeue()
    except (NothingToFreeze, InvalidFilter) as error:
        run.finish(JobState.FAILED, str(error))
    except DatabaseError:
        raise  # nothing can be written down: the lease runs out, and the next one tries
    except Exception as error:
        run.finish(JobState.FAILED, f"error: {type(error).__name__}: {error}")
        raise


def runs_shown(project: Project) -> QuerySet[FreezeRun]:
    """The freezes of a project that are under way, or failed in the last hour.

    Each has `waits_long`, as `annotation.jobs` says.
    """
    recent = Q(state=JobState.FAILED, finished_at__gt=Now() - Value(timedelta(hours=1)))
    return (
        FreezeRun.objects.filter(Q(state__in=UNFINISHED) | recent, project=project)
        .select_related("created_by")
        .annotate(waits_long=waits_long())
        .order_by("-pk")
    )
