"""One strict JSON reader for the API and for imported files. PURE.

The standard library's reader, less what it lets through: duplicate keys, NaN and
infinities, numbers no column can hold, NUL and lone surrogates (Postgres refuses
both), and documents nested until the stack ends.
"""

import json
import math
import re
from collections import Counter
from typing import Any, Final, NoReturn

DEEPEST: Final = 32  # objects and lists inside each other
MOST_KEYS: Final = 10_000  # of one object
LARGEST_INTEGER: Final = 2**63 - 1
# A document beyond it is large by its texts, or is refused before it is read: a key of
# ten bytes takes two hundred in the memory, a list of two bytes sixty.
LARGE: Final = 2**20
MOST_TEXTS: Final = 200_000  # of a large document, its keys among them
MOST_BESIDE_TEXTS: Final = 2 * 2**20  # bytes
A_TEXT: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
# An escape that may bring in a NUL or half a surrogate pair. What follows the backslash
# is only looked at, for a pattern that begins with one sign is searched five times as
# fast.
UNWANTED: Final = re.compile(rb"\\(?=u(?:0000|[dD][89a-fA-F]))")


class Refused(ValueError):  # noqa: N818  reads as what happened
    """Something that was sent to us and that we do not take.

    `code` is a word for programs, the text of the error is for people.
    """

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


def read_json(raw: bytes) -> Any:
    """The value of one JSON document in UTF-8.

    Raises Refused with one of the codes bad_utf8, nul, lone_surrogate, nan,
    number_too_large, duplicate_key, too_many_keys, too_deep, bad_json.

    >>> read_json(b'{"id": "p1", "ranks": {"a": 1}}')
    {'id': 'p1', 'ranks': {'a': 1}}
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refused(
            "bad_utf8", f"byte {error.start + 1} is not UTF-8: {error.reason}"
        ) from error
    if "\0" in text:
        raise Refused("nul", f"a NUL byte at byte {raw.index(0) + 1}")
    if text.startswith("\ufeff"):
        raise Refused("bad_json", "it starts with a byte order mark")
    if len(raw) > LARGE:
        _check_large(raw)
    try:
        value = DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise Refused("bad_json", _where(error)) from error
    except RecursionError as error:
        raise _too_deep() from error
    # NULs and surrogates can only come by an escape by now, and what opens few brackets
    # is not deep: most documents need not be walked through.
    escapes = UNWANTED.search(raw) is not None
    if escapes or _times(b"{", raw) + _times(b"[", raw) > DEEPEST:
        _check_inside(value, texts_too=escapes)
    return value


def _check_large(raw: bytes) -> None:
    """Refuse what would fill the memory; looks at each byte once and keeps nothing."""
    beside = len(raw)
    for number, text in enumerate(A_TEXT.finditer(raw), 1):
        beside -= text.end() - text.start()
        if number > MOST_TEXTS:
            raise Refused(
                "too_many_keys", f"more than {MOST_TEXTS} keys and texts in one line"
            )
    if beside > MOST_BESIDE_TEXTS:
        raise Refused(
            "too_many_keys",
            f"{beside} bytes beside the texts; the most is {MOST_BESIDE_TEXTS}",
        )


def _times(sign: bytes, raw: bytes) -> int:
    """How often a byte is there: replace() finds a rare one ten times as fast as
    count() does."""
    return len(raw) - len(raw.replace(sign, b""))


def _where(error: json.JSONDecodeError) -> str:
    line = f"line {error.lineno}, " if error.lineno > 1 else ""
    return f"not JSON: {error.msg} ({line}column {error.colno})"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(pairs) > MOST_KEYS:
        raise Refused(
            "too_many_keys", f"an object of {len(pairs)} keys; the most is {MOST_KEYS}"
        )
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    times = Counter(key for key, _ in pairs)
    twice = next(key for key in times if times[key] > 1)
    raise Refused("duplicate_key", f"the key {_shown(twice)} stands there twice")


def _not_a_number(word: str) -> NoReturn:
    raise Refused("nan", f"{word} is not a number in JSON")


def _float(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise Refused("number_too_large", f"the number {_shown(digits)} is too large")
    return number


def _integer(digits: str) -> int:
    # The length first: reading a number of many digits is slow.
    if len(digits) > 20 or abs(int(digits)) > LARGEST_INTEGER:
        raise Refused(
            "number_too_large",
            f"the number {_shown(digits)} is too large; the largest is"
            f" {LARGEST_INTEGER}",
        )
    return int(digits)


# Made once: json.loads would make one for every line of a file.
DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_object,
    parse_constant=_not_a_number,
    parse_float=_float,
    parse_int=_integer,
)


def _check_inside(value: Any, *, texts_too: bool) -> None:
    """Depth, and NUL and surrogates in keys and strings, without recursion."""
    level, depth = [value], 0
    while level:
        if texts_too:
            for found in level:
                if isinstance(found, str):
                    _check_text(found)
        containers = [found for found in level if isinstance(found, dict | list)]
        depth += bool(containers)
        if depth > DEEPEST:
            raise _too_deep()
        level = [inside for found in containers for inside in _contents(found)]


def _contents(container: dict[str, Any] | list[Any]) -> list[Any]:
    if isinstance(container, dict):
        return [*container, *container.values()]
    return container


def _check_text(text: str) -> None:
    if "\0" in text:
        raise Refused("nul", rf"a NUL (\u0000) in {_shown(text)}")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        half = ord(text[error.start])
        raise Refused(
            "lone_surrogate", rf"\u{half:04x} is half of a character, without its pair"
        ) from error


def _too_deep() -> Refused:
    return Refused("too_deep", f"nested deeper than {DEEPEST} levels")


def _shown(text: str) -> str:
    """A start of the text that is safe to print."""
    return ascii(text if len(text) <= 40 else f"{text[:40]}…")
