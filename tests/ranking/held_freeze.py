"""A freeze that stands still until a test lets it go on."""

import threading
from typing import Any

import pytest

from ranking import datasets, job_progress
from ranking.frozen import read_prompts

HeldUp = tuple[threading.Event, threading.Event]


@pytest.fixture
def held_up(monkeypatch: pytest.MonkeyPatch) -> HeldUp:
    """A freeze that stops after its first prompts: (it is there, let it go on)."""
    there, go_on = threading.Event(), threading.Event()

    def slow(*args: Any) -> Any:
        for some in read_prompts(*args):
            yield some
            there.set()
            assert go_on.wait(60)

    monkeypatch.setattr(datasets, "read_prompts", slow)
    monkeypatch.setattr(job_progress, "REPORT_SECONDS", 0.01)
    return there, go_on
