"""Celery's entry points. A message carries an id; the row it names is the job."""

import os
import socket
from typing import Any

from celery import shared_task
from celery.signals import worker_shutting_down

from annotation import jobs
from annotation.answering import answer_prompts
from annotation.models import GenerationRun
from annotation.rendered_prompts import render_some


@shared_task
def generate_responses(run_id: int) -> None:
    """Sample what a generation run asks for, if the run is free."""
    # Only a worker that samples loads torch.
    from annotation import sft  # noqa: PLC0415

    run = GenerationRun.claim(run_id, worker=worker_name())
    if run is not None:
        with jobs.sigterm_asks_to_stop():
            answer_prompts(run, load=sft.load)


@shared_task
def render_import(import_id: int, after: int = 0) -> None:
    """Render what an import brought, a second's work at a time: others wait behind it.

    Each message sends the next one, with the key of the prompt that it came to.
    """
    last = render_some(import_id, after=after)
    if last is not None:
        render_import.delay(import_id, last)


@shared_task
def reconcile() -> None:
    """Wake the generation runs that a broker, a beat or a worker lost."""
    jobs.reconcile(GenerationRun.objects.all(), generate_responses)


@worker_shutting_down.connect
def ask_work_to_stop(**_: Any) -> None:
    """Long work goes back to the queue at its next step, instead of being awaited."""
    jobs.stop_working()


def worker_name() -> str:
    """Who works, for the job's row: machine and process."""
    return f"{socket.gethostname()}:{os.getpid()}"
