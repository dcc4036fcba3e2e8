"""`make bench` runs and reports. How fast anything is, no test says."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.benchmarks.figures import Figure, table
from tests.benchmarks.material import BYTES, K, prompt_lines
from tests.benchmarks.processes import cpu_seconds
from tests.benchmarks.statements import StatementLog

ROOT = Path(__file__).resolve().parent.parent


def figure(*rounds: float, at_most: float | None = None) -> Figure:
    return Figure(
        benchmark="b", what="w", rounds=rounds or (1.0,), unit="ms", at_most=at_most
    )


# --- Figures ----------------------------------------------------------------------


def test_a_figure_is_the_median_of_its_rounds() -> None:
    assert figure(9.0, 1.0, 2.0).value == 2.0


def test_a_figure_on_its_bar_has_met_it() -> None:
    assert figure(20.0, at_most=20.0).verdict == "met"
    assert figure(20.1, at_most=20.0).verdict == "MISSED"
    assert figure(10.0, 30.0, 40.0, at_most=20.0).missed


def test_a_bar_may_be_the_least_that_is_wanted() -> None:
    least = Figure(benchmark="b", what="w", rounds=[3.5], unit="times", at_least=3.5)
    assert (least.verdict, least.bar) == ("met", "≥ 3.5")
    assert replace(least, rounds=[3.4]).verdict == "MISSED"


def test_a_figure_without_a_bar_is_never_missed() -> None:
    assert not figure(1e9).missed
    assert figure(1e9).verdict == ""


def test_the_table_names_figure_rounds_bar_and_verdict() -> None:
    header, row = table([figure(14.04, 13.0, 15.25, at_most=20.0)]).splitlines()
    assert header.split() == ["benchmark", "figure", "median", "rounds", "bar"]
    assert row.split() == ["b", "w", "14.0", "ms", "13–15.2", "≤", "20", "met"]


# --- What is measured with --------------------------------------------------------


def test_a_prompt_and_its_nine_responses_have_the_size_that_is_claimed() -> None:
    for line in prompt_lines(3):
        fields = json.loads(line)
        texts = [fields["prompt"], *(one["text"] for one in fields["responses"])]
        assert len(texts) == K + 1 == len(set(texts))
        assert sum(len(text.encode()) for text in texts) == BYTES


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_cpu_time_counts_children_that_run_and_children_that_have_ended() -> None:
    before = cpu_seconds(os.getpid())
    burn = "x = sum(range(20_000_000)); "
    subprocess.run([sys.executable, "-c", burn], check=True)
    ended = cpu_seconds(os.getpid()) - before
    child = subprocess.Popen(
        [sys.executable, "-c", burn + "print(1, flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.stdout is not None
    child.stdout.readline()
    own, whole = cpu_seconds(child.pid), cpu_seconds(os.getpid()) - before
    child.communicate(b"\n")
    assert ended > 0
    assert own > 0
    assert whole >= ended + own


def test_statements_are_counted_whatever_stands_in_them(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("2026-11-21 12:00:00.000 UTC [7] LOG:  statement: BEGIN\n")

    def act(lines: str) -> None:
        with log.open("a") as end:
            end.write(lines)

    statements = StatementLog(log)
    prefix = "2026-11-21 12:00:00.001 UTC [7] "
    statements.during(
        "page",
        act,
        f"{prefix}LOG:  execute <unnamed>: SELECT $1\n"
        f"{prefix}DETAIL:  Parameters: $1 = 'LOG:  statement: BEGIN'\n"
        f"{prefix}LOG:  statement: SELECT\n\t'LOG:  statement: 2'\n",
    )
    statements.during("page", act, "")
    assert statements.most("page") == 2


# --- The whole --------------------------------------------------------------------


def bench(*arguments: str) -> "subprocess.CompletedProcess[str]":
    outside = {"DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE", "VAR_DIR"}
    return subprocess.run(
        [sys.executable, "-m", "tests.benchmarks", *arguments],
        cwd=ROOT,
        env={key: value for key, value in os.environ.items() if key not in outside},
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_unknown_benchmark_is_wrong_usage() -> None:
    done = bench("no_such_benchmark")
    assert done.returncode == 2
    assert "there is no benchmark no_such_benchmark" in done.stderr
