"""Columns as lines of JSON, as one JSON array, and as CSV. PURE.

JSON is written from pieces: each distinct value is encoded once, and a row is joined
from the pieces of its values.
"""

import csv
from collections.abc import Iterator, Sequence
from io import StringIO
from itertools import groupby
from typing import Any, Final, Protocol

import numpy as np
import orjson

from ranking.csv_cells import neutral
from ranking.export.columns import Column, Rows, Type

BLOCK: Final = 512 << 10  # bytes that are joined at once: few enough for the cache
Pieces = np.ndarray[Any, np.dtype[np.object_]]


class Sink(Protocol):
    """Where the bytes of a file go."""

    def write(self, data: bytes, /) -> int:
        """Take all of them."""


class Writer(Protocol):
    """Writes the rows of one file, part by part."""

    def write(self, rows: Rows) -> None:
        """Write some rows; none are fine."""

    def close(self) -> None:
        """Write what ends the file; the sink stays open."""


class JsonLines:
    """One JSON object a line, its keys in the order of the columns."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def write(self, rows: Rows) -> None:
        """As `Writer`."""
        for block in _joined(rows, b"}\n"):
            self._sink.write(block)

    def close(self) -> None:
        """As `Writer`."""


class JsonArray:
    """One JSON array, an object a line."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._before = b"[\n"

    def write(self, rows: Rows) -> None:
        """As `Writer`."""
        for block in _joined(rows, b"},\n"):
            self._sink.write(self._before + block[:-2])
            self._before = b",\n"

    def close(self) -> None:
        """As `Writer`."""
        self._sink.write(b"[]\n" if self._before == b"[\n" else b"\n]\n")


class Csv:
    """Comma-separated values under a header, as RFC 4180 has them.

    Texts that a spreadsheet would run as a formula get an apostrophe before them; lists
    and objects are JSON; null is an empty cell.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._begun = False

    def write(self, rows: Rows) -> None:
        """As `Writer`."""
        lines = StringIO()
        writer = csv.writer(lines)
        if not self._begun:
            writer.writerow([column.name for column in rows.columns])
            self._begun = True
        writer.writerows(zip(*map(_cells, rows.columns), strict=True))
        self._sink.write(lines.getvalue().encode())

    def close(self) -> None:
        """As `Writer`."""


def _cells(column: Column) -> list[str]:
    cells = [_cell(value, column.values.type) for value in column.values.items]
    return [cells[code] for code in column.codes.tolist()]


def _cell(value: Any, type: Type) -> str:
    if value is None:
        return ""
    if type is Type.TEXT:
        return neutral(value)
    encoded = orjson.dumps(value, option=orjson.OPT_UTC_Z).decode()
    return encoded.strip('"') if type is Type.TIME else encoded


# --- JSON from pieces -------------------------------------------------------------


def _joined(rows: Rows, end: bytes) -> Iterator[bytes]:
    """The rows as objects that end in `end`, in blocks of about BLOCK bytes."""
    pieces = _pieces(rows.columns, end)
    ends = np.cumsum(_lengths(pieces))
    start = 0
    while start < len(rows):
        taken = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, taken + BLOCK)))
        chosen = [texts[codes[start:stop]] for texts, codes in pieces]
        yield b"".join(np.stack(chosen, axis=1).ravel().tolist())
        start = stop


def _lengths(pieces: Sequence[tuple[Pieces, Any]]) -> Any:
    """Bytes of each row."""
    return sum(
        np.fromiter(map(len, texts), np.int64, len(texts))[codes]
        for texts, codes in pieces
    )


def _pieces(columns: Sequence[Column], end: bytes) -> list[tuple[Pieces, Any]]:
    """Pieces of text and their codes, from left to right. Neighbours that go by the
    same codes are one piece, so that a row is joined from few."""
    groups = [list(group) for _, group in groupby(columns, key=lambda c: id(c.codes))]
    joined = []
    for number, group in enumerate(groups):
        before = b"{" if number == 0 else b","
        after = end if number == len(groups) - 1 else b""
        joined.append((_piece(group, before, after), group[0].codes))
    return joined


def _piece(group: Sequence[Column], before: bytes, after: bytes) -> Pieces:
    columns = [
        _keyed(column, b"," if number else before)
        for number, column in enumerate(group)
    ]
    texts = columns[0]
    if len(columns) > 1:
        texts = [b"".join(cells) for cells in zip(*columns, strict=True)]
    if after:
        texts = [text + after for text in texts]
    pieces = np.empty(len(texts), object)
    pieces[:] = texts
    return pieces


def _keyed(column: Column, before: bytes) -> list[bytes]:
    key = before + orjson.dumps(column.name) + b":"
    return [key + value for value in column.values.json]
