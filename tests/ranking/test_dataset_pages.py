"""Datasets in the browser: frozen, described, downloaded, and closed to others."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from annotation.models import Membership, Project
from ranking.datasets import freeze
from ranking.export.choice import DISAGREEMENTS, KINDS
from ranking.filters import Filters
from ranking.models import Dataset, Ranking
from tests.conftest import make_prompt
from tests.ranking.exported import a_worker_at_hand, body, fetched
from tests.ranking.rows import store_ranking

__all__ = ["a_worker_at_hand"]

pytestmark = pytest.mark.django_db
SignIn = Callable[[Membership], Client]
LIST, FREEZE = "/p/tides/datasets/", "/p/tides/datasets/freeze/"
RANKS = {"r1": 1, "r2": 2, "r3": 2, "r4": 3}


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


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("kind", "lines"), [("pairs", 5), ("rankings", 1)])
@pytest.mark.usefixtures("a_worker_at_hand")
def test_a_file_is_downloaded_and_not_sent_twice(
    project: Project,
    ranking: Ranking,
    visitor: Client,
    kind: str,
    lines: int,
) -> None:
    dataset = freeze(project)
    address = f"{LIST}{dataset.name}/{kind}.jsonl"
    response = fetched(visitor, address)
    raw = body(response)
    assert len([json.loads(line) for line in raw.splitlines()]) == lines
    name = f"{dataset.name}-{kind}.jsonl"
    assert response["Content-Disposition"] == f'attachment; filename="{name}"'
    assert response["Content-Type"] == "application/x-ndjson"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Cache-Control"] == "private, no-cache"
    again = visitor.get(address, headers={"If-None-Match": response["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("a_worker_at_hand")
def test_a_download_is_written_once(
    project: Project, ranking: Ranking, visitor: Client, exports: Path
) -> None:
    address = f"{LIST}{freeze(project).name}/pairs.jsonl"
    body(fetched(visitor, address))
    [written] = exports.rglob("pairs.jsonl")
    before = written.stat()
    body(fetched(visitor, address))
    assert written.stat() == before


# --- Other shapes -----------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("a_worker_at_hand")
def test_the_form_names_every_shape_and_leads_to_the_file(
    ranking: Ranking, visitor: Client
) -> None:
    dataset = freeze(ranking.project)
    page = visitor.get(f"{LIST}{dataset.name}/")
    assert dict(page.context["kinds"]).keys() == KINDS.keys()
    assert tuple(dict(page.context["disagreements"])) == DISAGREEMENTS
    chosen = {"kind": "kto", "format": "", "disagreement": "consensus", "split": "all"}
    led = visitor.get(f"{LIST}{dataset.name}/file/", chosen)
    file = led["Location"]
    assert file == f"{LIST}{dataset.name}/kto.jsonl?disagreement=consensus"
    answer = fetched(visitor, file)
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


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("a_worker_at_hand")
@pytest.mark.parametrize("place", ["", "NAME/", "NAME/pairs.jsonl"])
def test_only_researchers_and_admins_of_the_project_come_in(
    project: Project, ranking: Ranking, everybody: dict[str, Client], place: str
) -> None:
    address = LIST + place.replace("NAME", freeze(project).name)
    found = {}
    for name, browser in everybody.items():
        response = fetched(browser, address)
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


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("a_worker_at_hand")
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
    raw = body(fetched(browser, f"{LIST}{dataset.name}/rankings.jsonl"))
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
