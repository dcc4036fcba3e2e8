"""Runs that start by themselves: every N new rankings, or on a schedule.

A beat only makes somebody look. Whether a run is due is decided by rows, under a lock,
so any number of beats may look at once or twice, or one too late.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog
from django.db import DatabaseError, connection, transaction
from django.db.models import Exists, OuterRef

from annotation.jobs import UNFINISHED, JobState
from annotation.models import Project
from ranking.filters import Filters, rankings_that_count
from ranking.models import DatasetRanking
from rm_training.config import ConfigError, TrainingConfig
from rm_training.models import Retraining, TrainingRun, When
from rm_training.run_log import add_line
from rm_training.runs import RunRefusedError, freeze_now, request_run
from rm_training.timetable import slot_after, slot_before

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """How far a project is from its next run."""

    new_rankings: int
    """Count now, and no run has had them in its dataset."""
    due: bool
    next_slot: datetime | None
    """Of the schedule, UTC; None without one."""


def waiting_for(settings: Retraining) -> Waiting:
    """What is waiting for the next run of the project. Two queries."""
    now = _now()
    new = max(0, _unlearned(settings.project) - settings.left_out)
    if settings.when == When.RANKINGS:
        due = new >= settings.every_rankings
        return Waiting(new_rankings=new, due=due, next_slot=None)
    if settings.when == When.OFF:
        return Waiting(new_rankings=new, due=False, next_slot=None)
    due = settings.served_until < _slot_before(settings, now)
    slot = slot_after(now, hour=settings.hour, weekday=_weekday(settings))
    return Waiting(new_rankings=new, due=due, next_slot=slot)


def retrain_where_due() -> None:
    """Look at every open project. One that cannot be looked at keeps none waiting."""
    looked_at = Retraining.objects.exclude(when=When.OFF)
    for pk in looked_at.filter(project__closed_at=None).values_list("pk", flat=True):
        try:
            retrain_if_due(pk)
        except DatabaseError as error:
            log.warning("retraining was not looked at", id=pk, error=str(error))


@transaction.atomic
def retrain_if_due(pk: int) -> TrainingRun | None:
    """Queue a run of the project if one is due and none is unfinished.

    1. The settings' row is locked; who finds it locked leaves: somebody looks already.
    2. What is due is asked under the lock. A run that another one queued a moment ago
       holds the rankings that were new, and its slot is served.
    3. The rankings are frozen. A dataset that a run with these settings had already
       is not learned from again.
    4. Run, slot and outcome are committed together: both or neither.
    """
    settings = _locked(pk)
    if settings is None or not waiting_for(settings).due or _is_busy(settings):
        return None
    now, run = _now(), None
    try:
        with transaction.atomic():
            run = _request(settings)
    except (RunRefusedError, ConfigError) as error:
        outcome = f"no run: {error}"
    else:
        outcome = f"queued run {run.pk}" if run else "no run: nothing new was ranked"
        # What is not in a run's dataset now cannot be frozen. (What was ranked while
        # the freeze read is among it until the next run: a few count a bit late.)
        settings.left_out = _unlearned(settings.project)
    settings.served_until = settings.outcome_at = now
    settings.outcome = outcome[:500]
    settings.save(update_fields=["served_until", "outcome", "outcome_at", "left_out"])
    log.info("retraining was due", project=settings.project_id, outcome=outcome)
    return run


def _locked(pk: int) -> Retraining | None:
    rows = Retraining.objects.select_for_update(
        no_key=True, of=("self",), skip_locked=True
    )
    return rows.select_related("project").filter(pk=pk).exclude(when=When.OFF).first()


def _request(settings: Retraining) -> TrainingRun | None:
    """The run; None where one with these settings learned from the same dataset."""
    project = settings.project
    wanted: dict[str, Any] = {
        "base_model": settings.base_model,
        "config": TrainingConfig.from_dict(settings.config),
        "dataset": freeze_now(project, None, base_model=settings.base_model),
    }
    config = wanted["config"].to_dict()
    if TrainingRun.objects.filter(
        **wanted | {"config": config}, project=project, state=JobState.DONE
    ).exists():
        return None
    run = request_run(project, user=None, **wanted)
    add_line(run, f"asked for by the project's settings: {reason_for(settings)}")
    return run


def reason_for(settings: Retraining) -> str:
    """When the project trains, in words."""
    if settings.when == When.RANKINGS:
        return f"every {settings.every_rankings:,} new rankings"
    day = "day" if settings.when == When.DAY else settings.get_weekday_display()
    return f"every {day} at {settings.hour:02}:00 UTC"


def _is_busy(settings: Retraining) -> bool:
    of_project = TrainingRun.objects.filter(project=settings.project)
    return of_project.filter(state__in=UNFINISHED).exists()


def _unlearned(project: Project) -> int:
    """Rankings that count now and were in no run's dataset."""
    datasets = TrainingRun.objects.filter(project=project).values("dataset")
    learned = DatasetRanking.objects.filter(
        ranking=OuterRef("pk"), dataset__in=datasets
    )
    return rankings_that_count(project, Filters()).filter(~Exists(learned)).count()


def _slot_before(settings: Retraining, now: datetime) -> datetime:
    return slot_before(now, hour=settings.hour, weekday=_weekday(settings))


def _weekday(settings: Retraining) -> int | None:
    return settings.weekday if settings.when == When.WEEK else None


def _now() -> datetime:
    """The database's clock; a process's may be wrong."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp() AT TIME ZONE 'UTC'")
        moment: datetime = cursor.fetchone()[0]
    return moment.replace(tzinfo=UTC)
