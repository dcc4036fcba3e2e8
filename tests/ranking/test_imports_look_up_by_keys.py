"""A large import into tables that nobody counted yet takes a time that is linear.

Everything happens in one transaction, on a site as it is after its set-up: plans are
made while the tables are empty, and no ANALYZE sees the new rows. What is counted is
how many rows Postgres read that it had not looked up by an index.
"""

import io
import json
from collections.abc import Iterable
from typing import Any

import pytest
from django.db import connection

from annotation import import_report, importing
from annotation.imports import import_prompts
from annotation.models import Project
from ranking.imports import import_rankings

pytestmark = pytest.mark.django_db
PROMPTS, K, LABELERS = 200, 4, 3
SCANNED = """
SELECT relname, seq_tup_read FROM pg_stat_xact_user_tables
WHERE seq_tup_read > 0 AND relname ~ '^(annotation|ranking)_'
"""


@pytest.fixture(autouse=True)
def plans_of_empty_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """No plan of an earlier test, and a dozen batches of fifty lines."""
    monkeypatch.setattr(import_report, "MOST_LINES", 50)
    with connection.cursor() as cursor:
        cursor.execute("DISCARD PLANS")


def lines(rows: Iterable[dict[str, Any]]) -> io.BytesIO:
    return io.BytesIO(b"\n".join(json.dumps(row).encode() for row in rows))


def scanned() -> dict[str, int]:
    """Rows read without an index by this transaction, by table."""
    with connection.cursor() as cursor:
        cursor.execute(SCANNED)
        return dict(cursor.fetchall())


def rows_scanned_by_an_import(project: Project, *, with_ids: bool) -> dict[str, int]:
    """The rankings file of some labelers, and the same once more, all unchanged."""
    responses = [{"id": f"r{n}", "text": "t"} for n in range(K)]
    prompts = (
        {"id": f"p{n}", "prompt": "q", "responses": responses} for n in range(PROMPTS)
    )
    assert import_prompts(project, lines(prompts)).imported == PROMPTS
    rankings = [
        {
            "prompt_id": f"p{n}",
            "labeler": f"l{labeler}",
            "ranks": {f"r{place}": place for place in range(K)},
            **({"id": f"{labeler}-{n}"} if with_ids else {}),
        }
        for labeler in range(LABELERS)
        for n in range(PROMPTS)
    ]
    before = scanned()
    for new in (len(rankings), 0):
        report = import_rankings(project, lines(rankings))
        assert (report.imported, report.unchanged) == (new, len(rankings) - new)
    return {
        table: read - before.get(table, 0)
        for table, read in scanned().items()
        if read > before.get(table, 0)
    }


@pytest.mark.parametrize("with_ids", [True, False])
def test_no_row_is_read_but_by_its_key(project: Project, *, with_ids: bool) -> None:
    assert rows_scanned_by_an_import(project, with_ids=with_ids) == {}


@pytest.mark.parametrize("with_ids", [True, False])
def test_control_as_postgres_would_plan_it_every_ranking_costs_a_scan(
    project: Project, monkeypatch: pytest.MonkeyPatch, *, with_ids: bool
) -> None:
    monkeypatch.setattr(importing, "look_up_by_keys", lambda: None)
    read = rows_scanned_by_an_import(project, with_ids=with_ids)
    assert read["annotation_response"] >= LABELERS * PROMPTS * (PROMPTS * K)
