"""Model folders by name: bases that a run may start from, and published reward models.

Pages and API name a model by its place below MODEL_ROOT; whatever they say is resolved
inside that folder or refused, so no typed path ever reaches a loader.
"""

import shutil
from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Final

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet, Value
from django.db.models.functions import Now

from annotation.jobs import JobState
from annotation.models import Project
from ranking.losses import export_folder
from ranking.models import Dataset
from rm_training.errors import RunError
from rm_training.manifest import MANIFEST, file_sha256
from rm_training.models import Retraining, RewardModel, TrainingRun

KEPT_DAYS: Final = 7
"""How long a run that failed or was cancelled can be continued."""
REWARD_MODELS: Final = "reward-models"
"""Folder below MODEL_ROOT of all that runs publish. Its models are no bases: they
belong to the project that trained them."""


class UnknownModelError(RunError):
    """A model's folder is not there, not inside MODEL_ROOT, or not what was published;
    the message says which."""


def inside_model_root(name: str) -> Path:
    """The directory `name` below MODEL_ROOT. Raises UnknownModelError."""
    root = Path(settings.MODEL_ROOT).resolve()
    folder = (root / name).resolve()
    if folder == root or not folder.is_relative_to(root) or not folder.is_dir():
        raise UnknownModelError(f"there is no model {name!r} in the model folder")
    return folder


def base_models(project: Project) -> list[tuple[str, str]]:
    """What a run of the project may start from: (name, what a page calls it).

    The SFT model that an admin set, first; then every directory one or two levels
    below MODEL_ROOT that holds a config.json, published reward models left out.
    """
    choices = []
    if project.sft_model:
        choices.append((project.sft_model, f"SFT model: {_short(project.sft_model)}"))
    sft_model = Path(base_source(project.sft_model)).resolve()
    choices += [
        (name, name)
        for name, folder in sorted(_folders_with_config())
        if folder != sft_model
    ]
    return choices


def base_source(name: str) -> str:
    """What a loader is given for a base: its folder below MODEL_ROOT, or the directory
    or hub id that an admin or an operator wrote. Never call it with a page's input
    that is not among `base_models`."""
    try:
        return str(inside_model_root(name))
    except UnknownModelError:
        return name


def attempt_name(run: TrainingRun) -> str:
    """The folder below MODEL_ROOT that this attempt of the run publishes."""
    return f"{REWARD_MODELS}/run-{run.pk}-attempt-{run.attempt}"


def folder_of(model: RewardModel) -> Path:
    """The directory of a registered reward model, the one that was published.

    Its manifest is compared with the registry; the loader compares the files with the
    manifest. Raises UnknownModelError.
    """
    folder = inside_model_root(model.folder)
    manifest = folder / MANIFEST
    if not manifest.is_file() or file_sha256(manifest) != model.manifest_sha256:
        raise UnknownModelError(
            f"the folder {model.folder} is not the one that run {model.run_id} "
            "published: its manifest differs. Copy it again, or train again"
        )
    return folder


def models_made_from(datasets: Iterable[Dataset]) -> QuerySet[RewardModel]:
    """The reward models that learned from any of these, newest first, with their runs
    and datasets."""
    models = RewardModel.objects.filter(run__dataset__in=[one.pk for one in datasets])
    return models.select_related("run__dataset").order_by("-pk")


@transaction.atomic
def use(model: RewardModel) -> None:
    """Make it the one model in use of its project.

    1. The lock of the project makes simultaneous choices wait for each other.
    2. `one_reward_model_in_use_per_project` has the last word.
    """
    lock_project(model.project_id)
    of_project = RewardModel.objects.filter(project=model.project_id)
    of_project.filter(in_use=True).exclude(pk=model.pk).update(in_use=False)
    of_project.filter(pk=model.pk).update(in_use=True)


def lock_project(project_id: int) -> Project:
    """The project, locked until the transaction ends; inserts below it go on."""
    locked = Project.objects.select_for_update(no_key=True, of=("self",))
    return locked.get(pk=project_id)


def retraining_of(project: Project) -> Retraining:
    """The project's settings of retraining and promotion; the defaults, unsaved, where
    nobody set any."""
    found = Retraining.objects.filter(project=project).first()
    return found or Retraining(project=project)


def data_folder(run: TrainingRun) -> Path:
    """Where attempts of a run with a dataset write it to read it: among the files that
    pages make of that dataset, so that what removes these removes it as well
    (`ranking.losses.remove_exports`)."""
    assert run.dataset is not None
    return export_folder(run.dataset) / "runs" / str(run.pk)


def discard_attempts(run: TrainingRun, *, keep: Path | None = None) -> None:
    """Remove what this attempt of the run and earlier ones left, but for `keep`.

    Models, checkpoints, copies of the dataset, and what a worker was writing when it
    was killed. Never what a later attempt writes: somebody may have continued the run.
    """
    for folder in _leavings(run):
        if folder != keep:
            shutil.rmtree(folder, ignore_errors=True)


def discard_unfinished(run: TrainingRun) -> None:
    """Remove what this attempt and earlier ones left, but for their checkpoints."""
    for folder in _leavings(run):
        if not _is_checkpoints(folder):
            shutil.rmtree(folder, ignore_errors=True)


def newest_checkpoint(run: TrainingRun) -> int | None:
    """The step after which the run's newest checkpoint was written; None: none is left.

    Only whether it was published is looked at. The trainer compares the hashes, and
    passes over one that was damaged since.
    """
    root = Path(settings.MODEL_ROOT) / REWARD_MODELS
    whole = root.glob(f"run-{run.pk}-attempt-*.checkpoints/step-*/{MANIFEST}")
    steps = (manifest.parent.name.removeprefix("step-") for manifest in whole)
    return max(map(int, steps), default=None)


def forget_checkpoints() -> None:
    """Remove the checkpoints of runs that failed or were cancelled more than KEPT_DAYS
    days ago."""
    root = Path(settings.MODEL_ROOT) / REWARD_MODELS
    left = {path.name.split("-")[1] for path in root.glob("run-*.checkpoints")}
    old = TrainingRun.objects.filter(
        pk__in=[int(number) for number in left if number.isdecimal()],
        state__in=(JobState.FAILED, JobState.CANCELLED),
        finished_at__lt=Now() - Value(timedelta(days=KEPT_DAYS)),
    )
    for run in old:
        discard_attempts(run)


def _leavings(run: TrainingRun) -> Iterator[Path]:
    root = Path(settings.MODEL_ROOT) / REWARD_MODELS
    for number in range(1, run.attempt + 1):
        name = f"run-{run.pk}-attempt-{number}"
        yield root / name
        yield from root.glob(f".{name}.partial-*")
        yield from root.glob(f"{name}.checkpoints/.*.partial-*")
        yield root / f"{name}.checkpoints"
        if run.dataset is not None:
            yield data_folder(run) / f"attempt-{number}"


def _is_checkpoints(folder: Path) -> bool:
    return folder.name.endswith(".checkpoints")


def _folders_with_config() -> Iterator[tuple[str, Path]]:
    root = Path(settings.MODEL_ROOT).resolve()
    for pattern in ("*/config.json", "*/*/config.json"):
        for config in root.glob(pattern):
            folder = config.parent.resolve()
            name = config.parent.relative_to(root)
            if folder.is_relative_to(root) and name.parts[0] != REWARD_MODELS:
                yield name.as_posix(), folder


def _short(source: str) -> str:
    return source.rstrip("/").rsplit("/", 1)[-1]
