"""Datasets for programs, and the client of notebooks, against the running site."""

import errno
import hashlib
import json
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import pytest

from annotation.models import Membership, Project
from ranking import client as clients
from ranking import dataset_api, freezing, tasks
from ranking.client import Client, files, projects
from ranking.datasets import freeze
from ranking.export import folder
from ranking.folds import folds_by_labeler
from ranking.models import Dataset, DatasetLoss, FreezeRun, Ranking
from tests.conftest import make_prompt
from tests.notebooks import Sign
from tests.ranking.exported import a_worker_at_hand, nobody_works
from tests.ranking.rows import store_ranking

__all__ = ["a_worker_at_hand", "nobody_works"]

pytestmark = pytest.mark.django_db(transaction=True)
RANKS = {"r1": 1, "r2": 2, "r3": 2, "r4": 3}


@pytest.fixture(autouse=True)
def at_work(a_worker_at_hand: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a notebook waits for comes soon."""
    monkeypatch.setattr(files, "POLL_SECONDS", 0)
    monkeypatch.setattr(projects, "POLL_SECONDS", 0)


@pytest.fixture(autouse=True)
def exports(tmp_path: Path, settings: Any) -> Path:
    settings.VAR_DIR = tmp_path / "var"
    return tmp_path


@pytest.fixture
def tides(sign: Sign, researcher: Membership) -> clients.Project:
    return sign(researcher).project("tides")


@pytest.fixture
def ranking(project: Project, alice: Membership) -> Ranking:
    return store_ranking(make_prompt(project), alice, RANKS)


def test_a_notebook_freezes_and_reads_the_rows(
    tides: clients.Project, ranking: Ranking, project: Project, tmp_path: Path
) -> None:
    assert tides.matching(k=4) == {
        "rankings": 1,
        "prompts": 1,
        "labelers": 1,
        "strict_pairs": 5,
        "ties": 1,
    }
    dataset = tides.freeze(k=[4], seed=5)
    stored = Dataset.objects.get()
    assert (dataset.name, stored.seed) == (stored.name, 5)
    assert stored.filters == {"pool": "all", "k": [4]}
    assert dataset.counts == stored.counts
    [row] = dataset.rows("rankings", to=tmp_path)
    assert row["ranks"] == [1, 2, 2, 3]
    assert len(list(dataset.rows("pairs", to=tmp_path))) == 5
    table = dataset.table("pairs", to=tmp_path)
    assert table.num_rows == 5
    assert table["chosen_id"].to_pylist()[0] == "r1"


@pytest.mark.parametrize("what", ["freeze", "matching"])
def test_a_filter_that_is_spelt_wrong_is_refused(
    tides: clients.Project, ranking: Ranking, what: str
) -> None:
    with pytest.raises(clients.RefusedError, match="'without_labler' is none of since"):
        getattr(tides, what)(without_labler="L-0a1b2c3d")
    assert not Dataset.objects.exists()


def test_one_word_is_as_good_as_a_list_of_it_and_a_date_as_its_word(
    tides: clients.Project, ranking: Ranking
) -> None:
    dataset = tides.freeze(k=4, include="late", since=date(2026, 1, 2))
    stored = Dataset.objects.get().filters
    assert (stored["k"], stored["include"]) == ([4], ["late"])
    assert stored["since"] == "2026-01-02T00:00:00+00:00"
    shown = f"<Dataset {dataset.name}: 1 rankings of 1 prompts>"
    assert repr(list(tides.datasets())) == f"[{shown}]"


def test_a_download_makes_its_folder(
    tides: clients.Project, ranking: Ranking, tmp_path: Path
) -> None:
    [row] = tides.freeze().rows("rankings", to=tmp_path / "a" / "b")
    assert row["prompt_id"] == "p1"
    with pytest.raises(clients.NotThereError, match="No such dataset"):
        tides.dataset("ds-0")


@pytest.fixture
def by_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every freeze is a job, and the test is the worker."""
    monkeypatch.setattr(freezing, "AT_ONCE", 0)
    monkeypatch.setattr(tasks.freeze_dataset, "delay", lambda pk: None)


@pytest.mark.usefixtures("ranking", "by_a_worker")
def test_a_large_freeze_is_waited_for_with_progress(tides: clients.Project) -> None:
    seen: list[tuple[int, int]] = []

    def work(done: int, total: int) -> None:
        seen.append((done, total))
        tasks.freeze_dataset(FreezeRun.objects.get().pk)

    dataset = tides.freeze(progress=work)
    assert seen == [(0, 0)]
    assert dataset.name == Dataset.objects.get().name


@pytest.mark.usefixtures("ranking", "by_a_worker")
def test_a_freeze_that_was_cancelled_is_no_dataset(tides: clients.Project) -> None:
    def cancel(done: int, total: int) -> None:
        address = f"{tides.address}/freezes/{FreezeRun.objects.get().pk}/cancel"
        assert tides.client.ask("POST", address) == {"changed": True}
        assert tides.client.ask("POST", address) == {"changed": False}

    with pytest.raises(clients.FreezeFailedError, match="It was cancelled"):
        tides.freeze(progress=cancel)


def test_lists_come_page_by_page_and_newest_first(
    tides: clients.Project,
    ranking: Ranking,
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dataset_api, "DATASETS_A_PAGE", 2)
    names = [freeze(project, seed=seed).name for seed in range(5)]
    assert [one.name for one in tides.datasets()] == names[::-1]


def test_what_came_since_is_exactly_the_difference(
    tides: clients.Project,
    ranking: Ranking,
    project: Project,
    bob: Membership,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dataset_api, "RANKINGS_A_PAGE", 2)
    before = tides.freeze()
    new = [
        str(store_ranking(make_prompt(project, f"n{n}"), bob, RANKS).pk)
        for n in range(5)
    ]
    after = tides.freeze()
    assert list(after.rankings()) == [str(ranking.pk), *new]
    assert list(after.rankings(without=before)) == new
    diff = after.diff(before)
    assert diff["words"] == "+5 rankings, +5 prompts, +1 labeler"
    assert diff["rankings"] == {"added": 5, "removed": 0}
    assert diff["labelers"] == [
        {"labeler": project.pseudonym(bob.pk), "before": 0, "after": 5}
    ]


def test_details_have_splits_folds_losses_and_files(
    tides: clients.Project,
    ranking: Ranking,
    project: Project,
    alice: Membership,
    live_server: Any,
) -> None:
    dataset = tides.freeze(seed=2)
    found = tides.dataset(dataset.name).details()
    hers = project.pseudonym(alice.pk)
    assert sum(found["splits"].values()) == 1
    assert found["folds"] == {
        "count": 5,
        "seed": 2,
        "labelers": folds_by_labeler([hers], seed=2),
    }
    assert found["losses"] == []
    base = f"{live_server.url}/api/v1/projects/tides/datasets/{dataset.name}/files"
    assert found["files"]["pairs.jsonl"] == f"{base}/pairs.jsonl"
    assert found["files"]["argilla.json"] == f"{base}/argilla.json"


@pytest.mark.usefixtures("ranking")
def test_what_is_refused_is_said_in_the_site_s_words(tides: clients.Project) -> None:
    with pytest.raises(clients.RefusedError, match="k: 99 is not between 2 and 9"):
        tides.freeze(k=[99])
    with pytest.raises(clients.RefusedError, match="there is nothing to freeze"):
        tides.freeze(since="2030-01-01")
    with pytest.raises(clients.RefusedError, match="'alice'"):
        tides.matching(labeler="alice")  # a researcher knows no names
    with pytest.raises(clients.NotThereError):
        tides.dataset("ds-nothing")


def test_who_may_not_is_told_so(
    project: Project,
    sign: Sign,
    alice: Membership,
    stranger: Membership,
    live_server: Any,
) -> None:
    with pytest.raises(clients.NotAllowedError):
        list(sign(alice).project("tides").datasets())
    with pytest.raises(clients.NotThereError):
        list(sign(stranger).project("tides").datasets())
    with (
        pytest.raises(clients.NotSignedInError),
        Client(live_server.url, token="wrong") as nobody,
    ):
        list(nobody.project("tides").datasets())


@pytest.mark.usefixtures("ranking")
def test_a_dataset_that_lost_something_is_no_longer_sent(
    tides: clients.Project, alice: Membership, tmp_path: Path
) -> None:
    dataset = tides.freeze()
    stored = Dataset.objects.get()
    DatasetLoss.objects.create(
        dataset=stored, labeler=alice, reason="One is forgotten."
    )
    with pytest.raises(clients.NoLongerThereError, match="One is forgotten"):
        dataset.download("pairs", to=tmp_path)
    assert list(tmp_path.glob("ds-*")) == []


def test_a_file_that_is_there_is_not_sent_again(
    tides: clients.Project, ranking: Ranking, tmp_path: Path
) -> None:
    dataset = tides.freeze()
    received: list[int] = []
    path = dataset.download("pairs", to=tmp_path, progress=received.append)
    assert received[-1] == path.stat().st_size
    received.clear()
    assert dataset.download("pairs", to=tmp_path, progress=received.append) == path
    assert received == []
    assert not list(tmp_path.glob("*.part"))


# --- Files that are not written yet -----------------------------------------------


def test_a_notebook_waits_for_a_file_and_is_told_how_far_it_is(
    tides: clients.Project, ranking: Ranking, nobody_works: list[int], tmp_path: Path
) -> None:
    dataset = tides.freeze()
    seen: list[tuple[int, int]] = []

    def work(done: int, total: int) -> None:
        seen.append((done, total))
        tasks.write_export(nobody_works.pop())

    path = dataset.download("pairs", to=tmp_path, waiting=work)
    assert len(path.read_bytes().splitlines()) == 5
    assert seen == [(0, 0)]
    [written] = dataset.details()["exports"]
    assert (written["file"], written["state"]) == ("pairs.jsonl", "done")
    assert written["size"] == path.stat().st_size
    assert written["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.usefixtures("ranking", "nobody_works")
def test_a_notebook_does_not_wait_for_ever(
    tides: clients.Project, tmp_path: Path
) -> None:
    dataset = tides.freeze()
    expected = r"pairs.jsonl is still queued after 0 s .*The site goes on"
    with pytest.raises(clients.NotWrittenError, match=expected):
        dataset.download("pairs", to=tmp_path, timeout=0)
    assert list(tmp_path.glob("ds-*")) == []


@pytest.mark.usefixtures("ranking")
def test_a_file_that_failed_is_tried_once_more(
    tides: clients.Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = tides.freeze()
    tried: list[int] = []

    def full(file: Any) -> None:
        tried.append(1)
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(folder, "_sync", full)
        with pytest.raises(clients.NotWrittenError, match="No space left on device"):
            dataset.download("pairs", to=tmp_path)
    assert len(tried) == 2
    assert len(list(dataset.rows("pairs", to=tmp_path))) == 5


@pytest.mark.usefixtures("ranking")
def test_labelers_and_strangers_cannot_tell_that_there_is_a_file(
    tides: clients.Project,
    sign: Sign,
    alice: Membership,
    stranger: Membership,
    tmp_path: Path,
) -> None:
    dataset = tides.freeze()
    list(dataset.rows("pairs", to=tmp_path))
    address = f"{dataset.address}/files/pairs.jsonl"
    for who in (alice, stranger):
        for method in ("GET", "POST"):
            with pytest.raises(clients.NotThereError):
                sign(who).tell(method, address)


# --- Resuming, without a site -----------------------------------------------------

CONTENT = b"".join(json.dumps({"n": n}).encode() + b"\n" for n in range(2_000))


class Breaking(httpx.SyncByteStream):
    """A body that breaks off after some bytes."""

    def __init__(self, content: bytes, ends: int) -> None:
        self._content, self._ends = content, ends

    def __iter__(self) -> Iterator[bytes]:
        yield self._content[: self._ends]
        if self._ends < len(self._content):
            raise httpx.ReadError("the line is dead")


def a_dataset(answer: Callable[[httpx.Request], httpx.Response]) -> clients.Dataset:
    client = Client("http://site", token="t", transport=httpx.MockTransport(answer))
    return clients.Dataset(client.project("tides"), {"name": "ds-1", "counts": {}})


def test_a_broken_download_goes_on_where_it_broke(tmp_path: Path) -> None:
    asked: list[dict[str, str]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(dict(request.headers))
        start = int(request.headers.get("Range", "bytes=0-")[6:-1])
        rest = CONTENT[start:]
        status = 206 if start else 200
        ends = len(rest) if start else 1_000
        return httpx.Response(
            status, headers={"ETag": '"one"'}, stream=Breaking(rest, ends)
        )

    dataset = a_dataset(answer)
    with pytest.raises(clients.UnavailableError, match="received is kept"):
        dataset.download("pairs", to=tmp_path)
    assert not (tmp_path / "ds-1-pairs.jsonl").exists()
    rows = list(dataset.rows("pairs", to=tmp_path))
    assert [row["n"] for row in rows] == list(range(2_000))
    assert "range" not in asked[0]
    assert asked[1]["range"] == "bytes=1000-"
    assert asked[1]["if-range"] == '"one"'
    assert {one["accept-encoding"] for one in asked} == {"identity"}


def test_a_file_that_changed_meanwhile_begins_anew(tmp_path: Path) -> None:
    tags = iter(['"one"', '"two"'])

    def answer(request: httpx.Request) -> httpx.Response:
        tag = next(tags)
        ends = 1_000 if tag == '"one"' else len(CONTENT)
        return httpx.Response(
            200, headers={"ETag": tag}, stream=Breaking(CONTENT, ends)
        )

    dataset = a_dataset(answer)
    with pytest.raises(clients.UnavailableError):
        dataset.download("pairs", to=tmp_path)
    assert dataset.download("pairs", to=tmp_path).read_bytes() == CONTENT


def test_a_download_that_was_only_not_renamed_is_whole(tmp_path: Path) -> None:
    (tmp_path / "ds-1-pairs.jsonl.part").write_bytes(CONTENT)
    (tmp_path / "ds-1-pairs.jsonl.etag").write_text('"one"')

    def answer(request: httpx.Request) -> httpx.Response:
        assert request.headers["Range"] == f"bytes={len(CONTENT)}-"
        return httpx.Response(416)

    assert a_dataset(answer).download("pairs", to=tmp_path).read_bytes() == CONTENT


def test_a_site_that_cannot_now_is_told_from_one_that_refuses(tmp_path: Path) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(503, text="<h1>busy</h1>")

    with pytest.raises(clients.UnavailableError, match="503 Service Unavailable"):
        a_dataset(answer).download("pairs", to=tmp_path)
    assert list(tmp_path.iterdir()) == []
