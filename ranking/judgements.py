"""Rankings out of the database, as the tables that the statistics take.

A report may look at a hundred thousand rankings. Fetched one by one they would cost
more than all the statistics together, so Postgres packs each column of all rankings
with the same K into one binary string, which NumPy reads as it is.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from django.db import connection, transaction
from numpy.typing import NDArray

from ranking.models import RankingQuerySet
from ranking.rank_table import FloatArray, IntArray, RankTable
from ranking.weeks import iso_weeks

# One row for each K. Aggregates of one query see the rows in one order, so the strings
# fit together. Ranks stand in the order of the responses' keys: they are sorted by
# outside id later, once for each prompt and not for each ranking.
RANKINGS: Final = """
    WITH counted (ranking, prompt, labeler, repeat, version, submitted, seconds, shown)
    AS MATERIALIZED ({counted}),
    ranked AS (
        SELECT ranking_id, count(*)::int AS k,
               string_agg(int2send(rank), ''::bytea ORDER BY response_id) AS ranks
        FROM ranking_placement WHERE ranking_id IN (SELECT ranking FROM counted)
        GROUP BY ranking_id)
    SELECT k,
           string_agg(ranks, ''),
           string_agg(int8send(prompt), ''),
           string_agg(int8send(labeler), ''),
           string_agg(int2send(repeat), ''),
           string_agg(int4send(coalesce(version, 0)), ''),
           string_agg(timestamptz_send(submitted), ''),
           string_agg(float8send(coalesce(seconds, 'NaN')), ''),
           string_agg(array_send(
               coalesce(shown, array_fill(-1::int2, ARRAY[k]))), '')
    FROM ranked JOIN counted ON ranking = ranking_id
    GROUP BY k ORDER BY k
"""
COUNTED: Final = (
    "pk",
    "assignment__prompt_id",
    "assignment__labeler_id",
    "assignment__repeat",
    "instructions__version",
    "submitted_at",
    "active_seconds",
    "assignment__display_order",
)
MORE_MEMORY: Final = "SET LOCAL work_mem = '64MB'"
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
TAGS: Final = """
    SELECT tag, array_agg(id)
    FROM annotation_prompt, unnest(tags) AS tag WHERE id = ANY(%s) GROUP BY tag
"""
POSTGRES_EPOCH: Final = np.datetime64("2000-01-01T00:00:00", "us")
# What array_send writes: a header, then length and value of each element.
ARRAY_HEADER, ARRAY_CELL = "V20", [("length", ">i4"), ("value", ">i2")]


@dataclass(frozen=True, eq=False)
class Judgements:
    """Rankings of prompts with K responses, one row each, and who made them.

    `ranks (n, K)` stand in the order of the responses' keys, `order (n, K)` says which
    response, by outside id, was shown first, second, …; -1 where that is not known.
    """

    ranks: IntArray
    prompt: IntArray
    labeler: IntArray  # ids of memberships
    repeat: IntArray
    version: IntArray
    week: IntArray
    seconds: FloatArray
    order: IntArray

    @property
    def k(self) -> int:
        """Responses of each prompt."""
        return int(self.ranks.shape[1])


@dataclass(frozen=True, eq=False)
class Responses:
    """The responses of prompts with K of them, by outside id.

    `place (m, K)`: where each stands among the prompt's responses in the order of
    their keys. `lengths (m, K)`: characters. `prompt (m,)` is sorted.
    """

    prompt: IntArray
    place: IntArray
    lengths: IntArray


@contextmanager
def more_memory() -> Iterator[None]:
    """A transaction for queries that look at a whole project, so that Postgres need
    not hash and sort through files. One statement."""
    with transaction.atomic(savepoint=False):
        with connection.cursor() as cursor:
            cursor.execute(MORE_MEMORY)
        yield


def judgements(rankings: RankingQuerySet) -> list[Judgements]:
    """All of these rankings, by K. One query."""
    sql, parameters = rankings.values_list(*COUNTED).query.sql_with_params()
    rows = _fetched(RANKINGS.replace("{counted}", sql), parameters)
    return [_judgements(*row) for row in rows]


def _judgements(k: int, *columns: bytes) -> Judgements:
    ranks, prompt, labeler, repeat, version, moment, seconds, order = columns
    shown = np.dtype([("header", ARRAY_HEADER), ("cells", ARRAY_CELL, (k,))])
    since = _read(moment, ">i8").astype("timedelta64[us]")
    return Judgements(
        ranks=_read(ranks, ">i2").reshape(-1, k),
        prompt=_read(prompt, ">i8"),
        labeler=_read(labeler, ">i8"),
        repeat=_read(repeat, ">i2"),
        version=_read(version, ">i4"),
        week=iso_weeks(POSTGRES_EPOCH + since),
        seconds=_read(seconds, ">f8"),
        order=np.frombuffer(order, shown)["cells"]["value"].astype(np.int16),
    )


def responses(prompts: IntArray) -> dict[int, Responses]:
    """The responses of these prompts, by K. One query."""
    return {
        k: _responses(k, *columns)
        for k, *columns in _fetched(RESPONSES, [prompts.tolist()])
    }


def _responses(k: int, prompt: bytes, ids: bytes, lengths: bytes) -> Responses:
    prompts = _read(prompt, ">i8")
    order = np.argsort(prompts)
    keys = _read(ids, ">i8").reshape(-1, k)[order]
    return Responses(
        prompt=prompts[order],
        place=np.argsort(np.argsort(keys, axis=1), axis=1),
        lengths=_read(lengths, ">i4").reshape(-1, k)[order],
    )


def tags(prompts: IntArray) -> dict[str, list[int]]:
    """Which of these prompts carry each tag. One query."""
    return dict(_fetched(TAGS, [prompts.tolist()]))


def rank_table(
    rows: Judgements, labelers: IntArray, known: Responses | None = None
) -> RankTable:
    """What the statistics take; `labelers` are the sorted ids that they count.

    Without the responses the columns stand in the order of the responses' keys, and
    neither their lengths nor their places on the page are known.
    """
    ranks, positions, lengths = rows.ranks, None, None
    if known is not None:
        at = np.searchsorted(known.prompt, rows.prompt)
        ranks = np.take_along_axis(ranks, known.place[at], axis=1)
        positions, lengths = _positions(rows.order), known.lengths[at]
    return RankTable(
        ranks=ranks,
        cluster=rows.prompt,
        labeler=np.searchsorted(labelers, rows.labeler),
        repeat=rows.repeat,
        version=rows.version,
        week=rows.week,
        seconds=rows.seconds,
        positions=positions,
        lengths=lengths,
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


def _fetched(sql: str, parameters: Any) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        rows: list[Any] = cursor.fetchall()
    return rows


def _read(packed: bytes, kind: str) -> NDArray[Any]:
    """Numbers as the network sends them, in this machine's order of bytes."""
    numbers = np.frombuffer(packed, np.dtype(kind))
    return numbers.astype(numbers.dtype.newbyteorder("="))
