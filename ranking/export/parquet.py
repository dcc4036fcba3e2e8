"""Columns as Parquet. Loads pyarrow, which costs 0.2 s and 60 MB: imported only by who
writes such a file, never when a web process starts. PURE.

One row group for each part that is written, compressed with zstd. Texts are written as
dictionaries: a text that stands in many rows of a group is stored once. Readers see
plain strings. The same columns give the same rows always, and the same bytes with the
same version of pyarrow.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ranking.export.columns import Rows, Type, Values

ZSTD_LEVEL: Final = 1  # 3 makes files 14 % smaller and costs a third more time
# A dictionary is never given up for its size: parts of a file are bounded already.
DICTIONARY_BYTES: Final = 1 << 30

_text: Final = pa.dictionary(pa.int32(), pa.string())
_messages: Final = pa.list_(pa.struct([("role", _text), ("content", _text)]))
ARROW: Final[Mapping[Type, pa.DataType]] = {
    Type.TEXT: _text,
    Type.INTEGER: pa.int64(),
    Type.NUMBER: pa.float64(),
    Type.BOOLEAN: pa.bool_(),
    Type.TIME: pa.timestamp("us", tz="UTC"),
    Type.TEXTS: pa.list_(_text),
    Type.INTEGERS: pa.list_(pa.int64()),
    Type.LISTS_OF_TEXTS: pa.list_(pa.list_(_text)),
    Type.MESSAGES: _messages,
    Type.TURN: _messages,
    Type.RESPONSES: pa.list_(
        pa.struct([("id", _text), ("text", _text), ("model", _text)])
    ),
    Type.COMPLETIONS: pa.list_(
        pa.struct([("rank", pa.int64()), ("completion", _messages)])
    ),
}


class Parquet:
    """Writes one Parquet file; see `ranking.export.formats.Writer`."""

    def __init__(self, sink: Any) -> None:
        self._sink = sink
        self._writer: pq.ParquetWriter | None = None

    def write(self, rows: Rows) -> None:
        """One row group; for no rows none, but the columns are known then."""
        arrays: dict[int, pa.Array] = {}  # columns may share their values
        columns = []
        for column in rows.columns:
            key = id(column.values)
            if key not in arrays:
                arrays[key] = _array(column.values)
            columns.append(arrays[key].take(pa.array(column.codes)))
        table = pa.table(columns, names=[column.name for column in rows.columns])
        if self._writer is None:
            self._writer = self._opened(table.schema)
        if len(rows):
            self._writer.write_table(table, row_group_size=len(rows))

    def close(self) -> None:
        """Write the footer."""
        if self._writer is not None:
            self._writer.close()

    def _opened(self, schema: pa.Schema) -> pq.ParquetWriter:
        return pq.ParquetWriter(
            self._sink,
            schema,
            compression="zstd",
            compression_level=ZSTD_LEVEL,
            dictionary_pagesize_limit=DICTIONARY_BYTES,
            # Readers then see strings and not dictionaries, which `datasets` refuses.
            store_schema=False,
        )


def _array(values: Values) -> pa.Array:
    if values.type is Type.TURN:
        return _turns(values.items)
    return pa.array(values.items, type=ARROW[values.type])


def _turns(texts: Sequence[str]) -> pa.Array:
    """Lists of one message each, put together from columns: no object for each."""
    count = len(texts)
    contents = pa.DictionaryArray.from_arrays(
        pa.array(np.arange(count, dtype=np.int32)), pa.array(texts, pa.string())
    )
    roles = pa.DictionaryArray.from_arrays(
        pa.array(np.zeros(count, np.int32)), pa.array(["assistant"])
    )
    messages = pa.StructArray.from_arrays([roles, contents], ["role", "content"])
    return pa.ListArray.from_arrays(
        pa.array(np.arange(count + 1, dtype=np.int32)), messages
    )
