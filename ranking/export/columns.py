"""Rows of an export as columns of few distinct values. PURE.

A text stands in many rows: a response of nine in up to eight pairs of a ranking. So a
column is its distinct values and, for each row, the number of its value. Each value is
encoded once, whatever the format.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

import numpy as np
import orjson

from ranking.rank_table import IntArray

JSON = orjson.OPT_UTC_Z
TURN = (b'[{"role":"assistant","content":', b"}]")


class Type(StrEnum):
    """What a cell holds; every cell may be null."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    TIME = "time"
    TEXTS = "texts"
    INTEGERS = "integers"
    LISTS_OF_TEXTS = "lists of texts"
    MESSAGES = "messages"  # {role, content}
    TURN = "turn"  # the text of one turn of the assistant's, written as messages
    RESPONSES = "responses"  # {id, text, model}
    COMPLETIONS = "completions"  # {rank, completion: messages}
    OBJECT = "object"  # anything; for formats that are JSON


@dataclass(frozen=True, eq=False)
class Values:
    """Distinct values of a column, or of several columns."""

    type: Type
    items: Sequence[Any]

    @cached_property
    def json(self) -> list[bytes]:
        """Each value as JSON in UTF-8, as orjson writes it."""
        texts = [orjson.dumps(item, option=JSON) for item in self.items]
        if self.type is Type.TURN:
            return [TURN[0] + text + TURN[1] for text in texts]
        return texts


@dataclass(frozen=True, eq=False)
class Column:
    """A named column: row r holds `values.items[codes[r]]`."""

    name: str
    values: Values
    codes: IntArray


@dataclass(frozen=True, eq=False)
class Rows:
    """Columns of equal length, in the order of the format; `left_open` counts pairs on
    which labelers together prefer neither response."""

    columns: Sequence[Column]
    left_open: int = 0

    def __len__(self) -> int:
        return len(self.columns[0].codes)


def column(name: str, type: Type, items: Sequence[Any]) -> Column:
    """A column that has a value of its own for each row."""
    return Column(name, Values(type, items), np.arange(len(items)))


def few(name: str, type: Type, items: IntArray | np.ndarray[Any, Any]) -> Column:
    """A column of an array in which few values come up often, such as weights."""
    distinct, codes = np.unique(items, return_inverse=True)
    return Column(name, Values(type, distinct.tolist()), codes)
