"""A run that trains, seen in a browser: its page follows it and is never reloaded."""

import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from pytest_django import Settings

from annotation.models import Membership, Project
from rm_training import reporting, tasks
from rm_training.attempts import attempt
from rm_training.models import TrainingRun
from rm_training.registry import base_models
from tests.e2e.conftest import Visitor
from tests.racing import closing
from tests.rm_training.ranked_project import QUICK, STEPS, rank_politely
from tests.tiny_model import make_tiny_sft

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]
SECONDS = 60


class Held:
    """A worker that is asked before every step whether to end, and waits there until
    the test lets it make so many more."""

    def __init__(self) -> None:
        self.steps = threading.Semaphore(0)
        self._work: threading.Thread | None = None

    def take(self, run: TrainingRun) -> None:
        """Begin to train it."""
        work = closing(lambda: attempt(run.pk, worker="w1", stopping=self))
        self._work = threading.Thread(target=work)
        self._work.start()

    def end(self) -> None:
        """Nothing of it is left when the database is emptied."""
        self.steps.release(1000)
        if self._work:
            self._work.join()

    def __call__(self) -> bool:
        assert self.steps.acquire(timeout=SECONDS), "the test has forgotten the worker"
        return False


@pytest.fixture
def ranked(
    project: Project,
    alice: Membership,
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Project:
    settings.VAR_DIR = tmp_path
    settings.MODEL_ROOT = tmp_path / "models"
    make_tiny_sft(tmp_path / "models" / "tiny-sft")
    monkeypatch.setattr(reporting, "SECONDS_BETWEEN_WRITES", 0.0)
    monkeypatch.setattr(tasks.train, "delay", lambda pk: None)
    rank_politely(project, alice)
    return project


@pytest.fixture
def worker() -> Iterator[Held]:
    held = Held()
    yield held
    held.end()


@pytest.fixture(autouse=True)
def patience() -> Iterator[None]:
    """The trainer shares the machine with the browser."""
    expect.set_options(timeout=30_000)
    yield
    expect.set_options(timeout=5_000)


def fact(page: Page, name: str) -> Any:
    """A box of the page: the name of a number, then the number."""
    return page.locator("#live .figures > div", has_text=name).locator("dd")


def assert_all_numbers_are_shown(page: Page, *, step: int) -> None:
    bar = page.locator("#progress")
    expect(bar).to_have_attribute("value", str(step))
    told = rf"Step {step} of {STEPS}, about \d+ \w+ left"
    expect(page.locator("#live")).to_contain_text(re.compile(told))
    expect(fact(page, "Training loss")).to_contain_text(f"nats at step {step}")
    expect(fact(page, "Held-out accuracy")).to_contain_text(
        re.compile(rf"^\s*[\d.]+ %.*of \d+ pairs, 2 prompts, at step {step}", re.S)
    )
    expect(fact(page, "Rewards")).to_contain_text(re.compile(r"^\s*[−-]?\d+\.\d\d\s+±"))
    expect(fact(page, "Tokens a second")).to_contain_text(re.compile(r"^\s*[\d,]+"))
    expect(page.locator("#live img").first).to_be_visible()


def test_the_page_follows_a_run_from_the_queue_to_its_model(
    ranked: Project, researcher: Membership, visit: Visitor, worker: Held
) -> None:
    page = visit(researcher).open("/p/tides/runs/")
    page.get_by_label("Base model").select_option(base_models(ranked)[0][0])
    page.get_by_role("button", name="Retrain").click()
    live = page.locator("#live")
    expect(live).to_contain_text("Waiting for a training worker.")
    page.evaluate("window.never_loaded_again = true")

    run = TrainingRun.objects.get()
    TrainingRun.objects.update(config=QUICK.to_dict())
    worker.take(run)
    worker.steps.release(2)  # and then it waits before step 3
    assert_all_numbers_are_shown(page, step=2)
    expect(live).to_contain_text("attempt 1 on w1")
    first_loss = fact(page, "Training loss").inner_text()

    worker.steps.release(2)
    assert_all_numbers_are_shown(page, step=4)
    assert fact(page, "Training loss").inner_text() != first_loss

    worker.steps.release(1000)
    expect(page.locator("#live .state").first).to_have_text("done")
    expect(fact(page, "Final accuracy (valid2)")).to_contain_text("measured once")
    expect(live).to_contain_text("This is the model in use in this project.")
    assert page.evaluate("window.never_loaded_again")
    assert live.get_attribute("hx-get") is None  # a finished run is asked for no more
