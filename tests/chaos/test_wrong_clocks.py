"""F23: web processes whose clocks are two hours wrong, both ways, on one database."""

import random
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.faults.history import History
from tests.faults.labeler import LETTERS, Labeler
from tests.faults.site import Site

HOURS = 2
LEASE_MINUTES = 30


@pytest.fixture
def sites(tmp_path: Path) -> Iterator[list[Site]]:
    """The same installation served by a process ahead and by one behind."""
    running = [Site(tmp_path / "var", "tests.faults.shifted_wsgi") for _ in range(2)]
    for site, sign in zip(running, (1, -1), strict=True):
        site.environment["CLOCK_IS_AHEAD_BY"] = str(sign * HOURS * 3600)
    try:
        yield running
    finally:
        for site in running:
            site.stop()


def minutes_left(site: Site) -> list[float]:
    query = """SELECT extract(epoch FROM lease_until - now()) / 60
               FROM annotation_assignment WHERE state = 'claimed'"""
    return [float(minutes) for (minutes,) in site.ask(query)]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("first", [0, 1], ids=["ahead first", "behind first"])
def test_no_lease_ends_early_or_never_and_every_time_is_the_databases(
    sites: list[Site], first: int
) -> None:
    sessions = sites[0].prepare(labelers=2, prompts=1)
    for site in sites:
        site.start()
    history = History()
    holder = Labeler(sites[first].port, sessions[0], history)
    other = Labeler(sites[1 - first].port, sessions[1], history)

    token = holder.claim()
    assert token is not None
    [left] = minutes_left(sites[0])
    assert LEASE_MINUTES - 1 < left <= LEASE_MINUTES
    assert other.claim() is None, "the lease ended early"

    # Renewed by the other process: the database's time again.
    there = Labeler(sites[1 - first].port, sessions[0], history)
    assert there.post(f"/p/faults/rank/{token}/renew/", {}).status == 200
    [left] = minutes_left(sites[0])
    assert LEASE_MINUTES - 1 < left <= LEASE_MINUTES
    assert other.claim() is None, "the renewed lease ended early"

    sites[0].ask(
        "UPDATE annotation_assignment SET lease_until = now() - interval '1 second'"
        " WHERE state = 'claimed' RETURNING id"
    )
    taken = other.claim()
    assert taken is not None, "the lease never ended"
    ranks = dict.fromkeys(LETTERS, 1)
    assert other.submit(taken, ranks, uuid4()).status == 201
    late = holder.submit(token, ranks, uuid4())
    assert late.status == 201
    assert '"surplus"' in late.body
    assert history.problems(sites[0].stored()) == []
    assert times_off(sites[0]) == []


def times_off(site: Site) -> list[str]:
    """Columns in which a time of the last ten minutes stands that was not then."""
    return [
        f"{table}.{column}"
        for table, column in (
            ("ranking_ranking", "submitted_at"),
            ("ranking_ranking", "stored_at"),
            ("annotation_assignment", "claimed_at"),
            ("annotation_assignment", "closed_at"),
            ("annotation_assignment", "shown_at"),
            ("annotation_membership", "qualification_decided_at"),
        )
        if site.ask(
            f"SELECT 1 FROM {table} WHERE abs(extract(epoch FROM now() - {column}))"
            " > 600 LIMIT 1"
        )
    ]


@pytest.mark.timeout(900)
def test_ranking_goes_on_under_either_clock(sites: list[Site]) -> None:
    sessions = sites[0].prepare(labelers=2, prompts=6)
    for site in sites:
        site.start()
    history, rng = History(), random.Random(0)
    for site, session in zip(sites, sessions, strict=True):
        labeler = Labeler(site.port, session, history)
        for _ in range(3):
            answer = labeler.rank_one(rng)
            assert answer is not None
            assert answer.status == 201
    assert history.problems(sites[0].stored()) == []
    assert times_off(sites[0]) == []
