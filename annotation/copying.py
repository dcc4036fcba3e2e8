"""Many rows by COPY, which costs a fraction of inserting them as objects.

Triggers and constraints hold as they do for INSERT. The rows travel in COPY's binary
format, which psycopg writes in C and where no text needs escaping.
"""

import re
import struct
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import chain
from typing import Any, Final

import orjson
from django.contrib.postgres.fields import ArrayField
from django.db import connection
from django.db.models import JSONField, Model
from psycopg.types.string import BytesBinaryDumper

JSONB_VERSION: Final = b"\1"
# Postgres' names for the types, as its binary arrays carry them.
SMALLINT: Final = 21
VARCHAR: Final = 1043
# Dimensions, whether there are NULLs, the type of the elements; of the one dimension
# its size and the number of its first place.
NO_ELEMENTS: Final = struct.Struct(">3i")
SIZE: Final = struct.Struct(">i")


def copy_rows(
    model: type[Model], columns: tuple[str, ...], rows: Iterable[Sequence[Any]]
) -> None:
    """Store rows; columns that are not named get their defaults in the database.

    Values of a JSON column come as `jsonb` makes them, those of an array as `smallints`
    or `varchars` do: what psycopg would do in Python for each of them.
    """
    names = ", ".join(f'"{column}"' for column in columns)
    statement = f"COPY {model._meta.db_table} ({names}) FROM STDIN (FORMAT BINARY)"
    with connection.cursor() as cursor:
        # The dumper in C: by the type, psycopg would find one in Python.
        cursor.adapters.register_dumper(None, BytesBinaryDumper)
        with cursor.copy(statement) as copy:
            copy.set_types(_types(model, columns))
            for row in rows:
                copy.write_row(row)


def jsonb(value: Any) -> bytes:
    """A JSON value in Postgres' binary format: a version, then its text."""
    return JSONB_VERSION + orjson.dumps(value)


def smallints(values: Sequence[int]) -> bytes:
    """Integers of 16 bits as a `smallint[]`."""
    if not values:
        return NO_ELEMENTS.pack(0, 0, SMALLINT)
    count = len(values)
    sized = chain.from_iterable((2, value) for value in values)
    return _smallints(count).pack(1, 0, SMALLINT, count, 1, *sized)


@cache
def _smallints(count: int) -> struct.Struct:
    """So many elements behind the head: each has its size in bytes before it."""
    return struct.Struct(">5i" + "ih" * count)


def varchars(texts: Sequence[str]) -> bytes:
    """Texts as a `varchar[]`."""
    if not texts:
        return NO_ELEMENTS.pack(0, 0, VARCHAR)
    pieces = [struct.pack(">5i", 1, 0, VARCHAR, len(texts), 1)]
    for text in texts:
        written = text.encode()
        pieces += (SIZE.pack(len(written)), written)
    return b"".join(pieces)


@cache
def _types(model: type[Model], columns: tuple[str, ...]) -> list[str]:
    """What Postgres calls the columns' types, without lengths: bigint, varchar[]."""
    fields = {field.column: field for field in model._meta.concrete_fields}
    return [
        "bytea"  # psycopg leaves it as it is
        if isinstance(fields[column], JSONField | ArrayField)
        else re.sub(r"\(\d+\)", "", fields[column].db_type(connection) or "")
        for column in columns
    ]
