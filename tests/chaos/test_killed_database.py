"""F3 and F4: Postgres dies, or cuts every connection, while eight people submit."""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from tests.faults.history import History
from tests.faults.labeler import Labeler
from tests.faults.progress import progress, report
from tests.faults.site import Site

SUBMITTERS, PROMPTS = 8, 3_000
TRIALS = 3
ACKNOWLEDGED_BEFORE = 40  # rankings, so that the kill meets people at work
RECOVERED_WITHIN = 10.0  # seconds from the kill to the next acknowledged ranking
CUT_FOR, CUT_EVERY = 30.0, 2.0
# What Postgres says before the disk has it is lost with Postgres; a slow writer makes
# that up to ten seconds of work.
NOT_DURABLE = {
    "synchronous_commit": "off",
    "wal_writer_delay": "10s",
    "wal_writer_flush_after": "1GB",
}
CUT = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE datname = 'rankwell' AND pid <> pg_backend_pid()
  AND backend_type = 'client backend'
"""


class Crowd:
    """Eight people who rank one prompt after the other until they are told to stop."""

    def __init__(self, site: Site, sessions: list[str], history: History) -> None:
        self.people = [Labeler(site.port, session, history) for session in sessions]
        self.done = Event()
        self.history = history

    def work(self, number: int) -> int:
        """How many rankings this one got acknowledged."""
        rng, ranked = random.Random(number), 0
        while not self.done.is_set() and self.people[number].rank_one(rng):
            ranked += 1
        return ranked

    def acknowledged(self) -> int:
        return len(self.history.acknowledged())

    def wait_for(self, more: int, seconds: float) -> None:
        """Until so many more rankings than now are acknowledged."""
        wanted = self.acknowledged() + more
        deadline = time.monotonic() + seconds
        while self.acknowledged() < wanted:
            assert time.monotonic() < deadline, "nobody gets a ranking stored any more"
            time.sleep(0.01)

    def during(self, trouble: Callable[[], None]) -> int:
        """Work while the trouble happens and a little longer; rankings in all."""
        with ThreadPoolExecutor(len(self.people)) as threads:
            at_work = [
                threads.submit(self.work, number) for number in range(len(self.people))
            ]
            try:
                self.wait_for(ACKNOWLEDGED_BEFORE, 60)
                trouble()
                self.wait_for(ACKNOWLEDGED_BEFORE, 60)
            finally:
                self.done.set()
            return sum(one.result() for one in at_work)

    def statuses(self) -> Counter[int]:
        return sum((person.statuses for person in self.people), Counter())


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    running = Site(tmp_path / "var")
    try:
        yield running
    finally:
        running.stop()


def assert_nothing_was_lost(site: Site, crowd: Crowd) -> None:
    assert crowd.history.problems(site.stored()) == []
    assert site.halves() == 0
    assert all(person.without_retry_after == 0 for person in crowd.people)


def kill_postgres_under(crowd: Crowd, site: Site) -> float:
    """While they work; the seconds until somebody's next ranking is acknowledged."""
    took: list[float] = []

    def kill() -> None:
        killed = time.monotonic()
        os.kill(site.postmaster(), signal.SIGKILL)
        crowd.wait_for(1, 60)
        took.append(time.monotonic() - killed)

    crowd.during(kill)
    return took[0]


@pytest.mark.timeout(900)
def test_postgres_is_killed_three_times_and_no_acknowledged_ranking_is_lost(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody starts it again but the web processes themselves."""
    sessions = site.prepare(labelers=SUBMITTERS, prompts=PROMPTS)
    site.start()
    history = History()
    for trial in range(1, TRIALS + 1):
        crowd = Crowd(site, sessions, history)
        took = kill_postgres_under(crowd, site)
        report(
            capsys,
            f"F3, trial {trial}: {dict(history.counts())}, statuses"
            f" {dict(crowd.statuses())}, back after {took:.1f} s",
        )
        assert_nothing_was_lost(site, crowd)
        assert set(crowd.statuses()) <= {0, 200, 201, 302, 503}
        assert took <= RECOVERED_WITHIN


@pytest.mark.timeout(900)
def test_control_a_database_that_answers_before_the_disk_has_it_loses_rankings(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    """Else the test above could not see a loss."""
    sessions = site.prepare(labelers=SUBMITTERS, prompts=PROMPTS)
    site.start()
    history, lost = History(), 0
    # The first who needs Postgres starts it.
    Labeler(site.port, sessions[0], history).rank_one(random.Random(0))
    with site.database() as connection:
        for name, value in NOT_DURABLE.items():
            connection.execute(f"ALTER SYSTEM SET {name} = '{value}'")
        connection.execute("SELECT pg_reload_conf()")
    for _ in range(TRIALS):
        kill_postgres_under(Crowd(site, sessions, history), site)
        lost = len(history.problems(site.stored()))
        if lost:
            break
    report(capsys, f"F3, control: {dict(history.counts())}, {lost} lost")
    assert lost


@pytest.mark.timeout(900)
def test_connections_are_cut_every_two_seconds_and_everybody_is_told_to_come_back(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    sessions = site.prepare(labelers=SUBMITTERS, prompts=PROMPTS)
    site.start()
    crowd = Crowd(site, sessions, History())
    cuts: list[int] = []

    def cut() -> None:
        until = time.monotonic() + CUT_FOR
        seconds = progress(capsys, "F4, seconds", CUT_FOR)
        with site.database() as connection, seconds as bar:
            while time.monotonic() < until:
                row = connection.execute(CUT).fetchone()
                cuts.append(row[0] if row else 0)
                crowd.done.wait(CUT_EVERY)
                bar.update(CUT_EVERY)

    crowd.during(cut)
    report(
        capsys,
        f"F4: {len(cuts)} times, {sum(cuts)} connections cut;"
        f" {dict(crowd.history.counts())}, statuses {dict(crowd.statuses())}",
    )
    assert sum(cuts) >= len(cuts) / 2  # there was something to cut
    assert set(crowd.statuses()) <= {200, 201, 302, 503}
    assert_nothing_was_lost(site, crowd)
