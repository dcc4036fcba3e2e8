"""Frozen datasets that lost something they held: which ones, why, and their files."""

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db.models import Count, Q

from annotation.models import Membership, Project, Prompt
from ranking.models import Dataset, DatasetLoss


@dataclass(frozen=True, slots=True)
class Touched:
    """A frozen dataset, and how many of the rankings concerned it holds."""

    dataset: Dataset
    rankings: int


def datasets_with_prompt(prompt: Prompt) -> list[Touched]:
    """The frozen datasets that hold rankings of this prompt, newest first."""
    return _holding(
        prompt.project, Q(datasetranking__ranking__assignment__prompt=prompt)
    )


def datasets_with_labeler(labeler: Membership) -> list[Touched]:
    """The frozen datasets that hold rankings of this labeler, newest first."""
    return _holding(
        labeler.project, Q(datasetranking__ranking__assignment__labeler=labeler)
    )


def _holding(project: Project, concerned: Q) -> list[Touched]:
    found = (
        Dataset.objects.filter(concerned, project=project)
        .annotate(held=Count("datasetranking"))
        .order_by("-pk")
    )
    return [Touched(dataset, dataset.held) for dataset in found]


def mark(
    touched: Iterable[Touched],
    *,
    reason: str,
    prompt: Prompt | None = None,
    labeler: Membership | None = None,
) -> None:
    """Note what each of these datasets lost; a loss that is noted stays as it is."""
    DatasetLoss.objects.bulk_create(
        (
            DatasetLoss(
                dataset=one.dataset, prompt=prompt, labeler=labeler, reason=reason
            )
            for one in touched
        ),
        ignore_conflicts=True,  # a_dataset_loses_a_prompt_once, …_a_labeler_once
    )


def why_lost(dataset: Dataset) -> str:
    """What the dataset lost first; "" while it is whole. One query."""
    losses = DatasetLoss.objects.filter(dataset=dataset).order_by("pk")
    return losses.values_list("reason", flat=True).first() or ""


# --- Files ------------------------------------------------------------------------


def export_folder(dataset: Dataset) -> Path:
    """Where the pages keep the files of this dataset."""
    exports: Path = settings.VAR_DIR / "exports"
    return exports / str(dataset.project_id) / dataset.name


def remove_exports(datasets: Sequence[Dataset]) -> None:
    """The files that pages have made of these datasets go; not the downloads that
    people have. Raises OSError where the disk does not let them go."""
    for dataset in datasets:
        folder = export_folder(dataset)
        if folder.exists():
            shutil.rmtree(folder)
