"""Work that goes one after the other waits longer than a page would."""

from collections.abc import Callable
from threading import Event, Thread

import pytest
from django.db import OperationalError, connection, transaction

from annotation.models import Project
from annotation.turns import turn, wait_for_turn

pytestmark = pytest.mark.django_db(transaction=True)
WORK = 7
SHORT = "20ms"
HAS_WAITED_TEN_TIMES_AS_LONG = """
    SELECT count(*) FROM pg_stat_activity
    WHERE wait_event_type = 'Lock' AND query LIKE %s
      AND clock_timestamp() - query_start > interval '200 ms'
"""


def wait_without_patience(work: int, project_id: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", turn(work, project_id))


class Second(Thread):
    """Somebody whose connection waits 20 ms for a lock."""

    def __init__(self, wait: Callable[[int, int], None], project: Project) -> None:
        super().__init__()
        self.wait, self.project = wait, project
        self.done = Event()
        self.timeout_after = ""
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute(f"SET lock_timeout = '{SHORT}'")
            with transaction.atomic(), connection.cursor() as cursor:
                self.wait(WORK, self.project.pk)
                cursor.execute("SHOW lock_timeout")
                self.timeout_after = cursor.fetchone()[0]
        except OperationalError as error:
            self.error = error
        finally:
            connection.close()
            self.done.set()


def let_wait(second: Second) -> None:
    """Hold the turn until the second has given up or waited long enough."""
    with transaction.atomic(), connection.cursor() as cursor:
        wait_for_turn(WORK, second.project.pk)
        second.start()
        waited = False
        while not waited and not second.done.is_set():
            cursor.execute("SELECT pg_stat_clear_snapshot()")
            cursor.execute(HAS_WAITED_TEN_TIMES_AS_LONG, ["%pg_advisory_xact_lock%"])
            waited = bool(cursor.fetchone()[0])
    second.join()


def test_who_waits_for_a_turn_is_not_sent_away(project: Project) -> None:
    second = Second(wait_for_turn, project)
    let_wait(second)
    assert second.error is None
    # A session's own setting is not the default; what the connection began with is.
    assert second.timeout_after == "3s"


def test_without_patience_they_would_be(project: Project) -> None:
    second = Second(wait_without_patience, project)
    let_wait(second)
    assert "lock timeout" in str(second.error)
