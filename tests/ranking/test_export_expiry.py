"""Files of datasets are removed when they are old, and written again when asked for."""

import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.utils import timezone

from annotation.models import Membership, Project
from ranking import expiry, tasks
from ranking.datasets import freeze
from ranking.downloads import Download, folder_of, written_file
from ranking.expiry import remove_expired
from ranking.export.choice import Choice
from ranking.export.store import exports_store
from ranking.exporting import file_or_run
from ranking.losses import export_folder, place_of
from ranking.models import Dataset, ExportRun
from tests.conftest import make_prompt
from tests.racing import wait_until
from tests.ranking.bucket import bucket, s3_server
from tests.ranking.exported import body, nobody_works
from tests.ranking.rows import store_ranking

__all__ = ["bucket", "nobody_works", "s3_server"]
pytestmark = pytest.mark.django_db(transaction=True)
SignIn = Callable[[Membership], Client]
RANKS = {"r1": 1, "r2": 2, "r3": 2, "r4": 3}
PAIRS = Choice(kind="pairs")


@pytest.fixture(autouse=True)
def kept_for_ten_days(tmp_path: Path, settings: Any, nobody_works: list[int]) -> None:
    settings.VAR_DIR = tmp_path
    settings.EXPORTS_KEPT_DAYS = 10


@pytest.fixture
def dataset(project: Project, alice: Membership) -> Dataset:
    store_ranking(make_prompt(project), alice, RANKS)
    return freeze(project)


@pytest.fixture
def visitor(researcher: Membership, signed_in: SignIn) -> Client:
    return signed_in(researcher)


def written(dataset: Dataset, choice: Choice = PAIRS, *, days_ago: float) -> ExportRun:
    """The job of a file that was written so many days ago."""
    run = file_or_run(dataset, choice, user=None)
    assert isinstance(run, ExportRun)
    tasks.write_export(run.pk)
    then = timezone.now() - timedelta(days=days_ago)
    ExportRun.objects.filter(pk=run.pk).update(finished_at=then)
    run.refresh_from_db()
    assert run.state == "done"
    return run


def address(dataset: Dataset, file: str = "pairs.jsonl") -> str:
    return f"/p/tides/datasets/{dataset.name}/{file}"


# --- What goes --------------------------------------------------------------------


def test_old_files_go_and_their_rows_stay(dataset: Dataset) -> None:
    old = written(dataset, days_ago=10.01)
    young = written(dataset, Choice(kind="rankings"), days_ago=9.99)
    tasks.remove_expired_exports()
    assert not folder_of(dataset, old.choice).exists()
    assert written_file(dataset, young.choice) is not None
    before = old.sha256
    old.refresh_from_db()
    young.refresh_from_db()
    assert (old.state, old.sha256, young.removed_at) == ("done", before, None)
    assert old.removed_at is not None
    assert remove_expired() == 0


def test_nothing_expires_where_files_are_kept_for_ever(
    dataset: Dataset, settings: Any
) -> None:
    written(dataset, days_ago=10_000)
    settings.EXPORTS_KEPT_DAYS = 0
    assert remove_expired() == 0
    assert written_file(dataset, PAIRS) is not None


def test_what_lies_beside_the_file_stays(dataset: Dataset) -> None:
    """A training run reads a copy of its own."""
    data = export_folder(dataset) / "runs" / "7" / "attempt-1" / "data"
    data.mkdir(parents=True)
    written(dataset, days_ago=11)
    assert remove_expired() == 1
    assert data.exists()


def test_a_job_that_is_not_done_does_not_expire(dataset: Dataset) -> None:
    run = written(dataset, days_ago=11)
    for state in ("queued", "failed", "cancelled"):
        ExportRun.objects.update(state=state, reason="r")
        assert remove_expired() == 0
    ExportRun.objects.update(state="done")
    assert remove_expired() == 1
    assert run.choice == PAIRS


def test_only_a_file_that_was_written_was_removed(dataset: Dataset) -> None:
    file_or_run(dataset, PAIRS, user=None)
    with (
        pytest.raises(IntegrityError, match="a_removed_file_was_written"),
        transaction.atomic(),
    ):
        ExportRun.objects.update(removed_at=timezone.now())


# --- What people see --------------------------------------------------------------


def test_the_page_says_when_it_went_and_it_is_written_again(
    dataset: Dataset, visitor: Client
) -> None:
    run = written(dataset, days_ago=11)
    raw = body(visitor.get(address(dataset)))
    remove_expired()
    run.refresh_from_db()
    assert run.removed_at is not None
    page = visitor.get(address(dataset, "")).text
    assert f"{run.removed_at:%Y-%m-%d}</time> because of its age" in page
    assert f'id="write-export-{run.pk}"' in page
    assert visitor.post(address(dataset))["Location"] == address(dataset)
    assert visitor.get(address(dataset)).status_code == 202
    tasks.write_export(run.pk)
    assert body(visitor.get(address(dataset))) == raw
    run.refresh_from_db()
    assert run.removed_at is None
    assert remove_expired() == 0


def test_a_link_that_somebody_kept_has_it_written_again(
    dataset: Dataset, visitor: Client, nobody_works: list[int]
) -> None:
    run = written(dataset, days_ago=11)
    remove_expired()
    nobody_works.clear()
    assert visitor.get(address(dataset)).status_code == 202
    assert nobody_works == [run.pk]


# --- What goes on meanwhile -------------------------------------------------------


def test_a_download_that_goes_on_ends_well(dataset: Dataset, visitor: Client) -> None:
    run = written(dataset, days_ago=11)
    answer = visitor.get(address(dataset))
    assert remove_expired() == 1
    assert len(body(answer)) == run.size


def test_a_broken_off_download_goes_on_with_the_same_bytes(
    dataset: Dataset, visitor: Client
) -> None:
    run = written(dataset, days_ago=11)
    first = visitor.get(address(dataset), headers={"Range": "bytes=0-99"})
    part, tag = body(first), first["ETag"]
    remove_expired()
    rest = {"Range": "bytes=100-", "If-Range": tag}
    assert visitor.get(address(dataset), headers=rest).status_code == 202
    tasks.write_export(run.pk)
    answer = visitor.get(address(dataset), headers=rest)
    assert answer.status_code == 206
    assert len(part + body(answer)) == run.size


def test_a_file_that_goes_between_the_look_and_the_opening_is_asked_for_again(
    dataset: Dataset, visitor: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(dataset, days_ago=11)
    blocks = Download.blocks

    def too_late(file: Download, places: range) -> Any:
        remove_expired()
        return blocks(file, places)

    monkeypatch.setattr(Download, "blocks", too_late)
    assert visitor.get(address(dataset)).status_code == 202
    assert ExportRun.objects.get().state == "queued"


class Removing:
    """A beat that stands still while it removes a file."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.there, self._go_on = threading.Event(), threading.Event()
        remove = exports_store().remove
        beat = self

        class Slow:
            def remove(self, place: str) -> None:
                remove(place)
                beat.there.set()
                assert beat._go_on.wait(60)

        monkeypatch.setattr(expiry, "exports_store", Slow)
        self._thread = threading.Thread(target=self._work)
        self._thread.start()
        assert self.there.wait(60)

    def _work(self) -> None:
        try:
            remove_expired()
        finally:
            connection.close()

    def finish(self) -> None:
        self._go_on.set()
        self._thread.join()


def waits_for_a_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(cursor.fetchone()[0])


def test_who_asks_while_a_file_is_removed_waits_for_that(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = written(dataset, days_ago=11)
    beat = Removing(monkeypatch)
    found: list[Any] = []

    def ask() -> None:
        found.append(file_or_run(dataset, PAIRS, user=None))
        connection.close()

    asking = threading.Thread(target=ask)
    try:
        assert remove_expired() == 0  # another beat passes it by
        asking.start()
        wait_until(waits_for_a_lock)
        assert found == []
    finally:
        beat.finish()
        asking.join()
    [job] = found
    assert (job.pk, job.state, job.removed_at) == (run.pk, "queued", None)


def test_a_store_that_fails_is_tried_again(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(dataset, days_ago=11)
    written(dataset, Choice(kind="rankings"), days_ago=11)

    class Away:
        def remove(self, place: str) -> None:
            if "pairs" in place:
                raise OSError("the store does not answer")

    with monkeypatch.context() as patch:
        patch.setattr(expiry, "exports_store", Away)
        assert remove_expired() == 1
    assert ExportRun.objects.get(kind="pairs").removed_at is None
    assert remove_expired() == 1


# --- The bucket -------------------------------------------------------------------


def test_files_in_a_bucket_go_and_come_again(
    dataset: Dataset, visitor: Client, bucket: Any
) -> None:
    old = written(dataset, days_ago=11)
    written(dataset, Choice(kind="rankings"), days_ago=1)
    raw = body(visitor.get(address(dataset)))
    assert remove_expired() == 1
    names = {one.key.rpartition("/")[0] for one in bucket.objects.all()}
    assert names == {f"{place_of(dataset)}/rankings.each.all.jsonl"}
    assert visitor.get(address(dataset)).status_code == 202
    tasks.write_export(old.pk)
    assert body(visitor.get(address(dataset))) == raw
