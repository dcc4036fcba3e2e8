"""Frozen datasets that lost something they held: which ones, why, and their files."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from django.conf import settings
from django.db.models.functions import Now

from annotation.jobs import JobState
from annotation.models import Membership, Prompt
from ranking.export.store import exports_store, remove_folder
from ranking.holdings import Holding
from ranking.models import Dataset, DatasetLoss, ExportRun

GONE: Final = "The dataset lost something that it held."


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
    """The files that were made of these datasets for pages go; not the downloads that
    people have. Raises OSError where the disk or the store does not let them go.

    1. Jobs that write such files end: their next word finds the row closed.
    2. The folder goes as a whole (`remove_folder`): who still writes in it fails.
    3. A worker that was not done before looks for losses when it is
       (`ranking.exporting.carry_out`), and calls this again.
    """
    ExportRun.objects.filter(dataset__in=datasets).update(
        state=JobState.CANCELLED, reason=GONE, finished_at=Now()
    )
    for dataset in datasets:
        exports_store().remove(place_of(dataset))
        remove_folder(export_folder(dataset))
