"""ISO weeks of many moments at once."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranking.rank_table import IntArray

Moments = NDArray[np.datetime64[Any]]


def iso_weeks(moments: Moments) -> IntArray:
    """ISO year and week of moments `(n,)` in UTC, such as 202647.

    The week belongs to the year that its Thursday lies in (ISO 8601): 2027-01-03 is
    in 202653.
    """
    days = moments.astype("datetime64[D]").astype(np.int64)  # 0 is a Thursday
    thursday = (days - (days + 3) % 7 + 3).astype("datetime64[D]")
    new_year = thursday.astype("datetime64[Y]")
    week: IntArray = (thursday - new_year).astype(np.int64) // 7 + 1
    year: IntArray = new_year.astype(np.int64) + 1970
    return year * 100 + week
