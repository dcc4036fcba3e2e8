"""What the whole agreement report costs beside psql's COPY of the same placements.

33,000 prompts with nine responses, three of forty labelers each: 99,000 rankings,
891,000 placements, 3.6 million comparisons, of which some are ties; tags, weeks and
versions of the instructions too. CPU time is that of this process and of all of
Postgres, from the kernel's books; for COPY it is psql's and Postgres'. Report and COPY
take turns, round by round, so that both meet the same machine.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from django.core.management import call_command
from django.db import connection

from annotation.models import Project
from ranking.dashboards import agreement_report
from ranking.filters import Filters
from tests.benchmarks.figures import Figure, table
from tests.benchmarks.processes import cpu_seconds, peak_mb
from tests.simulated_labelers import Labeler, Setting, simulate
from tests.stored_simulation import store

NAME = "report"
K, OVERLAP, LABELERS = 9, 3, 40
MOST_TIMES_COPY, MOST_MEMORY_MB = 5.0, 1_000
COPIES = 3  # a round: one is too short for the kernel's clock
COPY = "COPY ranking_placement TO STDOUT"
READ = "COPY (SELECT ranking_id, response_id, rank FROM ranking_placement) TO STDOUT"


def measure(prompts: int, rounds: int) -> None:
    """Build, measure, print; exits with 1 when a bar is missed."""
    call_command("migrate", verbosity=0)
    project = build(prompts)
    figures = _figures(project, rounds)
    print(table(figures), flush=True)
    sys.exit(any(figure.missed for figure in figures))


def build(prompts: int) -> Project:
    """A project of so many prompts, ranked three times each."""
    started = time.monotonic()
    setting = Setting(
        prompts=prompts,
        labelers=tuple(
            Labeler(name=f"labeler{n:02}", noise=0.6 + n / 100, tie_width=0.12)
            for n in range(LABELERS)
        ),
        overlap=OVERLAP,
        ks=(K,),
        contrasts=(0.3, 0.7, 1.0, 1.5),
        tags={"long": 0.5, "code": 0.2, "law": 0.1, "poems": 0.05},
        days_per_version=20,
    )
    project = Project.objects.create(slug=NAME, title="Report", overlap=OVERLAP)
    store(project, simulate(setting, seed=3), checked=False)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE)")
    print(f"built in {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    return project


@dataclass(frozen=True)
class Books:
    """Whose CPU time counts: Postgres' with all its children, and a client's."""

    postgres: int
    client: Callable[[], float]

    def cost(self, act: Callable[[], object], times: int = 1) -> tuple[float, float]:
        """CPU milliseconds of doing it once: client, Postgres."""
        before = self.client(), cpu_seconds(self.postgres)
        for _ in range(times):
            act()
        after = self.client(), cpu_seconds(self.postgres)
        client, postgres = (b - a for a, b in zip(before, after, strict=True))
        return client * 1_000 / times, postgres * 1_000 / times


def _figures(project: Project, rounds: int) -> list[Figure]:
    postgres = postmaster()
    own = Books(postgres, time.process_time)
    client = Books(postgres, ended_children)
    reports, copies, reads = [], [], []
    _report(project)  # what is made once by a process is not counted
    for _ in range(rounds):
        copies.append(client.cost(lambda: copy(COPY), COPIES))
        reads.append(client.cost(lambda: copy(READ), COPIES))
        reports.append(own.cost(lambda: _report(project)))
    return [
        _milliseconds("COPY of the placements", map(sum, copies)),
        _milliseconds("COPY of ranking, response and rank", map(sum, reads)),
        _milliseconds("the whole report", map(sum, reports)),
        _milliseconds("… of it Postgres", (postgres for _, postgres in reports)),
        _times("report : COPY", reports, copies, at_most=MOST_TIMES_COPY),
        _times("report : COPY of three columns", reports, reads),
        Figure(
            benchmark=NAME,
            what="memory of the process, at its peak",
            rounds=[peak_mb()],
            unit="MB",
            at_most=MOST_MEMORY_MB,
        ),
    ]


def _report(project: Project) -> None:
    found = agreement_report(project, Filters(pool="random"))
    assert found["strict"]["ci"] is not None


def copy(sql: str) -> None:
    """By psql to /dev/null, over the same socket."""
    subprocess.run(psql(sql), stdout=subprocess.DEVNULL, check=True)


def psql(sql: str) -> list[str]:
    """The command that runs a statement over the same socket."""
    place = connection.get_connection_params()
    who = ["-h", place["host"], "-U", place["user"], "-d", place["dbname"]]
    return [str(_psql()), "--no-psqlrc", "-q", *who, "-c", sql]


def _psql() -> Path:
    """The one beside the server that answers."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT setting FROM pg_config WHERE name = 'BINDIR'")
        return Path(cursor.fetchone()[0]) / "psql"


def postmaster() -> int:
    """The process whose descendants are all of Postgres."""
    with connection.cursor() as cursor:
        cursor.execute("SHOW data_directory")
        pid_file = Path(cursor.fetchone()[0]) / "postmaster.pid"
    return int(pid_file.read_text().splitlines()[0])


def ended_children() -> float:
    """CPU seconds of children that were waited for."""
    times = os.times()
    return times.children_user + times.children_system


def _milliseconds(what: str, rounds: Iterable[float]) -> Figure:
    return Figure(benchmark=NAME, what=f"CPU, {what}", rounds=[*rounds], unit="ms")


def _times(
    what: str,
    above: list[tuple[float, float]],
    below: list[tuple[float, float]],
    *,
    at_most: float | None = None,
) -> Figure:
    """Round by round, since both sides of a round share its conditions."""
    ratios = [sum(a) / sum(b) for a, b in zip(above, below, strict=True)]
    return Figure(
        benchmark=NAME, what=what, rounds=ratios, unit="times", at_most=at_most
    )
