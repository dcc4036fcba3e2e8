"""What exports cost: 33,000 prompts, nine responses, no ties: 1,188,000 pairs.

Prompts of 340 characters and responses of 680, each ranked once. CPU time is that of
this process and of all of Postgres, from the kernel's books; for COPY it is psql's and
Postgres'. Everything goes to /dev/null, and what takes turns round by round meets the
same machine. Hashing and fsync, which COPY does not do, stand on lines of their own.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from typing import Final

from django.core.management import call_command

from ranking.datasets import freeze
from ranking.export.choice import Choice
from ranking.export.folder import written
from ranking.export.formats import Sink
from ranking.export.reading import snapshot
from ranking.models import Dataset
from tests.benchmarks.alone import ROOT
from tests.benchmarks.figures import Figure, table
from tests.benchmarks.processes import peak_mb
from tests.benchmarks.ranked import ranked_project, tidy
from tests.benchmarks.reports import Books, copy, ended_children, postmaster, psql

NAME: Final = "exporting"
MOST_CPU_A_BYTE: Final = 0.5  # of COPY's, for JSONL: twice the bytes a CPU second
MOST_PARQUET_CPU: Final = 0.75  # of COPY's
MOST_PARQUET_BYTES: Final = 0.1  # of the JSONL's
MOST_MEMORY_MB: Final = 300
JSONL: Final = Choice(kind="pairs", format="jsonl")
PARQUET: Final = Choice(kind="pairs", format="parquet")

# The columns of the kind `pairs` but for the weights, which need a window.
PAIRS: Final = """
COPY (
    SELECT prompt.messages, chosen.text, rejected.text, prompt.external_id, ranking.id,
        assignment.labeler_id, chosen.external_id, rejected.external_id,
        below.rank - above.rank, fixed.split
    FROM ranking_datasetranking held
    JOIN ranking_ranking ranking ON ranking.id = held.ranking_id
    JOIN annotation_assignment assignment ON assignment.id = ranking.assignment_id
    JOIN annotation_prompt prompt ON prompt.id = assignment.prompt_id
    JOIN ranking_promptsplit fixed ON fixed.prompt_id = prompt.id
    JOIN ranking_placement above ON above.ranking_id = ranking.id
    JOIN ranking_placement below
        ON below.ranking_id = ranking.id AND below.rank > above.rank
    JOIN annotation_response chosen ON chosen.id = above.response_id
    JOIN annotation_response rejected ON rejected.id = below.response_id
    WHERE held.dataset_id = {dataset}
) TO STDOUT
"""


def measure(prompts: int, rounds: int) -> None:
    """Build, measure, print; exits with 1 when a bar is missed."""
    call_command("migrate", verbosity=0)
    dataset = build(prompts)
    figures = _figures(dataset, rounds)
    print(table(figures), flush=True)
    sys.exit(any(figure.missed for figure in figures))


def build(prompts: int) -> Dataset:
    """A frozen dataset of so many prompts, ranked once each without ties."""
    started = time.monotonic()
    dataset = freeze(ranked_project(NAME, prompts))
    tidy()
    print(f"built in {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    return dataset


# --- Measuring --------------------------------------------------------------------


class _Counted:
    """/dev/null, and how much went there."""

    def __init__(self) -> None:
        self.size = 0
        self.closed = False
        self._null = os.open(os.devnull, os.O_WRONLY)

    def write(self, data: bytes, /) -> int:
        self.size += len(data)
        return os.write(self._null, data)

    def flush(self) -> None:
        """Nothing is kept back."""


def _export(dataset: Dataset, choice: Choice, sink: Sink) -> None:
    with snapshot():
        for _ in written(dataset, choice, sink):
            pass


def _figures(dataset: Dataset, rounds: int) -> list[Figure]:
    postgres = postmaster()
    own, client = Books(postgres, time.process_time), Books(postgres, ended_children)
    sql = " ".join(PAIRS.format(dataset=dataset.pk).split())
    sizes = {"copy": _size_of_copy(sql)}
    costs: dict[str, list[float]] = {"copy": [], "jsonl": [], "parquet": []}
    for choice in (JSONL, PARQUET):  # what is made once by a process is not counted
        sink = _Counted()
        _export(dataset, choice, sink)
        sizes[choice.format] = sink.size
    for _ in range(rounds):
        costs["copy"].append(sum(client.cost(lambda: copy(sql))))
        for choice in (JSONL, PARQUET):
            export = partial(_export, dataset, choice, _Counted())
            costs[choice.format].append(sum(own.cost(export)))
    return [
        *_costs(costs, sizes),
        *_ratios(costs, sizes),
        *_beside(dataset),
        *(_memory(choice) for choice in (JSONL, PARQUET)),
    ]


def _costs(costs: dict[str, list[float]], sizes: dict[str, int]) -> Iterator[Figure]:
    for name, rounds in costs.items():
        yield Figure(benchmark=NAME, what=f"CPU, {name}", rounds=rounds, unit="ms")
        size = sizes[name] / 1e6
        yield Figure(benchmark=NAME, what=f"size, {name}", rounds=[size], unit="MB")
        speed = [size / (cost / 1_000) for cost in rounds]
        yield Figure(
            benchmark=NAME, what=f"bytes a CPU second, {name}", rounds=speed, unit="MB"
        )


def _ratios(costs: dict[str, list[float]], sizes: dict[str, int]) -> list[Figure]:
    bytes_of_both = sizes["copy"] / sizes["jsonl"]
    return [
        Figure(
            benchmark=NAME,
            what="CPU a byte, JSONL : COPY",
            rounds=[bytes_of_both * ratio for ratio in _over(costs, "jsonl")],
            unit="times",
            at_most=MOST_CPU_A_BYTE,
        ),
        Figure(
            benchmark=NAME,
            what="CPU, Parquet : COPY",
            rounds=_over(costs, "parquet"),
            unit="times",
            at_most=MOST_PARQUET_CPU,
        ),
        Figure(
            benchmark=NAME,
            what="bytes, Parquet : JSONL",
            rounds=[sizes["parquet"] / sizes["jsonl"]],
            unit="times",
            at_most=MOST_PARQUET_BYTES,
        ),
    ]


def _over(costs: dict[str, list[float]], name: str) -> list[float]:
    """Round by round, since both sides of a round share its conditions."""
    return [cost / copy for cost, copy in zip(costs[name], costs["copy"], strict=True)]


def _beside(dataset: Dataset) -> list[Figure]:
    """Hashing and fsync of the JSONL."""
    digest, spent = hashlib.sha256(), 0.0
    with tempfile.TemporaryFile(dir=os.environ["VAR_DIR"]) as file:

        class Hashed:
            def write(self, data: bytes, /) -> int:
                nonlocal spent
                started = time.process_time()
                digest.update(data)
                spent += time.process_time() - started
                return file.write(data)

        _export(dataset, JSONL, Hashed())
        file.flush()
        started = time.monotonic()
        os.fsync(file.fileno())
        waited = time.monotonic() - started
    return [
        Figure(
            benchmark=NAME,
            what="CPU, SHA-256 of the JSONL",
            rounds=[spent * 1_000],
            unit="ms",
        ),
        Figure(
            benchmark=NAME,
            what="time, fsync of the JSONL",
            rounds=[waited * 1_000],
            unit="ms",
        ),
    ]


def _memory(choice: Choice) -> Figure:
    """Of a process of its own, at its peak."""
    call = f"from tests.benchmarks import exports; exports.peak({choice.format!r})"
    command = [sys.executable, "manage.py", "shell", "--no-imports", "-c", call]
    printed = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE)
    return Figure(
        benchmark=NAME,
        what=f"memory of a process that writes {choice.format}, at its peak",
        rounds=[float(printed.stdout)],
        unit="MB",
        at_most=MOST_MEMORY_MB,
    )


def peak(format: str) -> None:
    """Export once, and print the most memory that this process had, in MB."""
    dataset = Dataset.objects.select_related("project").get()
    _export(dataset, Choice(kind="pairs", format=format), _Counted())
    print(peak_mb())


def _size_of_copy(sql: str) -> int:
    size = 0
    with subprocess.Popen(psql(sql), stdout=subprocess.PIPE) as client:
        assert client.stdout is not None
        while block := client.stdout.read(1 << 20):
            size += len(block)
    return size
