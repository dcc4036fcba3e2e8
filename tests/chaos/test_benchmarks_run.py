"""Every benchmark runs to its end on a few of each, and leaves nothing behind.

How fast anything is, no test says: a bar that is missed is printed, not failed.
"""

import sys

import pytest

from tests.test_benchmarks import ROOT, bench


@pytest.mark.parametrize(
    ("name", "figures"),
    [
        ("cycle", ["SQL statements, submit", "CPU, a draft", "cycle : SELECT 1"]),
        ("first_key", ["the script it runs", "first key"]),
        ("claiming", ["a newcomer", "who has done everything"]),
        ("consensus", ["Kemeny : choix", "Kemeny : all weak orders"]),
        ("dashboards", ["statements, /p/report/dashboard/", "CPU, /p/report"]),
        ("report", ["CPU, the whole report", "report : COPY", "at its peak"]),
        ("exporting", ["CPU a byte, JSONL : COPY", "CPU, SHA-256", "parquet, at its"]),
        ("freezing", ["splits of them", "freeze : INSERT … SELECT", "at its peak"]),
        ("importing", ["json.loads alone", "gzipped", "memory, at its peak"]),
    ],
)
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_each_benchmark_reports_its_figures_and_leaves_nothing(
    name: str, figures: list[str]
) -> None:
    before = set((ROOT / "var").glob("*-*"))
    done = bench("--small", name)
    assert done.returncode in (0, 1), done.stderr
    assert ("MISSED" in done.stdout) == (done.returncode == 1), done.stdout
    for figure in figures:
        assert figure in done.stdout, done.stderr
    assert set((ROOT / "var").glob("*-*")) <= before
