"""Prompts come in whole or not at all, byte for byte, and every line has a verdict."""

import gzip
import io
import json
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from annotation.import_report import ImportReport
from annotation.importing import ImportMode
from annotation.imports import import_prompts
from annotation.jsonl import UnreadableFile
from annotation.models import Assignment, Project, Prompt, Response
from tests.pandalm import pandalm_files, records

pytestmark = pytest.mark.django_db
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


def row(prompt_id: str = "p1", *, k: int = 4, **fields: Any) -> dict[str, Any]:
    """A good line of K responses."""
    responses = [
        {"id": f"r{n}", "text": f"Answer {n}.", "model": f"m{n}"}
        for n in range(1, k + 1)
    ]
    line = {"id": prompt_id, "prompt": f"Question {prompt_id}?", "responses": responses}
    return line | fields


def file_of(*rows: dict[str, Any] | bytes) -> io.BytesIO:
    """Lines as bytes, or objects to be written as JSON."""
    lines = [
        line if isinstance(line, bytes) else json.dumps(line).encode() for line in rows
    ]
    return io.BytesIO(b"".join(line + b"\n" for line in lines))


def imported(
    project: Project, *rows: dict[str, Any] | bytes, mode: ImportMode = ImportMode.WHOLE
) -> ImportReport:
    return import_prompts(project, file_of(*rows), mode=mode)


def counts(report: ImportReport) -> tuple[int, int, int, int]:
    return report.lines, report.imported, report.unchanged, report.refused


def codes(report: ImportReport) -> list[tuple[int, str, str]]:
    return [(p.line, p.level, p.code) for p in report.problems]


def test_a_prompt_comes_in_with_its_responses(project: Project) -> None:
    report = imported(
        project,
        row(
            tags=["law", "law", "poems"],
            metadata={"source": "shop"},
            gold={"r1": 3, "r2": 1, "r3": 1, "r4": 9},
            purpose="qualification",
        ),
    )
    assert counts(report) == (1, 1, 0, 0)
    prompt = Prompt.objects.get()
    assert prompt.messages == [{"role": "user", "content": "Question p1?"}]
    assert prompt.tags == ["law", "poems"]
    assert prompt.gold == {"r1": 3, "r2": 1, "r3": 1, "r4": 9}
    assert (prompt.purpose, prompt.metadata) == ("qualification", {"source": "shop"})
    found = Response.objects.order_by("external_id").values_list(
        "external_id", "text", "model", "params"
    )
    assert list(found) == [(f"r{n}", f"Answer {n}.", f"m{n}", {}) for n in range(1, 5)]


def test_turns_are_kept_as_they_are(project: Project) -> None:
    turns = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello "},
        {"role": "assistant", "content": ""},
        {"role": "user", "content": "\nAgain"},
    ]
    imported(project, row(prompt=turns))
    assert Prompt.objects.get().messages == turns


def test_the_same_lines_again_change_nothing(project: Project) -> None:
    imported(project, row("p1"), row("p2"))
    before = list(Assignment.objects.order_by("pk").values())
    again = imported(project, row("p1"), row("p2"))
    assert counts(again) == (2, 0, 2, 0)
    assert Prompt.objects.count() == 2
    assert Response.objects.count() == 8
    assert list(Assignment.objects.order_by("pk").values()) == before


def test_another_way_to_write_the_same_line_is_unchanged(project: Project) -> None:
    imported(project, row(tags=["a", "b"]))
    same = row(
        prompt=[{"content": "Question p1?", "role": "user"}],
        tags=["b", "a"],
        purpose="work",
        metadata={},
        gold=None,
    )
    same["responses"].reverse()
    assert counts(imported(project, same)) == (1, 0, 1, 0)


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": "Question p1? "},
        {"tags": ["new"]},
        {"metadata": {"a": 1}},
        {"purpose": "training", "gold": {f"r{n}": n for n in range(1, 5)}},
        {"gold": {"r1": 1, "r2": 1, "r3": 1, "r4": 1}},
        {"responses": []},
    ],
)
def test_a_known_id_with_other_content_is_refused(
    project: Project, change: dict[str, Any]
) -> None:
    imported(project, row())
    report = imported(project, row("p2"), row() | change)
    assert codes(report) == [(2, "error", "changed")]
    assert Prompt.objects.get().external_id == "p1"


def test_responses_for_a_prompt_that_awaits_them_are_a_change(project: Project) -> None:
    imported(project, {"id": "p1", "prompt": "Question p1?"})
    assert Prompt.objects.awaiting_responses().count() == 1
    report = imported(project, row())
    assert codes(report) == [(1, "error", "changed")]


CHECKS = ("training", "qualification", "gold")
BAD_LINES: list[tuple[str, dict[str, Any] | bytes]] = [
    ("bad_utf8", b'{"id": "x", "prompt": "d\xe9j\xe0"}'),
    ("bad_utf8", json.dumps(row("x")).encode("utf-16")),
    ("nul", json.dumps(row("x")).encode("utf-16-be")),
    ("nul", row("x", prompt="a\0b")),
    ("lone_surrogate", rb'{"id": "x", "prompt": "\ud800"}'),
    ("nan", b'{"id": "x", "prompt": "q", "metadata": {"a": NaN}}'),
    ("number_too_large", b'{"id": "x", "prompt": "q", "metadata": {"a": 1e400}}'),
    ("duplicate_key", b'{"id": "x", "prompt": "q", "id": "x"}'),
    ("bad_json", b'{"id": "x", "prompt": "q",}'),
    ("bad_json", b"id,prompt"),
    ("too_deep", b'{"id": "x", "prompt": ' + b"[" * 100_000),
    ("missing_field", {"prompt": "q"}),
    ("missing_field", {"id": "x"}),
    ("missing_field", row("x") | {"responses": [{"id": "r1"}] * 4}),
    *(("missing_field", row("x", purpose=p)) for p in CHECKS),
    *(
        ("missing_field", {"id": "x", "prompt": "q", "purpose": p, "gold": {}})
        for p in CHECKS
    ),
    *(("incomplete", row("x", purpose=p, gold={"r1": 1})) for p in CHECKS),
    ("wrong_type", b"[1]"),
    ("wrong_type", {"id": 7, "prompt": "q"}),
    ("wrong_type", {"id": " ", "prompt": "q"}),
    ("wrong_type", {"id": "x", "prompt": None}),
    ("wrong_type", {"id": "x", "prompt": []}),
    ("wrong_type", {"id": "x", "prompt": [{"role": "tool", "content": "q"}]}),
    ("wrong_type", {"id": "x", "prompt": [{"role": "user", "content": 1}]}),
    ("wrong_type", {"id": "x", "prompt": [{"role": "assistant", "content": "q"}]}),
    ("wrong_type", {"id": "x", "prompt": [{"role": "user", "text": "q"}]}),
    ("wrong_type", row("x", responses="r")),
    ("wrong_type", row("x", responses=[{"id": f"r{n}", "text": None} for n in "1234"])),
    ("wrong_type", row("x", purpose="fun")),
    ("wrong_type", row("x", tags=[1])),
    ("wrong_type", row("x", metadata=[])),
    *(("wrong_type", row("x", priority=p)) for p in (51, -51, 1.0, True, "1")),
    ("wrong_type", row("x", gold={"r1": True, "r2": 1, "r3": 1, "r4": 1})),
    ("wrong_type", row("x", gold={"r1": 1.5, "r2": 1, "r3": 1, "r4": 1})),
    ("incomplete", row("x", gold={"r1": 1, "r2": 1, "r3": 1})),
    ("unknown_response", row("x", gold={f"r{n}": 1 for n in range(1, 6)})),
    ("k_out_of_range", row("x", k=1)),
    ("k_out_of_range", row("x", k=3)),
    ("k_out_of_range", row("x", k=10)),
    ("duplicate_id", row("good")),
    (
        "duplicate_id",
        row("x") | {"responses": [{"id": "r1", "text": n} for n in "1234"]},
    ),
    ("text_too_long", row("x", prompt="é" * 1_000_001)),
    ("text_too_long", row("x" * 201)),
    ("text_too_long", row("x", tags=["t" * 101])),
]


@pytest.mark.parametrize(("code", "bad"), BAD_LINES)
def test_a_bad_line_keeps_the_whole_file_out(
    project: Project, code: str, bad: dict[str, Any] | bytes
) -> None:
    report = imported(project, row("good"), bad, row("also good"))
    assert codes(report) == [(2, "error", code)]
    assert counts(report) == (3, 2, 0, 1)
    assert report.problems[0].byte_offset == len(json.dumps(row("good"))) + 1
    assert report.problems[0].message.isprintable()
    assert not Prompt.objects.exists()
    dry = imported(project, row("good"), bad, row("also good"), mode=ImportMode.DRY_RUN)
    assert dry.as_json() == report.as_json()


def test_partial_takes_the_good_lines_and_says_the_same(project: Project) -> None:
    lines = [row("good"), *(bad for _, bad in BAD_LINES), row("also good")]
    dry = imported(project, *lines, mode=ImportMode.DRY_RUN)
    partial = imported(project, *lines, mode=ImportMode.PARTIAL)
    assert partial.as_json() == dry.as_json()
    assert counts(partial) == (len(BAD_LINES) + 2, 2, 0, len(BAD_LINES))
    assert [p.code for p in partial.problems] == [code for code, _ in BAD_LINES]
    stored = Prompt.objects.values_list("external_id", flat=True)
    assert sorted(stored) == ["also good", "good"]


@pytest.mark.parametrize(
    ("code", "line"),
    [
        ("bom", b"\xef\xbb\xbf" + json.dumps(row()).encode()),
        ("crlf", json.dumps(row()).encode() + b"\r"),
        ("empty_prompt", row(prompt=" \n")),
        ("unknown_field", row(respones=[])),
    ],
)
def test_odd_lines_are_imported_with_a_warning(
    project: Project, code: str, line: dict[str, Any] | bytes
) -> None:
    report = imported(project, line)
    assert codes(report) == [(1, "warning", code)]
    assert (counts(report), report.warnings) == ((1, 1, 0, 0), 1)
    assert Prompt.objects.count() == 1


@pytest.mark.parametrize("text", ["", " \n\t", "\u200b\u200d", "\u202e"])
def test_texts_that_show_nothing_are_kept_with_a_warning(
    project: Project, text: str
) -> None:
    line = row()
    line["responses"][0]["text"] = text
    assert codes(imported(project, line)) == [(1, "warning", "empty_response")]
    assert Response.objects.get(external_id="r1").text == text


def test_identical_responses_are_kept_with_a_warning_that_names_them(
    project: Project,
) -> None:
    line = row()
    line["responses"][3]["text"] = line["responses"][1]["text"]
    report = imported(project, line)
    assert codes(report) == [(1, "warning", "identical_responses")]
    assert report.problems[0].message == "equal texts: r2, r4"
    assert Response.objects.filter(text="Answer 2.").count() == 2


def test_a_response_that_names_its_model_is_kept_with_a_warning_that_names_it(
    project: Project,
) -> None:
    line = row()
    line["responses"][2]["text"] = "As an AI language model trained by OpenAI, no."
    report = imported(project, line)
    assert codes(report) == [(1, "warning", "names_a_model")]
    assert report.problems[0].message == "labelers can read which model wrote r3"
    assert Response.objects.get(external_id="r3").text.startswith("As an AI")


def test_responses_cut_off_at_a_limit_are_kept_with_a_warning(project: Project) -> None:
    line = row("p1")
    line["responses"][0]["params"] = {"finish_reason": "length"}
    line["responses"][3]["params"] = {"truncated": True, "tokens": 256}
    report = imported(project, line, row("p2", metadata={"truncated": True}), row("p3"))
    assert codes(report) == [(1, "warning", "truncated"), (2, "warning", "truncated")]
    assert "r1, r4" in report.problems[0].message
    assert "'metadata'" in report.problems[1].message
    assert counts(report) == (3, 3, 0, 0)


def test_gold_that_ties_everything_is_kept_with_a_warning(project: Project) -> None:
    tied = {f"r{n}": 1 for n in range(1, 5)}
    report = imported(project, row(purpose="gold", gold=tied))
    assert codes(report) == [(1, "warning", "gold_tied")]


def test_a_priority_is_stored_and_belongs_to_what_the_line_says(
    project: Project,
) -> None:
    imported(project, row("p1", priority=50), row("p2", priority=-50), row("p3"))
    stored = dict(Prompt.objects.values_list("external_id", "priority"))
    assert stored == {"p1": 50, "p2": -50, "p3": 0}
    again = imported(project, row("p1", priority=50), row("p3", priority=0))
    assert counts(again) == (2, 0, 2, 0)
    other = imported(project, row("p3", priority=1), row("p1"))
    assert codes(other) == [(1, "error", "changed"), (2, "error", "changed")]


@pytest.mark.parametrize("batch", [1, 500])
def test_a_corrected_line_below_a_refused_one_is_judged_by_itself(
    project: Project, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr("annotation.import_report.MOST_LINES", batch)
    imported(project, row("p1"))
    wrong, right = row("p1", tags=["new"]), row("p1")
    report = imported(project, wrong, right, right, row("p2"), row("p2"))
    assert codes(report) == [
        (1, "error", "changed"),
        (3, "error", "duplicate_id"),
        (5, "error", "duplicate_id"),
    ]
    assert counts(report) == (5, 1, 1, 3)


def test_an_unknown_field_is_named_once_a_file(project: Project) -> None:
    report = imported(project, row("a", note=1), row("b", note=2), row("c", why=3))
    assert codes(report) == [
        (1, "warning", "unknown_field"),
        (3, "warning", "unknown_field"),
    ]


def test_an_archive_takes_two_to_nine_responses_and_makes_no_slots(db: None) -> None:
    archive = Project.objects.create(slug="old", title="Old", archive=True)
    report = imported(archive, row("a", k=2), row("b", k=9))
    assert counts(report) == (2, 2, 0, 0)
    assert codes(imported(archive, row("c", k=1))) == [(1, "error", "k_out_of_range")]
    assert not Assignment.objects.exists()


def test_only_work_with_responses_enters_the_queue(project: Project) -> None:
    gold = {f"r{n}": n for n in range(1, 5)}
    awaiting = {"id": "awaiting", "prompt": "q"}
    imported(project, row("work"), row("gold", purpose="gold", gold=gold), awaiting)
    queued = Assignment.objects.values_list("prompt__external_id", "state")
    assert list(queued) == [("work", "open")] * 2


@pytest.mark.parametrize(
    ("fraction", "expected"), [(0.3, 6), (0.0, 0), (1.0, 20), (0.125, 2)]
)
def test_the_overlap_is_an_exact_share_over_all_batches(
    project: Project, fraction: float, expected: int
) -> None:
    Project.objects.update(overlap=3, overlap_fraction=fraction)
    project.refresh_from_db()
    for start, size in ((0, 7), (7, 1), (8, 12)):
        imported(project, *(row(f"p{n}") for n in range(start, start + size)))
    overlaps = Counter(Prompt.objects.values_list("overlap", flat=True))
    assert overlaps[3] == expected
    assert overlaps[1] == 20 - expected
    assert Assignment.objects.count() == 20 + 2 * expected


def test_a_broken_file_is_one_error_and_writes_nothing(project: Project) -> None:
    lines = b"".join(json.dumps(row(f"p{n}")).encode() + b"\n" for n in range(2_000))
    cut = gzip.compress(lines)[:-50]
    for mode in ImportMode:
        with pytest.raises(UnreadableFile, match="cut off or damaged"):
            import_prompts(project, io.BytesIO(cut), mode=mode)
    assert not Prompt.objects.exists()


class Counted(io.BytesIO):
    """Counts the bytes that are read."""

    taken = 0

    def read(self, size: int | None = -1) -> bytes:
        piece = super().read(size)
        self.taken += len(piece)
        return piece


@pytest.mark.parametrize("refused", [False, True])
def test_a_whole_import_reads_its_lines_once(
    project: Project, *, refused: bool
) -> None:
    """So a file cannot change between its check and its import."""
    rows: list[dict[str, Any] | bytes] = [row(f"p{n}") for n in range(1_200)]
    file = Counted(file_of(*rows, *[b"{}"] * refused, *rows[:1]).getvalue())
    report = import_prompts(project, file)
    assert file.taken == 2 + len(file.getvalue())  # the two tell whether it is packed
    assert codes(report)[-1] == (1_201 + refused, "error", "duplicate_id")
    assert not Prompt.objects.exists()


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(prompt=TEXTS, texts=st.lists(TEXTS, min_size=4, max_size=9))
def test_texts_are_stored_byte_for_byte(
    project: Project, prompt: str, texts: list[str]
) -> None:
    number = Prompt.objects.count()
    responses = [{"id": f"r{n}", "text": text} for n, text in enumerate(texts)]
    report = imported(project, row(f"p{number}", prompt=prompt, responses=responses))
    assert report.refused == 0
    stored = Prompt.objects.get(external_id=f"p{number}")
    assert stored.messages[0]["content"] == prompt
    assert [r.text for r in stored.responses.order_by("external_id")] == texts


@pytest.mark.django_db(transaction=True)
def test_two_imports_of_one_file_at_once_import_it_once(project: Project) -> None:
    lines = [row(f"p{n}") for n in range(50)]
    together = threading.Barrier(4)
    reports: list[ImportReport] = []

    def run() -> None:
        together.wait()
        reports.append(imported(project, *lines))
        connection.close()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(counts, reports)) == [(50, 0, 50, 0)] * 3 + [(50, 50, 0, 0)]
    assert Prompt.objects.count() == 50
    assert Assignment.objects.count() == 100


# --- Real data --------------------------------------------------------------------


def test_all_of_selfinstruct_is_imported_and_nothing_is_swallowed(
    project: Project, tmp_path: Path
) -> None:
    prompts, _ = pandalm_files(tmp_path, "selfinstruct_252_k9.jsonl.gz")
    with prompts.open("rb") as file:
        report = import_prompts(project, file)
    assert counts(report) == (252, 252, 0, 0)
    assert Counter(p.code for p in report.problems) == {
        "empty_response": 50,
        "identical_responses": 88,
    }
    assert report.warnings == 138
    assert Response.objects.count() == 2_268
    assert Assignment.objects.count() == 252 * 2
    typed = records("selfinstruct_252_k9.jsonl.gz")["response"]
    texts = {response["text"] for response in typed}
    assert set(Response.objects.values_list("text", flat=True)) == texts


@pytest.mark.parametrize(("archive", "good"), [(0, 150), (1, 169)])
def test_pandalm_s_test_set_is_refused_where_k_is_out_of_range(
    db: None, tmp_path: Path, archive: int, good: int
) -> None:
    project = Project.objects.create(slug="p", title="P", archive=bool(archive))
    prompts, _ = pandalm_files(tmp_path, "pandalm_testset.jsonl.gz")
    with prompts.open("rb") as file:
        report = import_prompts(project, file)
        assert counts(report) == (170, good, 0, 170 - good)
        assert not Prompt.objects.exists()
        errors = [p.code for p in report.problems if p.level == "error"]
        assert errors == ["k_out_of_range"] * (170 - good)
        partial = import_prompts(project, file, mode=ImportMode.PARTIAL)
    assert partial.as_json() == report.as_json()
    assert Prompt.objects.count() == good


# --- The command ------------------------------------------------------------------


def test_the_command_prints_the_report_as_json(
    project: Project,
    write_jsonl: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = write_jsonl([row("p1"), row("p1")])
    with pytest.raises(CommandError, match="1 of 2 lines were refused, so nothing"):
        call_command("import_prompts", "tides", str(path), "--json")
    report = json.loads(capsys.readouterr().out)
    assert report == {
        "lines": 2,
        "imported": 1,
        "unchanged": 0,
        "refused": 1,
        "warnings": 0,
        "problems": [
            {
                "line": 2,
                "byte_offset": len(json.dumps(row("p1"))) + 1,
                "level": "error",
                "code": "duplicate_id",
                "message": "the prompt 'p1' stands above already",
            }
        ],
    }
    assert not Prompt.objects.exists()


def test_the_command_imports_and_says_so(
    project: Project,
    write_jsonl: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = str(write_jsonl([row("p1"), row("p2", k=3)]))
    with pytest.raises(CommandError, match="1 of 2 lines were refused; the other 1"):
        call_command("import_prompts", "tides", path, "--partial")
    assert "line 2 (byte " in capsys.readouterr().out
    assert Prompt.objects.get().external_id == "p1"
    good = str(write_jsonl([row("p1"), row("p3")], "good.jsonl"))
    call_command("import_prompts", "tides", good, "--dry-run")
    assert "nothing was written" in capsys.readouterr().out
    call_command("import_prompts", "tides", good)
    assert capsys.readouterr().out.endswith("1 imported.\n")
    assert Prompt.objects.count() == 2


def test_the_command_fails_in_one_line_where_there_is_nothing_to_read(
    project: Project, tmp_path: Path
) -> None:
    with pytest.raises(CommandError, match="there is no project 'nowhere'"):
        call_command("import_prompts", "nowhere", str(tmp_path / "x.jsonl"))
    with pytest.raises(CommandError, match="No such file"):
        call_command("import_prompts", "tides", str(tmp_path / "x.jsonl"))
    with pytest.raises(CommandError, match="Is a directory"):
        call_command("import_prompts", "tides", str(tmp_path))
