"""What one label costs: the page with its claim, and the submission.

CPU time is that of one web process and all of Postgres, per cycle, from the kernel's
books. The prompts' Markdown was made HTML before, as a worker does after an import:
what that costs has a line of its own, and is in none of the others.

The same labeler works through two web processes in turn, one that keeps its connection
and one that opens a new one for every request, beside bare `SELECT 1` round trips, so
that the figure can be compared with one from another machine.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import psycopg

from tests.benchmarks.figures import Figure
from tests.benchmarks.labeler import Labeler
from tests.benchmarks.material import prompt_lines
from tests.benchmarks.processes import cpu_seconds
from tests.benchmarks.site import Site, fresh_site
from tests.benchmarks.statements import StatementLog

NAME = "cycle"
MOST_CPU_MS = 20.0
MOST_STATEMENTS = {"page": 8, "submit": 12}
Act = Callable[[Labeler, int], None]
WARM_UP = 3  # cycles of each web process, before the first round


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is measured."""

    rounds: int = 5
    cycles: int = 60  # a round and web process
    logged: int = 10  # cycles whose statements are counted
    trips: int = 3_000  # `SELECT 1` a round

    @property
    def prompts(self) -> int:
        """How many are used up: each is ranked once, by the same labeler."""
        return (
            2 * self.rounds * self.cycles
            + 3 * WARM_UP
            + 2 * self.logged
            + 2 * self.rounds
            + 2
        )


def measure(size: Size) -> list[Figure]:
    """All figures of a label, on a site of its own."""
    with fresh_site() as site:
        session = site.seed(prompt_lines(size.prompts))
        rendering = _milliseconds(
            "Markdown of a prompt, once, in a worker", [site.render_ahead()]
        )
        statements = _statements(site, session, size.logged)
        return [*statements, *_costs(site, session, size), rendering]


# --- Statements -------------------------------------------------------------------


def _statements(site: Site, session: str, cycles: int) -> list[Figure]:
    labeler = Labeler(site.web_that_logs_statements(), session)
    work(labeler, WARM_UP)
    log = StatementLog(site.postgres_log)
    for _ in range(cycles):
        page = log.during("page", Labeler.claim, labeler)
        log.during("draft", lambda page: labeler.save(page, 0), page)
        log.during("heartbeat", labeler.show, page)
        ahead = log.during("prefetch", Labeler.prefetch, labeler)
        log.during("page set aside", labeler.open, ahead)
        log.during("submit", labeler.submit, page)
    return [
        Figure(
            benchmark=NAME,
            what=f"SQL statements, {what}",
            rounds=[log.most(what)],
            unit="",
            at_most=MOST_STATEMENTS.get(what),
        )
        for what in log.seen
    ]


# --- CPU --------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Contender:
    """Something whose cost is measured, a number of times in every round."""

    what: str
    times: int
    act: Callable[[int], None]
    own: Callable[
        [], float
    ]  # CPU seconds of the process that does it, without Postgres

    def cost(self, postgres: int) -> tuple[float, float]:
        """CPU milliseconds of one, over a round: all of it, and Postgres' part."""
        own, postgres_own = self.own(), cpu_seconds(postgres)
        self.act(self.times)
        postgres_own = (cpu_seconds(postgres) - postgres_own) * 1_000 / self.times
        own = (self.own() - own) * 1_000 / self.times
        return own + postgres_own, postgres_own


def _costs(site: Site, session: str, size: Size) -> list[Figure]:
    contenders = [*_labeling(site, session, size), *_bare(site, size)]
    postgres = site.postgres_pid
    rounds = [[one.cost(postgres) for one in contenders] for _ in range(size.rounds)]
    columns = list(zip(*rounds, strict=True))
    figures = [
        _milliseconds(one.what, [cost for cost, _ in column])
        for one, column in zip(contenders, columns, strict=True)
    ]
    kept, fresh, *_, trip, connect, _ = figures
    return [
        replace(kept, at_most=MOST_CPU_MS),
        _milliseconds("… of it Postgres", [part for _, part in columns[0]]),
        *figures[1:],
        _ratio("cycle : SELECT 1", kept, trip),
        _ratio("cycle : SELECT 1, new connections", fresh, connect),
    ]


def _labeling(site: Site, session: str, size: Size) -> list[Contender]:
    webs = site.web("kept"), site.web("fresh", CONN_MAX_AGE="0")
    kept, fresh = (Labeler(web, session) for web in webs)
    for labeler in (kept, fresh):
        work(labeler, WARM_UP)

    def contender(what: str, labeler: Labeler, act: Act) -> Contender:
        return Contender(
            what=what,
            times=size.cycles,
            act=lambda times: act(labeler, times),
            own=lambda: cpu_seconds(labeler.web.process.pid),
        )

    return [
        contender("a cycle", kept, work),
        contender("a cycle, a new connection per request", fresh, work),
        contender("a heartbeat", kept, _show),
        contender("a draft", kept, _save),
        contender("the page ahead, set aside and loaded", kept, _look_ahead),
    ]


def _bare(site: Site, size: Size) -> list[Contender]:
    def connecting(times: int) -> None:
        for _ in range(times):
            _select_one(site, 1)

    def contender(what: str, times: int, act: Callable[[int], None]) -> Contender:
        return Contender(what=what, times=times, act=act, own=time.process_time)

    return [
        contender("SELECT 1", size.trips, lambda times: _select_one(site, times)),
        contender("SELECT 1, a new connection each", size.cycles, connecting),
        contender("1,000,000 additions in Python", 1, _add),
    ]


def work(labeler: Labeler, cycles: int) -> None:
    """Rank so many prompts: the page with its claim, then the submission."""
    for _ in range(cycles):
        labeler.submit(labeler.claim())


def _show(labeler: Labeler, times: int) -> None:
    page = labeler.claim()
    for _ in range(times):
        labeler.show(page)


def _save(labeler: Labeler, times: int) -> None:
    page = labeler.claim()
    for rev in range(times):
        labeler.save(page, rev)
    labeler.submit(page)  # the next round begins without a draft


def _look_ahead(labeler: Labeler, times: int) -> None:
    labeler.claim()
    for _ in range(times):
        labeler.open(labeler.prefetch())


def _select_one(site: Site, times: int) -> None:
    """Round trips over the unix socket, by psycopg, on one connection."""
    with psycopg.connect(site.dsn, autocommit=True) as connection:
        for _ in range(times):
            connection.execute("SELECT 1").fetchone()


def _add(times: int) -> None:
    """How fast this machine is just now: 30 to 50 ms on one that is not busy."""
    total = 0
    for number in range(times * 1_000_000):
        total += number


def _milliseconds(what: str, rounds: list[float]) -> Figure:
    return Figure(benchmark=NAME, what=f"CPU, {what}", rounds=rounds, unit="ms")


def _ratio(what: str, above: Figure, below: Figure) -> Figure:
    """Round by round, since both sides of a round share its conditions."""
    ratios = [a / b for a, b in zip(above.rounds, below.rounds, strict=True)]
    return Figure(benchmark=NAME, what=what, rounds=ratios, unit="times")
