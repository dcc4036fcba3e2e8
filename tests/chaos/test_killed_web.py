"""F1 and F2: a web process is killed around the COMMIT of a ranking; the client, who
heard nothing, sends the same again.

After each kill the database is read on a connection of our own, so that what the kill
left is seen before the retry: that is also what shows that it struck where it should.
"""

import http.client
import json
import random
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.faults.history import History
from tests.faults.labeler import LETTERS, Labeler
from tests.faults.progress import progress, report
from tests.faults.site import Site

LABELERS, WORKERS = 4, 4
LONGEST_IDLE = 30.0  # seconds in a transaction
SILENCE = (OSError, http.client.HTTPException)

STANDS = """
SELECT (SELECT array_agg(id) FROM ranking_ranking WHERE submission_uuid = %s),
       EXISTS (SELECT FROM annotation_assignment
               WHERE token = %s AND state = 'claimed' AND lease_until > now())"""
IDLE = """
SELECT coalesce(max(extract(epoch FROM now() - state_change)), 0)::float
FROM pg_stat_activity WHERE state LIKE 'idle in transaction%%'"""


@dataclass(frozen=True)
class Stands:
    """What the database holds of a submission: its rows, and whether its assignment is
    claimed on a lease that runs."""

    rows: int
    leased: bool


@dataclass(frozen=True)
class Round:
    """A submission whose process was killed, and its retry."""

    killed: Stands
    retried: Stands
    status: int
    replayed: bool
    same_key: bool = True  # in the answer as in what was sent
    same_row: bool = True  # what the kill left is there still, under its id


EXPECTED = {
    "after-commit": Round(
        killed=Stands(rows=1, leased=False),
        retried=Stands(rows=1, leased=False),
        status=200,
        replayed=True,
    ),
    "before-commit": Round(
        killed=Stands(rows=0, leased=True),
        retried=Stands(rows=1, leased=False),
        status=201,
        replayed=False,
    ),
}
KILLS = {"after-commit": 200, "before-commit": 40}
# A row is stored at most once, and the sequence of its ids shows how often one was
# inserted: what is rolled back gives no number back.
INSERTED = {"after-commit": 1, "before-commit": 2}


class Killer:
    """Sends each submission twice: the first time to its process's death."""

    def __init__(self, site: Site, moment: str) -> None:
        self.site, self.moment = site, moment
        self.idle = 0.0  # the longest seen, in seconds

    def round(self, labeler: Labeler, rng: random.Random) -> Round:
        """One prompt."""
        token, key = labeler.claim(), uuid4()
        assert token is not None
        ranks = {letter: rng.randint(1, 4) for letter in LETTERS}
        with pytest.raises(SILENCE):
            labeler.submit(token, ranks, key, die=self.moment)
        before, killed = self._stands(token, key)
        answer = labeler.until_answered(lambda: labeler.submit(token, ranks, key))
        after, retried = self._stands(token, key)
        said = json.loads(answer.body)
        return Round(
            killed=killed,
            retried=retried,
            status=answer.status,
            replayed=said["replayed"],
            same_key=said["ranking"] == str(key),
            same_row=after[: len(before)] == before,
        )

    def _stands(self, token: str, key: UUID) -> tuple[list[int], Stands]:
        with self.site.database() as connection:
            row: Any = connection.execute(STANDS, [key, token]).fetchone()
            idle: Any = connection.execute(IDLE).fetchone()
        self.idle = max(self.idle, idle[0])
        rows = sorted(row[0] or [])
        return rows, Stands(len(rows), leased=row[1])


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    running = Site(tmp_path / "var", "tests.faults.deadly_wsgi", workers=WORKERS)
    try:
        yield running
    finally:
        running.stop()


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("moment", EXPECTED)
def test_killed_processes_lose_and_double_nothing(
    site: Site, moment: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """After the COMMIT the retry is a replay; before it, the retry is the first."""
    kills = KILLS[moment]
    sessions = site.prepare(labelers=LABELERS, prompts=kills)
    site.start()
    history, killer = History(), Killer(site, moment)

    def work(number: int) -> list[Round]:
        labeler = Labeler(site.port, sessions[number], history)
        rng, rounds = random.Random(number), []
        for _ in range(kills // LABELERS):
            rounds.append(killer.round(labeler, rng))
            bar.update()
        return rounds

    with (
        progress(capsys, f"killed {moment}", kills) as bar,
        ThreadPoolExecutor(LABELERS) as threads,
    ):
        rounds = [one for some in threads.map(work, range(LABELERS)) for one in some]

    stored = site.stored()
    [[inserted]] = site.ask("SELECT last_value FROM ranking_ranking_id_seq")
    report(
        capsys,
        f"killed {moment}: {dict(history.counts())}, {len(stored)} rows of {inserted}"
        f" inserted, {sum(one.replayed for one in rounds)} replays, at most"
        f" {killer.idle:.1f} s idle in a transaction",
    )
    assert Counter(rounds) == {EXPECTED[moment]: kills}
    assert history.problems(stored) == []
    assert history.counts() == {"unknown": kills, "ok": kills}
    assert len(stored) == kills
    assert inserted == INSERTED[moment] * kills
    assert site.halves() == 0
    assert killer.idle <= LONGEST_IDLE
    states = site.ask("SELECT state, count(*) FROM annotation_assignment GROUP BY 1")
    assert dict(states) == {"completed": kills}
