"""Long work on a project that goes one after the other."""

from django.db import connection


def wait_for_turn(work: int, project_id: int) -> None:
    """Wait for everybody who does this kind of work on this project, then be alone with
    it until the end of the transaction (an advisory lock).

    However long it takes: the connection's `lock_timeout` is for people who wait for a
    page, and holds again afterwards. Three statements.
    """
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = 0")
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", turn(work, project_id))
        cursor.execute("SET LOCAL lock_timeout TO DEFAULT")


def turn(work: int, project_id: int) -> list[int]:
    """The two halves of the lock's key."""
    return [work, project_id % 2**31]
