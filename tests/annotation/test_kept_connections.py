"""A connection that is kept from one request to the next: checked for nothing, and
replaced when its server has gone."""

import select
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.db.backends.postgresql import base as django_base

from annotation.postgres.base import DatabaseWrapper

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def kept() -> Iterator[DatabaseWrapper]:
    """A connection of its own, as it lies between two requests."""
    own: Any = connection.copy()
    own.settings_dict |= {"CONN_MAX_AGE": None, "CONN_HEALTH_CHECKS": True}
    ask(own, "SELECT 41 + 1")
    yield own
    own.close()


def ask(asked: Any, question: str) -> Any:
    with asked.cursor() as cursor:
        cursor.execute(question)
        return cursor.fetchone()[0]


def next_request(kept: DatabaseWrapper) -> None:
    """What Django does with a connection when a request begins and first needs it."""
    kept.close_if_unusable_or_obsolete()
    kept.ensure_connection()
    kept.close_if_health_check_failed()
    kept.ensure_connection()


def pid_of(kept: DatabaseWrapper) -> int:
    return int(kept.connection.info.backend_pid)


def last_statement_of(pid: int) -> Any:
    """What that backend was asked last, by Postgres' own account."""
    return ask(connection, f"SELECT query FROM pg_stat_activity WHERE pid = {pid}")


def end(pid: int) -> None:
    """Postgres ends the backend, which is gone when this returns."""
    assert ask(connection, f"SELECT pg_terminate_backend({pid}, 5000)") is True


def test_a_look_at_a_kept_connection_is_no_statement(kept: DatabaseWrapper) -> None:
    before = pid_of(kept)
    next_request(kept)
    assert pid_of(kept) == before
    assert last_statement_of(before) == "SELECT 41 + 1"


def test_django_itself_would_ask(kept: DatabaseWrapper) -> None:
    assert django_base.DatabaseWrapper.is_usable(kept)
    assert last_statement_of(pid_of(kept)) == "SELECT 1"


def test_a_connection_that_postgres_ended_is_replaced_before_it_is_used(
    kept: DatabaseWrapper,
) -> None:
    before = pid_of(kept)
    end(before)
    next_request(kept)
    assert pid_of(kept) != before
    assert ask(kept, "SELECT 1") == 1


def test_a_connection_that_was_closed_here_is_replaced(kept: DatabaseWrapper) -> None:
    before = pid_of(kept)
    kept.connection.close()
    next_request(kept)
    assert pid_of(kept) != before


def test_news_that_is_no_end_costs_a_question_and_no_connection(
    kept: DatabaseWrapper,
) -> None:
    before = pid_of(kept)
    with kept.cursor() as cursor:
        cursor.execute("LISTEN news")
    ask(connection, "SELECT pg_notify('news', 'something')::text")
    assert select.select([kept.connection.fileno()], [], [], 30)[0], "no news came"
    next_request(kept)
    assert pid_of(kept) == before
    assert kept.is_usable()


def test_after_an_error_postgres_itself_is_asked(kept: DatabaseWrapper) -> None:
    kept.errors_occurred = True
    assert kept.is_usable()
    assert last_statement_of(pid_of(kept)) == "SELECT 1"
