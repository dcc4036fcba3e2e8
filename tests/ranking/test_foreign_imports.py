"""Files of other tools come in with prompts and rankings in one go, and once."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from annotation.import_report import ImportReport
from annotation.importing import ImportMode
from annotation.models import Membership, Project, Prompt, PromptImport, Response
from annotation.undo_import import undo
from ranking.filters import Filters, rankings_that_count
from ranking.foreign_imports import import_foreign
from ranking.models import Placement, PromptSummary, Ranking
from ranking.pairs import strict_pairs
from tests.pandalm import prompt_rows, records

pytestmark = pytest.mark.django_db


@pytest.fixture
def archive(db: None) -> Project:
    return Project.objects.create(slug="old", title="Old", archive=True)


def row(
    prompt: str = "Why?", chosen: str = "a", rejected: Any = "b", **more: Any
) -> Any:
    return {"prompt": prompt, "chosen": chosen, "rejected": rejected} | more


def imported(
    project: Project,
    *rows: Any,
    shape: str = "trl",
    mode: ImportMode = ImportMode.WHOLE,
) -> ImportReport:
    raw = b"".join(
        (line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n"
        for line in rows
    )
    return import_foreign(project, io.BytesIO(raw), shape=shape, mode=mode)


def counts(report: ImportReport) -> tuple[int, int, int, int]:
    return report.lines, report.imported, report.unchanged, report.refused


def codes(report: ImportReport) -> list[tuple[int, str, str]]:
    return [(p.line, p.level, p.code) for p in report.problems]


def stored() -> tuple[int, int, int, int]:
    return tuple(
        model.objects.count() for model in (Prompt, Response, Ranking, Placement)
    )  # type: ignore[return-value]


def test_pairs_come_in_with_their_rankings_and_once(archive: Project) -> None:
    rows = [row(), row("How?", labeler="vera")]
    dry = imported(archive, *rows, mode=ImportMode.DRY_RUN)
    assert stored() == (0, 0, 0, 0)
    assert counts(dry) == counts(imported(archive, *rows)) == (2, 2, 0, 0)
    assert stored() == (2, 4, 2, 4)
    assert counts(imported(archive, *rows)) == (2, 0, 2, 0)
    assert stored() == (2, 4, 2, 4)
    assert sorted(Membership.objects.values_list("name", flat=True)) == ["trl", "vera"]
    better = Placement.objects.get(ranking__assignment__labeler__name="vera", rank=1)
    assert better.response.text == "a"
    assert PromptSummary.objects.count() == 2


def test_what_is_added_to_a_file_is_all_that_is_new(archive: Project) -> None:
    imported(archive, row())
    again = imported(archive, row(), row(labeler="vera"), row("How?"))
    assert counts(again) == (3, 2, 1, 0)
    assert stored() == (2, 4, 3, 6)


def test_a_row_that_stands_there_twice_is_one_ranking(archive: Project) -> None:
    report = imported(archive, row(), row(), row(chosen="b", rejected="a"))
    assert counts(report) == (3, 2, 1, 0)
    assert codes(report) == [(2, "warning", "repeated")]
    # The other order of the same pair is another judgement of the same prompt.
    assert stored() == (1, 2, 2, 4)


def test_pairs_need_an_archive_and_the_refusal_says_so(project: Project) -> None:
    report = imported(project, row())
    assert codes(report) == [(1, "error", "k_out_of_range")]
    assert "--archive" in report.problems[0].message
    assert stored() == (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (b"{", "bad_json"),
        (b'{"prompt": "q", "prompt": "r"}', "duplicate_key"),
        (b'{"prompt": "q", "chosen": NaN}', "nan"),
        (row(chosen="\0"), "nul"),
        (rb'{"prompt": "q", "chosen": "\ud800", "rejected": "b"}', "lone_surrogate"),
        (row(rejected=None), "missing_field"),
        (row(labeler="x" * 201), "text_too_long"),
        (row(chosen="x" * 2_000_001), "text_too_long"),
    ],
)
def test_one_bad_row_keeps_the_file_out_unless_partial(
    archive: Project, bad: Any, code: str
) -> None:
    rows = [row(), bad, row("How?")]
    reports = [imported(archive, *rows, mode=mode) for mode in list(ImportMode)[:2]]
    assert stored() == (0, 0, 0, 0)
    reports.append(imported(archive, *rows, mode=ImportMode.PARTIAL))
    assert {counts(report) for report in reports} == {(3, 2, 0, 1)}
    assert {tuple(codes(report)) for report in reports} == {((2, "error", code),)}
    assert stored() == (2, 4, 2, 4)


def task(*ranked: str, name: int = 1, body: str = "Answer") -> dict[str, Any]:
    result = {"type": "ranker", "value": {"ranker": {"rank": list(ranked)}}}
    items = [{"id": letter, "body": f"{body} {letter}."} for letter in "abcd"]
    return {
        "id": 7,
        "data": {"prompt": "Why?", "items": items},
        "annotations": [{"id": name, "completed_by": name, "result": [result]}],
    }


def test_known_ids_with_other_content_are_refused(project: Project) -> None:
    imported(project, task(*"abcd"), shape="label-studio")
    again = imported(
        project,
        task(*"abcd"),
        task(*"abdc"),
        task(*"dcba", name=2),
        task(*"abcd", name=3, body="Other"),
        task(*"abcd", name=2),
        shape="label-studio",
        mode=ImportMode.PARTIAL,
    )
    assert codes(again) == [
        (2, "error", "duplicate_ranking"),
        (4, "error", "changed"),
        (5, "error", "duplicate_ranking"),
    ]
    assert counts(again) == (5, 1, 1, 3)
    alone = imported(project, task(*"abdc"), shape="label-studio")
    assert codes(alone) == [(1, "error", "conflict")]
    assert Ranking.objects.count() == 2


def test_a_tree_in_which_nothing_is_ranked_is_no_fault(project: Project) -> None:
    message = {"message_id": "m", "role": "prompter", "text": "Why?", "replies": []}
    report = imported(project, {"prompt": message}, shape="oasst")
    assert counts(report) == (1, 0, 1, 0)
    assert codes(report) == [(1, "warning", "nothing_ranked")]


def test_prompts_of_a_project_that_serves_get_their_slots(project: Project) -> None:
    imported(project, task(*"abcd"), shape="label-studio")
    states = Prompt.objects.get().assignment_set.values_list("source", "state")
    assert sorted(states) == [
        ("imported", "completed"),
        *[("queue", "open")] * project.overlap,
    ]


def test_an_import_with_rankings_can_be_undone(project: Project) -> None:
    imported(project, task(*"abcd"), shape="label-studio")
    done = undo(PromptImport.objects.get(), user=None)
    assert done is not None
    assert (done.removed, done.taken_out) == (0, 1)  # its ranking stays


def test_pandalm_as_rows_of_k_responses_is_exactly_its_rankings(
    project: Project,
) -> None:
    found = records("pandalm_k4_5_rankings.jsonl.gz")
    prompts = {prompt["id"]: prompt for prompt in prompt_rows(found)}
    rows = [
        {
            "prompt": prompts[ranking["prompt_id"]]["prompt"],
            "responses": prompts[ranking["prompt_id"]]["responses"],
            "ranks": [
                ranking["ranks"][response["id"]]
                for response in prompts[ranking["prompt_id"]]["responses"]
            ],
            "labeler": ranking["labeler"],
        }
        for ranking in found["ranking"]
    ]
    assert counts(imported(project, *rows, shape="kwise")) == (98, 98, 0, 0)
    assert stored()[:3] == (35, 155, 98)
    counted = rankings_that_count(project, Filters())
    assert len(counted) == 98
    pairs = 0
    for ranking in Ranking.objects.prefetch_related("placements"):
        ranks = {one.response_id: one.rank for one in ranking.placements.all()}
        pairs += len(strict_pairs(ranks))
    assert pairs == 620
    assert counts(imported(project, *rows, shape="kwise")) == (98, 0, 98, 0)


def test_pandalm_as_preference_pairs_is_exactly_its_strict_votes(
    archive: Project,
) -> None:
    found = records("pandalm_testset.jsonl.gz")
    texts = {response["id"]: response["text"] for response in found["response"]}
    prompts = {prompt["id"]: prompt["text"] for prompt in found["prompt"]}
    rows = []
    for vote in found["comparison"]:
        if vote["winner"] == "tie":
            continue
        better, worse = (vote["a"], vote["b"])
        if vote["winner"] == "b":
            better, worse = worse, better
        rows.append(
            row(
                prompts[vote["prompt_id"]],
                texts[better],
                texts[worse],
                labeler=vote["labeler"],
            )
        )
    assert len(rows) == 2_997 - 326
    report = imported(archive, *rows)
    assert report.refused == 0
    assert report.lines == 2_671
    again = imported(archive, *rows)
    assert (again.imported, again.unchanged) == (0, 2_671)
    assert Ranking.objects.count() == report.imported


def test_the_command_reads_a_table_of_another_tool(
    archive: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "table.csv"
    file.write_text("Frage;response;rank\nWhy?;a;1\nWhy?;b;2\n", encoding="utf-8-sig")
    command = ("import_rankings", "old", str(file))
    call_command(*command, "--from", "csv", "--column", "prompt=Frage")
    assert "1 imported." in capsys.readouterr().out
    assert stored() == (1, 2, 1, 2)
    with pytest.raises(CommandError, match="--column goes with --from csv"):
        call_command(*command, "--column", "prompt=Frage")
    with pytest.raises(CommandError, match="first row"):
        call_command(*command, "--from", "csv")
