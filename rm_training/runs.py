"""The life of a training run, as rows: asked for, cancelled, published.

What a worker does in between is in `attempts`, which loads torch; this module does not.
"""

import dataclasses
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction

from annotation.jobs import UNFINISHED, JobState, wake
from annotation.models import Project, User
from ranking.datasets import NothingToFreeze, freeze
from ranking.filters import Filters, rankings_that_count
from ranking.freezing import AT_ONCE
from ranking.models import Dataset
from rm_training import tasks
from rm_training.config import TrainingConfig
from rm_training.errors import RunError
from rm_training.evaluation.stored import read_evaluation
from rm_training.manifest import MANIFEST, file_sha256
from rm_training.models import RewardModel, TrainingRun
from rm_training.promotion import Comparison, Verdict, decide
from rm_training.registry import (
    base_models,
    discard_unfinished,
    lock_project,
    retraining_of,
    use,
)
from rm_training.run_log import add_line


class RunRefusedError(RunError):
    """A run cannot be asked for; the message says why and what to do."""


def request_run(
    project: Project,
    *,
    user: User | None,
    base_model: str,
    config: TrainingConfig,
    dataset: Dataset | None = None,
) -> TrainingRun:
    """Queue a run; without a dataset, all rankings that count are frozen: now where
    they are few, else by the run's worker (`rm_training.run_freezing`).

    The same request while such a run is unfinished gives that run: a second click
    trains nothing twice (requests of a project wait for each other). The row is
    there before a worker is woken.

    Raises RunRefusedError for a base that is not one of `base_models`, a dataset of
    another project, and data without a strictly ordered pair.
    """
    _refuse_unknown_base(project, base_model)
    if dataset is None and not _takes_long(project):
        dataset = freeze_now(project, user, base_model=base_model)
    if dataset is not None:
        _refuse_unlearnable(project, dataset)
    wanted = {
        "project": project,
        "dataset": dataset,
        "base_model": base_model,
        "config": config.to_dict(),
    }
    with transaction.atomic():
        lock_project(project.pk)
        twin = TrainingRun.objects.filter(**wanted, state__in=UNFINISHED).first()
        if twin is not None:
            return twin
        run = TrainingRun.objects.create(**wanted, created_by=user)
        wake(tasks.train, run.pk)
    return run


def cancel(run: TrainingRun, *, user: User | None = None) -> bool:
    """Stop the run; False when it had finished before. Its whole checkpoints stay for
    a while: it may be continued (`rm_training.continuing`).

    A run that a worker gave back, or died of, has nobody else to clear up after it. A
    worker that is training clears up once more when it finds that the run is lost.
    """
    if not run.cancel():
        return False
    add_line(run, f"cancelled by {user}" if user else "cancelled")
    discard_unfinished(run)
    return True


@transaction.atomic
def put_to_use(model: RewardModel, *, user: User) -> None:
    """A person's choice of the model in use, noted in the logs of both runs."""
    project = lock_project(model.project_id)
    before = RewardModel.objects.filter(project=project, in_use=True).first()
    if before == model:
        return
    use(model)
    add_line(model.run, f"put to use by {user}")
    if before is not None:
        add_line(before.run, f"run {model.run_id} was put to use instead, by {user}")


def freeze_now(project: Project, user: User | None, *, base_model: str) -> Dataset:
    """All rankings that count, for a run from this base. Raises RunRefusedError."""
    _refuse_unknown_base(project, base_model)
    try:
        return freeze(project, user=user)
    except NothingToFreeze as error:
        raise RunRefusedError(
            "There is nothing to learn from yet: no ranking counts. Rank some prompts "
            "first."
        ) from error


def _takes_long(project: Project) -> bool:
    return rankings_that_count(project, Filters()).count() > AT_ONCE


def _refuse_unknown_base(project: Project, base_model: str) -> None:
    if base_model not in dict(base_models(project)):
        raise RunRefusedError(f"{base_model!r} is not a base model of this project.")


def _refuse_unlearnable(project: Project, dataset: Dataset) -> None:
    if dataset.project_id != project.pk:
        raise RunRefusedError("That dataset belongs to another project.")
    if not dataset.counts["strict_pairs"]:
        raise RunRefusedError(
            "There is nothing to learn from yet: the rankings that count "
            f"({dataset.counts['rankings']}) are all ties. Rank some prompts first."
        )


def publish(
    run: TrainingRun,
    *,
    folder: Path,
    metrics: dict[str, Any],
    comparison: dict[str, Any] | None = None,
) -> RewardModel:
    """Register the model in `folder` and close the run, both or neither.

    1. The project's lock decides which of two first models is put to use, and lets
       nobody put another one to use meanwhile.
    2. `finish` names the attempt: a worker that lost the run publishes nothing.
    3. The first model of a project is put to use. A later one only where `comparison`
       (of `rm_training.contest`) is with the model in use of this moment, and says
       enough (`promotion.decide`); otherwise it waits for a person.

    Raises LeaseLostError.
    """
    with transaction.atomic():
        lock_project(run.project_id)
        run.finish(JobState.DONE, phase="")
        in_use = RewardModel.objects.filter(project=run.project_id, in_use=True).first()
        verdict = _verdict(run, comparison, in_use)
        model = RewardModel.objects.create(
            project_id=run.project_id,
            run=run,
            folder=folder.relative_to(settings.MODEL_ROOT).as_posix(),
            manifest_sha256=file_sha256(folder / MANIFEST),
            metrics=metrics,
            evaluation=read_evaluation(folder),
            comparison=comparison and comparison | dataclasses.asdict(verdict),
        )
        if verdict.promote:
            use(model)
        if verdict.promote and in_use is not None:
            add_line(in_use.run, f"run {run.pk} was put to use instead")
        add_line(
            run,
            f"{'put to use' if verdict.promote else 'not put to use'}: {verdict.why}",
        )
    return model


def _verdict(
    run: TrainingRun, comparison: dict[str, Any] | None, in_use: RewardModel | None
) -> Verdict:
    if in_use is None:
        return Verdict(promote=True, why="no model of this project was in use")
    if comparison is None or comparison["model"] != in_use.pk:
        return Verdict(
            promote=False,
            why=f"the model of run {in_use.run_id} was put to use while this one was "
            "compared with another",
        )
    if comparison["problem"]:
        why = f"the model in use could not be scored: {comparison['problem']}"
        return Verdict(promote=False, why=why)
    margin = retraining_of(run.project).margin
    return decide(Comparison.from_dict(comparison), margin=margin)
