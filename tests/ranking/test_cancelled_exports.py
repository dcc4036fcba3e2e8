"""The writing of a file is cancelled: in the browser, by a program, under a worker."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from annotation.models import Membership, User
from ranking import exporting, job_progress, tasks
from ranking.client import Client as Notebook
from ranking.client import Dataset as NotebookDataset
from ranking.client import NotWrittenError, files
from ranking.downloads import folder_of, written_file
from ranking.export.choice import Choice
from ranking.export.store import exports_store
from ranking.exporting import cancel, carry_out, file_or_run
from ranking.losses import export_folder
from ranking.models import Dataset, ExportRun
from tests.notebooks import Sign
from tests.ranking.exported import HalfWay, body, dataset, nobody_works

__all__ = ["dataset", "nobody_works"]
pytestmark = pytest.mark.django_db(transaction=True)
SignIn = Callable[[Membership], Client]
PAIRS = Choice(kind="pairs")


@pytest.fixture(autouse=True)
def var_dir(tmp_path: Path, settings: Any) -> Path:
    settings.VAR_DIR = tmp_path
    return tmp_path


@pytest.fixture
def run(dataset: Dataset, nobody_works: list[int]) -> ExportRun:
    """The job of a file that somebody asked for."""
    asked = file_or_run(dataset, PAIRS, user=None)
    assert isinstance(asked, ExportRun)
    return asked


@pytest.fixture
def visitor(researcher: Membership, signed_in: SignIn) -> Client:
    return signed_in(researcher)


def file_at(dataset: Dataset) -> str:
    return f"/p/tides/datasets/{dataset.name}/pairs.jsonl"


def cancel_at(run: ExportRun) -> str:
    return f"/p/tides/datasets/exports/{run.pk}/cancel/"


def user_of(member: Membership) -> User:
    assert member.user is not None
    return member.user


def claimed(run: ExportRun) -> ExportRun:
    mine = ExportRun.claim(run.pk, worker="w")
    assert mine is not None
    return mine


# --- In the browser ---------------------------------------------------------------


def test_who_waits_can_cancel_and_others_are_told_by_whom(
    dataset: Dataset, run: ExportRun, visitor: Client, researcher: Membership
) -> None:
    for page in (file_at(dataset), f"/p/tides/datasets/{dataset.name}/"):
        assert f'action="{cancel_at(run)}"' in visitor.get(page).text
    answer = visitor.post(cancel_at(run), follow=True)
    assert answer.redirect_chain == [(f"/p/tides/datasets/{dataset.name}/", 302)]
    assert "The writing of pairs.jsonl was cancelled" in answer.text
    assert cancel_at(run) not in answer.text
    for _ in range(2):  # waiting pages ask time and again: nothing is queued by that
        waiting = visitor.get(file_at(dataset))
        assert (waiting.status_code, "Retry-After" in waiting) == (503, False)
        assert f"{researcher.user} cancelled it." in waiting.text
    tasks.write_export(run.pk)  # the message of before
    assert ExportRun.objects.get().state == "cancelled"


def test_a_cancelled_file_is_written_when_somebody_asks_again(
    dataset: Dataset, run: ExportRun, visitor: Client, nobody_works: list[int]
) -> None:
    visitor.post(cancel_at(run))
    nobody_works.clear()
    visitor.post(file_at(dataset))
    assert nobody_works == [run.pk]
    tasks.write_export(run.pk)
    assert len(body(visitor.get(file_at(dataset))).splitlines()) == 15


def test_a_written_file_is_not_cancelled(
    dataset: Dataset, run: ExportRun, visitor: Client
) -> None:
    tasks.write_export(run.pk)
    answer = visitor.post(cancel_at(run), follow=True)
    assert "It had ended before: nothing was changed." in answer.text
    assert ExportRun.objects.get().state == "done"
    assert body(visitor.get(file_at(dataset))) != b""


def test_only_researchers_and_admins_of_the_project_cancel(
    run: ExportRun,
    alice: Membership,
    stranger: Membership,
    admin: Membership,
    signed_in: SignIn,
) -> None:
    assert signed_in(alice).post(cancel_at(run)).status_code == 404
    theirs = cancel_at(run).replace("tides", stranger.project.slug)
    for address in (cancel_at(run), theirs):
        assert signed_in(stranger).post(address).status_code == 404
    assert ExportRun.objects.get().state == "queued"
    assert signed_in(admin).get(cancel_at(run)).status_code == 405
    signed_in(admin).post(cancel_at(run))
    assert ExportRun.objects.get().state == "cancelled"


# --- Under a worker ---------------------------------------------------------------


def test_a_worker_stops_half_way_and_leaves_nothing(
    dataset: Dataset,
    run: ExportRun,
    researcher: Membership,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    worker = HalfWay(claimed(run), monkeypatch)
    try:
        assert cancel(run, user=user_of(researcher))
    finally:
        worker.finish()
    run.refresh_from_db()
    assert (run.state, run.sha256) == ("cancelled", "")
    assert list(export_folder(dataset).iterdir()) == []


def cancelled_at_the_end(
    run: ExportRun, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker has handed the file to the store, and not yet said so."""
    keep = exports_store().keep

    class JustThen:
        def keep(self, folder: Path, place: str) -> None:
            keep(folder, place)
            assert cancel(run, user=user)

    with monkeypatch.context() as patch:
        patch.setattr(exporting, "exports_store", JustThen)
        patch.setattr(job_progress, "REPORT_SECONDS", 3_600)
        patch.setattr(exporting, "_remove_if_cancelled", lambda run: None)
        carry_out(claimed(run))
    run.refresh_from_db()


def test_a_file_that_was_whole_when_it_was_cancelled_goes(
    dataset: Dataset,
    run: ExportRun,
    researcher: Membership,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cancelled_at_the_end(run, user_of(researcher), monkeypatch)
    assert written_file(dataset, PAIRS) is not None  # nobody has cleared up yet
    exporting._remove_if_cancelled(run)
    assert written_file(dataset, PAIRS) is None
    assert not folder_of(dataset, PAIRS).exists()


def test_what_the_next_worker_wrote_stays(
    dataset: Dataset,
    run: ExportRun,
    researcher: Membership,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cancelled_at_the_end(run, user_of(researcher), monkeypatch)
    slow = ExportRun.objects.get()
    exporting._queued_anew(run, again=True)
    tasks.write_export(run.pk)
    exporting._remove_if_cancelled(slow)
    assert written_file(dataset, PAIRS) is not None


# --- By a program -----------------------------------------------------------------


@pytest.fixture
def notebook(sign: Sign, researcher: Membership) -> Notebook:
    return sign(researcher)


@pytest.fixture
def waited_for(
    dataset: Dataset, notebook: Notebook, monkeypatch: pytest.MonkeyPatch
) -> NotebookDataset:
    """The dataset, as a notebook has it that does not wait between two looks."""
    monkeypatch.setattr(files, "POLL_SECONDS", 0)
    return notebook.project("tides").dataset(dataset.name)


def test_a_program_cancels_by_the_id_that_the_dataset_shows(
    waited_for: NotebookDataset, run: ExportRun, notebook: Notebook
) -> None:
    [shown] = waited_for.details()["exports"]
    told = (shown["id"], shown["state"], shown["removed_at"])
    assert told == (run.pk, "queued", None)
    address = f"projects/tides/exports/{run.pk}/cancel"
    assert notebook.ask("POST", address) == {"changed": True}
    assert notebook.ask("POST", address) == {"changed": False}
    assert ExportRun.objects.get().reason.endswith(" cancelled it. Nothing was kept.")


def test_a_notebook_that_waits_is_told_of_the_cancellation(
    waited_for: NotebookDataset, run: ExportRun, researcher: Membership, tmp_path: Path
) -> None:
    def meanwhile(*told: int) -> None:
        cancel(run, user=user_of(researcher))

    with pytest.raises(NotWrittenError, match="cancelled it"):
        waited_for.download("pairs", to=tmp_path, waiting=meanwhile, timeout=60)
    assert ExportRun.objects.get().state == "cancelled"


def test_a_notebook_has_written_what_was_cancelled_before(
    waited_for: NotebookDataset, run: ExportRun, researcher: Membership, tmp_path: Path
) -> None:
    cancel(run, user=user_of(researcher))

    def worker(*told: int) -> None:
        tasks.write_export(run.pk)

    file = waited_for.download("pairs", to=tmp_path, waiting=worker, timeout=60)
    assert len(file.read_bytes().splitlines()) == 15
