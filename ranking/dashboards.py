"""From rows to the numbers that people look at: loads the counted rankings of a
project in a few queries and hands them to the pure statistics."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from itertools import count
from typing import Any, NamedTuple

import numpy as np
from django.db import connection
from django.db.models import Q, Value
from django.db.models.functions import Now

from annotation.models import Membership, Project, Prompt
from ranking import agreement
from ranking.entry import scores_of
from ranking.estimates import Document
from ranking.evidence import GoldScore
from ranking.filters import Filters, gold_rankings, rankings_that_count
from ranking.models import RankingQuerySet
from ranking.own_agreement import vs_others
from ranking.rank_table import IntArray, RankTable

Naming = Callable[[Membership], str]

# One row a ranking, its ranks packed as big-endian 16-bit integers in the order of
# the responses' outside ids: 9 ranks travel as 18 bytes instead of 9 rows.
COUNTED_RANKINGS = """
    SELECT a.prompt_id, a.labeler_id, a.repeat, coalesce(i.version, 0),
           to_char(r.submitted_at AT TIME ZONE 'UTC', 'IYYYIW')::int,
           r.active_seconds, a.display_order,
           string_agg(int2send(p.rank), ''::bytea
                      ORDER BY response.external_id COLLATE "C")
    FROM ranking_ranking r
    JOIN annotation_assignment a ON a.id = r.assignment_id
    JOIN ranking_placement p ON p.ranking_id = r.id
    JOIN annotation_response response ON response.id = p.response_id
    LEFT JOIN annotation_instructions i ON i.id = r.instructions_id
    WHERE r.id IN ({counted})
    GROUP BY r.id, a.id, i.id
"""
LENGTHS = """
    SELECT prompt_id, array_agg(char_length(text) ORDER BY external_id COLLATE "C")
    FROM annotation_response WHERE prompt_id = ANY(%s) GROUP BY prompt_id
"""


class Judgement(NamedTuple):
    """A row of COUNTED_RANKINGS."""

    prompt: int
    labeler: int
    repeat: int
    version: int
    week: int
    seconds: float | None
    display_order: list[int] | None  # None: imported, the order shown is not known
    ranks: bytes


def agreement_report(
    project: Project, filters: Filters, *, name: Naming | None = None
) -> dict[str, Any]:
    """The report of all rankings that `filters` leave; `name` says what labelers are
    called in it (their names by default, pseudonyms for researchers). Five queries.
    """
    judgements = _judgements(rankings_that_count(project, filters, with_repeats=True))
    people = Membership.objects.select_related("project")
    members = people.in_bulk({row.labeler for row in judgements})
    names = _distinct_names(members.values(), name or (lambda member: member.name))
    index = {pk: number for number, pk in enumerate(sorted(members))}
    return agreement.report(
        _tables(judgements, index, _lengths({row.prompt for row in judgements})),
        labelers=[names[pk] for pk in index],
        project=project.slug,
        filters=filters.as_json(project),
        tags=_tags({row.prompt for row in judgements}),
        gold=_gold(project, filters, index),
    )


def own_agreement(labeler: Membership) -> Document:
    """How far a labeler's rankings agree with all others of the same prompts: what the
    report calls `vs_others`, and the number of prompts it rests on. One query.

    Their rankings enter once they can no longer be corrected. Otherwise somebody
    could correct one back and forth and read off what the others said.
    """
    project = labeler.project
    can_change = Value(timedelta(minutes=project.editable_minutes))
    counting = rankings_that_count(project, Filters(pool="random"))
    mine = counting.filter(
        assignment__labeler=labeler, submitted_at__lte=Now() - can_change
    )
    on_the_same = counting.exclude(assignment__labeler=labeler).filter(
        assignment__prompt__in=mine.values("assignment__prompt")
    )
    judgements = _judgements(counting.filter(Q(pk__in=mine) | Q(pk__in=on_the_same)))
    labelers = {row.labeler for row in judgements} | {labeler.pk}
    index = {pk: number for number, pk in enumerate(sorted(labelers))}
    return vs_others(
        _tables(judgements, index), labelers=len(index), own=index[labeler.pk]
    )


def _judgements(rankings: RankingQuerySet) -> list[Judgement]:
    sql, parameters = rankings.values("pk").query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(COUNTED_RANKINGS.replace("{counted}", sql), parameters)
        return [Judgement(*row) for row in cursor.fetchall()]


def _lengths(prompts: set[int]) -> dict[int, list[int]]:
    """Characters of each response, by prompt."""
    with connection.cursor() as cursor:
        cursor.execute(LENGTHS, [list(prompts)])
        return dict(cursor.fetchall())


def _tables(
    judgements: Iterable[Judgement],
    index: dict[int, int],
    lengths: dict[int, list[int]] | None = None,
) -> list[RankTable]:
    by_k: defaultdict[int, list[Judgement]] = defaultdict(list)
    for row in judgements:
        by_k[len(row.ranks) // 2].append(row)
    return [_table(k, rows, index, lengths) for k, rows in sorted(by_k.items())]


def _table(
    k: int,
    rows: list[Judgement],
    index: dict[int, int],
    lengths: dict[int, list[int]] | None,
) -> RankTable:
    packed = np.frombuffer(b"".join(bytes(row.ranks) for row in rows), dtype=">i2")
    seconds = [np.nan if row.seconds is None else row.seconds for row in rows]
    return RankTable(
        ranks=packed.astype(np.int16).reshape(len(rows), k),
        cluster=np.array([row.prompt for row in rows]),
        labeler=np.array([index[row.labeler] for row in rows]),
        repeat=np.array([row.repeat for row in rows]),
        version=np.array([row.version for row in rows]),
        week=np.array([row.week for row in rows]),
        seconds=np.array(seconds, dtype=np.float64),
        positions=_positions([row.display_order for row in rows], k),
        lengths=None
        if lengths is None
        else np.array([lengths[row.prompt] for row in rows]),
    )


def _positions(orders: Sequence[list[int] | None], k: int) -> IntArray:
    """Where each response stood on the page, 0 first: the inverse of the order shown.

    `(n, K)`; -1 where the order is not known.
    """
    unknown = [-1] * k
    shown = np.array([unknown if order is None else order for order in orders])
    positions = np.argsort(shown, axis=1)
    positions[shown[:, 0] < 0] = -1
    return positions


def _gold(
    project: Project, filters: Filters, index: dict[int, int]
) -> Iterator[GoldScore]:
    """How the labelers of the report did where the right order is known."""
    for tested in scores_of(gold_rankings(project, filters)):
        if tested.labeler in index:
            yield GoldScore(
                prompt=tested.prompt,
                labeler=index[tested.labeler],
                agree=tested.score.agree,
                comparable=tested.score.comparable,
            )


def _tags(prompts: set[int]) -> dict[int, list[str]]:
    tagged = Prompt.objects.filter(pk__in=prompts).exclude(tags=[])
    return dict(tagged.values_list("pk", "tags"))


def _distinct_names(members: Iterable[Membership], name: Naming) -> dict[int, str]:
    """What each is called, no two alike: an imported labeler never is a member.

    Whose name is taken gets a mark. Members choose before imported labelers, and the
    older before the younger; a plain name is never taken by a marked one.
    """
    in_turn = sorted(members, key=lambda member: (member.user_id is None, member.pk))
    holders: dict[str, int] = {}
    for member in in_turn:
        holders.setdefault(name(member), member.pk)
    plain = set(holders.values())
    for member in in_turn:
        if member.pk not in plain:
            marked = _marked(name(member), imported=member.user_id is None)
            holders[next(free for free in marked if free not in holders)] = member.pk
    return {pk: called for called, pk in holders.items()}


def _marked(name: str, *, imported: bool) -> Iterator[str]:
    """`alice (imported)`, `alice (imported 2)`, …; members: `alice (2)`, …"""
    if imported:
        yield f"{name} (imported)"
    for number in count(2):
        yield f"{name} (imported {number})" if imported else f"{name} ({number})"
