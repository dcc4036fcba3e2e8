"""When a project will be done, from how much was done on each of the last days.

The last four weeks are all that is known of the pace. A draw takes them for one of many
four weeks that could have been: it picks four of the four Mondays with replacement, of
the Tuesdays likewise, and lives the days to come out of its own pick, until nothing is
left. So the interval holds both: that the pace is known from few days only, and that
days differ.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import numpy as np

from ranking.rank_table import IntArray

DRAWS: Final = 1_000
SEED: Final = 20_220_304
DAYS: Final = 28
LEAST_DAYS: Final = 7
HORIZON: Final = 3 * 365  # days
NOTHING_DONE: Final = "nothing was ranked in the last four weeks"
TOO_EARLY: Final = "a week of work is needed to know the pace"
DONE: Final = "nothing is left to do"


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """The middle of the draws and where 95 % of them lie; None where not known.

    `last` is None as well where more than 2.5 % of the draws do not end within three
    years. `why` says why there is no forecast.
    """

    day: date | None = None
    first: date | None = None
    last: date | None = None
    why: str = ""


def forecast(remaining: int, done: Sequence[int], *, today: date) -> Forecast:
    """`done` are the slots filled on each of the days before today, the last one
    yesterday; those before the project's first day are left out."""
    history = np.array(done[-DAYS:], np.int64)
    if remaining <= 0:
        return Forecast(why=DONE)
    if len(history) < LEAST_DAYS:
        return Forecast(why=TOO_EARLY)
    if not history.any():
        return Forecast(why=NOTHING_DONE)
    days = np.sort(_days_needed(remaining, history))
    first, middle, last = (
        int(days[int(at * (DRAWS - 1))]) for at in (0.025, 0.5, 0.975)
    )
    return Forecast(
        day=_day(today, middle), first=_day(today, first), last=_day(today, last)
    )


def _day(today: date, needed: int) -> date | None:
    """Counted from tomorrow: how much of today is left nobody knows."""
    return None if needed > HORIZON else today + timedelta(days=needed)


def _days_needed(remaining: int, history: IntArray) -> IntArray:
    """Days until the work is done, by draw; more than HORIZON for never."""
    rng = np.random.default_rng(SEED)
    weekdays = [history[len(history) - 1 - back :: -7] for back in range(7)]
    picked = [
        rng.choice(of_day, size=(DRAWS, len(of_day))) for of_day in reversed(weekdays)
    ]  # for days like today, like tomorrow, and so on
    left = np.full(DRAWS, remaining)
    needed = np.full(DRAWS, HORIZON + 1)
    rows = np.arange(DRAWS)
    for day in range(1, HORIZON + 1):
        of_day = picked[day % 7]
        left -= of_day[rows, rng.integers(0, of_day.shape[1], DRAWS)]
        needed[(left <= 0) & (needed > HORIZON)] = day
        if (left <= 0).all():
            break
    return needed
