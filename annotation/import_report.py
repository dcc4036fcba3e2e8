"""What an import says of every line: counts, and problems with their place. PURE."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeVar

from annotation.jsonl import LONGEST_LINE, Line
from annotation.strict_json import Refused, read_json

Level = Literal["error", "warning"]
Checked = TypeVar("Checked")

# Counts go on beyond it; a file of a million bad lines must not fill the memory.
MOST_PROBLEMS: Final = 10_000
# Of one batch of lines, which is looked up and written together.
MOST_LINES: Final = 500
MOST_BYTES: Final = 8 * 2**20


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to say of one line. An error means that the line is refused."""

    line: int
    byte_offset: int  # where the line starts in the (uncompressed) file
    level: Level
    code: str
    message: str

    def as_json(self) -> dict[str, Any]:
        """The problem as the report shows it."""
        return {
            "line": self.line,
            "byte_offset": self.byte_offset,
            "level": self.level,
            "code": self.code,
            "message": self.message,
        }


@dataclass(slots=True)
class ImportReport:
    """The verdict on every line: lines = imported + unchanged + refused.

    In a dry run, and where a refused line keeps the whole file out, `imported`
    counts the lines that are good to import.
    """

    lines: int = 0
    imported: int = 0
    unchanged: int = 0
    refused: int = 0
    warnings: int = 0
    _problems: list[Problem] = field(default_factory=list)
    _unknown_fields: set[str] = field(default_factory=set)

    @property
    def problems(self) -> list[Problem]:
        """What was found, in the order of the file; the first MOST_PROBLEMS."""
        return sorted(self._problems, key=lambda problem: problem.line)

    def take(self, line: Line, warnings: Iterable[tuple[str, str]] = ()) -> None:
        """Take a line, with these warnings (code, message) and those of its bytes."""
        self.imported += 1
        self._warn_of(line, warnings)

    def keep(self, line: Line, warnings: Iterable[tuple[str, str]] = ()) -> None:
        """Leave a line as it is: it brings nothing new."""
        self.unchanged += 1
        for code, message in warnings:
            self._warn(line, code, message)

    def _warn_of(self, line: Line, warnings: Iterable[tuple[str, str]]) -> None:
        if line.bom:
            self._warn(line, "bom", "a byte order mark stands before the line")
        if line.crlf:
            self._warn(line, "crlf", "the line ends in CR LF, as on Windows")
        for code, message in warnings:
            self._warn(line, code, message)

    def refuse(self, line: Line, error: Refused) -> None:
        """Refuse a line."""
        self.refused += 1
        self._add(line, "error", error.code, str(error))

    def note_unknown_fields(self, line: Line, unknown: set[str]) -> None:
        """Warn of fields we do not know, of each once a file."""
        for name in sorted(unknown - self._unknown_fields)[:10]:
            self._unknown_fields.add(name)
            self._warn(
                line,
                "unknown_field",
                f"the field {name[:50]!r} is not part of the format: left out, here and"
                " on later lines",
            )

    def as_json(self) -> dict[str, Any]:
        """The import report of the design."""
        return {
            "lines": self.lines,
            "imported": self.imported,
            "unchanged": self.unchanged,
            "refused": self.refused,
            "warnings": self.warnings,
            "problems": [problem.as_json() for problem in self.problems],
        }

    def _warn(self, line: Line, code: str, message: str) -> None:
        self.warnings += 1
        self._add(line, "warning", code, message)

    def _add(self, line: Line, level: Level, code: str, message: str) -> None:
        if len(self._problems) < MOST_PROBLEMS:
            self._problems.append(
                Problem(line.number, line.byte_offset, level, code, message)
            )


def checked_lines(
    lines: Iterable[Line],
    report: ImportReport,
    known: frozenset[str],
    check: Callable[[dict[str, Any]], Checked],
) -> Iterator[tuple[Line, Checked]]:
    """Counts every line and yields those that pass; the others are refused.

    `check` takes the object of a line and raises Refused; `known` are the fields
    that mean something.
    """
    for line in lines:
        report.lines += 1
        try:
            fields = object_of(line)
            passed = check(fields)
        except Refused as error:
            report.refuse(line, error)
        else:
            if not known.issuperset(fields):
                report.note_unknown_fields(line, fields.keys() - known)
            yield line, passed


def batches(
    checked: Iterable[tuple[Line, Checked]],
) -> Iterator[list[tuple[Line, Checked]]]:
    """The lines in lists that fit in the memory, whatever the length of a line.

    Without their content, which has been read: the memory it took is at once the next
    line's, and stays in the processor's cache.
    """
    batch: list[tuple[Line, Checked]] = []
    size = 0
    for line, passed in checked:
        batch.append((line, passed))
        size += len(line.content)
        line.content = b""
        if len(batch) == MOST_LINES or size >= MOST_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def object_of(line: Line) -> dict[str, Any]:
    """What a line of JSON says; raises Refused for all but an object."""
    if line.too_long:
        raise Refused(
            "text_too_long", f"the line is longer than {LONGEST_LINE} bytes, the most"
        )
    value = read_json(line.content)
    if not isinstance(value, dict):
        raise Refused("wrong_type", "the line is not an object { … }")
    return value
