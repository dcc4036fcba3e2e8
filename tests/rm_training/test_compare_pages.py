"""Runs side by side."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from annotation.models import Membership, Project
from rm_training.compared_runs import MOST
from rm_training.config import TrainingConfig
from rm_training.models import TrainingRun
from tests.rm_training.ranked_project import dataset_of, rank_politely
from tests.rm_training.test_run_pages import done, make_run, text_of

SignedIn = Callable[[Membership], Client]


@pytest.fixture
def ranked(project: Project, alice: Membership) -> Project:
    rank_politely(project, alice, prompts=5)
    return project


def compare(client: Client, *runs: TrainingRun | int) -> Any:
    keys = [run if isinstance(run, int) else run.pk for run in runs]
    return client.get(reverse("compare_runs", args=["tides"]), {"run": keys})


def test_two_runs_stand_side_by_side_with_what_differs(
    ranked: Project, researcher: Membership, signed_in: SignedIn
) -> None:
    first = done(ranked)
    second = done(ranked, in_use=False)
    config = TrainingConfig(lr=2e-5, seed=3).to_dict()
    TrainingRun.objects.filter(pk=second.pk).update(config=config)
    words = text_of(compare(signed_in(researcher), second, first))
    assert f"Run {first.pk} Run {second.pk}" in words  # oldest first
    assert "75.0 % of 16 pairs, at step 1" in words
    assert "68.8 % of 16 pairs" in words  # valid2
    assert "lr 9e-06 2e-05 seed 0 3" in words
    differs = words[words.index("What differs") :]
    assert "epochs" not in differs
    assert "different datasets" not in words


def test_equal_runs_differ_in_nothing(
    ranked: Project, researcher: Membership, signed_in: SignedIn
) -> None:
    words = text_of(compare(signed_in(researcher), make_run(ranked), make_run(ranked)))
    assert "Nothing: they have the same dataset" in words


def test_accuracies_of_different_datasets_come_with_a_warning(
    ranked: Project, researcher: Membership, alice: Membership, signed_in: SignedIn
) -> None:
    first = done(ranked)
    second = done(ranked, in_use=False)
    other = dataset_of(second)
    other.pk, other.name, other.content_sha256 = None, "ds-other", "1" * 64
    other.save()
    TrainingRun.objects.filter(pk=second.pk).update(dataset=other)
    words = text_of(compare(signed_in(researcher), first, second))
    assert "not of the same pairs" in words
    assert "ds-other" in words


def test_one_run_is_no_comparison_and_many_are_cut(
    ranked: Project, researcher: Membership, signed_in: SignedIn
) -> None:
    client, run = signed_in(researcher), done(ranked)
    for some in ([], [run], [run, 10**17], [run.pk, run.pk]):
        assert compare(client, *some).status_code == 302
    many = [make_run(ranked).pk for _ in range(MOST + 1)]
    words = text_of(compare(client, *many))
    assert f"{MOST} runs compared" in words
    assert f"{MOST} runs are shown at most" in words


def test_runs_of_other_projects_are_not_shown(
    ranked: Project, researcher: Membership, signed_in: SignedIn
) -> None:
    mine, theirs = done(ranked), make_run(ranked)
    other = Project.objects.create(slug="other", title="Other")
    TrainingRun.objects.filter(pk=theirs.pk).update(project=other)
    assert compare(signed_in(researcher), mine, theirs).status_code == 302


def test_the_figure_has_a_line_for_each_run_and_is_asked_for_once(
    ranked: Project, researcher: Membership, signed_in: SignedIn
) -> None:
    client = signed_in(researcher)
    runs = {"run": [done(ranked).pk, done(ranked, in_use=False).pk]}
    address = reverse("compare_figure", args=["tides", "dark", "narrow"])
    drawn = client.get(address, runs)
    lines = re.findall(r'<g id="line2d_\d+">', drawn.content.decode())
    assert drawn["Content-Type"] == "image/svg+xml"
    assert len(lines) > 2
    again = client.get(address, runs, headers={"If-None-Match": drawn["ETag"]})
    assert again.status_code == 304
    none = client.get(reverse("compare_figure", args=["tides", "pink", "wide"]), runs)
    assert none.status_code == 404


def test_the_page_asks_as_much_for_many_runs_as_for_two(
    ranked: Project,
    researcher: Membership,
    signed_in: SignedIn,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    client = signed_in(researcher)
    runs = [done(ranked, in_use=not n).pk for n in range(MOST)]
    for some in (runs[:2], runs):
        with django_assert_num_queries(4):
            assert compare(client, *some).status_code == 200
