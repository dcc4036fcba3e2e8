"""What the ranking page measured about the ranking: hints from a client's clock.

Nothing in it decides anything, so nothing in it can refuse a ranking: what is not
understood is left out.
"""

import json
import math
from collections.abc import Mapping
from typing import Any

from annotation.shown import LETTERS

LONGEST_TELEMETRY = 4096  # characters
LONGEST_TIME = 24 * 3600 * 1000  # milliseconds
MOST_EVENTS = 1_000_000
TIMES = frozenset({"active_ms", "wall_ms", "first_ms"})
COUNTS = frozenset(
    {"n_moves", "n_undos", "n_compare", "n_asked"}
    | {"n_key", "n_drag", "n_tap", "n_select", "n_line"}
)
LIMITS = dict.fromkeys(TIMES, LONGEST_TIME) | dict.fromkeys(COUNTS, MOST_EVENTS)


def read_telemetry(text: str) -> dict[str, Any]:
    """What `measurements` finds in a JSON text; `{}` for one over 4,096 characters."""
    if len(text) > LONGEST_TELEMETRY:
        return {}
    try:
        return measurements(json.loads(text or "{}"))
    except (ValueError, RecursionError):
        return {}


def measurements(given: object) -> dict[str, Any]:
    """The known measurements in what a page sent, each clamped to what is possible.

    Times are milliseconds from 0 to a day, counts 0 to a million. `visible_ms` is a
    time for each letter, `unread` the letters whose text was never seen in full. For
    anything else there is no place: it is left out.
    """
    if not isinstance(given, Mapping):
        return {}
    found: dict[str, Any] = {
        name: _clamped(given[name], limit)
        for name, limit in LIMITS.items()
        if _is_a_number(given.get(name))
    }
    visible = _by_letter(given.get("visible_ms"))
    if visible:
        found["visible_ms"] = visible
    if isinstance(given.get("unread"), list):
        found["unread"] = [letter for letter in LETTERS if letter in given["unread"]]
    return found


def _by_letter(given: object) -> dict[str, int]:
    """Letter → milliseconds."""
    if not isinstance(given, Mapping):
        return {}
    return {
        letter: _clamped(given[letter], LONGEST_TIME)
        for letter in LETTERS
        if _is_a_number(given.get(letter))
    }


def _clamped(number: float, limit: int) -> int:
    return min(max(round(number), 0), limit)


def _is_a_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, int) or math.isfinite(value)
