"""Rankings in a table: CSV as Excel, LibreOffice and Google Sheets write it. PURE.

The format is RFC 4180 (https://www.rfc-editor.org/rfc/rfc4180), in UTF-8, with or
without a byte order mark; commas, semicolons or tabs between the cells. The first row
names the columns. Two shapes are known by them, whatever their order and case:

- wide, a row a ranking: `prompt`, `response_1` … `response_9`, `rank_1` … `rank_9`;
- long, a row a response: `prompt`, `response`, `rank`. Rows of one ranking stand
  together: those with the same prompt_id, else prompt, and the same labeler.

Both may have `prompt_id`, `labeler`, `seconds`, `submitted_at`, `id` (of the ranking),
and `model_1` …, or `model` and `response_id`. A response whose text and rank are both
empty is not there.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any, Final

from annotation.jsonl import BOM, LONGEST_LINE, Line, LineReader, UnreadableFile
from annotation.strict_json import Refused
from ranking.foreign.dialogue import prompt_of
from ranking.foreign.judged import Answer, Judged, Order, name_of, ranks_of

NAME: Final = "csv"
DELIMITERS: Final = (",", ";", "\t")
MOST_COLUMNS: Final = 200
NUMBERED: Final = re.compile(r"(response|rank|model)_([1-9]\d?)")
# A cell may be as long as a text; of all of this process, for csv knows no other way.
csv.field_size_limit(LONGEST_LINE)
LONG: Final = frozenset(("prompt", "response", "rank"))
WIDE: Final = frozenset(("prompt", "response_1", "rank_1"))
NAMES: Final = LONG | {
    *("prompt_id", "labeler", "seconds", "submitted_at", "id"),
    *("model", "response_id"),
}
Row = dict[str, str]


def columns_of(given: Iterable[str]) -> dict[str, str]:
    """What `prompt=Question` says, each: ours by theirs, {"Question": "prompt"}.

    Raises ValueError for what is not written so, or names no column of ours.
    """
    columns = {}
    for one in given:
        ours, _, theirs = (part.strip() for part in one.partition("="))
        if not (ours and theirs):
            raise ValueError(f"{one[:50]!r}: write it like prompt=Question")
        if ours not in NAMES and not NUMBERED.fullmatch(ours):
            raise ValueError(
                f"there is no column {ours[:50]!r}; there are"
                f" {', '.join(sorted(NAMES))}, and response_1, rank_1, model_1, …"
            )
        columns[theirs] = ours
    return columns


class Table:
    """The rankings of a table, with the rows they stand in.

    `columns` says which of ours a column is, where its name does not: {"Question":
    "prompt"}.
    """

    def __init__(self, lines: LineReader, columns: Mapping[str, str]) -> None:
        self._lines = lines
        self._columns = {name.strip().lower(): ours for name, ours in columns.items()}

    def records(self) -> Iterator[tuple[Line, dict[str, Any] | Refused]]:
        """Each ranking as `{"rows": […]}`, at its first row. Raises UnreadableFile."""
        rows = self._rows()
        header = next(rows, None)
        if header is None:
            return
        delimiter, names = self._header(header)
        parsed = (_row(line, delimiter, names) for line in rows)
        if "response" not in names:
            for line, row in parsed:
                yield line, row if isinstance(row, Refused) else {"rows": [row]}
            return
        for _, group in groupby(parsed, key=_ranking_of):
            yield _together(list(group))

    def _rows(self) -> Iterator[Line]:
        """Rows as lines; one that has a line end inside quotes is put together."""
        held: list[Line] = []
        quotes = 0
        for line in self._lines:
            held.append(line)
            quotes += line.content.count(b'"')
            if quotes % 2 and sum(len(one.content) for one in held) <= LONGEST_LINE:
                continue
            yield _joined(held)
            held, quotes = [], 0
        if held:
            yield _joined(held)

    def _header(self, line: Line) -> tuple[str, list[str]]:
        try:
            text = line.content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise UnreadableFile(
                "the first row is not UTF-8: save the table as “CSV UTF-8”"
            ) from error
        for delimiter in DELIMITERS:
            names = [self._named(cell) for cell in _split(text, delimiter)]
            if _is_header(names):
                return delimiter, names
        raise UnreadableFile(
            "the first row names neither the columns prompt, response_1, rank_1, … nor"
            " prompt, response, rank, with commas, semicolons or tabs between them"
        )

    def _named(self, cell: str) -> str:
        name = cell.strip().lower()
        return self._columns.get(name, name.replace(" ", "_"))


def _split(text: str, delimiter: str) -> list[str]:
    """The cells of a first row; none where it is not CSV with this delimiter."""
    try:
        return next(csv.reader([text], delimiter=delimiter, strict=True), [])
    except csv.Error:
        return []


def _is_header(names: list[str]) -> bool:
    known = set(names)
    if len(names) > MOST_COLUMNS or len(known) < len(names):
        return False
    return known >= LONG or known >= WIDE


def _joined(lines: list[Line]) -> Line:
    """One row from the lines it goes over. What ended them is a part of its texts."""
    if len(lines) == 1:
        return lines[0]
    ends = [b"\r\n" if line.crlf else b"\n" for line in lines[:-1]] + [b""]
    content = b"".join(
        line.content + end for line, end in zip(lines, ends, strict=True)
    )
    first, last = lines[0], lines[-1]
    return Line(
        first.number,
        first.byte_offset,
        content,
        bom=first.bom,
        crlf=last.crlf,
        too_long=any(line.too_long for line in lines),
    )


def _row(line: Line, delimiter: str, names: list[str]) -> tuple[Line, Row | Refused]:
    try:
        return line, dict(zip(names, _cells(line, delimiter, len(names)), strict=True))
    except Refused as error:
        return line, error


def _cells(line: Line, delimiter: str, columns: int) -> list[str]:
    if line.too_long or len(line.content) > LONGEST_LINE:
        raise Refused("text_too_long", f"the row is longer than {LONGEST_LINE} bytes")
    try:
        text = line.content.removeprefix(BOM).decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refused("bad_utf8", f"byte {error.start + 1} is not UTF-8") from error
    if "\0" in text:
        raise Refused("nul", "a NUL in the row")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        rows = list(reader)
    except csv.Error as error:
        raise Refused("bad_csv", f"not CSV: {error}") from error
    if len(rows) != 1 or len(rows[0]) != columns:
        found = len(rows[0]) if rows else 0
        raise Refused("bad_csv", f"{found} cells under {columns} columns")
    return rows[0]


def _ranking_of(parsed: tuple[Line, Row | Refused]) -> tuple[Any, ...]:
    """What rows of one ranking have in common; a refused row stands alone."""
    line, row = parsed
    if isinstance(row, Refused):
        return (line.number,)
    return row.get("id"), row.get("prompt_id") or row["prompt"], row.get("labeler")


def _together(
    group: list[tuple[Line, Row | Refused]],
) -> tuple[Line, dict[str, Any] | Refused]:
    first, _ = group[0]
    refused = [row for _, row in group if isinstance(row, Refused)]
    if refused:
        return first, refused[0]
    whole = Line(
        first.number,
        first.byte_offset,
        b"\n".join(line.content for line, _ in group),
        bom=first.bom,
        crlf=first.crlf,
    )
    return whole, {"rows": [row for _, row in group]}


# --- What a ranking's rows say -----------------------------------------------------


def read(record: dict[str, Any]) -> list[Judged]:
    """The ranking of one wide row, or of the long rows of one. Raises Refused."""
    rows: list[Row] = record["rows"]
    first = rows[0]
    responses = _long(rows) if "response" in first else _wide(first)
    if not responses:
        raise Refused("missing_field", "no response has a text and a rank")
    if any(row["prompt"] != first["prompt"] for row in rows):
        raise Refused("changed", "the rows of one prompt_id have different prompts")
    answers = [
        Answer(
            one["response"], one.get("model") or None, one.get("response_id") or None
        )
        for one in responses
    ]
    ranks = ranks_of([one["rank"].strip() for one in responses], best="lowest")
    order = Order(
        name_of(first.get("labeler")) or NAME,
        ranks,
        id=name_of(first.get("id")),
        seconds=_seconds(first.get("seconds")),
        submitted_at=first.get("submitted_at") or None,
    )
    prompt = prompt_of(first["prompt"], "the prompt")
    return [Judged(prompt, answers, [order], id=name_of(first.get("prompt_id")))]


def _long(rows: list[Row]) -> list[Row]:
    return [row for row in rows if row["response"] or row["rank"].strip()]


def _wide(row: Row) -> list[Row]:
    """The numbered columns of each response, by their numbers."""
    responses: dict[int, Row] = {}
    for name, cell in row.items():
        if found := NUMBERED.fullmatch(name):
            responses.setdefault(int(found[2]), {})[found[1]] = cell
    full = [
        {"response": "", "rank": ""} | responses[number] for number in sorted(responses)
    ]
    return [one for one in full if one["response"] or one["rank"].strip()]


def _seconds(cell: str | None) -> float | None:
    if not cell or not cell.strip():
        return None
    try:
        return float(cell)
    except ValueError as error:
        raise Refused(
            "wrong_type", f"{cell[:50]!r} is not a number of seconds"
        ) from error
