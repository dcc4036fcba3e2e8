"""Which frozen datasets hold rankings of a prompt or of a labeler, and how many.

Asked before something is taken down, forgotten or withdrawn, and when it was.
"""

from dataclasses import dataclass

from django.db.models import Count, Q

from annotation.models import Membership, Prompt
from ranking.models import Dataset


@dataclass(frozen=True, slots=True)
class Holding:
    """A frozen dataset, and how many of the rankings concerned it holds."""

    dataset: Dataset
    rankings: int


def datasets_with_prompt(prompt: Prompt) -> list[Holding]:
    """The frozen datasets that hold rankings of this prompt, newest first."""
    of_it = Q(datasetranking__ranking__assignment__prompt=prompt)
    return _holding(of_it, project=prompt.project_id)


def datasets_with_labeler(labeler: Membership) -> list[Holding]:
    """The frozen datasets that hold rankings of this labeler, newest first."""
    of_theirs = Q(datasetranking__ranking__assignment__labeler=labeler)
    return _holding(of_theirs, project=labeler.project_id)


def _holding(concerned: Q, *, project: int) -> list[Holding]:
    """One query. Counts only what is concerned: the join stands before the count."""
    found = (
        Dataset.objects.filter(concerned, project=project)
        .annotate(held=Count("datasetranking"))
        .order_by("-pk")
    )
    return [Holding(dataset, dataset.held) for dataset in found]
