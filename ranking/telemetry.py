"""What the ranking page measured about the ranking: hints from a client's clock.

Nothing in it decides anything, so nothing in it can refuse a ranking: what is not
understood is left out.
"""

import json
import math

LONGEST_TELEMETRY = 4096  # characters
LONGEST_TIME = 24 * 3600 * 1000  # milliseconds
MOST_EVENTS = 1_000_000
TIMES = frozenset({"active_ms", "wall_ms", "first_ms"})
COUNTS = frozenset(
    {"n_moves", "n_undos", "n_key", "n_drag", "n_tap", "n_select", "n_line"}
)


def read_telemetry(text: str) -> dict[str, int]:
    """The known measurements in a JSON object, each clamped to what is possible.

    Times are milliseconds from 0 to a day, counts 0 to a million. Anything else, a
    text over 4,096 characters included, gives `{}` or is left out.
    """
    if len(text) > LONGEST_TELEMETRY:
        return {}
    try:
        given = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    if not isinstance(given, dict):
        return {}
    limits = dict.fromkeys(TIMES, LONGEST_TIME) | dict.fromkeys(COUNTS, MOST_EVENTS)
    return {
        name: min(max(round(given[name]), 0), limit)
        for name, limit in limits.items()
        if _is_a_number(given.get(name))
    }


def _is_a_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, int) or math.isfinite(value)
