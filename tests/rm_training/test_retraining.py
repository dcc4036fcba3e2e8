"""Runs that start by themselves: once, and only when they are due."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import DatabaseError
from django.db.models import Value
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries, Settings

from annotation.jobs import JobState
from annotation.models import Membership, Project, Prompt
from ranking.models import PromptSplit
from rm_training import retraining, runs, tasks
from rm_training.models import Retraining, TrainingRun, When
from rm_training.registry import retraining_of
from rm_training.retraining import retrain_if_due, waiting_for
from tests.conftest import make_prompt
from tests.racing import SECONDS, at_once, closing, wait_until
from tests.ranking.rows import store_ranking
from tests.rm_training.ranked_project import dataset_of, rank_politely

RANKS = {"r1": 1, "r2": 2, "r3": 3, "r4": 4}
SignedIn = Callable[[Membership], Client]


@pytest.fixture(autouse=True)
def base_model(settings: Settings, tmp_path: Path) -> None:
    """One model directory that runs may start from; nothing loads it here."""
    settings.MODEL_ROOT = tmp_path / "models"
    (settings.MODEL_ROOT / "smol").mkdir(parents=True)
    (settings.MODEL_ROOT / "smol" / "config.json").write_text("{}")


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    messages: list[int] = []
    monkeypatch.setattr(tasks.train, "delay", messages.append)
    return messages


@pytest.fixture
def ranked(project: Project, alice: Membership, sent: list[int]) -> Project:
    rank_politely(project, alice, prompts=5)
    return project


def settings_of(project: Project, **changes: Any) -> Retraining:
    wanted = {"when": When.RANKINGS, "every_rankings": 5, "base_model": "smol"}
    return Retraining.objects.create(project=project, **wanted | changes)


def finish(run: TrainingRun | None, state: JobState = JobState.DONE) -> None:
    assert run is not None
    TrainingRun.objects.filter(pk=run.pk).update(
        state=state, reason="why" if state == JobState.FAILED else ""
    )


def rank_more(project: Project, labeler: Membership, *names: str) -> None:
    for name in names:
        prompt = make_prompt(project, name)
        PromptSplit.objects.create(prompt=prompt, group=name, split="train")
        store_ranking(prompt, labeler, RANKS)


def make_due(settings: Retraining) -> None:
    Retraining.objects.filter(pk=settings.pk).update(
        served_until=Now() - Value(timedelta(days=8))
    )


# --- Every N new rankings -----------------------------------------------------------


def test_a_project_without_settings_never_trains(ranked: Project) -> None:
    tasks.retrain()
    assert not TrainingRun.objects.exists()
    assert retraining_of(ranked).margin == 1.0


def test_so_many_new_rankings_queue_one_run_on_what_counts(
    ranked: Project, alice: Membership
) -> None:
    settings = settings_of(ranked, every_rankings=6, config={"seed": 3})
    assert retrain_if_due(settings.pk) is None
    assert waiting_for(settings).new_rankings == 5
    rank_more(ranked, alice, "sixth")
    run = retrain_if_due(settings.pk)
    assert run is not None
    assert (run.state, run.base_model, run.config["seed"]) == ("queued", "smol", 3)
    assert run.created_by is None
    assert dataset_of(run).rankings.count() == 6
    settings.refresh_from_db()
    assert settings.outcome == f"queued run {run.pk}"
    assert [line.text for line in run.notes.all()] == [
        "asked for by the project's settings: every 6 new rankings"
    ]


def test_rankings_that_a_run_has_had_are_not_new(
    ranked: Project, alice: Membership
) -> None:
    settings = settings_of(ranked)
    finish(retrain_if_due(settings.pk))
    assert waiting_for(Retraining.objects.get()).new_rankings == 0
    rank_more(ranked, alice, *"abcd")
    assert retrain_if_due(settings.pk) is None
    assert waiting_for(Retraining.objects.get()).new_rankings == 4
    rank_more(ranked, alice, "e")
    assert retrain_if_due(settings.pk) is not None


def test_a_run_that_failed_is_not_asked_for_again_and_again(ranked: Project) -> None:
    settings = settings_of(ranked)
    finish(retrain_if_due(settings.pk), JobState.FAILED)
    assert retrain_if_due(settings.pk) is None


def test_while_a_run_is_unfinished_none_is_queued(
    ranked: Project, alice: Membership
) -> None:
    settings = settings_of(ranked)
    first = retrain_if_due(settings.pk)
    rank_more(ranked, alice, *"abcde")
    assert waiting_for(Retraining.objects.get()).due
    assert retrain_if_due(settings.pk) is None
    finish(first)
    assert retrain_if_due(settings.pk) is not None


def test_rankings_that_no_freeze_takes_are_not_waited_for_twice(
    ranked: Project, alice: Membership, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their prompts join two splits: they would be new for ever."""
    rank_more(ranked, alice, *"abcde")
    outside = list(Prompt.objects.order_by("-pk").values_list("pk", flat=True)[:5])
    monkeypatch.setattr(
        "ranking.datasets.fix_splits", lambda prompts: {*outside} & {*prompts}
    )
    settings = settings_of(ranked)
    run = retrain_if_due(settings.pk)
    assert run is not None
    assert dataset_of(run).counts["rankings"] == 5
    finish(run)
    settings.refresh_from_db()
    assert settings.left_out == 5
    assert waiting_for(settings).new_rankings == 0
    assert retrain_if_due(settings.pk) is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"base_model": "gone"}, "no run: 'gone' is not a base model"),
        ({"config": {"lr": -1}}, "no run: lr must be above 0"),
    ],
)
def test_what_cannot_be_asked_for_is_told_and_stays_due(
    ranked: Project, change: dict[str, Any], says: str
) -> None:
    settings = settings_of(ranked, **change)
    assert retrain_if_due(settings.pk) is None
    settings.refresh_from_db()
    assert settings.outcome.startswith(says)
    assert waiting_for(settings).due


def test_a_closed_project_rests(ranked: Project) -> None:
    settings_of(ranked)
    Project.objects.update(closed_at=Now())
    tasks.retrain()
    assert not TrainingRun.objects.exists()


# --- On a schedule ------------------------------------------------------------------


@pytest.mark.parametrize("when", [When.DAY, When.WEEK])
def test_a_time_of_the_schedule_is_served_once(
    ranked: Project, alice: Membership, when: When
) -> None:
    settings = settings_of(ranked, when=when)
    assert retrain_if_due(settings.pk) is None  # none since it was set
    make_due(settings)
    first = retrain_if_due(settings.pk)
    finish(first)
    rank_more(ranked, alice, "more")
    assert retrain_if_due(settings.pk) is None  # served
    make_due(settings)
    second = retrain_if_due(settings.pk)
    assert second not in (None, first)


def test_a_schedule_learns_nothing_twice(ranked: Project) -> None:
    settings = settings_of(ranked, when=When.DAY)
    make_due(settings)
    finish(retrain_if_due(settings.pk))
    make_due(settings)
    assert retrain_if_due(settings.pk) is None
    settings.refresh_from_db()
    assert settings.outcome == "no run: nothing new was ranked"
    assert not waiting_for(settings).due  # its time is served all the same


def test_a_schedule_tries_again_after_a_failure(ranked: Project) -> None:
    settings = settings_of(ranked, when=When.DAY)
    make_due(settings)
    finish(retrain_if_due(settings.pk), JobState.FAILED)
    make_due(settings)
    assert retrain_if_due(settings.pk) is not None


# --- Several beats ------------------------------------------------------------------


def look_from_two_beats(
    settings: Retraining, monkeypatch: pytest.MonkeyPatch, between: Callable[[], None]
) -> list[Any]:
    """Two look at the same time. The first is held after it has found the run due,
    until the second has looked, too, or has left."""
    second_is_there = threading.Event()
    freeze_now = runs.freeze_now
    held = threading.Lock()

    def held_freeze(*args: Any, **kwargs: Any) -> Any:
        if held.acquire(blocking=False):  # the first
            assert second_is_there.wait(SECONDS)
            between()
        else:
            second_is_there.set()
        return freeze_now(*args, **kwargs)

    monkeypatch.setattr(retraining, "freeze_now", held_freeze)
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(closing(lambda: retrain_if_due(settings.pk)))
        wait_until(held.locked)

        def look() -> TrainingRun | None:
            try:
                return retrain_if_due(settings.pk)
            finally:
                second_is_there.set()

        second = threads.submit(closing(look))
        return [one.result(SECONDS) for one in (first, second)]


@pytest.mark.django_db(transaction=True)
def test_two_beats_that_look_at_once_queue_one_run(
    ranked: Project, alice: Membership, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(ranked)
    found = look_from_two_beats(
        settings, monkeypatch, lambda: rank_more(ranked, alice, "in between")
    )
    assert found[1] is None
    assert list(TrainingRun.objects.all()) == [found[0]]


@pytest.mark.django_db(transaction=True)
def test_without_the_lock_two_beats_queue_two_runs(
    ranked: Project, alice: Membership, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: the same race, with the lock off."""
    monkeypatch.setattr(
        retraining,
        "_locked",
        lambda pk: Retraining.objects.select_related("project").get(pk=pk),
    )
    settings = settings_of(ranked)
    look_from_two_beats(
        settings, monkeypatch, lambda: rank_more(ranked, alice, "in between")
    )
    assert TrainingRun.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_many_ticks_at_once_queue_one_run(ranked: Project) -> None:
    settings_of(ranked)
    at_once(lambda _: tasks.retrain(), list(range(6)))
    assert TrainingRun.objects.count() == 1


def test_a_project_that_cannot_be_looked_at_keeps_none_waiting(
    ranked: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Project.objects.create(slug="other", title="Other")
    settings = [settings_of(one) for one in (other, ranked)]
    look = retraining.retrain_if_due

    def sick(pk: int) -> TrainingRun | None:
        if pk == settings[0].pk:
            raise DatabaseError("lock timeout")
        return look(pk)

    monkeypatch.setattr(retraining, "retrain_if_due", sick)
    tasks.retrain()
    assert [run.project for run in TrainingRun.objects.all()] == [ranked]


# --- The page -----------------------------------------------------------------------

POSTED = {
    "when": "rankings",
    "every_rankings": "500",
    "weekday": "0",
    "hour": "3",
    "base_model": "smol",
    "margin": "2.5",
    "epochs": "2",
    "lr": "1e-5",
    "prompts_per_step": "8",
    "max_steps": "",
    "seed": "7",
}


def address() -> str:
    return reverse("retraining", args=["tides"])


def test_the_page_says_how_many_rankings_wait(
    ranked: Project, researcher: Membership, signed_in: SignedIn
) -> None:
    settings_of(ranked, every_rankings=500)
    page = signed_in(researcher).get(address()).content.decode()
    assert "5 of 500 new rankings" in page


def test_what_is_saved_is_what_the_row_says(
    ranked: Project, researcher: Membership, signed_in: SignedIn
) -> None:
    client = signed_in(researcher)
    assert client.post(address(), POSTED).status_code == 302
    saved = Retraining.objects.get()
    assert (saved.when, saved.every_rankings, saved.base_model) == (
        When.RANKINGS,
        500,
        "smol",
    )
    assert (saved.margin, saved.changed_by) == (2.5, researcher.user)
    assert (saved.config["lr"], saved.config["seed"]) == (1e-5, 7)
    client.post(address(), {**POSTED, "margin": "", "when": "off"})
    saved.refresh_from_db()
    assert (saved.margin, saved.when) == (None, When.OFF)
    assert "1e-05" in client.get(address()).content.decode()


@pytest.mark.parametrize(
    "wrong",
    [
        {"every_rankings": "0"},
        {"hour": "24"},
        {"weekday": "7"},
        {"margin": "-1"},
        {"margin": "nan"},
        {"when": "hourly"},
        {"base_model": "/etc"},
        {"lr": "0"},
    ],
)
def test_what_cannot_be_is_refused(
    ranked: Project,
    researcher: Membership,
    signed_in: SignedIn,
    wrong: dict[str, str],
) -> None:
    answer = signed_in(researcher).post(address(), {**POSTED, **wrong})
    assert answer.status_code == 422
    assert not Retraining.objects.exists()


def test_off_needs_no_base_model_and_everything_else_does(
    project: Project, researcher: Membership, signed_in: SignedIn
) -> None:
    client = signed_in(researcher)
    without = POSTED | {"base_model": "", "margin": "2.5"}
    assert client.post(address(), without | {"when": "off"}).status_code == 302
    assert Retraining.objects.get(project=project).margin == 2.5
    for when in ("rankings", "day", "week"):
        answer = client.post(address(), without | {"when": when})
        assert answer.status_code == 422
        assert "Choose what a run starts from." in answer.content.decode()
    assert Retraining.objects.get(project=project).when == "off"


def test_a_new_schedule_makes_up_for_nothing_but_a_new_margin_leaves_it_alone(
    ranked: Project, researcher: Membership, signed_in: SignedIn
) -> None:
    client = signed_in(researcher)
    client.post(address(), {**POSTED, "when": "day"})
    settings = Retraining.objects.get()
    assert not waiting_for(settings).due
    make_due(settings)
    client.post(address(), {**POSTED, "when": "day", "margin": "0"})
    assert waiting_for(Retraining.objects.get()).due
    client.post(address(), {**POSTED, "when": "week"})
    assert not waiting_for(Retraining.objects.get()).due


def test_the_page_asks_few_questions(
    ranked: Project,
    researcher: Membership,
    signed_in: SignedIn,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    client = signed_in(researcher)
    settings_of(ranked)
    client.get(address())
    with django_assert_num_queries(7):
        client.get(address())
