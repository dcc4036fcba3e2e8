"""Frozen datasets that lost something they held: which ones, why, and their files."""

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from django.conf import settings

from annotation.models import Membership, Prompt
from ranking.export.store import exports_store
from ranking.holdings import Holding
from ranking.models import Dataset, DatasetLoss


def mark(
    holdings: Iterable[Holding],
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
            for one in holdings
        ),
        ignore_conflicts=True,  # a_dataset_loses_a_prompt_once, …_a_labeler_once
    )


def why_lost(dataset: Dataset) -> str:
    """What the dataset lost first; "" while it is whole. One query."""
    losses = DatasetLoss.objects.filter(dataset=dataset).order_by("pk")
    return losses.values_list("reason", flat=True).first() or ""


# --- Files ------------------------------------------------------------------------


def place_of(dataset: Dataset) -> str:
    """Where the store keeps the files of this dataset; made of our own words alone."""
    return f"{dataset.project_id}/{dataset.name}"


def export_folder(dataset: Dataset) -> Path:
    """Where files of this dataset are made on this machine."""
    exports: Path = settings.VAR_DIR / "exports"
    return exports / place_of(dataset)


def remove_exports(datasets: Sequence[Dataset]) -> None:
    """The files that pages have made of these datasets go; not the downloads that
    people have. Raises OSError where the disk or the store does not let them go."""
    for dataset in datasets:
        exports_store().remove(place_of(dataset))
        folder = export_folder(dataset)
        if folder.exists():
            shutil.rmtree(folder)
