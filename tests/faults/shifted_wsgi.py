"""The site in a process whose clock is wrong by `CLOCK_IS_AHEAD_BY` seconds."""

import os
from datetime import UTC, datetime, timedelta

import time_machine

ahead = timedelta(seconds=float(os.environ["CLOCK_IS_AHEAD_BY"]))
time_machine.travel(datetime.now(UTC) + ahead, tick=True).start()

from annotation.wsgi import application  # noqa: E402  under the wrong clock

__all__ = ["application"]
