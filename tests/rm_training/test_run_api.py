"""Runs and models for programs, and the client of notebooks, on the running site."""

import shutil
from typing import Any

import pytest
from django.conf import settings

from annotation.models import Membership, Project
from ranking import client as clients
from ranking.client import runs as client_runs
from ranking.datasets import freeze
from rm_training import run_api, tasks
from rm_training.attempts import attempt
from rm_training.models import RewardModel, TrainingRun
from tests.notebooks import Sign
from tests.rm_training.ranked_project import QUICK, STEPS, at_question

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("own_folders"),
]
SETTINGS = {
    name: getattr(QUICK, name) for name in ("lr", "epochs", "eval_every", "seed")
}


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_runs, "POLL_SECONDS", 0)
    monkeypatch.setattr(tasks.train, "delay", lambda pk: None)


@pytest.fixture
def tides(sign: Sign, researcher: Membership, ranked: Project) -> clients.Project:
    return sign(researcher).project("tides")


def test_a_notebook_trains_follows_and_puts_to_use(
    tides: clients.Project,
    ranked: Project,
    researcher: Membership,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dataset = freeze(ranked)
    run = tides.train(
        ranked.sft_model,
        dataset=tides.dataset(dataset.name),
        prompts_per_step=4,
        **SETTINGS,
    )
    assert (run.state, run.given["dataset"]) == ("queued", dataset.name)
    assert run.given["config"]["lr"] == QUICK.lr
    stored = TrainingRun.objects.get()
    assert (stored.pk, stored.created_by) == (run.id, researcher.user)
    again = tides.train(
        ranked.sft_model,
        dataset=tides.dataset(dataset.name),
        prompts_per_step=4,
        **SETTINGS,
    )
    assert again.id == run.id  # asked for twice, trained once

    told: list[tuple[int, int]] = []

    def work(done: int, of: int) -> None:
        told.append((done, of))
        attempt(run.id, worker="test", stopping=bool)

    finished = run.wait(progress=work)
    assert told == [(0, 0)]
    assert (finished.state, finished.given["step"]) == ("done", STEPS)
    assert finished.given["latest"]["step"] == STEPS
    assert [row["step"] for row in finished.given["valid1"]] == [2, 4, 6, 8]
    assert finished.given["log"][-1]["text"].startswith("put to use")
    assert not finished.cancel()

    [model] = tides.models()
    assert (model.id, model.in_use) == (finished.given["model"], True)
    RewardModel.objects.update(in_use=False)
    assert model.use().in_use
    assert RewardModel.objects.get().in_use


def test_a_notebook_cancels_and_lists_page_by_page(
    tides: clients.Project, ranked: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_api, "ROWS_A_PAGE", 2)
    runs = [tides.train(ranked.sft_model, seed=seed) for seed in range(5)]
    assert [run.id for run in tides.runs()] == [run.id for run in reversed(runs)]
    assert runs[0].cancel()
    assert tides.run(runs[0].id).state == "cancelled"
    with pytest.raises(clients.RunFailedError, match="cancelled"):
        runs[0].wait()
    assert list(tides.models()) == []


def test_a_notebook_continues_a_cancelled_run(
    tides: clients.Project, ranked: Project
) -> None:
    run = tides.train(ranked.sft_model, prompts_per_step=4, checkpoint_every=2)
    assert not run.go_on()
    attempt(run.id, worker="test", stopping=at_question(4, run.cancel))
    assert run.now().given["continues_from"] == 2
    assert run.go_on()
    assert (run.now().state, run.now().given["continues_from"]) == ("queued", None)
    run.cancel()
    shutil.rmtree(settings.MODEL_ROOT)
    with pytest.raises(clients.RefusedError, match="no checkpoint to continue from"):
        run.go_on()


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ({"base_model": "/etc"}, "not a base model of this project"),
        ({"lr": -1.0}, "lr must be above 0"),
        ({"learning_rate": 1.0}, "no setting named 'learning_rate'"),
        ({"epochs": "many"}, "epochs must be"),
    ],
)
def test_what_cannot_be_trained_is_refused_in_words(
    tides: clients.Project, ranked: Project, wanted: dict[str, Any], says: str
) -> None:
    options = {"base_model": ranked.sft_model, **wanted}
    with pytest.raises(clients.RefusedError, match=says):
        tides.train(**options)
    assert not TrainingRun.objects.exists()


def test_a_dataset_of_nobody_is_refused(
    tides: clients.Project, ranked: Project
) -> None:
    nobodys = clients.Dataset(tides, {"name": "ds-000000000000"})
    with pytest.raises(clients.RefusedError, match="has no dataset"):
        tides.train(ranked.sft_model, dataset=nobodys)


def test_runs_are_not_for_labelers_and_not_for_strangers(
    tides: clients.Project,
    sign: Sign,
    ranked: Project,
    alice: Membership,
    stranger: Membership,
) -> None:
    run = tides.train(ranked.sft_model)
    with pytest.raises(clients.NotAllowedError):
        sign(alice).project("tides").run(run.id)
    with pytest.raises(clients.NotThereError):
        sign(stranger).project("tides").run(run.id)
    other = Project.objects.create(slug="other", title="Other")
    TrainingRun.objects.update(project=other)
    with pytest.raises(clients.NotThereError):
        tides.run(run.id)


def test_a_broker_that_is_away_is_named_and_the_run_is_queued(
    tides: clients.Project, ranked: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_api, "broker_state", lambda: "unreachable")
    run = tides.train(ranked.sft_model)
    assert (run.state, run.given["broker"]) == ("queued", "unreachable")
