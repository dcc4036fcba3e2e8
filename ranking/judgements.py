"""Rankings out of the database, as the tables that the statistics take.

A report may look at a hundred thousand rankings. Fetched one by one they would cost
more than all the statistics together, so Postgres packs each column of all rankings
with the same K into one binary string, which NumPy reads as it is.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from django.db import connection
from numpy.typing import NDArray

from annotation.models import Project
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
TAGS: Final = """
    SELECT tag, string_agg(int8send(prompt.id), '')
    FROM annotation_prompt prompt, unnest(prompt.tags) AS tag
    WHERE prompt.project_id = %s GROUP BY tag
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


def judgements(rankings: RankingQuerySet) -> list[Judgements]:
    """All of these rankings, by K. One query."""
    sql, parameters = rankings.values_list(*COUNTED).query.sql_with_params()
    rows = fetched(RANKINGS.replace("{counted}", sql), parameters)
    return [_judgements(*row) for row in rows]


def _judgements(k: int, *columns: bytes) -> Judgements:
    ranks, prompt, labeler, repeat, version, moment, seconds, order = columns
    shown = np.dtype([("header", ARRAY_HEADER), ("cells", ARRAY_CELL, (k,))])
    since = read(moment, ">i8").astype("timedelta64[us]")
    return Judgements(
        ranks=read(ranks, ">i2").reshape(-1, k),
        prompt=read(prompt, ">i8"),
        labeler=read(labeler, ">i8"),
        repeat=read(repeat, ">i2"),
        version=read(version, ">i4"),
        week=iso_weeks(POSTGRES_EPOCH + since),
        seconds=read(seconds, ">f8"),
        order=np.frombuffer(order, shown)["cells"]["value"].astype(np.int16),
    )


def tags(project: Project) -> dict[str, IntArray]:
    """Keys of the prompts that carry each tag, ranked or not. One query."""
    return {tag: read(keys, ">i8") for tag, keys in fetched(TAGS, [project.pk])}


def rank_table(rows: Judgements, labelers: IntArray) -> RankTable:
    """What the statistics take; `labelers` are the sorted ids that they count.

    The columns stand in the order of the responses' keys, and neither lengths nor
    places on the page are known.
    """
    return RankTable(
        ranks=rows.ranks,
        cluster=rows.prompt,
        labeler=np.searchsorted(labelers, rows.labeler),
        repeat=rows.repeat,
        version=rows.version,
        week=rows.week,
        seconds=rows.seconds,
    )


def fetched(sql: str, parameters: Any) -> list[Any]:
    """The rows of a query."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        rows: list[Any] = cursor.fetchall()
    return rows


def read(packed: bytes, kind: str) -> NDArray[Any]:
    """Numbers as the network sends them, in this machine's order of bytes."""
    numbers = np.frombuffer(packed, np.dtype(kind))
    return numbers.astype(numbers.dtype.newbyteorder("="))
