"""Celery's app as a worker of tests has it that gets messages twice: a message that it
has not acknowledged after 8 s goes to another worker, and it acknowledges at the end.

Only workers of tests load this module. A lease lasts 3 s, and who has begun to train
stands still until the file `GATE` is there: longer than a lease that nobody renews.
With `NO_HEARTBEAT` nobody does.
"""

import os
import time
from datetime import timedelta
from pathlib import Path

import django

from annotation.celery import app

django.setup()

from annotation import jobs  # noqa: E402  Django is set up now
from rm_training import attempts  # noqa: E402
from rm_training.reporting import AttemptReporter  # noqa: E402

# With `attempts`, torch is here before the first message: it is claimed at once.
__all__ = ["app", "attempts"]

VISIBLE_AGAIN = 8  # seconds
GATE = Path(os.environ["GATE"])

app.conf.task_acks_late = True
app.conf.broker_transport_options = {
    **app.conf.broker_transport_options,
    "visibility_timeout": VISIBLE_AGAIN,
    "unacked_restore_interval": 1,
    "unacked_restore_throttle": 1,
}
jobs.LEASE = timedelta(seconds=3)
jobs.HEARTBEAT_SECONDS = 3600.0 if "NO_HEARTBEAT" in os.environ else 0.5

_begin = AttemptReporter.on_note


def _stand_still(reporter: AttemptReporter, note: str) -> None:
    _begin(reporter, note)
    while not GATE.exists():
        time.sleep(0.05)


AttemptReporter.on_note = _stand_still  # type: ignore[method-assign, assignment]
