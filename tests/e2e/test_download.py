"""A file of a dataset in a browser: waited for, begun by itself, or not to be had."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from annotation.models import Membership, Project
from ranking import exporting
from ranking.datasets import freeze
from ranking.exporting import carry_out
from ranking.models import Dataset, ExportRun
from tests.conftest import make_prompt
from tests.e2e.conftest import DESKTOP, PHONE, Visitor
from tests.e2e.looks import complaints_at_a_desk, complaints_on_a_phone
from tests.ranking.exported import nobody_works
from tests.ranking.rows import store_ranking

__all__ = ["nobody_works"]
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.browser,
    pytest.mark.usefixtures("nobody_works"),
]
Look = Callable[[Page, str], list[str]]
WINDOWS: dict[str, tuple[dict[str, Any], Look]] = {
    "desk": ({"viewport": DESKTOP}, complaints_at_a_desk),
    "phone": ({"viewport": PHONE, "has_touch": True}, complaints_on_a_phone),
}
RANKS = {"r1": 1, "r2": 2, "r3": 2, "r4": 3}


@pytest.fixture(autouse=True)
def var_dir(tmp_path: Path, settings: Any) -> None:
    settings.VAR_DIR = tmp_path


@pytest.fixture
def dataset(project: Project, alice: Membership) -> Dataset:
    store_ranking(make_prompt(project, k=4), alice, RANKS)
    return freeze(project)


@pytest.fixture(params=WINDOWS)
def asked(
    request: pytest.FixtureRequest,
    dataset: Dataset,
    researcher: Membership,
    visit: Visitor,
) -> tuple[Page, Look]:
    """A researcher pressed the button of the dataset's page, and waits."""
    options, look = WINDOWS[request.param]
    page = visit(researcher, **options).open(f"/p/tides/datasets/{dataset.name}/")
    page.get_by_role("link", name="Download pairs").click()
    expect(page.get_by_text("A worker writes this file once.")).to_be_visible()
    return page, look


def a_worker_takes_it() -> None:
    run = ExportRun.claim(ExportRun.objects.get().pk, worker="the test")
    assert run is not None
    carry_out(run)


def test_a_file_that_is_waited_for_comes_by_itself(
    asked: tuple[Page, Look], dataset: Dataset
) -> None:
    page, look = asked
    assert look(page, "download-waiting") == []
    with page.expect_download() as download:
        a_worker_takes_it()
    assert download.value.suggested_filename == f"{dataset.name}-pairs.jsonl"
    assert len(download.value.path().read_bytes().splitlines()) == 5
    expect(page.get_by_text("The file is written: 5 rows")).to_be_visible()
    assert look(page, "download-written") == []


def test_what_could_not_be_written_says_why_and_is_tried_again(
    asked: tuple[Page, Look], monkeypatch: pytest.MonkeyPatch
) -> None:
    page, look = asked

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(exporting, "write", full)
        a_worker_takes_it()
    expect(page.get_by_role("alert")).to_contain_text("No space left on device")
    assert look(page, "download-failed") == []
    page.get_by_role("button", name="Write it again").click()
    expect(page.get_by_text("A worker writes this file once.")).to_be_visible()
    with page.expect_download() as download:
        a_worker_takes_it()
    assert len(download.value.path().read_bytes().splitlines()) == 5
