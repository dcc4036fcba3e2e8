"""Rankings out of their own rows, as the tables that the statistics take: what the
report makes of the prompts' summary rows, by another road."""

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from annotation.models import Membership, Project
from ranking import agreement
from ranking.dashboards import distinct_names, gold_scores
from ranking.filters import Filters, rankings_that_count
from ranking.judgements import Judgements, fetched, judgements, rank_table, read, tags
from ranking.rank_table import IntArray, RankTable

RESPONSES: Final = """
    WITH sized AS (
        SELECT prompt_id, count(*)::int AS k,
               string_agg(int8send(id), ''::bytea
                          ORDER BY external_id COLLATE "C") AS ids,
               string_agg(int4send(characters), ''::bytea
                          ORDER BY external_id COLLATE "C") AS lengths
        FROM annotation_response WHERE prompt_id = ANY(%s) GROUP BY prompt_id)
    SELECT k, string_agg(int8send(prompt_id), ''), string_agg(ids, ''),
           string_agg(lengths, '')
    FROM sized GROUP BY k
"""


@dataclass(frozen=True, eq=False)
class Responses:
    """The responses of prompts with K of them, by outside id.

    `place (m, K)`: where each stands among the prompt's responses in the order of
    their keys. `lengths (m, K)`: characters. `prompt (m,)` is sorted.
    """

    prompt: IntArray
    place: IntArray
    lengths: IntArray


def responses(prompts: IntArray) -> dict[int, Responses]:
    """The responses of these prompts, by K. One query."""
    return {
        k: _responses(k, *columns)
        for k, *columns in fetched(RESPONSES, [prompts.tolist()])
    }


def _responses(k: int, prompt: bytes, ids: bytes, lengths: bytes) -> Responses:
    prompts = read(prompt, ">i8")
    order = np.argsort(prompts)
    keys = read(ids, ">i8").reshape(-1, k)[order]
    return Responses(
        prompt=prompts[order],
        place=np.argsort(np.argsort(keys, axis=1), axis=1),
        lengths=read(lengths, ">i4").reshape(-1, k)[order],
    )


def whole_table(rows: Judgements, labelers: IntArray, known: Responses) -> RankTable:
    """With the columns by outside id, and with lengths and places on the page."""
    at = np.searchsorted(known.prompt, rows.prompt)
    return replace(
        rank_table(rows, labelers),
        ranks=np.take_along_axis(rows.ranks, known.place[at], axis=1),
        positions=_positions(rows.order),
        lengths=known.lengths[at],
    )


def _positions(order: IntArray) -> IntArray:
    """Where each response stood on the page, 0 first: the inverse of the order shown.

    `(n, K)`; -1 where the order is not known.
    """
    positions = np.empty_like(order)
    places = np.broadcast_to(np.arange(order.shape[1], dtype=order.dtype), order.shape)
    np.put_along_axis(positions, np.maximum(order, 0), places, axis=1)
    positions[order[:, 0] < 0] = -1
    return positions


def report_by_rows(project: Project, filters: Filters) -> dict[str, Any]:
    """The agreement report of the rankings themselves."""
    found = judgements(rankings_that_count(project, filters, with_repeats=True))
    labelers, prompts = (
        np.unique(np.concatenate([np.zeros(0, np.int64), *columns]))
        for columns in ([f.labeler for f in found], [f.prompt for f in found])
    )
    known = responses(prompts)
    members = Membership.objects.select_related("project").in_bulk(labelers.tolist())
    names = distinct_names(members.values(), lambda member: member.name)
    return agreement.report(
        [whole_table(rows, labelers, known[rows.k]) for rows in found],
        labelers=[names[pk] for pk in labelers.tolist()],
        project=project.slug,
        filters=filters.as_json(project),
        tags=tags(project),
        gold=gold_scores(project, filters, labelers.tolist()),
    )
