"""From rows to the numbers that people look at: loads the counted rankings of a
project in a few queries and hands them to the pure statistics."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from itertools import count
from typing import Any

import numpy as np
from django.db.models import Q, Value
from django.db.models.functions import Now

from annotation.models import Membership, Project
from ranking import agreement
from ranking.entry import scores_of
from ranking.estimates import Document
from ranking.evidence import GoldScore
from ranking.filters import Filters, gold_rankings, rankings_that_count
from ranking.judgements import Judgements, judgements, rank_table, tags
from ranking.own_agreement import vs_others
from ranking.quality_rows import matching, worked_of
from ranking.rank_table import IntArray
from ranking.summaries import withdrawn_labelers
from ranking.worked import rank_tables

Naming = Callable[[Membership], str]


def agreement_report(
    project: Project, filters: Filters, *, name: Naming | None = None
) -> dict[str, Any]:
    """The report of all rankings that `filters` leave; `name` says what labelers are
    called in it (their names by default, pseudonyms for researchers). Five queries.

    It is made of the prompts' summary rows, which hold all that it looks at.
    """
    worked = worked_of(project, filters)
    found = worked.only(matching(worked, filters, withdrawn_labelers(project)))
    labelers = np.unique(found.labeler)
    members = Membership.objects.select_related("project").in_bulk(labelers.tolist())
    names = distinct_names(members.values(), name or (lambda member: member.name))
    return agreement.report(
        rank_tables(found, labelers),
        labelers=[names[pk] for pk in labelers.tolist()],
        project=project.slug,
        filters=filters.as_json(project),
        tags=tags(project),
        gold=gold_scores(project, filters, labelers.tolist()),
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
    found = judgements(counting.filter(Q(pk__in=mine) | Q(pk__in=on_the_same)))
    labelers = np.union1d(_distinct(found, "labeler"), [labeler.pk])
    return vs_others(
        [rank_table(rows, labelers) for rows in found],
        labelers=len(labelers),
        own=int(np.searchsorted(labelers, labeler.pk)),
    )


def _distinct(found: Sequence[Judgements], column: str) -> IntArray:
    """The ids that occur in a column, sorted."""
    nothing = np.zeros(0, np.int64)
    return np.unique(np.concatenate([nothing, *(getattr(f, column) for f in found)]))


def gold_scores(
    project: Project, filters: Filters, labelers: Sequence[int]
) -> Iterator[GoldScore]:
    """How the labelers of the report did where the right order is known."""
    index = {pk: number for number, pk in enumerate(labelers)}
    for tested in scores_of(gold_rankings(project, filters)):
        if tested.labeler in index:
            yield GoldScore(
                prompt=tested.prompt,
                labeler=index[tested.labeler],
                agree=tested.score.agree,
                comparable=tested.score.comparable,
            )


def distinct_names(members: Iterable[Membership], name: Naming) -> dict[int, str]:
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
