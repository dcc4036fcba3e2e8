"""What the page of a run shows of its model's evaluation."""

import csv
import io
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from annotation.jobs import JobState
from annotation.models import Membership, Project
from ranking.datasets import freeze
from rm_training.evaluation.report import report
from rm_training.models import RewardModel, TrainingRun
from tests.rm_training.judged_prompts import judged_prompt, world
from tests.rm_training.ranked_project import rank_politely

SignedIn = Callable[[Membership], Client]
FAILED = {
    "check": "bfloat16 instead of float32",
    "largest": 0.5,
    "tolerance": 0.1,
    "passed": False,
    "responses": 8,
}


def evaluated(project: Project, alice: Membership, **splits: Any) -> TrainingRun:
    """A finished run whose model has a report of these splits."""
    rank_politely(project, alice, prompts=2)
    run = TrainingRun.objects.create(
        project=project,
        dataset=freeze(project, user=None),
        base_model="smol",
        config={},
        state=JobState.DONE,
    )
    RewardModel.objects.create(
        project=project,
        run=run,
        folder="reward-models/one",
        manifest_sha256="0" * 64,
        metrics={"valid1": None, "valid2": None, "notes": []},
        evaluation={
            **report(splits),
            "left_out": {"valid2": 3},
            "invariances": [FAILED],
        },
    )
    return run


@pytest.fixture
def run(project: Project, alice: Membership) -> TrainingRun:
    return evaluated(project, alice, valid1=world(12, seed=1), valid2=world(15, seed=2))


def address(name: str, run: TrainingRun, *more: str) -> str:
    return reverse(name, args=["tides", run.pk, *more])


def test_the_page_shows_the_reported_split_with_intervals_and_figures(
    run: TrainingRun, researcher: Membership, signed_in: SignedIn
) -> None:
    html = signed_in(researcher).get(address("run", run)).content.decode()
    words = " ".join(html.split())
    stored = run.reward_model.evaluation
    assert stored is not None
    accuracy = stored["splits"]["valid2"]["accuracy"]["pair_mean"]
    low, high = (f"{100 * end:.1f}" for end in accuracy["ci"])
    assert "Held-out prompts, reported (valid2): 15 prompts, 45 rankings" in words
    assert (
        f"<dd>{100 * accuracy['value']:.1f} % "
        f"<small>{low}–{high} %; {accuracy['n']} pairs</small>" in words
    )
    assert "3 responses did not fit the model" in words
    assert "FAIL" in words
    for exhibit in ("slices", "labelers", "reliability", "length"):
        for theme in ("light", "dark"):
            for width in ("wide", "narrow"):
                url = address("evaluation_figure", run, exhibit, theme, width)
                assert url in html
        assert address("evaluation_csv", run, exhibit) in html


@pytest.mark.parametrize("exhibit", ["slices", "reliability"])
def test_a_figure_is_an_image_that_is_sent_once(
    run: TrainingRun, researcher: Membership, signed_in: SignedIn, exhibit: str
) -> None:
    client = signed_in(researcher)
    url = address("evaluation_figure", run, exhibit, "dark", "narrow")
    first = client.get(url)
    assert first["Content-Type"] == "image/svg+xml"
    assert first.content.startswith(b"<?xml")
    again = client.get(url, headers={"If-None-Match": first["ETag"]})
    assert again.status_code == 304
    other = address("evaluation_figure", run, exhibit, "light", "narrow")
    same = {"If-None-Match": first["ETag"]}
    assert client.get(other, headers=same).status_code == 200


def test_the_rows_of_a_figure_are_a_file_with_empty_cells_for_what_is_undefined(
    project: Project, alice: Membership, researcher: Membership, signed_in: SignedIn
) -> None:
    right = judged_prompt([1, 0], [1, 2], labelers=["=SUM(A1)"])
    run = evaluated(project, alice, valid2=[right, right])
    client = signed_in(researcher)
    text = client.get(address("evaluation_csv", run, "length")).content.decode()
    rows = {
        row.pop("what is counted"): row for row in csv.DictReader(io.StringIO(text))
    }
    assert rows["right, alike"] == {
        "value": "1.0",
        "low": "1.0",
        "high": "1.0",
        "pairs": "2",
        "prompts": "2",
    }
    assert rows["right, longer"]["value"] == ""
    labelers = client.get(address("evaluation_csv", run, "labelers")).content.decode()
    assert "\n'=SUM(A1)," in labelers.replace("\r", "")


def test_the_whole_report_is_a_file(
    run: TrainingRun, researcher: Membership, signed_in: SignedIn
) -> None:
    response = signed_in(researcher).get(address("evaluation_json", run))
    assert response.json() == run.reward_model.evaluation
    assert "attachment" in response["Content-Disposition"]


def test_there_are_no_other_figures(
    run: TrainingRun, researcher: Membership, signed_in: SignedIn
) -> None:
    client = signed_in(researcher)
    for more in (
        ("nothing", "light", "wide"),
        ("slices", "red", "wide"),
        ("slices", "light", "huge"),
    ):
        found = client.get(address("evaluation_figure", run, *more))
        assert found.status_code == 404
    assert client.get(address("evaluation_csv", run, "nothing")).status_code == 404


def test_a_model_from_before_evaluations_and_one_without_held_out_prompts_say_less(
    project: Project, alice: Membership, researcher: Membership, signed_in: SignedIn
) -> None:
    run = evaluated(project, alice)
    client = signed_in(researcher)
    words = client.get(address("run", run)).content.decode()
    assert "No prompt was held out: what the model is worth is not known." in words
    assert client.get(address("evaluation_csv", run, "slices")).status_code == 404
    RewardModel.objects.update(evaluation=None)
    page = client.get(address("run", run))
    assert page.status_code == 200
    assert "is worth" not in page.content.decode()
    assert client.get(address("evaluation_json", run)).status_code == 404
