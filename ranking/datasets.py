"""Datasets: frozen sets of rankings that researchers train on."""

import dataclasses
import hashlib
from array import array
from collections import Counter
from dataclasses import dataclass, field
from math import comb
from typing import Any, Final

import orjson
from django.db import transaction

from annotation.models import Project, User
from annotation.turns import wait_for_turn
from ranking.filters import Filters, rankings_that_count
from ranking.frozen import FrozenPrompt, FrozenRanking, in_order, read_prompts
from ranking.models import Dataset, DatasetRanking, PromptSplit
from ranking.splits import group_of, split_of

DATASET_LOCK: Final = 0x445354  # the first half of the advisory lock's key


class NothingToFreeze(ValueError):  # noqa: N818  reads as what happened
    """No ranking counts and matches."""


def freeze(
    project: Project, filters: Filters | None = None, *, user: User | None = None
) -> Dataset:
    """The dataset of all rankings that count and match: a new one, or the one there is.

    1. Freezes of one project wait for each other (an advisory lock): the second of
       two equal ones finds the dataset of the first.
    2. One cursor reads which rankings they are: one statement, so one moment. What
       they say never changes, so it is read afterwards at leisure.
    3. A prompt that enters a dataset for the first time gets its split for good.
    4. The name is a hash of the filters and of all that the dataset holds.

    Raises NothingToFreeze.
    """
    filters = filters or Filters()
    described = filters.as_json(project)
    with transaction.atomic():
        wait_for_turn(DATASET_LOCK, project.pk)
        content = _Content(described)
        keys = in_order(rankings_that_count(project, filters))
        for prompts in read_prompts(project, keys):
            _fix_splits(prompts)
            content.add(prompts)
        if not content.rankings:
            raise NothingToFreeze(
                f"no ranking of the project {project.slug} counts and matches the"
                " filters: there is nothing to freeze"
            )
        found = Dataset.objects.filter(
            project=project, content_sha256=content.sha256
        ).first()
        return found or _store(project, content, user)


@dataclass(slots=True)
class _Content:
    """What the rankings of a dataset come to: hash, counts, keys."""

    filters: dict[str, Any]
    rankings: "array[int]" = field(default_factory=lambda: array("q"))
    prompts: int = 0
    labelers: set[str] = field(default_factory=set)
    pairs: int = 0
    ties: int = 0
    _digest: Any = field(default_factory=hashlib.sha256)

    def __post_init__(self) -> None:
        self._digest.update(orjson.dumps(self.filters, option=orjson.OPT_SORT_KEYS))

    def add(self, prompts: list[FrozenPrompt]) -> None:
        for prompt in prompts:
            # The split is a property of the prompt, not of what was answered.
            unsplit = dataclasses.replace(prompt, split=None)
            line = orjson.dumps(
                unsplit, default=_said, option=orjson.OPT_PASSTHROUGH_DATACLASS
            )
            self._digest.update(b"\n" + line)
            self.prompts += 1
            for ranking in prompt.rankings:
                self.rankings.append(ranking.pk)
                self.labelers.add(ranking.labeler)
                tiers = Counter(ranking.ranks).values()
                self.pairs += comb(len(ranking.ranks), 2)
                self.ties += sum(comb(size, 2) for size in tiers)

    @property
    def sha256(self) -> str:
        return str(self._digest.hexdigest())

    @property
    def counts(self) -> dict[str, int]:
        return {
            "prompts": self.prompts,
            "labelers": len(self.labelers),
            "rankings": len(self.rankings),
            "strict_pairs": self.pairs - self.ties,
            "ties_dropped": self.ties,
        }


def _said(held: FrozenPrompt | FrozenRanking) -> dict[str, Any]:
    """What a prompt or ranking says, as it enters the hash.

    Ratings and flags only where they were given: datasets frozen before labelers
    were asked for them keep their names.
    """
    fields = {
        field.name: getattr(held, field.name) for field in dataclasses.fields(held)
    }
    for name in ("ratings", "flags"):
        if fields.get(name) == []:
            del fields[name]
    return fields


def _store(project: Project, content: _Content, user: User | None) -> Dataset:
    dataset = Dataset.objects.create(
        project=project,
        name=f"ds-{content.sha256[:12]}",
        content_sha256=content.sha256,
        filters=content.filters,
        counts=content.counts,
        created_by=user,
    )
    DatasetRanking.objects.bulk_create(
        (
            DatasetRanking(dataset=dataset, ranking_id=ranking)
            for ranking in content.rankings
        ),
        batch_size=5_000,
    )
    return dataset


def _fix_splits(prompts: list[FrozenPrompt]) -> None:
    """Give those their split that have none; one statement, if any."""
    groups = {
        prompt.pk: group_of(prompt.messages)
        for prompt in prompts
        if prompt.split is None
    }
    PromptSplit.objects.bulk_create(
        (
            PromptSplit(prompt_id=prompt, group=group, split=split_of(group))
            for prompt, group in groups.items()
        ),
        ignore_conflicts=True,  # a dataset of this moment fixed the same split
    )
