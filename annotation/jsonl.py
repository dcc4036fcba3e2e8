"""Lines of a JSONL or JSONL.gz file, one at a time, in flat memory. PURE."""

import gzip
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedIOBase, BytesIO
from typing import BinaryIO, Final, cast

# Ten texts of the largest size, and room for the rest of the line.
LONGEST_LINE: Final = 24 * 2**20
BOM: Final = b"\xef\xbb\xbf"
GZIP: Final = b"\x1f\x8b"
LONG_ENOUGH: Final = 64  # of a longer line so many bytes say what it was
AT_ONCE: Final = 2**16
# Texts pack to a tenth, logs of one sentence to a hundredth; only what was made to fill
# a disk or to take for ever packs to a thousandth. Small files may pack as they like.
MOST_TIMES: Final = 200
PACKS_AS_IT_LIKES: Final = 100 * 2**20

Progress = Callable[[int], object]
"""Told how many bytes of the file (as it lies on disk) have been read by now."""


class UnreadableFile(ValueError):  # noqa: N818  reads as what happened
    """The file itself is broken: nothing of it can be trusted."""


@dataclass(slots=True)
class Line:
    """One line that is not blank, without its end.

    `number` counts all lines from 1, `byte_offset` is where the line starts in the
    (uncompressed) file. Of a line beyond LONGEST_LINE only the start is kept. Whoever
    keeps many lines empties the `content` of those whose content has been read.
    """

    number: int
    byte_offset: int
    content: bytes
    bom: bool = False
    crlf: bool = False
    too_long: bool = False


class LineReader:
    """The lines of one file, as often as asked; gzip is known by its first bytes."""

    def __init__(
        self,
        file: BinaryIO,
        progress: Progress | None = None,
        *,
        most_bytes: int | None = None,
    ) -> None:
        self._file = file
        self._progress = progress
        self._most_bytes = most_bytes  # unpacked; None: no limit

    def __iter__(self) -> Iterator[Line]:
        """The lines from the start.

        Raises UnreadableFile for a broken gzip file, beyond `most_bytes`, and for one
        that was packed to do harm.
        """
        with self._plain() as plain:
            yield from self._lines(plain)

    def check(self) -> None:
        """Read to the end, without a look at the lines. Raises UnreadableFile."""
        with self._plain() as plain:
            for _ in self._pieces(plain):
                pass

    @contextmanager
    def _plain(self) -> Iterator[BufferedIOBase]:
        """The file from its start, unpacked; it stays open, to be read again."""
        self._file.seek(0)
        compressed = self._file.read(2) == GZIP
        self._file.seek(0)
        plain = gzip.GzipFile(fileobj=self._file) if compressed else self._file
        try:
            yield cast(BufferedIOBase, plain)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise UnreadableFile(
                f"the gzip file is cut off or damaged ({error}): nothing of it was used"
            ) from error

    def _lines(self, plain: BufferedIOBase) -> Iterator[Line]:
        number, offset, size = 1, 0, 0  # of the line that is being read
        begun: list[bytes] = []  # what is there of it
        for piece in self._pieces(plain):
            for some in BytesIO(piece):  # six times as fast as split()
                begun.append(some)
                size += len(some)
                if some.endswith(b"\n"):
                    yield from _line(number, offset, b"".join(begun), size)
                    number, offset, size, begun = number + 1, offset + size, 0, []
                elif size > LONGEST_LINE:
                    begun = [b"".join(begun)[:LONG_ENOUGH]]
        yield from _line(number, offset, b"".join(begun), size)

    def _pieces(self, plain: BufferedIOBase) -> Iterator[bytes]:
        read = 0
        while piece := plain.read(AT_ONCE):
            read += len(piece)
            self._check(read)
            yield piece

    def _check(self, read: int) -> None:
        if self._most_bytes is not None and read > self._most_bytes:
            raise UnreadableFile(
                f"the file unpacks to more than {self._most_bytes} bytes, the most that"
                " is taken here: nothing of it was used"
            )
        if read > PACKS_AS_IT_LIKES and read > MOST_TIMES * self._file.tell():
            raise UnreadableFile(
                f"the file unpacks to more than {MOST_TIMES} times its size, as no file"
                " of texts does: nothing of it was used"
            )
        if self._progress:
            self._progress(self._file.tell())


def _line(number: int, offset: int, raw: bytes, size: int) -> tuple[Line] | tuple[()]:
    """The line of so many bytes, its end included; none where it is blank."""
    if size > LONGEST_LINE + 1:
        return (Line(number, offset, raw[:LONG_ENOUGH], too_long=True),)
    if not raw or raw.isspace():
        return ()
    content = raw.removesuffix(b"\n")
    bom, crlf = content.startswith(BOM), content.endswith(b"\r")
    content = content.removeprefix(BOM).removesuffix(b"\r")
    return (Line(number, offset, content, bom, crlf),)
