"""The worker and beat processes: `celery -A annotation worker`, `… beat`."""

import os
from typing import Any

from celery import Celery
from celery.signals import (
    beat_init,
    before_task_publish,
    setup_logging,
    worker_init,
)
from django.conf import settings

from annotation.embedded.attach import ensure_running

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "annotation.settings")
# Web, Postgres and other workers use the same cores. Where they do, threads of torch
# that wait for each other in a loop, as they do unless told, make a step of training
# cost many times the processor: 33 s instead of 5 with SmolLM2 on two busy cores.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

app = Celery("annotation")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@setup_logging.connect
def keep_our_logging(**_: Any) -> None:
    """Connected so that Celery leaves the logging of the settings alone."""


@worker_init.connect
@beat_init.connect
@before_task_publish.connect
def start_embedded_broker(**_: Any) -> None:
    """A worker, or who sends the first message, may never have opened the database."""
    if settings.EMBEDDED_VALKEY:
        ensure_running(settings.EMBEDDED_PLACES)
