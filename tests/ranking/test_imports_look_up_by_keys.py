"""A large import into tables that nobody counted yet takes a time that is linear.

Everything happens in one transaction, on a site as it is after its set-up: plans are
made while the tables are empty, and Postgres has noted that they are. What is counted
is how many rows it reads, by an index or without.
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
PROMPTS, K, LABELERS = 80, 4, 3
READ = """
SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) FROM pg_stat_xact_user_tables
WHERE relname ~ '^(annotation|ranking)_'
"""
ROWS_A_RANKING = 150
"""What an import may read for each ranking: its prompt, its K responses and placements,
its labeler, for some statements and triggers, and what is read before the first count;
40 in a long file."""


@pytest.fixture(autouse=True)
def plans_of_empty_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """No plan of an earlier test, and a dozen batches of twenty lines."""
    monkeypatch.setattr(import_report, "MOST_LINES", 20)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
        cursor.execute("DISCARD PLANS")


def lines(rows: Iterable[dict[str, Any]]) -> io.BytesIO:
    return io.BytesIO(b"\n".join(json.dumps(row).encode() for row in rows))


def rows_read() -> int:
    """By this transaction so far."""
    with connection.cursor() as cursor:
        cursor.execute(READ)
        return int(cursor.fetchone()[0])


def rows_read_by_an_import(project: Project, *, with_ids: bool) -> int:
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
    before = rows_read()
    for new in (len(rankings), 0):
        report = import_rankings(project, lines(rankings))
        assert (report.imported, report.unchanged) == (new, len(rankings) - new)
    return rows_read() - before


MOST = ROWS_A_RANKING * 2 * LABELERS * PROMPTS


@pytest.mark.parametrize("with_ids", [True, False])
def test_a_ranking_costs_what_it_consists_of(
    project: Project, *, with_ids: bool
) -> None:
    assert rows_read_by_an_import(project, with_ids=with_ids) <= MOST


def test_control_by_plans_for_empty_tables_each_costs_a_look_at_all(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "look_up_by_keys", lambda: None)
    monkeypatch.setattr(importing, "count_rows", lambda: None)
    assert rows_read_by_an_import(project, with_ids=False) > 5 * MOST
