"""The formats by name, and how a file of each is taken apart. PURE."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

from annotation.import_report import object_of
from annotation.json_records import RecordReader
from annotation.jsonl import Line, LineReader, Progress
from annotation.strict_json import Refused
from ranking.foreign import argilla, csv_table, kwise, label_studio, oasst, trl
from ranking.foreign.judged import Judged, OurLines, our_lines

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Format:
    """What a format is called, and how one of its records is read."""

    name: str
    label: str
    read: Callable[[Record], list[Judged]]
    is_table: bool = False


FORMATS: Final = {
    shape.name: shape
    for shape in (
        Format(trl.NAME, "Preference pairs (TRL, Hugging Face)", trl.read),
        Format(kwise.NAME, "K responses with ranks or scores a row", kwise.read),
        Format(label_studio.NAME, "Label Studio: ranker export", label_studio.read),
        Format(argilla.NAME, "Argilla: ranking records", argilla.read),
        Format(oasst.NAME, "OpenAssistant: message trees", oasst.read),
        Format(csv_table.NAME, "CSV table", csv_table.read, is_table=True),
    )
}


class ForeignFile:
    """A file in one of the formats: its records, each with the lines it becomes."""

    def __init__(
        self,
        shape: Format,
        file: BinaryIO,
        progress: Progress | None = None,
        *,
        most_bytes: int | None = None,
        columns: Mapping[str, str] | None = None,
    ) -> None:
        reader = LineReader if shape.is_table else RecordReader
        self._shape = shape
        self._lines = reader(file, progress, most_bytes=most_bytes)
        self._columns = columns or {}

    def check(self) -> None:
        """Read to the end. Raises UnreadableFile."""
        self._lines.check()

    def __iter__(self) -> Iterator[tuple[Line, list[OurLines] | Refused]]:
        """Every record, in the order of the file. Raises UnreadableFile."""
        for line, record in self._records():
            yield line, self._ours(record)

    def _records(self) -> Iterator[tuple[Line, Record | Refused]]:
        if self._shape.is_table:
            yield from csv_table.Table(self._lines, self._columns).records()
            return
        for line in self._lines:
            try:
                yield line, object_of(line)
            except Refused as error:
                yield line, error

    def _ours(self, record: Record | Refused) -> list[OurLines] | Refused:
        if isinstance(record, Refused):
            return record
        try:
            judged = self._shape.read(record)
        except Refused as error:
            return error
        return [our_lines(one, self._shape.name) for one in judged]
