"""What a frozen dataset says of itself: splits, labelers, folds, a look at its rows."""

import re
from typing import Any, Final, NamedTuple

from django.db import transaction
from django.db.models import Count

from ranking.folds import FOLDS, folds_by_labeler
from ranking.frozen import FrozenPrompt, in_order, read_prompts
from ranking.models import Dataset, DatasetRanking, PromptSplit, Ranking, Split

ROWS_SHOWN: Final = 5
LONGEST_SHOWN: Final = 2_000  # characters of a text


class LabelerHeld(NamedTuple):
    """A labeler of a dataset: how many of its rankings are theirs, and their fold."""

    labeler: str  # pseudonym
    rankings: int
    fold: int


class PreviewRow(NamedTuple):
    """A ranking as a page shows it, texts cut short."""

    prompt_id: str
    split: str | None
    labeler: str
    turns: list[dict[str, str]]
    responses: list[tuple[int, str, str]]  # rank, id, text; best first


def splits_of(dataset: Dataset) -> dict[str, int]:
    """How many of its prompts are in each split. One query."""
    held = Ranking.objects.filter(datasetranking__dataset=dataset)
    counted = (
        PromptSplit.objects.filter(prompt__in=held.values("assignment__prompt"))
        .values_list("split")
        .annotate(Count("pk"))
    )
    return {**dict.fromkeys(Split.values, 0), **dict(counted)}


def labelers_of(dataset: Dataset, *, folds: int = FOLDS) -> list[LabelerHeld]:
    """Its labelers by pseudonym, each in one fold of the dataset's seed. One query."""
    held = (
        DatasetRanking.objects.filter(dataset=dataset)
        .values_list("ranking__assignment__labeler")
        .annotate(Count("pk"))
    )
    rankings = {dataset.project.pseudonym(pk): count for pk, count in held}
    placed = folds_by_labeler(rankings, count=folds, seed=dataset.seed)
    return [LabelerHeld(name, rankings[name], fold) for name, fold in placed.items()]


def folds_of(dataset: Dataset, *, count: int = FOLDS) -> dict[str, Any]:
    """The folds by labeler as manifest and API give them: the same every time."""
    labelers = labelers_of(dataset, folds=count)
    return {
        "count": count,
        "seed": dataset.seed,
        "labelers": {one.labeler: one.fold for one in labelers},
    }


def chosen_by(dataset: Dataset) -> dict[str, str]:
    """Its filters in words."""
    return {
        name.replace("_", " "): in_words(value)
        for name, value in dataset.filters.items()
    }


def in_words(value: Any) -> str:
    """A filter's value as a page shows it; moments, which are UTC, for people."""
    if value is None:
        return "not set"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return re.sub(r"T(\d\d:\d\d)(?::00(?=\+))?(.*)\+00:00$", r" \1\2 UTC", str(value))


def asked_again(dataset: Dataset) -> list[tuple[str, str]]:
    """The fields of a form that asks for the same filters and seed."""
    fields = [("seed", str(dataset.seed))]
    for name, value in dataset.filters.items():
        words = value if isinstance(value, list) else [value]
        fields += [(name, str(word)) for word in words]
    return fields


def preview(dataset: Dataset) -> list[PreviewRow]:
    """The first few rankings that it was given. Six queries, however large it is."""
    first = DatasetRanking.objects.filter(dataset=dataset).order_by("ranking")
    held = Ranking.objects.filter(
        pk__in=list(first.values_list("ranking", flat=True)[:ROWS_SHOWN])
    )
    with transaction.atomic():
        keys = list(in_order(held))
    return [
        row
        for some in read_prompts(dataset.project, keys)
        for prompt in some
        for row in _rows(prompt)
    ]


def _rows(prompt: FrozenPrompt) -> list[PreviewRow]:
    turns = [
        {"role": turn["role"], "content": turn["content"][:LONGEST_SHOWN]}
        for turn in prompt.messages
    ]
    texts = [(one["id"], one["text"][:LONGEST_SHOWN]) for one in prompt.responses]
    return [
        PreviewRow(
            prompt.id,
            prompt.split,
            ranking.labeler,
            turns,
            sorted(
                (rank, *text) for rank, text in zip(ranking.ranks, texts, strict=True)
            ),
        )
        for ranking in prompt.rankings
    ]
