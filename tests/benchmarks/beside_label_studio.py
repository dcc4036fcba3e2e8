"""What one label costs here and in Label Studio, in turns, on one Postgres server.

The bar is the promise of 20 ms beside the 101 ms that Label Studio took where it was
made; as a ratio it holds on any machine, busy or not.
"""

from dataclasses import dataclass

from tests.benchmarks.cycle import NAME as CYCLE
from tests.benchmarks.cycle import Contender, work
from tests.benchmarks.figures import Figure
from tests.benchmarks.label_studio import LabelStudio, running, seed
from tests.benchmarks.labeler import Labeler
from tests.benchmarks.material import prompt_lines
from tests.benchmarks.processes import cpu_seconds
from tests.benchmarks.site import Site, fresh_site
from tests.benchmarks.statements import StatementLog

NAME = "label_studio"
MOST_OF_THEIRS = 20 / 101
WARM_UP = 5


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is measured."""

    rounds: int = 5
    cycles: int = 40  # a round, of each
    logged: int = 5

    @property
    def prompts(self) -> int:
        """How many the one who needs most uses up."""
        return 2 * (self.rounds * self.cycles + WARM_UP) + self.logged + WARM_UP


def measure(size: Size) -> list[Figure]:
    """The figures of both, on a site of their own."""
    with fresh_site() as site:
        session = site.seed(prompt_lines(size.prompts))
        site.render_ahead()
        project = seed(site, prompt_lines(size.prompts))
        statements = _statements(site, project, size.logged)
        with running(site) as studio:
            return [*_costs(site, session, (studio, project), size), *statements]


def _statements(site: Site, project: int, cycles: int) -> list[Figure]:
    """How many SQL statements Label Studio takes. Ours: see `cycle`."""
    with running(site, logging=True) as studio:
        _annotate(studio, project, WARM_UP)
        log = StatementLog(site.postgres_log)
        for _ in range(cycles):
            task = log.during("next task", studio.next_task, project)
            log.during("annotation", lambda it: studio.annotate(project, it), task)
    return [
        Figure(
            benchmark=NAME,
            what=f"SQL statements, Label Studio's {what}",
            rounds=[log.most(what)],
            unit="",
        )
        for what in log.seen
    ]


def _costs(
    site: Site, session: str, theirs: tuple[LabelStudio, int], size: Size
) -> list[Figure]:
    studio, project = theirs
    kept, fresh = (
        Labeler(web, session)
        for web in (site.web("kept"), site.web("fresh", CONN_MAX_AGE="0"))
    )
    for labeler in (kept, fresh):
        work(labeler, WARM_UP)
    _annotate(studio, project, WARM_UP)
    contenders = [
        _ours("a cycle here", kept, size.cycles),
        _ours("a cycle here, a new connection per request", fresh, size.cycles),
        Contender(
            what="a cycle of Label Studio 1.23",
            times=size.cycles,
            act=lambda times: _annotate(studio, project, times),
            own=lambda: cpu_seconds(studio.process.pid),
        ),
    ]
    rounds = [
        [one.cost(site.postgres_pid)[0] for one in contenders]
        for _ in range(size.rounds)
    ]
    columns = list(zip(*rounds, strict=True))
    ours, ours_fresh, their = columns
    return [
        *(
            Figure(benchmark=NAME, what=f"CPU, {one.what}", rounds=column, unit="ms")
            for one, column in zip(contenders, columns, strict=True)
        ),
        _ratio(f"{CYCLE} : Label Studio's", ours, their, at_most=MOST_OF_THEIRS),
        _ratio("the same, a new connection per request", ours_fresh, their),
    ]


def _ours(what: str, labeler: Labeler, cycles: int) -> Contender:
    return Contender(
        what=what,
        times=cycles,
        act=lambda times: work(labeler, times),
        own=lambda: cpu_seconds(labeler.web.process.pid),
    )


def _annotate(studio: LabelStudio, project: int, times: int) -> None:
    for _ in range(times):
        studio.annotate(project, studio.next_task(project))


def _ratio(
    what: str,
    above: tuple[float, ...],
    below: tuple[float, ...],
    at_most: float | None = None,
) -> Figure:
    ratios = [a / b for a, b in zip(above, below, strict=True)]
    return Figure(
        benchmark=NAME, what=what, rounds=ratios, unit="times", at_most=at_most
    )
