"""Files of datasets as jobs: asked for, written, waited for, given up, found again."""

import errno
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import timezone

from annotation import jobs
from annotation.models import Membership, User
from ranking import exporting, tasks
from ranking.downloads import Download, folder_of, written_file
from ranking.export import folder
from ranking.export.choice import Choice
from ranking.exporting import file_or_run
from ranking.losses import export_folder, remove_exports
from ranking.models import Dataset, ExportRun, PromptSplit
from ranking.takedown import forget, take_down
from tests.racing import at_once, wait_until
from tests.ranking.exported import HalfWay, body, dataset, nobody_works

__all__ = ["dataset", "nobody_works"]
pytestmark = pytest.mark.django_db(transaction=True)
SignIn = Callable[[Membership], Client]
PAIRS = Choice(kind="pairs")


@pytest.fixture(autouse=True)
def var_dir(tmp_path: Path, settings: Any) -> Path:
    settings.VAR_DIR = tmp_path
    return tmp_path


@pytest.fixture(autouse=True)
def woken(nobody_works: list[int]) -> list[int]:
    return nobody_works


@pytest.fixture
def visitor(researcher: Membership, signed_in: SignIn) -> Client:
    return signed_in(researcher)


def asked(
    dataset: Dataset, choice: Choice = PAIRS, user: User | None = None, **how: bool
) -> ExportRun:
    run = file_or_run(dataset, choice, user=user, **how)
    assert isinstance(run, ExportRun)
    return run


def claimed(run: ExportRun) -> ExportRun:
    mine = ExportRun.claim(run.pk, worker="w")
    assert mine is not None
    return mine


def address(dataset: Dataset, file: str = "pairs.jsonl") -> str:
    return f"/p/tides/datasets/{dataset.name}/{file}"


# --- Asking -----------------------------------------------------------------------


def test_who_asks_first_wakes_a_worker_and_others_share_the_job(
    dataset: Dataset, researcher: Membership, woken: list[int]
) -> None:
    runs = at_once(lambda user: asked(dataset, user=user).pk, [researcher.user] * 4)
    [run] = ExportRun.objects.all()
    assert set(runs) == {run.pk}
    assert woken == [run.pk]
    assert run.created_by == researcher.user
    assert asked(dataset, Choice(kind="pairs", split="train")).pk != run.pk


def test_the_database_has_one_row_for_a_file(dataset: Dataset) -> None:
    run = asked(dataset)
    with pytest.raises(IntegrityError, match="a_file_is_written_by_one_job"):
        ExportRun.objects.create(
            dataset=dataset,
            kind=run.kind,
            format=run.format,
            disagreement=run.disagreement,
            split=run.split,
        )
    with (
        pytest.raises(IntegrityError, match="a_written_file_has_a_hash"),
        transaction.atomic(),
    ):
        ExportRun.objects.update(state="done")


def test_a_worker_writes_it_and_the_row_says_what_it_is(dataset: Dataset) -> None:
    run = asked(dataset)
    tasks.write_export(run.pk)
    run.refresh_from_db()
    file = file_or_run(dataset, PAIRS, user=None)
    assert isinstance(file, Download)
    assert (run.state, run.rows) == ("done", 15)
    assert (run.sha256, run.size) == (file.sha256, file.size)
    assert (run.prompts_done, run.prompts_total) == (3, 3)
    tasks.write_export(run.pk)  # a message that came twice
    assert ExportRun.objects.get().attempt == 1


def test_a_split_counts_its_own_prompts(dataset: Dataset) -> None:
    split = PromptSplit.objects.first()
    assert split is not None
    of_it = PromptSplit.objects.filter(split=split.split).count()
    run = asked(dataset, Choice(kind="rankings", split=split.split))
    tasks.write_export(run.pk)
    run.refresh_from_db()
    assert (run.prompts_done, run.prompts_total, run.rows) == (of_it,) * 3


def test_a_file_that_the_store_lost_is_written_anew(
    dataset: Dataset, woken: list[int]
) -> None:
    run = asked(dataset)
    tasks.write_export(run.pk)
    before = ExportRun.objects.get().sha256
    shutil.rmtree(export_folder(dataset))
    woken.clear()
    assert asked(dataset).state == "queued"
    assert asked(dataset).state == "queued"
    assert woken == [run.pk]
    tasks.write_export(run.pk)
    assert ExportRun.objects.get().sha256 == before


# --- What goes wrong --------------------------------------------------------------


def test_a_full_disk_is_said_and_the_file_can_be_asked_for_again(
    dataset: Dataset, visitor: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    run = asked(dataset)
    with monkeypatch.context() as patch:
        patch.setattr(folder, "_sync", full)
        tasks.write_export(run.pk)
    told_so = "The file could not be written: No space left on device."
    assert told_so in ExportRun.objects.get().reason
    for _ in range(2):  # looking at it changes nothing
        answer = visitor.get(address(dataset))
        assert (answer.status_code, "Content-Disposition" in answer) == (503, False)
        assert told_so in answer.text
    assert list(export_folder(dataset).iterdir()) == []
    again = visitor.post(address(dataset))
    assert (again.status_code, again["Location"]) == (302, address(dataset))
    assert ExportRun.objects.get().state == "queued"
    tasks.write_export(run.pk)
    assert len(body(visitor.get(address(dataset))).splitlines()) == 15


def test_a_fault_is_on_the_row_and_in_the_log(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("boom")

    monkeypatch.setattr(exporting, "write", broken)
    run = asked(dataset)
    with pytest.raises(RuntimeError):
        tasks.write_export(run.pk)
    run.refresh_from_db()
    assert (run.state, run.reason) == ("failed", "error: RuntimeError: boom")


def test_a_worker_that_must_end_gives_the_file_back(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = asked(dataset)
    with monkeypatch.context() as patch:
        patch.setattr(jobs, "worker_is_stopping", lambda: True)
        tasks.write_export(run.pk)
    run.refresh_from_db()
    assert (run.state, run.lost_leases) == ("queued", 0)
    assert list(export_folder(dataset).iterdir()) == []
    tasks.write_export(run.pk)
    run.refresh_from_db()
    assert (run.state, run.attempt) == ("done", 2)


def test_a_worker_that_vanished_is_followed_by_another(
    dataset: Dataset, woken: list[int]
) -> None:
    run = asked(dataset)
    claimed(run)
    ExportRun.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    woken.clear()
    tasks.reconcile()
    assert woken == [run.pk]
    tasks.write_export(run.pk)
    run.refresh_from_db()
    assert (run.state, run.lost_leases) == ("done", 1)


# --- What goes on meanwhile -------------------------------------------------------


def test_progress_is_shown_while_nobody_finds_half_a_file(
    dataset: Dataset, visitor: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = asked(dataset)
    worker = HalfWay(claimed(run), monkeypatch)
    try:
        wait_until(lambda: ExportRun.objects.get().prompts_done == 1)
        answer = visitor.get(address(dataset))
        assert (answer.status_code, answer["Retry-After"]) == (202, "2")
        assert "1 of 3 prompts written" in answer.text
        assert "Content-Disposition" not in answer
        assert written_file(dataset, PAIRS) is None
    finally:
        worker.finish()
    assert ExportRun.objects.get().state == "done"
    assert len(body(visitor.get(address(dataset))).splitlines()) == 15


@pytest.mark.parametrize("what", ["a prompt", "a labeler"])
def test_nothing_is_left_of_what_is_lost_while_it_is_written(
    dataset: Dataset,
    alice: Membership,
    visitor: Client,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
) -> None:
    run = asked(dataset)
    worker = HalfWay(claimed(run), monkeypatch)
    try:
        if what == "a prompt":
            prompt = alice.assignment_set.all()[0].prompt
            take_down(prompt, reason="It names a person.", user=None)
        else:
            forget(alice)
    finally:
        worker.finish()
    assert list(export_folder(dataset).parent.iterdir()) == []
    run.refresh_from_db()
    assert (run.state, run.sha256) == ("cancelled", "")
    assert visitor.get(address(dataset)).status_code == 410
    assert "pairs.jsonl" not in visitor.get(address(dataset, "")).context["exports"]


def test_a_loss_that_nobody_told_the_worker_of_is_seen_at_the_end(
    dataset: Dataset, alice: Membership, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever takes down removes files once the takedown is committed. One that is
    killed just then leaves the removal to the worker."""
    monkeypatch.setattr("ranking.takedown._remove_files_after_commit", lambda _: None)
    run = asked(dataset)
    worker = HalfWay(claimed(run), monkeypatch)
    prompt = alice.assignment_set.all()[0].prompt
    take_down(prompt, reason="It names a person.", user=None)
    assert ExportRun.objects.get().state == "running"
    worker.finish()
    assert list(export_folder(dataset).parent.iterdir()) == []


def test_a_loss_after_the_end_takes_the_files_and_their_rows(
    dataset: Dataset, alice: Membership, visitor: Client
) -> None:
    run = asked(dataset)
    tasks.write_export(run.pk)
    assert folder_of(dataset, PAIRS).exists()
    forget(alice)
    assert not export_folder(dataset).exists()
    assert ExportRun.objects.get().state == "cancelled"
    page = visitor.get(f"/p/tides/datasets/exports/{run.pk}/live/")
    assert "The dataset lost something that it held." in page.text
    remove_exports([dataset])  # nothing there is fine


# --- Pages ------------------------------------------------------------------------


def test_the_waiting_page_leads_to_the_file(dataset: Dataset, visitor: Client) -> None:
    file = "pairs.parquet?disagreement=soft&split=train"
    answer = visitor.get(address(dataset, file))
    assert answer.status_code == 202
    run = ExportRun.objects.get()
    live = f"/p/tides/datasets/exports/{run.pk}/live/"
    assert f'hx-get="{live}" hx-trigger="every 2s"' in answer.text
    assert '<noscript><meta http-equiv="refresh"' in answer.text
    link = address(dataset, file).replace("&", "&amp;")
    assert f'<a href="{link}">' in answer.text
    tasks.write_export(run.pk)
    part = visitor.get(live)
    assert "hx-get" not in part.text
    assert f'href="{link}" data-ready' in part.text
    named = visitor.get(address(dataset, file))
    assert f"{dataset.name}-pairs-soft-train.parquet" in named["Content-Disposition"]
    body(named)


def test_the_dataset_s_page_shows_which_files_are_there(
    dataset: Dataset, visitor: Client
) -> None:
    page = address(dataset, "")
    assert visitor.get(page).context["exports"] == []
    tasks.write_export(asked(dataset).pk)
    asked(dataset, Choice(kind="kto"))
    shown = visitor.get(page)
    states = [(one.choice.name, one.state) for one in shown.context["exports"]]
    assert states == [("kto.jsonl", "queued"), ("pairs.jsonl", "done")]
    live = f"{page}files/"
    assert f'hx-get="{live}"' in shown.text
    ExportRun.objects.filter(state="queued").update(
        queued_at=timezone.now() - timedelta(minutes=1)
    )
    part = visitor.get(live)
    assert "No worker has taken it so far" in part.text
    tasks.write_export(ExportRun.objects.get(kind="kto").pk)
    assert "hx-get" not in visitor.get(live).text


def test_a_file_and_its_waiting_cost_the_same_however_large_it_is(
    dataset: Dataset, visitor: Client, django_assert_num_queries: Any
) -> None:
    visitor.get(address(dataset))
    run = ExportRun.objects.get()
    with django_assert_num_queries(8):
        visitor.get(address(dataset))
    with django_assert_num_queries(3):
        visitor.get(f"/p/tides/datasets/exports/{run.pk}/live/")
    tasks.write_export(run.pk)
    with django_assert_num_queries(4):
        body(visitor.get(address(dataset)))
    with django_assert_num_queries(4):
        visitor.get(address(dataset, "files/"))


def test_another_project_s_job_is_not_there(
    dataset: Dataset, alice: Membership, stranger: Membership, signed_in: SignIn
) -> None:
    run = asked(dataset)
    project = stranger.project.slug
    for who, slug in ((stranger, project), (stranger, "tides"), (alice, "tides")):
        browser = signed_in(who)
        live = f"/p/{slug}/datasets/exports/{run.pk}/live/"
        assert browser.get(live).status_code == 404
        for place in ("pairs.jsonl", "files/"):
            found = browser.get(f"/p/{slug}/datasets/{dataset.name}/{place}")
            assert found.status_code == 404
