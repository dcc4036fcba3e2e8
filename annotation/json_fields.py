"""Checks of the fields of a line: presence, type, length. PURE.

Every check raises `Refused` with the code missing_field, wrong_type or text_too_long.
"""

import math
from collections.abc import Collection, Mapping
from typing import Any, Final, TypeGuard

from annotation.strict_json import Refused

LONGEST_ID: Final = 200
LARGEST_RANK: Final = 10**9


def required(fields: Mapping[str, Any], name: str) -> Any:
    """The field's value."""
    if name not in fields:
        raise Refused("missing_field", f"the field {name!r} is missing")
    return fields[name]


def an_object(fields: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The field's object; empty where the field is absent or null."""
    value = fields.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Refused("wrong_type", f"{name!r} is not an object")
    return value


def a_list(fields: Mapping[str, Any], name: str) -> list[Any]:
    """The field's list; empty where the field is absent or null."""
    value = fields.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise Refused("wrong_type", f"{name!r} is not a list")
    return value


def text(value: Any, name: str, *, most_bytes: int) -> str:
    """A text, empty ones too, of at most so many bytes in UTF-8."""
    if not isinstance(value, str):
        raise Refused("wrong_type", f"{name!r} is not a text")
    # A character takes four bytes at most: few texts have to be counted.
    size = len(value) if len(value) * 4 <= most_bytes else len(value.encode("utf-8"))
    if size > most_bytes:
        raise Refused(
            "text_too_long",
            f"{name!r} has {size} bytes in UTF-8; the most is {most_bytes}",
        )
    return value


def is_word(value: Any, *, most: int = LONGEST_ID) -> TypeGuard[str]:
    """Whether it is an id or a name: not blank, of at most so many characters."""
    return isinstance(value, str) and 0 < len(value) <= most and not value.isspace()


def word(value: Any, name: str, *, most: int = LONGEST_ID) -> str:
    """An id or a name: a text that is not blank, of at most so many characters."""
    if is_word(value, most=most):
        return value
    if not isinstance(value, str) or not value.strip():
        raise Refused("wrong_type", f"{name!r} is not a text, or is blank")
    raise Refused(
        "text_too_long", f"{name!r} has {len(value)} characters; the most is {most}"
    )


def ranks(value: Any, name: str) -> dict[str, int]:
    """Ranks by response id: integers, lower is better, equal is a tie."""
    if not isinstance(value, dict):
        raise Refused("wrong_type", f"{name!r} is not an object of response id: rank")
    for response, rank in value.items():
        whole = isinstance(rank, int) and not isinstance(rank, bool)
        if not whole or abs(rank) > LARGEST_RANK:
            raise Refused(
                "wrong_type",
                f"the rank of {response[:50]!r} in {name!r} is not an integer up to"
                f" {LARGEST_RANK}",
            )
    return value


def check_covers(
    ranked: Mapping[str, int], responses: Collection[str], name: str
) -> None:
    """Every response has a rank, and nothing else has: else incomplete, or
    unknown_response."""
    missing = sorted(set(responses) - ranked.keys())
    strangers = sorted(ranked.keys() - set(responses))
    if missing:
        raise Refused("incomplete", f"{name!r} misses {_listed(missing)}")
    if strangers:
        raise Refused(
            "unknown_response",
            f"{name!r} names {_listed(strangers)}, not among the prompt's responses",
        )


def seconds(value: Any, name: str) -> float | None:
    """A length of time that is not negative, or None."""
    if value is None:
        return None
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or value < 0:
        raise Refused("wrong_type", f"{name!r} is not a number of seconds, 0 or more")
    return float(value)


def _listed(names: list[str]) -> str:
    shown = ", ".join(repr(name[:50]) for name in names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"
