"""A file is judged line by line, and written whole, piece by piece, or not at all."""

from collections.abc import Iterable, Iterator
from enum import Enum
from itertools import islice
from typing import Final, Protocol, TypeVar

from django.db import connection, transaction

from annotation.collector import rarely_collecting
from annotation.import_report import ImportReport
from annotation.models import Project
from annotation.overlap import lock_overlap

Item = TypeVar("Item")
Out = TypeVar("Out", covariant=True)
In = TypeVar("In", contravariant=True)
Row = TypeVar("Row")

# Of a partial import, which commits them together: some seconds of work.
BATCHES_A_PIECE: Final = 10
# The rows are counted after batch 1, 8, 64, …
COUNTED_AGAIN: Final = 8
WRITTEN_TO: Final = """
SELECT format('%I.%I', schemaname, relname) FROM pg_stat_xact_user_tables
WHERE n_tup_ins > 0 ORDER BY 1
"""


class ImportMode(Enum):
    """What happens to the good lines."""

    DRY_RUN = "dry run"  # nothing
    WHOLE = "whole"  # written, if no line of the file is refused
    PARTIAL = "partial"  # written


class ImportStopped(Exception):  # noqa: N818  reads as what happened
    """A partial import cannot go on; the message says why and what was kept."""


class Source(Protocol[Out]):
    """A file's lines, or what else it is made of; can be read from the start again."""

    def __iter__(self) -> Iterator[Out]:
        """The lines from the start."""

    def check(self) -> None:
        """Read to the end. Raises UnreadableFile."""


class Intake(Protocol[In, Row]):
    """What one import does with lines: judge them, and write the good ones."""

    def verdicts(
        self, lines: Iterable[In], report: ImportReport
    ) -> Iterator[list[Row]]:
        """Judge all lines into the report; the new rows in batches that fit."""

    def write(self, rows: list[Row]) -> None:
        """Store a batch."""

    def settle(self, report: ImportReport) -> None:
        """What comes last before a commit."""


# --- One reading of a file ---------------------------------------------------------


@rarely_collecting()
def import_file(
    project: Project,
    source: Source[Item],
    mode: ImportMode,
    intake: Intake[Item, Row],
) -> ImportReport:
    """Judge all lines, and write what is new in the way that `mode` says.

    Imports into one project, and changes of its overlap, wait for each other (an
    advisory lock, released with the transaction), so that nobody else stores one of
    the lines between its verdict and its writing.
    """
    report = ImportReport()
    verdicts = intake.verdicts(source, report)
    if mode is ImportMode.DRY_RUN:
        for _ in verdicts:
            pass
    elif mode is ImportMode.WHOLE:
        _write_whole(project, verdicts, intake, report)
    else:
        source.check()
        written = _Written()
        while _write_piece(project, verdicts, intake, report, written):
            pass
    return report


class _KeptOut(Exception):  # noqa: N818  a line is refused: nothing is written
    pass


def _write_whole(
    project: Project,
    verdicts: Iterator[list[Row]],
    intake: Intake[Item, Row],
    report: ImportReport,
) -> None:
    """All of the file in one transaction, or nothing of it.

    Lines are written as they are read, so that a good file is read once. At the first
    refused one all is rolled back, and the rest is only judged: what the lines above
    wrote has no part in any verdict, for the intake remembers them itself.
    """
    written = _Written()
    try:
        with transaction.atomic():
            _take_turn(project)
            for rows in verdicts:
                _write_or_refuse(rows, intake, report)
                written.batch()
            _write_or_refuse([], intake, report)
            intake.settle(report)
    except _KeptOut:
        for _ in verdicts:
            pass


def _write_or_refuse(
    rows: list[Row], intake: Intake[Item, Row], report: ImportReport
) -> None:
    if report.refused:
        raise _KeptOut
    if rows:
        intake.write(rows)


def _write_piece(
    project: Project,
    verdicts: Iterator[list[Row]],
    intake: Intake[Item, Row],
    report: ImportReport,
    written: "_Written",
) -> bool:
    """The good lines of the next batches, for good; False at the end of the file.

    An import that is killed keeps its pieces: in the next one they are `unchanged`.
    """
    read = 0
    with transaction.atomic():
        _take_turn(project)
        for rows in islice(verdicts, BATCHES_A_PIECE):
            read += 1
            if rows:
                intake.write(rows)
            written.batch()
        intake.settle(report)
    return read == BATCHES_A_PIECE


def _take_turn(project: Project) -> None:
    look_up_by_keys()
    lock_overlap(project.pk)
    project.refresh_from_db(fields=["overlap", "overlap_fraction"])


def look_up_by_keys() -> None:
    """Have Postgres plan anew, and find by an index what this transaction looks for.

    An import fills tables that were empty when its statements, and those of triggers,
    were first planned. Scans that were right for ten rows are kept, and repeated for
    each of a hundred thousand. All that an import asks for it knows by keys.
    """
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL jit = off")  # what has no index seems very dear
        cursor.execute("DISCARD PLANS")


class _Written:
    """Has Postgres count the rows of an import now and then, for nobody else sees them
    before it commits: of two indexes it would take the one that was as good while the
    table was empty, and read all rows of a project to find one."""

    def __init__(self) -> None:
        self._batches = 0
        self._next = 1

    def batch(self) -> None:
        """One more was written."""
        self._batches += 1
        if self._batches == self._next:
            self._next *= COUNTED_AGAIN
            count_rows()


def count_rows() -> None:
    """Count the tables that this transaction wrote to, and plan by that.

    One that another import is counting, or has counted and not yet committed, is left
    out: waiting for it could take minutes.
    """
    with connection.cursor() as cursor:
        cursor.execute(WRITTEN_TO)
        tables = [name for (name,) in cursor.fetchall()]
        if tables:
            cursor.execute(f"ANALYZE (SKIP_LOCKED) {', '.join(tables)}")
        cursor.execute("DISCARD PLANS")
