"""Datasets in the browser: frozen, described, downloaded, and closed to others."""

import errno
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from annotation.models import Membership, Project
from ranking import downloads
from ranking.datasets import freeze
from ranking.export import folder
from ranking.export.choice import DISAGREEMENTS, KINDS
from ranking.filters import Filters
from ranking.models import Dataset, Ranking
from tests.conftest import make_prompt
from tests.ranking.rows import store_ranking

pytestmark = pytest.mark.django_db
SignIn = Callable[[Membership], Client]
LIST, FREEZE = "/p/tides/datasets/", "/p/tides/datasets/freeze/"
RANKS = {"r1": 1, "r2": 2, "r3": 2, "r4": 3}


def body(response: Any) -> bytes:
    """All of it; a download's file is closed with its last byte."""
    if response.streaming:
        return b"".join(response.streaming_content)
    return bytes(response.content)


@pytest.fixture(autouse=True)
def exports(tmp_path: Path, settings: Any) -> Path:
    """Downloads are written below a folder of the test's own."""
    settings.VAR_DIR = tmp_path
    return tmp_path / "exports"


@pytest.fixture
def ranking(project: Project, alice: Membership) -> Ranking:
    return store_ranking(make_prompt(project), alice, RANKS)


def test_freezing_leads_to_the_dataset_s_page(
    ranking: Ranking, researcher: Membership, signed_in: SignIn
) -> None:
    browser = signed_in(researcher)
    response = browser.post(FREEZE, {"pool": "all"}, follow=True)
    dataset = Dataset.objects.get()
    assert response.redirect_chain == [(f"{LIST}{dataset.name}/", 302)]
    assert dataset.created_by == researcher.user
    page = response.content.decode()
    assert f"{dataset.name} is frozen: it never changes." in page
    assert sum(response.context["splits"].values()) == 1
    assert f"export_dataset --dataset {dataset.name}" in page
    browser.post(FREEZE, {"pool": "all"})
    assert Dataset.objects.count() == 1
    assert dataset.name in browser.get(LIST).content.decode()


def test_filters_of_the_form_are_frozen_with_it(
    project: Project,
    ranking: Ranking,
    alice: Membership,
    researcher: Membership,
    signed_in: SignIn,
) -> None:
    pseudonym = project.pseudonym(alice.pk)
    chosen = {"pool": "random", "labeler": pseudonym, "k": "4", "include": ["late"]}
    response = signed_in(researcher).post(FREEZE, chosen, follow=True)
    assert Dataset.objects.get().filters == {
        "pool": "random",
        "labeler": [pseudonym],
        "k": [4],
        "include": ["late"],
    }
    assert pseudonym in response.content.decode()


@pytest.mark.parametrize(
    ("chosen", "complaint"),
    [
        ({"labeler": "alice"}, "no labeler &#x27;alice&#x27;"),
        ({"k": "99"}, "k: 99 is not between 2 and 9"),
        ({"since": "<b>"}, "&lt;b&gt;"),
        ({"pool": "all", "tag": "a\0b"}, "is not a printable word"),
        ({"since": "2030-01-01"}, "there is nothing to freeze"),
    ],
)
def test_a_refusal_is_shown_and_the_form_keeps_what_was_typed(
    ranking: Ranking,
    researcher: Membership,
    signed_in: SignIn,
    chosen: dict[str, str],
    complaint: str,
) -> None:
    response = signed_in(researcher).post(FREEZE, chosen)
    assert response.status_code == 422
    assert complaint in response.content.decode()
    assert response.context["chosen"].dict() == chosen
    assert not Dataset.objects.exists()


def test_an_admin_may_choose_labelers_by_name(
    ranking: Ranking, alice: Membership, admin: Membership, signed_in: SignIn
) -> None:
    signed_in(admin).post(FREEZE, {"labeler": "alice"})
    assert Dataset.objects.get().counts["rankings"] == 1


@pytest.fixture
def visitor(researcher: Membership, signed_in: SignIn) -> Client:
    """The researcher's."""
    return signed_in(researcher)


@pytest.mark.parametrize(("kind", "lines"), [("pairs", 5), ("rankings", 1)])
def test_a_file_is_downloaded_and_not_sent_twice(
    project: Project,
    ranking: Ranking,
    visitor: Client,
    kind: str,
    lines: int,
) -> None:
    dataset = freeze(project)
    address = f"{LIST}{dataset.name}/{kind}.jsonl"
    response = visitor.get(address)
    raw = body(response)
    assert len([json.loads(line) for line in raw.splitlines()]) == lines
    name = f"{dataset.name}-{kind}.jsonl"
    assert response["Content-Disposition"] == f'attachment; filename="{name}"'
    assert response["Content-Type"] == "application/x-ndjson"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Cache-Control"] == "private, no-cache"
    again = visitor.get(address, headers={"If-None-Match": response["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_a_download_is_written_once(
    project: Project, ranking: Ranking, visitor: Client, exports: Path
) -> None:
    address = f"{LIST}{freeze(project).name}/pairs.jsonl"
    body(visitor.get(address))
    [written] = exports.rglob("pairs.jsonl")
    before = written.stat()
    body(visitor.get(address))
    assert written.stat() == before


def test_a_full_disk_is_a_page_that_says_so_and_the_next_try_is_served(
    project: Project,
    ranking: Ranking,
    visitor: Client,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def full(file: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    dataset = freeze(project)
    address = f"{LIST}{dataset.name}/pairs.jsonl"
    with monkeypatch.context() as patch:
        patch.setattr(folder, "_sync", full)
        response = visitor.get(address)
    assert response.status_code == 503
    assert "could not make this file: No space left" in response.content.decode()
    assert "Content-Disposition" not in response
    assert "dataset_file_failed" in caplog.text
    assert len(body(visitor.get(address)).splitlines()) == 5


@pytest.mark.django_db(transaction=True)
def test_many_first_downloads_at_once_write_the_file_once_and_all_get_it(
    project: Project,
    ranking: Ranking,
    researcher: Membership,
    signed_in: SignIn,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    address = f"{LIST}{freeze(project).name}/pairs.jsonl"
    browsers = [signed_in(researcher) for _ in range(4)]
    written: list[Path] = []
    answers: list[bytes] = []

    def slow(dataset: Dataset, *, out: Path, **choice: str) -> Any:
        time.sleep(0.2)  # so that the others ask before it is there
        written.append(out)
        return folder.write(dataset, out=out, **choice)  # type: ignore[arg-type]

    def run(browser: Client) -> None:
        answers.append(body(browser.get(address)))
        connection.close()

    monkeypatch.setattr(downloads, "write", slow)
    threads = [threading.Thread(target=run, args=(each,)) for each in browsers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(written) == 1
    assert [len(answer.splitlines()) for answer in answers] == [5] * 4


# --- Other shapes -----------------------------------------------------------------


def test_the_form_names_every_shape_and_leads_to_the_file(
    ranking: Ranking, visitor: Client
) -> None:
    dataset = freeze(ranking.project)
    page = visitor.get(f"{LIST}{dataset.name}/")
    assert dict(page.context["kinds"]).keys() == KINDS.keys()
    assert tuple(dict(page.context["disagreements"])) == DISAGREEMENTS
    chosen = {"kind": "kto", "format": "", "disagreement": "consensus", "split": "all"}
    answer = visitor.get(f"{LIST}{dataset.name}/file/", chosen, follow=True)
    [(file, status)] = answer.redirect_chain
    assert (status, file.partition("?")[0]) == (302, f"{LIST}{dataset.name}/kto.jsonl")
    assert answer["Content-Disposition"] == (
        f'attachment; filename="{dataset.name}-kto-consensus.jsonl"'
    )
    labels = {json.loads(line)["label"] for line in body(answer).splitlines()}
    assert labels == {True, False}


def test_choices_that_do_not_go_together_are_refused_in_words(
    ranking: Ranking, visitor: Client
) -> None:
    dataset = freeze(ranking.project)
    chosen = {"kind": "argilla", "format": "parquet"}
    answer = visitor.get(f"{LIST}{dataset.name}/file/", chosen)
    assert answer.status_code == 422
    assert "argilla cannot be written with format parquet: it takes json" in answer.text


@pytest.fixture
def everybody(
    alice: Membership,
    researcher: Membership,
    admin: Membership,
    stranger: Membership,
    signed_in: SignIn,
) -> dict[str, Client]:
    return {who.name: signed_in(who) for who in (alice, researcher, admin, stranger)}


@pytest.mark.parametrize("place", ["", "NAME/", "NAME/pairs.jsonl"])
def test_only_researchers_and_admins_of_the_project_come_in(
    project: Project, ranking: Ranking, everybody: dict[str, Client], place: str
) -> None:
    address = LIST + place.replace("NAME", freeze(project).name)
    found = {}
    for name, browser in everybody.items():
        response = browser.get(address)
        found[name] = response.status_code
        body(response)
    refused = 404 if place.endswith("jsonl") else 403
    assert found == {"alice": refused, "researcher": 200, "admin": 200, "stranger": 404}


def test_only_researchers_and_admins_of_the_project_freeze(
    ranking: Ranking, everybody: dict[str, Client]
) -> None:
    made = {}
    for name in ("alice", "stranger", "researcher", "admin"):
        status = everybody[name].post(FREEZE).status_code
        made[name] = (status, Dataset.objects.count())
    assert made == {
        "alice": (403, 0),
        "stranger": (404, 0),
        "researcher": (302, 1),
        "admin": (302, 1),
    }


@pytest.mark.parametrize(
    "place", ["ds-000000000000/", "ds-0/pairs.jsonl", "a%00b/", "NAME/votes.jsonl"]
)
def test_what_is_not_there_is_404(
    project: Project,
    ranking: Ranking,
    researcher: Membership,
    signed_in: SignIn,
    place: str,
) -> None:
    address = LIST + place.replace("NAME", freeze(project).name)
    assert signed_in(researcher).get(address).status_code == 404


def test_another_project_s_dataset_does_not_exist_here(
    project: Project, ranking: Ranking, stranger: Membership, signed_in: SignIn
) -> None:
    name = freeze(project).name
    browser = signed_in(stranger)
    for page in (f"{name}/", f"{name}/pairs.jsonl"):
        assert browser.get(f"/p/elsewhere/datasets/{page}").status_code == 404


def test_a_get_freezes_nothing(
    ranking: Ranking, researcher: Membership, signed_in: SignIn
) -> None:
    assert signed_in(researcher).get(FREEZE).status_code == 405
    assert not Dataset.objects.exists()


def test_the_pages_name_no_labeler(
    ranking: Ranking,
    project: Project,
    alice: Membership,
    researcher: Membership,
    signed_in: SignIn,
) -> None:
    dataset = freeze(project)
    browser = signed_in(researcher)
    pages = [browser.get(LIST), browser.get(f"{LIST}{dataset.name}/")]
    assert not any(b"alice" in page.content for page in pages)
    raw = body(browser.get(f"{LIST}{dataset.name}/rankings.jsonl"))
    assert b"alice" not in raw
    assert project.pseudonym(alice.pk).encode() in raw


def test_the_list_costs_the_same_however_long_it_is(
    project: Project,
    ranking: Ranking,
    researcher: Membership,
    signed_in: SignIn,
    django_assert_num_queries: Any,
) -> None:
    freeze(project)
    freeze(project, Filters(k=frozenset({4})))
    browser = signed_in(researcher)
    with django_assert_num_queries(7):
        assert len(browser.get(LIST).context["page"]) == 2
