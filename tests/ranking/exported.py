"""Files of datasets, with the test as the worker that writes them."""

from typing import Any

import pytest
from django.test import Client

from ranking import job_progress, tasks
from ranking.exporting import carry_out
from ranking.models import ExportRun


@pytest.fixture
def a_worker_at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that is asked for is done before the answer says that it is not yet."""

    def work(pk: int) -> None:  # a live server's thread cannot take signals
        run = ExportRun.claim(pk, worker="at hand")
        if run is not None:
            carry_out(run)

    monkeypatch.setattr(tasks.write_export, "delay", work)


@pytest.fixture
def nobody_works(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The jobs that workers were sent."""
    sent: list[int] = []
    monkeypatch.setattr(tasks.write_export, "delay", sent.append)
    return sent


def fetched(browser: Client, address: str, **headers: str) -> Any:
    """The answer once the file is written: 202 comes first, and once."""
    answer = browser.get(address, headers=headers)
    if answer.status_code != 202:
        return answer
    return browser.get(address, headers=headers)


def body(response: Any) -> bytes:
    """All of it; a download's file is closed with its last byte."""
    if response.streaming:
        return b"".join(response.streaming_content)
    return bytes(response.content)


@pytest.fixture
def written_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """For `write_waiting` in a test's own transaction, which the thread that keeps a
    lease cannot see: it has nothing to do for as long as the test takes."""
    monkeypatch.setattr(job_progress, "REPORT_SECONDS", 3_600)


def write_waiting() -> None:
    """Every file that was asked for is written."""
    for pk in ExportRun.objects.filter(state="queued").values_list("pk", flat=True):
        tasks.write_export(pk)
