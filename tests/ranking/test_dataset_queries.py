"""Pages of datasets cost the same however much there is: their queries are counted."""

from collections.abc import Callable
from typing import Any, Final

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from knox.models import AuthToken

from annotation.jobs import JobState
from annotation.models import Membership, Project, Role
from ranking.datasets import freeze
from ranking.filters import Filters
from ranking.models import Dataset, DatasetLoss, ExportRun, FreezeRun
from tests.conftest import make_member, make_prompt
from tests.ranking.rows import store_ranking

pytestmark = pytest.mark.django_db
PAGES, API = "/p/tides/datasets/", "/api/v1/projects/tides/datasets"
RANKS = {"r1": 1, "r2": 2, "r3": 2, "r4": 3}
# Of the session, the account, the membership with its project, and what a page shows.
QUERIES: Final = {
    "the list": 7,
    "the list, for programs": 4,
    "a dataset": 18,
    "a dataset, for programs": 8,
    "its files": 4,
    "the freezes": 3,
}


@pytest.fixture
def little(project: Project, alice: Membership) -> Dataset:
    """One dataset of one ranking."""
    store_ranking(make_prompt(project, "p0"), alice, RANKS)
    return freeze(project)


def grow(project: Project, little: Dataset) -> Dataset:
    """Many datasets, freezes and files, and one dataset of many rankings by many."""
    prompts = [make_prompt(project, f"more{n}") for n in range(12)]
    for number in range(6):
        labeler = make_member(project, f"labeler{number}", Role.LABELER)
        for prompt in prompts[number : number + 6]:
            store_ranking(prompt, labeler, RANKS)
    for seed in range(1, 8):
        freeze(project, Filters(k=frozenset({4})), seed=seed)
    large = freeze(project)
    FreezeRun.objects.bulk_create(
        FreezeRun(project=project, filters={}, created_by=None) for _ in range(4)
    )
    for kind in ("pairs", "rankings", "kto", "nemo"):
        for split in ("all", "train"):
            ExportRun.objects.create(
                dataset=large,
                kind=kind,
                format="jsonl",
                disagreement="each",
                split=split,
                state=JobState.FAILED,
                reason="The disk is full.",
            )
    assert little.pk != large.pk
    return large


@pytest.fixture
def asking(
    researcher: Membership, signed_in: Callable[[Membership], Client]
) -> Callable[[str, Dataset], tuple[int, Any]]:
    """How many queries an answer takes, and the answer."""
    visitor = signed_in(researcher)
    _, token = AuthToken.objects.create(user=researcher.user)
    program = Client(headers={"Authorization": f"Token {token}"})

    def ask(what: str, found: Dataset) -> tuple[int, Any]:
        browser, address = {
            "the list": (visitor, PAGES),
            "the list, for programs": (program, API),
            "a dataset": (visitor, f"{PAGES}{found.name}/"),
            "a dataset, for programs": (program, f"{API}/{found.name}"),
            "its files": (visitor, f"{PAGES}{found.name}/files/"),
            "the freezes": (visitor, f"{PAGES}freezes/"),
        }[what]
        with CaptureQueriesContext(connection) as queries:
            answer = browser.get(address)
        assert answer.status_code == 200
        return len(queries), answer

    return ask


@pytest.mark.parametrize("what", QUERIES)
def test_more_rows_cost_no_more_queries(
    project: Project, little: Dataset, asking: Any, what: str
) -> None:
    asking(what, little)  # what is looked up once by a process is not counted
    few, before = asking(what, little)
    large = grow(project, little)
    many, after = asking(what, large)
    assert (few, many) == (QUERIES[what], QUERIES[what])
    assert len(after.content) > len(before.content)


def test_a_dataset_that_lost_much_costs_the_same(
    project: Project, little: Dataset, asking: Any
) -> None:
    large = grow(project, little)
    few, _ = asking("a dataset", large)
    for prompt in project.prompt_set.filter(external_id__startswith="more"):
        DatasetLoss.objects.create(
            dataset=large, prompt=prompt, reason="Taken down.", lost_at=timezone.now()
        )
    many, answer = asking("a dataset", large)
    assert answer.text.count("Taken down.") == 12
    assert many == few
