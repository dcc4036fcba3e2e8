"""What an import costs: CPU of this process, of Postgres, and memory.

Prompts with nine responses, 7.9 kB each, from a file: strictly read, checked, hashed
and stored with their slots. Beside it stands a bare `json.loads` of the same lines,
which checks nothing and stores nothing: it is the least that any importer in Python
pays. CPU time is that of this process and of all of Postgres, from the kernel's books.
"""

import gzip
import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

from django.conf import settings
from django.core.management import call_command

from annotation.imports import import_prompts
from annotation.models import Project
from tests.benchmarks.figures import Figure, table
from tests.benchmarks.importing import NAME
from tests.benchmarks.material import prompt_lines
from tests.benchmarks.processes import peak_mb
from tests.benchmarks.reports import Books, postmaster

DIFFERENT: Final = 1_000  # lines whose texts differ; they come again with other ids
PROMPTS_A_SECOND: Final = 5_000
# Of a machine on which the bar in milliseconds is meant: see docs/benchmarks.md.
MILLISECONDS_OF_ADDITIONS: Final = 40
MOST_MEMORY_MB: Final = 300
ADDITIONS: Final = 1_000_000


def measure(prompts: int, rounds: int) -> None:
    """Build the file, import it, print; exits with 1 when a bar is missed."""
    call_command("migrate", verbosity=0)
    file = Path(settings.VAR_DIR) / "prompts.jsonl"
    write_lines(file, prompts)
    packed = file.with_suffix(".jsonl.gz")
    with file.open("rb") as plain, gzip.open(packed, "wb", compresslevel=1) as out:
        shutil.copyfileobj(plain, out)
    figures = list(Measured(file, packed, prompts).figures(rounds))
    print(table(figures), flush=True)
    sys.exit(any(figure.missed for figure in figures))


def write_lines(file: Path, prompts: int) -> None:
    """So many lines with ids of their own."""
    lines = [line.encode() for line in prompt_lines(min(prompts, DIFFERENT))]
    with file.open("wb") as out:
        for number in range(prompts):
            line = lines[number % len(lines)]
            out.write(line.replace(b'"id": "b', b'"id": "%d-b' % number, 1) + b"\n")


class Measured:
    """The same file, plain and packed, imported into one project after the other."""

    def __init__(self, file: Path, packed: Path, prompts: int) -> None:
        self._file, self._packed, self._prompts = file, packed, prompts
        self._books = Books(postmaster(), time.process_time)

    def figures(self, rounds: int) -> Iterator[Figure]:
        """CPU milliseconds for a thousand prompts, and what follows from them."""
        self._import(self._new(), self._packed)  # what is made once is not counted
        before = peak_mb()
        additions, bare, new, again, packed = ([] for _ in range(5))
        for _ in range(rounds):
            additions.append(self._books.cost(_add)[0])
            bare.append(self._cost(self._read_bare)[0])
            new.append(self._cost(partial(self._import, self._new())))
            again.append(self._cost(partial(self._import, self._last, new=0)))
            packed.append(self._cost(partial(self._import, self._new(), self._packed)))
        ours = [client for client, _ in new]
        slowness = max(1.0, min(additions) / MILLISECONDS_OF_ADDITIONS)
        yield _figure("1,000,000 additions in Python", additions, "ms")
        yield _figure("CPU for 1,000 prompts, json.loads alone", bare, "ms")
        yield _figure("… the import", ours, "ms")
        yield _figure("… its Postgres", [postgres for _, postgres in new], "ms")
        yield _figure("… the import, gzipped", [client for client, _ in packed], "ms")
        yield _figure("… the same file again", [client for client, _ in again], "ms")
        yield _figure("… its Postgres", [postgres for _, postgres in again], "ms")
        yield _figure(
            "import : json.loads alone",
            [a / b for a, b in zip(ours, bare, strict=True)],
            "times",
        )
        yield _figure(
            "prompts a second of the importer's CPU",
            [1e6 / cost for cost in ours],
            "",
        )
        yield _figure(
            f"the same, short of {PROMPTS_A_SECOND:,} on a machine that adds in"
            f" {MILLISECONDS_OF_ADDITIONS} ms",
            [PROMPTS_A_SECOND * cost / 1e6 / slowness for cost in ours],
            "times",
            at_most=1,
        )
        after = peak_mb()
        yield _figure("memory, at its peak", [after], "MB", at_most=MOST_MEMORY_MB)
        yield _figure("… grown since the first import", [after - before], "MB")

    def _cost(self, act: Callable[[], object]) -> tuple[float, float]:
        """CPU milliseconds for a thousand prompts: here, in Postgres."""
        client, postgres = self._books.cost(act)
        return client / self._prompts * 1_000, postgres / self._prompts * 1_000

    def _new(self) -> Project:
        slug = f"{NAME}{Project.objects.count()}"
        self._last = Project.objects.create(slug=slug, title="Import")
        return self._last

    def _import(
        self,
        project: Project,
        file: Path | None = None,
        *,
        new: int | None = None,
    ) -> None:
        with (file or self._file).open("rb") as lines:
            report = import_prompts(project, lines)
        wanted = self._prompts if new is None else new
        assert (report.imported, report.refused) == (wanted, 0)

    def _read_bare(self) -> None:
        with self._file.open("rb") as lines:
            for line in lines:
                json.loads(line)


def _add() -> None:
    total = 0
    for number in range(ADDITIONS):
        total += number


def _figure(
    what: str, rounds: list[float], unit: str, *, at_most: float | None = None
) -> Figure:
    return Figure(benchmark=NAME, what=what, rounds=rounds, unit=unit, at_most=at_most)
