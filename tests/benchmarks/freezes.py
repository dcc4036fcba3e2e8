"""What a freeze costs: 33,000 prompts with nine responses, ranked once each.

A freeze chooses rankings, places new prompts in splits with their near-duplicates
(MinHash), reads every text to hash it, and writes one row for each ranking. Beside it
stand a plain INSERT … SELECT of these rows, which knows nothing of what they hold, and
psql's COPY of the texts. Each freeze is undone, so the next one meets new prompts, too.
CPU time is that of this process and of all of Postgres.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final
from unittest.mock import patch

from django.core.management import call_command
from django.db import connection, transaction

from annotation.models import Project
from ranking import datasets
from ranking.fixed_splits import fix_splits
from ranking.models import Dataset
from tests.benchmarks.alone import ROOT
from tests.benchmarks.figures import Figure, table
from tests.benchmarks.freezing import NAME
from tests.benchmarks.processes import peak_mb
from tests.benchmarks.ranked import ranked_project, tidy
from tests.benchmarks.reports import Books, copy, ended_children, postmaster

INSERT: Final = """
INSERT INTO ranking_datasetranking (dataset_id, ranking_id)
SELECT %s, id FROM ranking_ranking WHERE project_id = %s"""
TEXTS: Final = """
COPY (SELECT prompt.messages, response.text FROM annotation_prompt prompt
JOIN annotation_response response ON response.prompt_id = prompt.id) TO STDOUT"""


def measure(prompts: int, rounds: int) -> None:
    """Build, measure, print."""
    call_command("migrate", verbosity=0)
    started = time.monotonic()
    project = ranked_project(NAME, prompts)
    tidy()
    print(f"built in {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    print(table(_figures(project, rounds)), flush=True)


@dataclass
class _Costs:
    """Of each round; CPU in milliseconds, `seconds` on the clock."""

    freeze: list[float] = field(default_factory=list)
    splitting: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    statements: list[float] = field(default_factory=list)
    insert: list[float] = field(default_factory=list)
    texts: list[float] = field(default_factory=list)


def _figures(project: Project, rounds: int) -> list[Figure]:
    postgres = postmaster()
    own, client = Books(postgres, time.process_time), Books(postgres, ended_children)
    costs = _Costs()
    rankings = 0
    for _ in range(rounds):
        rankings = _freeze(project, own, costs)
        costs.insert.append(_undone(own, partial(_insert, project, rankings)))
        costs.texts.append(sum(client.cost(lambda: copy(" ".join(TEXTS.split())))))
        tidy()  # what was undone is still in the tables
    return [*_own(costs, rankings), *_beside(costs), _memory()]


def _freeze(project: Project, own: Books, costs: _Costs) -> int:
    """Freeze once, and undo it; how many rankings the dataset held."""
    held = 0

    def splitting(prompts: Sequence[int]) -> set[int]:
        left_out: set[int] = set()
        spent = own.cost(lambda: left_out.update(fix_splits(prompts)))
        costs.splitting.append(sum(spent))
        return left_out

    def freeze() -> None:
        nonlocal held
        held = datasets.freeze(project).counts["rankings"]

    with patch.object(datasets, "fix_splits", splitting), _counted() as statements:
        started = time.monotonic()
        costs.freeze.append(_undone(own, freeze))
        costs.seconds.append(time.monotonic() - started)
    costs.statements.append(len(statements))
    return held


def _undone(own: Books, act: Callable[[], object]) -> float:
    with transaction.atomic():
        spent = sum(own.cost(act))
        transaction.set_rollback(True)
    return spent


@contextmanager
def _counted() -> Iterator[list[str]]:
    """The statements that are sent meanwhile; not the rows of COPY, nor fetches."""
    sent: list[str] = []

    def note(execute: Any, sql: str, *rest: Any) -> Any:
        sent.append(sql)
        return execute(sql, *rest)

    with connection.execute_wrapper(note):
        yield sent


def _insert(project: Project, rankings: int) -> None:
    dataset = Dataset.objects.create(
        project=project,
        name="ds-0",
        content_sha256="0",
        filters={},
        counts={"rankings": rankings},  # a trigger lets so many in
    )
    with connection.cursor() as cursor:
        cursor.execute(INSERT, [dataset.pk, project.pk])


def _own(costs: _Costs, rankings: int) -> Iterator[Figure]:
    rest = [all - some for all, some in zip(costs.freeze, costs.splitting, strict=True)]
    shown = {
        "CPU, a freeze of new prompts": (costs.freeze, "ms"),
        "CPU, near-duplicates and splits of them": (costs.splitting, "ms"),
        "CPU, all the rest": (rest, "ms"),
        "time of a freeze": (costs.seconds, "s"),
        "rankings a second": ([rankings / one for one in costs.seconds], ""),
        "statements": (costs.statements, ""),
    }
    for what, (rounds, unit) in shown.items():
        yield Figure(benchmark=NAME, what=what, rounds=rounds, unit=unit)


def _beside(costs: _Costs) -> Iterator[Figure]:
    shown = {
        "CPU, INSERT … SELECT of its rows": costs.insert,
        "CPU, COPY of its texts": costs.texts,
    }
    for what, rounds in shown.items():
        yield Figure(benchmark=NAME, what=what, rounds=rounds, unit="ms")
        name = what.removeprefix("CPU, ")
        ratios = [one / other for one, other in zip(costs.freeze, rounds, strict=True)]
        yield Figure(
            benchmark=NAME, what=f"CPU, freeze : {name}", rounds=ratios, unit="times"
        )


def _memory() -> Figure:
    """Of a process of its own, at its peak."""
    call = "from tests.benchmarks import freezes; freezes.peak()"
    command = [sys.executable, "manage.py", "shell", "--no-imports", "-c", call]
    printed = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE)
    return Figure(
        benchmark=NAME,
        what="memory of a process that freezes, at its peak",
        rounds=[float(printed.stdout)],
        unit="MB",
    )


def peak() -> None:
    """Freeze once, and print the most memory that this process had, in MB."""
    datasets.freeze(Project.objects.get())
    print(peak_mb())
