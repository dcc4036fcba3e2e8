"""What pages say of datasets: what matches, what changed, a look inside, lineage."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from annotation.models import Membership, Project
from ranking.dataset_facts import folds_of, in_words, labelers_of, preview, splits_of
from ranking.datasets import freeze
from ranking.filters import Filters
from ranking.models import Dataset, PromptSplit
from rm_training.models import RewardModel, TrainingRun
from tests.conftest import make_prompt
from tests.ranking.rows import store_ranking

pytestmark = pytest.mark.django_db
LIST = "/p/tides/datasets/"
RANKS = {"r1": 1, "r2": 2, "r3": 2, "r4": 3}


@pytest.fixture
def visitor(
    researcher: Membership, signed_in: Callable[[Membership], Client]
) -> Client:
    return signed_in(researcher)


def rank(project: Project, labeler: Membership, *names: str) -> None:
    for name in names:
        store_ranking(make_prompt(project, name), labeler, RANKS)


def test_a_dataset_knows_its_splits_labelers_and_folds(
    project: Project, alice: Membership, bob: Membership
) -> None:
    rank(project, alice, "a1", "a2")
    rank(project, bob, "b1")
    dataset = freeze(project, seed=4)
    hers, his = project.pseudonym(alice.pk), project.pseudonym(bob.pk)
    assert {one.labeler: one.rankings for one in labelers_of(dataset)} == {
        hers: 2,
        his: 1,
    }
    folds = folds_of(dataset, count=2)
    assert (folds["count"], folds["seed"]) == (2, 4)
    assert sorted(folds["labelers"].values()) == [0, 1]
    fixed = PromptSplit.objects.values_list("split", flat=True)
    assert splits_of(dataset) == {
        split: list(fixed).count(split) for split in ("train", "valid1", "valid2")
    }


def test_a_look_inside_shows_the_best_first_and_costs_the_same_however_much_there_is(
    project: Project, alice: Membership
) -> None:
    rank(project, alice, "p0")
    small = freeze(project)
    with CaptureQueriesContext(connection) as few:
        [row] = preview(small)
    assert (row.prompt_id, row.labeler) == ("p0", project.pseudonym(alice.pk))
    assert [(rank, name) for rank, name, _ in row.responses] == [
        (1, "r1"),
        (2, "r2"),
        (2, "r3"),
        (3, "r4"),
    ]
    rank(project, alice, *(f"p{n}" for n in range(1, 9)))
    large = freeze(project)
    with CaptureQueriesContext(connection) as many:
        assert len(preview(large)) == 5
    assert len(many) == len(few)


def test_the_form_counts_what_matches_while_it_is_filled_in(
    project: Project, alice: Membership, bob: Membership, visitor: Client
) -> None:
    rank(project, alice, "a1", "a2")
    rank(project, bob, "b1")
    address = f"{LIST}matching/"
    hers = project.pseudonym(alice.pk)
    part = visitor.get(address, {"labeler": hers, "pool": "all"}).content.decode()
    assert "<strong>2</strong> rankings" in part
    assert "10 strict pairs, 2 tied" in part
    assert "No ranking matches" in visitor.get(address, {"k": "9"}).content.decode()
    wrong = visitor.get(address, {"labeler": "<b>"}).content.decode()
    assert "no labeler &#x27;&lt;b&gt;&#x27;" in wrong


def test_two_datasets_are_compared_on_a_page(
    project: Project,
    alice: Membership,
    bob: Membership,
    visitor: Client,
    django_assert_num_queries: Any,
) -> None:
    rank(project, alice, "a1")
    first = freeze(project)
    alone = visitor.get(f"{LIST}{first.name}/diff/").content.decode()
    assert "It is the first dataset of this project" in alone
    rank(project, bob, "b1", "b2")
    filters = Filters(without_labelers=frozenset({alice.pk}))
    second = freeze(project, filters)
    with django_assert_num_queries(7):
        page = visitor.get(f"{LIST}{second.name}/diff/").content.decode()
    assert "+2 −1 rankings, +2 −1 prompts, +1 −1 labelers" in page
    assert project.pseudonym(alice.pk) in page
    assert "alice" not in page
    back = visitor.get(f"{LIST}{first.name}/diff/?from={second.name}").content.decode()
    assert "+1 −2 rankings" in back
    assert visitor.get(f"{LIST}{first.name}/diff/?from=ds-0").status_code == 404


def test_a_dataset_is_frozen_again_by_the_same_filters(
    project: Project, alice: Membership, visitor: Client
) -> None:
    rank(project, alice, "a1")
    filters = Filters(labelers=frozenset({alice.pk}), k=frozenset({4, 5}))
    first = freeze(project, filters, seed=2)
    assert (
        "Freeze them again" not in visitor.get(f"{LIST}{first.name}/").content.decode()
    )
    rank(project, alice, "a2")
    response = visitor.get(f"{LIST}{first.name}/")
    assert response.context["new_since"] == 1
    fields: dict[str, list[str]] = {}
    for name, value in response.context["again"]:
        fields.setdefault(name, []).append(value)
    visitor.post(f"{LIST}freeze/", fields)
    second = Dataset.objects.latest("pk")
    assert (second.filters, second.seed) == (first.filters, 2)
    assert second.counts["rankings"] == 2


def test_a_dataset_leads_to_the_runs_and_models_made_of_it(
    project: Project, alice: Membership, stranger: Membership, visitor: Client
) -> None:
    rank(project, alice, "a1")
    dataset, other = freeze(project), freeze(project, seed=1)
    run = TrainingRun.objects.create(
        project=project, dataset=dataset, base_model="b", config={}, state="done"
    )
    RewardModel.objects.create(
        project=project, run=run, folder="tides/1", manifest_sha256="", metrics={}
    )
    page = visitor.get(f"{LIST}{dataset.name}/runs/").content.decode()
    assert f"Run {run.pk}</a>" in page
    assert "tides/1" in page
    named = {"name": [dataset.name, other.name, "ds-elsewhere", "a\0b"]}
    part = visitor.get("/p/tides/runs/trained-on/", named).content.decode()
    assert f'<span id="trained-{dataset.name}" hx-swap-oob="true"><a' in part
    assert "1 model</a>" in part
    assert f'<span id="trained-{other.name}" hx-swap-oob="true">–' in part
    assert "elsewhere" not in part


def test_texts_of_a_preview_are_no_markup(
    project: Project, alice: Membership, visitor: Client
) -> None:
    prompt = make_prompt(project, "<i>p</i>")
    store_ranking(prompt, alice, RANKS)
    page = visitor.get(f"{LIST}{freeze(project).name}/").content.decode()
    assert "&lt;i&gt;p&lt;/i&gt;" in page
    assert "<i>p</i>" not in page


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "not set"),
        ([4, 9], "4, 9"),
        ("random", "random"),
        ("2026-06-01T00:00:00+00:00", "2026-06-01 00:00 UTC"),
        ("2026-06-01T10:20:30+00:00", "2026-06-01 10:20:30 UTC"),
        ("2026-06-01T10:20:00.500000+00:00", "2026-06-01 10:20:00.500000 UTC"),
    ],
)
def test_what_was_chosen_is_said_in_words(value: object, words: str) -> None:
    assert in_words(value) == words
