"""Files of datasets, with the test as the worker that writes them."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from annotation.models import Membership, Project
from ranking import job_progress, tasks
from ranking.datasets import freeze
from ranking.export import folder, reading
from ranking.exporting import carry_out
from ranking.models import Dataset, ExportRun
from tests.conftest import make_prompt
from tests.ranking.rows import store_ranking

RANKS = {"r1": 1, "r2": 2, "r3": 2, "r4": 3}


@pytest.fixture
def dataset(
    project: Project, alice: Membership, monkeypatch: pytest.MonkeyPatch
) -> Dataset:
    """Three prompts with five pairs each, which are read one by one."""
    monkeypatch.setattr(reading, "PROMPTS_AT_ONCE", 1)
    for number in range(3):
        store_ranking(make_prompt(project, f"p{number}"), alice, RANKS)
    return freeze(project)


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


class HalfWay:
    """A worker that stands still once the first prompt is written."""

    def __init__(self, run: ExportRun, monkeypatch: pytest.MonkeyPatch) -> None:
        self.there, self._go_on = threading.Event(), threading.Event()
        monkeypatch.setattr(folder, "parts_of", self._parts)
        monkeypatch.setattr(job_progress, "REPORT_SECONDS", 0.01)
        self._thread = threading.Thread(target=self._work, args=(run,))
        self._thread.start()
        assert self.there.wait(60)

    def _parts(self, *args: Any) -> Iterator[Any]:
        for number, part in enumerate(reading.parts_of(*args)):
            if number == 1:
                self.there.set()
                assert self._go_on.wait(60)
            yield part

    def _work(self, run: ExportRun) -> None:
        try:
            carry_out(run)
        finally:
            connection.close()

    def finish(self) -> None:
        """Let it go on to its end."""
        self._go_on.set()
        self._thread.join()
