"""Datasets: frozen sets of rankings that researchers train on."""

import dataclasses
import hashlib
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from math import comb
from typing import Any, Final

import orjson
from django.db import connection, transaction

from annotation.models import Project, User
from annotation.turns import wait_for_turn
from ranking.filters import Filters, rankings_that_count
from ranking.fixed_splits import fix_splits
from ranking.frozen import FrozenPrompt, FrozenRanking, in_order, read_prompts
from ranking.models import Dataset

DATASET_LOCK: Final = 0x445354  # the first half of the advisory lock's key

# One statement: a trigger looks at what was added as a whole.
HOLD: Final = """
INSERT INTO ranking_datasetranking (dataset_id, ranking_id)
SELECT %s, held FROM unnest(%s::bigint[]) AS held"""

Progress = Callable[[int, int], object]


class NothingToFreeze(ValueError):  # noqa: N818  reads as what happened
    """No ranking counts and matches."""


def freeze(
    project: Project,
    filters: Filters | None = None,
    *,
    user: User | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Dataset:
    """The dataset of all rankings that count and match: a new one, or the one there is.

    1. Freezes of one project wait for each other (an advisory lock): the second of
       two equal ones finds the dataset of the first.
    2. One cursor reads which rankings they are: one statement, so one moment. What
       they say never changes, so it is read afterwards at leisure.
    3. A prompt that enters a dataset for the first time gets its split for good. One
       that would join two splits is left out with its rankings, and counted.
    4. The name is a hash of the filters, the seed and all that the dataset holds.

    `progress` is told how many prompts of how many are read. Memory: 16 bytes for each
    ranking, 700 for each prompt that is new to datasets. Raises NothingToFreeze.
    """
    filters = filters or Filters()
    with transaction.atomic():
        wait_for_turn(DATASET_LOCK, project.pk)
        keys = _keys(in_order(rankings_that_count(project, filters)))
        prompts = list(dict.fromkeys(prompt for prompt, _ in keys))
        left_out = fix_splits(prompts)
        kept = ((prompt, one) for prompt, one in keys if prompt not in left_out)
        content = _Content(filters.as_json(project), seed, len(left_out))
        for some in read_prompts(project, kept):
            content.add(some)
            if progress:
                progress(content.prompts, len(prompts) - len(left_out))
        if not content.rankings:
            raise NothingToFreeze(_why_nothing(project, len(left_out)))
        found = Dataset.objects.filter(
            project=project, content_sha256=content.sha256
        ).first()
        return found or _store(project, content, user)


def _keys(rows: Iterable[tuple[int, int]]) -> "_Keys":
    keys = _Keys()
    for prompt, ranking in rows:
        keys.prompts.append(prompt)
        keys.rankings.append(ranking)
    return keys


@dataclass(slots=True)
class _Keys:
    """(prompt, ranking) keys in 16 bytes each."""

    prompts: "array[int]" = field(default_factory=lambda: array("q"))
    rankings: "array[int]" = field(default_factory=lambda: array("q"))

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self.prompts, self.rankings, strict=True)


def _why_nothing(project: Project, left_out: int) -> str:
    if left_out:
        return (
            f"all {left_out} prompts of {project.slug} that match were left out: each"
            " is like prompts of two splits, and learning from it would spoil a test"
        )
    return (
        f"no ranking of the project {project.slug} counts and matches the filters:"
        " there is nothing to freeze"
    )


@dataclass(slots=True)
class _Content:
    """What the rankings of a dataset come to: hash, counts, keys."""

    filters: dict[str, Any]
    seed: int = 0
    left_out: int = 0
    rankings: "array[int]" = field(default_factory=lambda: array("q"))
    prompts: int = 0
    labelers: set[str] = field(default_factory=set)
    pairs: int = 0
    ties: int = 0
    _digest: Any = field(default_factory=hashlib.sha256)

    def __post_init__(self) -> None:
        # Without a seed the name is what it was before datasets had one.
        described = self.filters | ({"seed": self.seed} if self.seed else {})
        self._digest.update(orjson.dumps(described, option=orjson.OPT_SORT_KEYS))

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
            "prompts_left_out": self.left_out,
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
        seed=content.seed,
        counts=content.counts,
        created_by=user,
    )
    with connection.cursor() as cursor:
        cursor.execute(HOLD, [dataset.pk, content.rankings.tolist()])
    return dataset
