"""How a labeler's ranking is written, with the place that it gives each response."""

import json
from collections.abc import Mapping
from typing import Any, Final

from django.db import connection
from psycopg.types.json import Jsonb

from annotation.models import Response
from ranking.models import Ranking

COLUMNS: Final = (
    "project_id",
    "assignment_id",
    "revises_id",
    "status",
    "submission_uuid",
    "body_sha256",
    "instructions_id",
    "active_seconds",
    "note",
    "render_mode",
    "contradictions",
    "telemetry",
)
# What the ORM does in three statements, at several times the cost.
INSERT: Final = f"""
WITH ranked AS (
    INSERT INTO ranking_ranking ({", ".join(COLUMNS)})
    VALUES ({", ".join(f"%({column})s" for column in COLUMNS)})
    RETURNING id),
placed AS (
    INSERT INTO ranking_placement (ranking_id, response_id, rank, rating, flags)
    SELECT ranked.id, given.response, given.rank, given.rating, given.flags
    FROM ranked, jsonb_to_recordset(%(placed)s::jsonb)
        AS given (response bigint, rank smallint, rating smallint, flags text[])),
done AS (DELETE FROM ranking_draft WHERE assignment_id = %(assignment_id)s)
SELECT id FROM ranked
"""  # noqa: S608  columns of this file


def insert(
    ranking: Ranking, said: Mapping[str, Any], shown: Mapping[str, Response]
) -> None:
    """Insert a ranking, and what was said of each response shown. One statement, which
    drops the draft too: it has done its service.

    `said` is as `Submission.said`; ratings and flags may be missing for a letter.
    """
    placed = [
        {
            "response": shown[letter].pk,
            "rank": rank,
            "rating": said["ratings"].get(letter),
            "flags": said["flags"].get(letter, []),
        }
        for letter, rank in said["ranks"].items()
    ]
    columns = {column: getattr(ranking, column) for column in COLUMNS}
    columns |= {
        "status": str(ranking.status),
        "render_mode": ranking.render_mode and str(ranking.render_mode),
        "telemetry": Jsonb(ranking.telemetry),
        "placed": json.dumps(placed),
    }
    with connection.cursor() as cursor:
        cursor.execute(INSERT, columns)
        [ranking.pk] = cursor.fetchone()
