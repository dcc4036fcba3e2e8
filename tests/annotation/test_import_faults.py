"""Bad lines, killed imports, hostile files: what is said, and what stays (F24, F25)."""

import io
import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from annotation import importing
from annotation.import_report import ImportReport
from annotation.importing import ImportMode, ImportStopped
from annotation.imports import import_prompts
from annotation.models import Assignment, Project, Prompt, PromptImport, Response
from tests.annotation.test_imports import BAD_LINES, row

LINES, BAD = 10_000, 100


def as_bytes(line: dict[str, Any] | bytes) -> bytes:
    return line if isinstance(line, bytes) else json.dumps(line).encode()


def lines_with_faults(seed: int) -> tuple[bytes, dict[int, str]]:
    """10,000 lines of which 100 are bad, of every kind there is; and the code of each
    bad line by its number."""
    rng = random.Random(seed)
    places = sorted(rng.sample(range(2, LINES + 1), BAD))
    alone = [(code, line) for code, line in BAD_LINES if code != "duplicate_id"]
    kinds = [alone[number % len(alone)] for number in range(BAD - 1)]
    kinds.append(("duplicate_id", row("p1")))
    codes, lines = {}, []
    expected = dict(zip(places, kinds, strict=True))
    for number in range(1, LINES + 1):
        if number in expected:
            codes[number], line = expected[number]
            lines.append(as_bytes(line))
        else:
            lines.append(as_bytes(row(f"p{number}")))
    return b"\n".join(lines), codes


def said(report: ImportReport) -> dict[int, str]:
    return {p.line: p.code for p in report.problems if p.level == "error"}


@pytest.mark.django_db
def test_ten_thousand_lines_with_a_hundred_bad_ones(project: Project) -> None:
    raw, codes = lines_with_faults(seed=5)
    reports = {}
    for mode in (ImportMode.DRY_RUN, ImportMode.WHOLE):
        reports[mode] = import_prompts(project, io.BytesIO(raw), mode=mode)
        assert not Prompt.objects.exists()
    partial = import_prompts(project, io.BytesIO(raw), mode=ImportMode.PARTIAL)
    assert reports[ImportMode.DRY_RUN] == reports[ImportMode.WHOLE] == partial
    assert said(partial) == codes
    assert (partial.lines, partial.imported, partial.refused) == (
        LINES,
        LINES - BAD,
        BAD,
    )
    for problem in partial.problems:
        before = raw[: problem.byte_offset]
        assert before.count(b"\n") == problem.line - 1
        assert not before or before.endswith(b"\n")
    assert Prompt.objects.count() == LINES - BAD
    assert Response.objects.count() == 4 * (LINES - BAD)
    again = import_prompts(project, io.BytesIO(raw), mode=ImportMode.PARTIAL)
    assert (again.imported, again.unchanged, said(again)) == (0, LINES - BAD, codes)


# --- Killed -----------------------------------------------------------------------


class Killed(BaseException):
    """Not an Exception: nothing on the way may take it for one."""


class Deadly(io.BytesIO):
    """Kills who reads more than so many bytes, reading it a second time included."""

    def __init__(self, raw: bytes, *, after: int) -> None:
        super().__init__(raw)
        self.left = after

    def read(self, size: int | None = -1) -> bytes:
        piece = super().read(size)
        self.left -= len(piece)
        if self.left < 0:
            raise Killed
        return piece


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit every twenty lines; about one line is read at once."""
    monkeypatch.setattr("annotation.jsonl.AT_ONCE", len(as_bytes(row("p10"))))
    monkeypatch.setattr("annotation.import_report.MOST_LINES", 10)
    monkeypatch.setattr(importing, "BATCHES_A_PIECE", 2)


HUNDRED = b"\n".join(as_bytes(row(f"p{number}")) for number in range(100))
SIXTY_ODD_LINES = len(HUNDRED) * 62 // 100


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("small_pieces")
def test_a_killed_partial_import_goes_on_where_it_was(project: Project) -> None:
    # It is looked at as a whole before the first piece is stored.
    file = Deadly(HUNDRED, after=len(HUNDRED) + SIXTY_ODD_LINES)
    with pytest.raises(Killed):
        import_prompts(project, file, mode=ImportMode.PARTIAL)
    assert Prompt.objects.count() == 60
    assert Assignment.objects.count() == 60 * project.overlap
    kept = PromptImport.objects.get()
    assert (kept.imported, kept.unchanged) == (60, 0)
    report = import_prompts(project, io.BytesIO(HUNDRED), mode=ImportMode.PARTIAL)
    assert (report.imported, report.unchanged) == (40, 60)
    assert Assignment.objects.count() == 100 * project.overlap


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("small_pieces")
def test_a_killed_whole_import_leaves_nothing(project: Project) -> None:
    with pytest.raises(Killed):
        import_prompts(project, Deadly(HUNDRED, after=SIXTY_ODD_LINES))
    for model in (Prompt, Response, Assignment, PromptImport):
        assert not model.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("small_pieces")
def test_a_partial_import_that_is_undone_meanwhile_stops(project: Project) -> None:
    def undone(_: int) -> None:
        first = PromptImport.objects.filter(imported=20)  # its first piece is stored
        first.update(undone_at="2026-11-21T00:00Z")

    with pytest.raises(ImportStopped, match="was undone while it went on"):
        import_prompts(
            project,
            io.BytesIO(HUNDRED),
            mode=ImportMode.PARTIAL,
            progress=undone,
        )
    assert Prompt.objects.count() == 20


# --- Hostile ----------------------------------------------------------------------

DEEP = b"[" * 100_000
START = b'{"id": "x", "prompt": "q", "metadata": {'


def million_keys() -> bytes:
    """Made where it is read: this file is also read to look for its tests."""
    return b",".join(b'"%d":0' % number for number in range(1_000_000))


PROMPT = b'{"id": "x", "prompt": "'
HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "100,000 deep": (lambda: START + b'"a": ' + DEEP + b"}}", "too_deep"),
    "5,000 digits": (
        lambda: START + b'"a": ' + b"1" * 5_000 + b"}}",
        "number_too_large",
    ),
    "a million keys": (lambda: START + million_keys() + b"}}", "too_many_keys"),
    "10 MB": (lambda: PROMPT + b"x" * 10**7 + b'"}', "text_too_long"),
    "30 MB": (lambda: PROMPT + b"x" * 3 * 10**7 + b'"}', "text_too_long"),
}


@pytest.mark.django_db
@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_line_is_refused_and_the_next_one_is_read(
    project: Project, what: str
) -> None:
    line, code = HOSTILE[what]
    raw = line() + b"\n" + as_bytes(row("p1"))
    report = import_prompts(project, io.BytesIO(raw), mode=ImportMode.PARTIAL)
    assert said(report) == {1: code}
    assert Prompt.objects.get().external_id == "p1"
