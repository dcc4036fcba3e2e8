"""F1 and F2: a web process is killed around the COMMIT of a ranking; the client, who
heard nothing, sends the same again."""

import json
import random
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.faults.history import History
from tests.faults.labeler import Labeler
from tests.faults.site import Site

LABELERS, ROUNDS = 4, 50
KILLS = LABELERS * ROUNDS


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    running = Site(tmp_path / "var", "tests.faults.deadly_wsgi")
    try:
        yield running
    finally:
        running.stop()


@pytest.mark.timeout(900)
@pytest.mark.parametrize("moment", ["after-commit", "before-commit"])
def test_two_hundred_killed_processes_lose_and_double_nothing(
    site: Site, moment: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """After the COMMIT the retry is a replay; before it, the retry is the first."""
    sessions = site.prepare(labelers=LABELERS, prompts=KILLS)
    site.start()
    history = History()
    labelers = [Labeler(site.port, session, history) for session in sessions]

    def work(number: int) -> list[bool]:
        rng = random.Random(number)
        answers = [labelers[number].rank_one(rng, die=moment) for _ in range(ROUNDS)]
        return [json.loads(answer.body)["replayed"] for answer in answers if answer]

    with ThreadPoolExecutor(LABELERS) as threads:
        replayed = [one for some in threads.map(work, range(LABELERS)) for one in some]

    stored = site.stored()
    idle = "state LIKE 'idle in transaction%%' AND now() - state_change > '30 s'"
    waiting = site.ask(f"SELECT count(*) FROM pg_stat_activity WHERE {idle}")[0][0]
    with capsys.disabled():
        print(
            f"\nkilled {moment}: {history.counts()}, {len(stored)} rows,"
            f" {sum(replayed)} replays, {waiting} idle in transaction over 30 s"
        )
    assert history.problems(stored) == []
    assert history.counts() == {"unknown": KILLS, "ok": KILLS}
    assert len(stored) == KILLS
    assert site.halves() == 0
    assert Counter(replayed) == {moment == "after-commit": KILLS}
    assert waiting == 0
    states = site.ask("SELECT state, count(*) FROM annotation_assignment GROUP BY 1")
    assert dict(states) == {"completed": KILLS}
