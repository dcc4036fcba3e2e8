"""Rankings made elsewhere keep their order, their labeler and their time."""

import io
import json
import threading
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from annotation.import_report import ImportReport
from annotation.importing import ImportMode
from annotation.imports import import_prompts
from annotation.models import Assignment, Membership, Project, Prompt, Role
from ranking.filters import Filters, rankings_that_count
from ranking.imports import import_rankings
from ranking.models import Placement, Ranking
from tests.conftest import make_prompt
from tests.pandalm import pandalm_files, ranking_rows, records, write_rows

pytestmark = pytest.mark.django_db
RANKS = {"r1": 2, "r2": 5, "r3": 2, "r4": 9}


@pytest.fixture
def prompt(project: Project) -> Prompt:
    return make_prompt(project)


def row(**fields: Any) -> dict[str, Any]:
    return {"prompt_id": "p1", "labeler": "vera", "ranks": RANKS} | fields


def imported(
    project: Project, *rows: dict[str, Any] | bytes, mode: ImportMode = ImportMode.WHOLE
) -> ImportReport:
    lines = [
        line if isinstance(line, bytes) else json.dumps(line).encode() for line in rows
    ]
    file = io.BytesIO(b"".join(line + b"\n" for line in lines))
    return import_rankings(project, file, mode=mode)


def counts(report: ImportReport) -> tuple[int, int, int, int]:
    return report.lines, report.imported, report.unchanged, report.refused


def codes(report: ImportReport) -> list[tuple[int, str, str]]:
    return [(p.line, p.level, p.code) for p in report.problems]


def test_a_ranking_comes_with_a_completed_assignment_of_its_own(
    project: Project, prompt: Prompt
) -> None:
    report = imported(
        project,
        row(id="k1", seconds=42.5, submitted_at="2026-03-01T10:00:00+02:00"),
    )
    assert counts(report) == (1, 1, 0, 0)
    ranking = Ranking.objects.select_related("assignment__labeler").get()
    assert (ranking.status, ranking.external_id) == ("counted", "k1")
    assert ranking.active_seconds == 42.5
    assert ranking.submitted_at == datetime(2026, 3, 1, 8, tzinfo=UTC)
    assignment = ranking.assignment
    assert (assignment.state, assignment.source) == ("completed", "imported")
    assert (assignment.pool, assignment.repeat) == ("random", 0)
    assert assignment.display_order is None
    labeler = assignment.labeler
    assert labeler is not None
    assert (labeler.name, labeler.user, labeler.role) == ("vera", None, Role.LABELER)
    open_slots = Assignment.objects.filter(prompt=prompt, state="open")
    assert open_slots.count() == project.overlap
    assert rankings_that_count(project, Filters(pool="random")).get() == ranking


def test_ranks_become_dense_and_the_raw_ones_are_kept(
    project: Project, prompt: Prompt
) -> None:
    imported(project, row(ranks={"r1": -3, "r2": 0, "r3": -3, "r4": 1_000_000_000}))
    placed = Placement.objects.order_by("response__external_id").values_list(
        "response__external_id", "rank", "raw_rank"
    )
    assert list(placed) == [
        ("r1", 1, -3),
        ("r2", 2, 0),
        ("r3", 1, -3),
        ("r4", 3, 1_000_000_000),
    ]


def test_a_ranking_without_a_time_gets_the_database_s(
    project: Project, prompt: Prompt
) -> None:
    imported(project, row())
    ranking = Ranking.objects.get()
    assert ranking.submitted_at == ranking.stored_at


@pytest.mark.parametrize("key", [{}, {"id": "k1"}])
def test_the_same_order_under_a_known_key_is_unchanged(
    project: Project, prompt: Prompt, key: dict[str, str]
) -> None:
    imported(project, row(**key))
    doubled = {response: 2 * rank + 3 for response, rank in RANKS.items()}
    again = imported(project, row(**key, ranks=doubled))
    assert counts(again) == (1, 0, 1, 0)
    assert Ranking.objects.count() == 1


@pytest.mark.parametrize(
    ("key", "change"),
    [
        ({}, {"ranks": RANKS | {"r4": 1}}),
        ({"id": "k1"}, {"ranks": RANKS | {"r4": 1}}),
        ({"id": "k1"}, {"labeler": "other"}),
        ({"id": "k1"}, {"prompt_id": "p2"}),
    ],
)
def test_something_else_under_a_known_key_is_a_conflict(
    project: Project, prompt: Prompt, key: dict[str, str], change: dict[str, Any]
) -> None:
    make_prompt(project, "p2")
    imported(project, row(**key))
    report = imported(project, row(**key) | change, row(labeler="new"))
    assert codes(report) == [(1, "error", "conflict")]
    assert Ranking.objects.count() == 1


def test_a_labeler_s_second_ranking_of_a_prompt_is_a_repeat_that_does_not_count(
    project: Project, prompt: Prompt
) -> None:
    other = {"r1": 4, "r2": 3, "r3": 2, "r4": 1}
    imported(project, row(id="a"), row(id="b", ranks=other))
    imported(project, row(id="c"))
    repeats = Ranking.objects.order_by("external_id").values_list(
        "external_id", "assignment__repeat"
    )
    assert list(repeats) == [("a", 0), ("b", 1), ("c", 2)]
    assert rankings_that_count(project, Filters()).get().external_id == "a"


OTHER_ORDER = {"r1": 4, "r2": 3, "r3": 2, "r4": 1}
WITH_ID, WITHOUT = row(id="a"), row(ranks=OTHER_ORDER)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ([[WITH_ID, WITHOUT]], [("a", 0), (None, 1)]),
        ([[WITHOUT, WITH_ID]], [(None, 0), ("a", 1)]),
        ([[WITH_ID], [WITHOUT]], [("a", 0), (None, 1)]),
        ([[WITHOUT], [WITH_ID]], [(None, 0), ("a", 1)]),
    ],
)
def test_a_line_with_an_id_and_one_without_are_two_rankings(
    project: Project,
    prompt: Prompt,
    files: list[list[dict[str, Any]]],
    expected: list[tuple[str | None, int]],
) -> None:
    for lines in files:
        assert imported(project, *lines).imported == len(lines)
    stored = Ranking.objects.order_by("assignment__repeat").values_list(
        "external_id", "assignment__repeat"
    )
    assert list(stored) == expected
    assert counts(imported(project, WITH_ID, WITHOUT)) == (2, 0, 2, 0)
    assert codes(imported(project, row())) == [(1, "error", "conflict")]


@pytest.mark.parametrize("key", [{}, {"id": "k1"}])
def test_a_corrected_line_below_its_refused_one_is_taken(
    project: Project, prompt: Prompt, key: dict[str, str]
) -> None:
    lines = [row(**key, ranks={"r1": 1}), row(**key), row(**key)]
    report = imported(project, *lines, mode=ImportMode.PARTIAL)
    assert codes(report) == [
        (1, "error", "incomplete"),
        (3, "error", "duplicate_ranking"),
    ]
    assert counts(report) == (3, 1, 0, 2)
    assert Ranking.objects.count() == 1
    again = imported(project, *lines, mode=ImportMode.PARTIAL)
    assert counts(again) == (3, 0, 1, 2)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (row(), row()),
        (row(id="k1"), row(id="k1", labeler="other")),
    ],
)
def test_a_key_stands_once_in_a_file(
    project: Project, prompt: Prompt, first: dict[str, Any], second: dict[str, Any]
) -> None:
    assert codes(imported(project, first, second)) == [
        (2, "error", "duplicate_ranking")
    ]
    assert not Ranking.objects.exists()


def test_an_imported_labeler_never_is_the_member_of_the_same_name(
    project: Project, prompt: Prompt, alice: Membership
) -> None:
    imported(project, row(labeler="alice"))
    labeler = Ranking.objects.get().assignment.labeler
    assert labeler != alice
    assert Membership.objects.filter(project=project, name="alice").count() == 2


def test_rankings_of_another_project_s_prompt_are_of_no_prompt(
    project: Project, prompt: Prompt, stranger: Membership
) -> None:
    report = imported(stranger.project, row())
    assert codes(report) == [(1, "error", "unknown_prompt")]


BAD_LINES: list[tuple[str, dict[str, Any] | bytes]] = [
    ("incomplete", row(ranks={"r1": 1, "r2": 2, "r3": 3})),
    ("incomplete", row(ranks={})),
    ("unknown_response", row(ranks=RANKS | {"r5": 1})),
    ("unknown_prompt", row(prompt_id="p9")),
    ("missing_field", {"prompt_id": "p1", "ranks": RANKS}),
    ("missing_field", {"prompt_id": "p1", "labeler": "x"}),
    ("missing_field", {"labeler": "x", "ranks": RANKS}),
    ("wrong_type", row(id=7)),
    ("wrong_type", row(labeler=None)),
    ("wrong_type", row(labeler=" ")),
    ("wrong_type", row(ranks=[1, 2, 3, 4])),
    ("wrong_type", row(ranks=RANKS | {"r1": "1"})),
    ("wrong_type", row(ranks=RANKS | {"r1": 1.0})),
    ("wrong_type", row(ranks=RANKS | {"r1": True})),
    ("wrong_type", row(ranks=RANKS | {"r1": 10**12})),
    ("wrong_type", row(seconds=-1)),
    ("wrong_type", row(seconds="3")),
    ("wrong_type", row(seconds=True)),
    ("wrong_type", row(submitted_at="2026-03-01T10:00:00")),
    ("wrong_type", row(submitted_at="0001-01-01T00:00:00+14:00")),
    ("wrong_type", row(submitted_at=1_700_000_000)),
    ("text_too_long", row(labeler="x" * 201)),
    (
        "duplicate_key",
        b'{"prompt_id": "p1", "labeler": "x", "ranks": {"r1": 1, "r1": 2}}',
    ),
    ("nul", row(labeler="a\0b")),
    ("bad_json", b"{"),
]


def test_bad_lines_keep_the_whole_file_out_and_every_one_is_named(
    project: Project, prompt: Prompt
) -> None:
    good = row(id="good", labeler="good")
    bad = [
        line | {"id": f"bad{n}"}
        if isinstance(line, dict) and "id" not in line
        else line
        for n, (_, line) in enumerate(BAD_LINES)
    ]
    report = imported(project, good, *bad)
    assert [p.code for p in report.problems] == [code for code, _ in BAD_LINES]
    assert counts(report) == (len(bad) + 1, 1, 0, len(bad))
    assert not Ranking.objects.exists()
    assert not Membership.objects.filter(user=None).exists()
    dry = imported(project, good, *bad, mode=ImportMode.DRY_RUN)
    partial = imported(project, good, *bad, mode=ImportMode.PARTIAL)
    assert dry.as_json() == partial.as_json() == report.as_json()
    assert Ranking.objects.get().external_id == "good"


@pytest.mark.django_db(transaction=True)
def test_two_imports_of_one_file_at_once_import_it_once(project: Project) -> None:
    make_prompt(project)
    together = threading.Barrier(4)
    reports: list[ImportReport] = []

    def run() -> None:
        together.wait()
        reports.append(imported(project, row(), row(labeler="walt")))
        connection.close()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(counts, reports)) == [(2, 0, 2, 0)] * 3 + [(2, 2, 0, 0)]
    assert Ranking.objects.count() == 2


# --- Real data --------------------------------------------------------------------


def test_pandalm_comes_in_twice_and_is_there_once(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts, rankings = map(str, pandalm_files(tmp_path))
    for expected in ((35, 98, 0), (0, 0, 98)):
        call_command("import_prompts", "tides", prompts, "--json")
        first = json.loads(capsys.readouterr().out)
        call_command("import_rankings", "tides", rankings, "--json")
        second = json.loads(capsys.readouterr().out)
        assert (first["imported"], second["imported"]) == expected[:2]
        assert second["unchanged"] == expected[2]
        assert second["problems"] == []
    per_labeler = Counter(
        Ranking.objects.values_list("assignment__labeler__name", flat=True)
    )
    assert per_labeler == {"annotator1": 32, "annotator2": 33, "annotator3": 33}
    assert Placement.objects.count() == 58 * 4 + 40 * 5


def test_pandalm_with_other_numbers_for_the_same_order_is_unchanged(
    project: Project, tmp_path: Path
) -> None:
    prompts, rankings = pandalm_files(tmp_path)
    found = ranking_rows(records("pandalm_k4_5_rankings.jsonl.gz"))
    for line in found:
        line["ranks"] = {key: 2 * rank + 3 for key, rank in line["ranks"].items()}
    relabelled = write_rows(tmp_path / "relabelled.jsonl", found)
    with prompts.open("rb") as file:
        import_prompts(project, file)
    with rankings.open("rb") as file:
        import_rankings(project, file)
    dense = sorted(Placement.objects.values_list("response__external_id", "rank"))
    with relabelled.open("rb") as file:
        assert counts(import_rankings(project, file)) == (98, 0, 98, 0)
    assert (
        sorted(Placement.objects.values_list("response__external_id", "rank")) == dense
    )


@pytest.mark.parametrize("criterion", ["quality", "naturalness", "informativeness"])
def test_rankme_is_refused_whole_for_k_is_too_small(
    project: Project, tmp_path: Path, criterion: str
) -> None:
    name = f"rankme-cc-by-sa/rankme_{criterion}_k3.jsonl.gz"
    prompts, rankings = pandalm_files(tmp_path, name)
    with prompts.open("rb") as file:
        report = import_prompts(project, file, mode=ImportMode.PARTIAL)
    assert counts(report) == (100, 0, 0, 100)
    errors = Counter(p.code for p in report.problems)
    assert errors["k_out_of_range"] == 100
    with rankings.open("rb") as file:
        report = import_rankings(project, file, mode=ImportMode.PARTIAL)
    assert counts(report) == (300, 0, 0, 300)
    assert Counter(p.code for p in report.problems) == {"unknown_prompt": 300}
    assert not Prompt.objects.exists()
    assert not Membership.objects.exists()


def test_an_archive_takes_rankme_but_for_single_responses(
    db: None, tmp_path: Path
) -> None:
    archive = Project.objects.create(slug="old", title="Old", archive=True)
    prompts, rankings = pandalm_files(
        tmp_path, "rankme-cc-by-sa/rankme_quality_k3.jsonl.gz"
    )
    with prompts.open("rb") as file:
        report = import_prompts(archive, file, mode=ImportMode.PARTIAL)
    assert counts(report) == (100, 94, 0, 6)
    with rankings.open("rb") as file:
        report = import_rankings(archive, file, mode=ImportMode.PARTIAL)
    assert counts(report) == (300, 282, 0, 18)
    assert Assignment.objects.filter(source="queue").count() == 0


def test_the_command_refuses_in_one_line(
    project: Project, prompt: Prompt, tmp_path: Path
) -> None:
    path = write_rows(tmp_path / "r.jsonl", [row(ranks={"r1": 1})])
    with pytest.raises(CommandError, match="1 of 1 lines were refused, so nothing"):
        call_command("import_rankings", "tides", str(path))
    assert not Ranking.objects.exists()
