"""The records of a file that is JSONL, or one JSON array, in flat memory. PURE."""

import re
from collections.abc import Iterator
from io import BufferedIOBase
from typing import Final, NamedTuple

from annotation.jsonl import BOM, LONGEST_LINE, Line, LineReader

AT_ONCE: Final = 2**18
# A text, whole or begun; or one of the signs that say how deep we are.
TOKEN: Final = re.compile(rb'"(?:[^"\\]|\\.)*+(?P<end>")?|[\[\]{},]', re.DOTALL)
BLANK: Final = b" \t\r\n"


class RecordReader(LineReader):
    """Lines of JSONL, or the elements of an array as if each were a line.

    Of an array, `number` counts its elements from 1. Only brackets, commas and texts
    are looked at here: whether an element is JSON is for the strict reader to say. To
    it goes, too, what stands where no element may be: nothing between two commas, or
    before the end of a file that was cut off.
    """

    def _lines(self, plain: BufferedIOBase) -> Iterator[Line]:
        start = plain.read(AT_ONCE)
        plain.seek(0)
        if start.removeprefix(BOM).lstrip(BLANK).startswith(b"["):
            return self._elements(plain)
        return super()._lines(plain)

    def _elements(self, plain: BufferedIOBase) -> Iterator[Line]:
        tokens = self._tokens(plain)
        next(tokens)  # the bracket that opens the array
        element, number, depth, closed = _Element(), 1, 1, False
        for token in tokens:
            if depth == 1 and token.sign in (b",", b"]") and not closed:
                closed = token.sign == b"]"
                element.add(token.before, token.offset)
                if not (closed and number == 1 and element.is_blank):
                    yield element.line(number)
                element, number = _Element(), number + 1
                continue
            element.add(token.before + token.sign, token.offset)
            depth += (token.sign in (b"[", b"{")) - (token.sign in (b"]", b"}"))
        if not closed or not element.is_blank:
            yield element.line(number)

    def _tokens(self, plain: BufferedIOBase) -> Iterator["_Token"]:
        """All of the file, cut behind each sign; the rest with an empty one."""
        read, rest = 0, b""
        # A text that goes on is looked at from its start again, so each time as much is
        # read as there is already: twice its length is looked at in all.
        while piece := plain.read(max(AT_ONCE, len(rest))):
            start = read - len(rest)
            read += len(piece)
            self._check(read)
            rest, done = rest + piece, 0
            for found in TOKEN.finditer(rest):
                if found[0][:1] == b'"' and not found["end"]:
                    break  # it may go on in the next piece
                yield _Token(rest[done : found.start()], found[0], start + done)
                done = found.end()
            rest = rest[done:]
            if len(rest) > LONGEST_LINE:
                yield _Token(rest, b"", start + done)
                rest = b'"' if b'"' in rest else b""  # inside a text without an end
        yield _Token(rest, b"", read - len(rest))


class _Token(NamedTuple):
    before: bytes  # what stands between the last sign and this one
    sign: bytes
    offset: int  # where `before` begins


class _Element:
    """The bytes of one element so far; of one that is too long, only the start."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0
        self._offset = 0

    @property
    def is_blank(self) -> bool:
        return not self._size

    def add(self, piece: bytes, offset: int) -> None:
        if not self._size:
            self._offset = offset + len(piece) - len(piece.lstrip(BLANK))
            piece = piece.lstrip(BLANK)
        self._size += len(piece)
        if self._size <= LONGEST_LINE:
            self._pieces.append(piece)

    def line(self, number: int) -> Line:
        content = b"".join(self._pieces).rstrip(BLANK)
        too_long = self._size > LONGEST_LINE
        return Line(number, self._offset, content, too_long=too_long)
