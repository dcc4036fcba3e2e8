"""What differs between two datasets, and what is new since one was frozen."""

import json
from collections.abc import Iterable
from typing import Any, Final

from django.db import connection
from django.db.models import Exists, OuterRef, QuerySet

from annotation.models import Project
from ranking.diff_words import Change, DatasetDiff, LabelerChange, changed_filters
from ranking.filter_words import filters_from_json
from ranking.filters import Filters, rankings_that_count
from ranking.models import Dataset, DatasetRanking, Ranking, RankingQuerySet, Split

# Sides: 1 where a ranking is held before, 2 where after, 3 in both. What each labeler
# and each split had and has is counted from the same rows: to collect these is most of
# the work.
DIFFERENCE: Final = """
WITH held AS MATERIALIZED (
    SELECT ranking_id, sum(side) AS sides FROM (
        SELECT ranking_id, 1 AS side FROM ranking_datasetranking
        WHERE dataset_id = %(before)s
        UNION ALL
        SELECT ranking_id, 2 FROM ranking_datasetranking WHERE dataset_id = %(after)s
    ) both_sides GROUP BY ranking_id
), of_whom AS MATERIALIZED (
    SELECT sides, assignment_id, prompt_id, labeler_id
    FROM held JOIN ranking_ranking r ON r.id = ranking_id
    JOIN annotation_assignment a ON a.id = r.assignment_id
), prompts AS MATERIALIZED (
    SELECT prompt_id, bit_or(sides) AS sides FROM of_whom GROUP BY prompt_id
), labelers AS (
    SELECT labeler_id, count(*) FILTER (WHERE sides <> 2) AS had,
        count(*) FILTER (WHERE sides > 1) AS has
    FROM of_whom GROUP BY labeler_id HAVING bool_or(sides < 3)
), splits AS (
    SELECT split, count(*) FILTER (WHERE sides <> 2) AS had,
        count(*) FILTER (WHERE sides > 1) AS has
    FROM prompts JOIN ranking_promptsplit USING (prompt_id) GROUP BY split
)
SELECT (SELECT count(*) FROM held WHERE sides = 2),
    (SELECT count(*) FROM held WHERE sides = 1),
    (SELECT count(*) FROM (
        SELECT FROM of_whom GROUP BY assignment_id HAVING count(*) = 2) corrected),
    (SELECT count(*) FROM prompts WHERE sides = 2),
    (SELECT count(*) FROM prompts WHERE sides = 1),
    (SELECT array_agg(ARRAY[labeler_id, had, has]) FROM labelers),
    (SELECT jsonb_object_agg(split, ARRAY[had, has])::text FROM splits)
"""


def diff_of(before: Dataset, after: Dataset) -> DatasetDiff:
    """From one dataset of a project to another one. One query."""
    with connection.cursor() as cursor:
        cursor.execute(DIFFERENCE, {"before": before.pk, "after": after.pk})
        added, removed, corrected, *prompts, labelers, splits = cursor.fetchone()
    changed_splits = json.loads(splits or "{}")
    pairs = [one.counts["strict_pairs"] for one in (before, after)]
    return DatasetDiff(
        rankings=Change(added, removed),
        corrected=corrected,
        prompts=Change(*prompts),
        strict_pairs=pairs[1] - pairs[0],
        labelers=_labelers(before.project, labelers or ()),
        splits={name: tuple(changed_splits.get(name, (0, 0))) for name in Split.values},
        filters=changed_filters(_chosen(before), _chosen(after)),
    )


def _chosen(dataset: Dataset) -> dict[str, Any]:
    return {**dataset.filters, **({"seed": dataset.seed} if dataset.seed else {})}


def _labelers(
    project: Project, changed: Iterable[tuple[int, int, int]]
) -> tuple[LabelerChange, ...]:
    """Of keys with what each had and has."""
    named = (LabelerChange(project.pseudonym(pk), *counts) for pk, *counts in changed)
    return tuple(sorted(named))


def held_by(dataset: Dataset, *, without: Dataset | None = None) -> RankingQuerySet:
    """The rankings that a dataset holds, and an older one (`without`) does not.

    This is how to follow a project: freeze, and take what the last dataset did not
    hold. Both sets are fixed, so nothing is missed and nothing comes twice, and the
    rows may be read page by page.

    It is a difference of sets, never "keys above the last one": a ranking gets its key
    when it is stored and is seen when it is committed, so with several writers lower
    keys turn up later, and whoever asks for higher ones never sees them.
    """
    held = Ranking.objects.filter(datasetranking__dataset=dataset)
    if without is None:
        return held
    return held.filter(~Exists(_held(without)))


def _held(dataset: Dataset) -> QuerySet[DatasetRanking]:
    return DatasetRanking.objects.filter(dataset=dataset, ranking=OuterRef("pk"))


def new_since(dataset: Dataset, filters: Filters | None = None) -> RankingQuerySet:
    """The rankings that count and match now and that the dataset does not hold.

    Without filters: those of the dataset. Rankings of prompts that were left out of it
    are new, too. To follow a project take `held_by` of a later dataset: between this
    question and the next freeze more may come. Raises InvalidFilter where the filters
    name a labeler who is gone.
    """
    chosen = filters or filters_from_json(dataset.project, dataset.filters)
    return rankings_that_count(dataset.project, chosen).filter(~Exists(_held(dataset)))
