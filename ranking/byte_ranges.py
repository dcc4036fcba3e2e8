"""Which bytes of a file a request asks for. PURE.

RFC 9110, section 14: one range of bytes is answered in part; whatever is not
understood, or asks for several parts, is answered with the whole file.
"""

import re
from typing import Final

ONE_RANGE: Final = re.compile(
    r"bytes=\s*(\d{0,18})-(\d{0,18})\s*", re.IGNORECASE | re.ASCII
)


class NoSuchBytes(ValueError):  # noqa: N818  reads as what happened
    """The range begins beyond the end of the file."""


def requested(header: str, size: int) -> range | None:
    """The places of the bytes that a Range header asks for; None: all of them.

    Of 10 bytes, `bytes=2-4` are 2, 3 and 4, `bytes=7-` and `bytes=-3` the last three.
    Raises NoSuchBytes for `bytes=10-` and `bytes=-0`.
    """
    match = ONE_RANGE.fullmatch(header)
    if not match or match.group(1, 2) == ("", ""):
        return None
    first, last = match.group(1, 2)
    if not first:
        places = range(max(0, size - int(last)), size)
    elif last and int(last) < int(first):
        return None  # not a range
    else:
        places = range(int(first), min(int(last) + 1, size) if last else size)
    if not places:
        raise NoSuchBytes(f"{header} of {size} bytes")
    return places


def still_meant(if_range: str | None, etag: str) -> bool:
    """Whether a part may be sent: the reader has parts of just this file, or says
    nothing of others. A date, or a weak tag, is no proof."""
    return if_range is None or if_range == etag
