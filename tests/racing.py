"""Races that are run and not hoped for: whoever takes part is held where it matters.

A control takes a protection away and must go wrong however slow or quick the machine
is; so it holds its racers at a gate or a barrier between the look and the deed.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier, Event, Lock
from typing import Any, Final, TypeVar

from django.db import connection, transaction

SECONDS: Final = 60  # after which something is wrong that no patience mends
GATE: Final = 0x67617465  # the key of an advisory lock
# For a statement of the queue: whoever comes here has their snapshot, and waits.
AT_THE_GATE: Final = f"(SELECT pg_advisory_xact_lock_shared({GATE})) IS NOT NULL"
WAITING: Final = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock'
"""
T = TypeVar("T")


def at_once(action: Callable[[Any], object], whos: list[Any]) -> list[Any]:
    """`action` for everybody, each in a thread and a connection of their own.

    Nobody's patience with a lock ends before the test's does.
    """
    ready = Barrier(len(whos))

    def act(who: Any) -> object:
        try:
            with connection.cursor() as cursor:
                cursor.execute(f"SET lock_timeout = '{SECONDS}s'")
            ready.wait(timeout=SECONDS)
            return action(who)
        finally:
            connection.close()

    with ThreadPoolExecutor(len(whos)) as threads:
        return list(threads.map(act, whos))


def together(parties: int) -> Callable[[], None]:
    """A place that nobody leaves before so many have come."""
    barrier = Barrier(parties)
    return lambda: void(barrier.wait(timeout=SECONDS))


def once(action: Callable[[], object]) -> Callable[[], None]:
    """`action` for the first who comes; the others pass by."""
    lock = Lock()
    return lambda: void(lock.acquire(blocking=False) and action())


def wait_until(condition: Callable[[], bool], seconds: float = SECONDS) -> None:
    """Look again and again until the condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.02)


def void(_: object) -> None:
    """For what is called for its effect."""


# --- In the database --------------------------------------------------------------


@contextmanager
def gate(parties: int) -> Iterator[None]:
    """Hold statements AT_THE_GATE until so many connections wait for a lock: there, or
    for one whom those at the gate keep waiting."""
    closed = Event()
    with ThreadPoolExecutor(1) as keeper:
        opened = keeper.submit(_keep_closed, parties, closed)
        assert closed.wait(timeout=SECONDS)
        yield
        opened.result()


def _keep_closed(parties: int, closed: Event) -> None:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", [GATE])
        closed.set()
        wait_until_somebody_waits(parties)
    finally:
        connection.close()  # which opens the gate


def wait_until_somebody_waits(parties: int = 1) -> None:
    """Until so many connections to this database wait for locks."""
    deadline = time.monotonic() + SECONDS
    while how_many_wait() < parties:
        assert time.monotonic() < deadline, f"fewer than {parties} wait for a lock"
        time.sleep(0.01)


def how_many_wait() -> int:
    """Connections to this database that wait for a lock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute(WAITING)
        return int(cursor.fetchone()[0])


# --- Two, one of them in the middle of something ----------------------------------


def meanwhile(change: Callable[[], object], action: Callable[[], T]) -> T:
    """Runs `action` between `change` and its commit; it has come to wait by then."""
    with ThreadPoolExecutor(1) as threads:
        with transaction.atomic():
            change()
            acting = started(threads, action)
            assert not acting.done(), "nobody waits for the lock"
        return acting.result(timeout=SECONDS)


def started(threads: ThreadPoolExecutor, action: Callable[[], T]) -> Future[T]:
    """`action` in another thread, which is done with it by now, or waits for a lock."""
    acting = threads.submit(closing(action))
    deadline = time.monotonic() + SECONDS
    while not acting.done() and not how_many_wait():
        assert time.monotonic() < deadline, "neither done nor waiting"
        time.sleep(0.01)
    return acting


def closing(action: Callable[..., T]) -> Callable[..., T]:
    """The same, on a connection that is closed afterwards."""

    def act(*arguments: Any) -> T:
        try:
            return action(*arguments)
        finally:
            connection.close()

    return act
