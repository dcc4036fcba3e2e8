"""The pages of training runs: who sees them, what they say in every state."""

import csv
import io
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db.models import Value
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries, Settings

from annotation.jobs import JobState
from annotation.models import Membership, Project
from ranking.datasets import freeze
from rm_training import tasks
from rm_training.config import TrainingConfig
from rm_training.models import RewardModel, TrainingMetric, TrainingRun
from rm_training.templatetags.run_numbers import loss, span
from tests.rm_training.ranked_project import rank_politely

SignedIn = Callable[[Membership], Client]

POSTED = {
    "base_model": "smol",
    "dataset": "",
    "epochs": "2",
    "lr": "1e-5",
    "prompts_per_step": "8",
    "max_steps": "",
    "seed": "7",
}


@pytest.fixture(autouse=True)
def base_model(settings: Settings, tmp_path: Path) -> None:
    """One model directory that runs may start from; nothing loads it here."""
    settings.MODEL_ROOT = tmp_path / "models"
    (settings.MODEL_ROOT / "smol").mkdir(parents=True)
    (settings.MODEL_ROOT / "smol" / "config.json").write_text("{}")


@pytest.fixture(autouse=True)
def no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks.train, "delay", lambda pk: None)


@pytest.fixture
def ranked(project: Project, alice: Membership) -> Project:
    rank_politely(project, alice, prompts=5)
    return project


def make_run(project: Project, **fields: Any) -> TrainingRun:
    """A run in a state that a worker would have brought about."""
    return TrainingRun.objects.create(
        **{
            "project": project,
            "dataset": freeze(project, user=None),
            "base_model": "smol",
            "config": TrainingConfig().to_dict(),
            **fields,
        }
    )


def counts(wins: int, n: int) -> dict[str, Any]:
    return {"wins": wins, "losses": n - wins, "n": n, "accuracy": wins / n}


def evaluation(step: int, wins: int, split: str = "valid1") -> dict[str, Any]:
    return {
        "step": step,
        "split": split,
        "prompts": 3,
        "loss": 0.61,
        "counts": counts(wins, 16),
    }


def measure(run: TrainingRun, step: int, *, wins: int | None = None) -> None:
    values = {
        "step": step,
        "total_steps": 40,
        "loss": 0.7 - step / 100,
        "counts": counts(5, 8),
        "learning_rate": 9e-6,
        "seconds_per_step": 1.5,
    }
    if wins is not None:
        values["valid1"] = evaluation(step, wins)
    TrainingMetric.objects.create(
        run=run, attempt=run.attempt, step=step, values=values
    )


def running(project: Project) -> TrainingRun:
    run = make_run(
        project,
        state=JobState.RUNNING,
        attempt=1,
        step=10,
        steps_total=40,
        phase="training",
        started_at=Now() - Value(timedelta(seconds=15)),
        lease_until=Now() + Value(timedelta(seconds=40)),
    )
    measure(run, 1)
    measure(run, 5, wins=8)
    measure(run, 10, wins=10)
    run.refresh_from_db()
    return run


def done(project: Project, *, in_use: bool = True) -> TrainingRun:
    run = make_run(
        project,
        state=JobState.DONE,
        attempt=1,
        step=2,
        steps_total=2,
        started_at=Now() - Value(timedelta(seconds=75)),
        finished_at=Now(),
    )
    measure(run, 1, wins=12)
    measure(run, 2, wins=10)
    RewardModel.objects.create(
        project=project,
        run=run,
        folder=f"reward-models/run-{run.pk}-attempt-1",
        manifest_sha256="0" * 64,
        metrics={
            "valid1": evaluation(1, 12),
            "valid2": evaluation(2, 11, "valid2"),
            "notes": ["few prompts: some were moved"],
        },
        in_use=in_use,
    )
    run.refresh_from_db()
    return run


def text_of(response: Any) -> str:
    """The page's words, without tags and with single spaces."""
    assert response.status_code in (200, 422)
    words = re.sub(r"<[^>]+>", " ", response.content.decode())
    return re.sub(r"\s+", " ", words)


def page(client: Client, name: str, *args: Any) -> str:
    return text_of(client.get(reverse(name, args=["tides", *args])))


# --- Who may come in ----------------------------------------------------------------


def addresses(run: TrainingRun) -> dict[str, list[str]]:
    of_run, model = ["tides", run.pk], ["tides", run.reward_model.pk]
    return {
        "GET": [
            reverse("runs", args=["tides"]),
            reverse("run", args=of_run),
            reverse("run_live", args=of_run),
            reverse("run_metrics", args=of_run),
            reverse("run_figure", args=[*of_run, "light", "wide"]),
        ],
        "POST": [
            reverse("retrain", args=["tides"]),
            reverse("cancel_run", args=of_run),
            reverse("use_model", args=model),
        ],
    }


def answers(client: Client, run: TrainingRun) -> set[int]:
    found = addresses(run)
    return {client.get(url).status_code for url in found["GET"]} | {
        client.post(url).status_code for url in found["POST"]
    }


def test_a_stranger_cannot_see_that_runs_exist(
    ranked: Project, stranger: Membership, signed_in: SignedIn
) -> None:
    assert answers(signed_in(stranger), done(ranked)) == {404}


def test_a_labeler_is_refused(
    ranked: Project, alice: Membership, signed_in: SignedIn
) -> None:
    assert answers(signed_in(alice), done(ranked)) == {403}


def test_somebody_signed_out_is_sent_to_sign_in(ranked: Project) -> None:
    assert answers(Client(), done(ranked)) == {302}


@pytest.mark.parametrize("who", ["researcher", "admin"])
def test_researchers_and_admins_may_do_it_all(
    ranked: Project, who: str, request: pytest.FixtureRequest, signed_in: SignedIn
) -> None:
    member = request.getfixturevalue(who)
    # 422: the empty form of "retrain" is answered with its errors.
    assert answers(signed_in(member), done(ranked)) == {200, 302, 422}


def test_nothing_changes_by_get(
    ranked: Project, researcher: Membership, signed_in: SignedIn
) -> None:
    client, run = signed_in(researcher), done(ranked)
    assert {client.get(url).status_code for url in addresses(run)["POST"]} == {405}


def test_every_form_carries_its_token(
    ranked: Project, researcher: Membership, signed_in: SignedIn
) -> None:
    client = signed_in(researcher)
    done(ranked)
    for run, forms in ((running(ranked), 1), (done(ranked, in_use=False), 1)):
        main = client.get(reverse("run", args=["tides", run.pk])).content.decode()
        main = main[main.index("<main") :]
        assert main.count('method="post"') == forms
        assert main.count("csrfmiddlewaretoken") == forms
    main = client.get(reverse("runs", args=["tides"])).content.decode()
    main = main[main.index("<main") :]
    assert main.count('method="post"') == main.count("csrfmiddlewaretoken") == 1


def test_a_run_or_model_of_another_project_is_not_here(
    ranked: Project, researcher: Membership, signed_in: SignedIn
) -> None:
    other = Project.objects.create(slug="other", title="Other")
    run = done(ranked)
    TrainingRun.objects.update(project=other)
    RewardModel.objects.update(project=other)
    client = signed_in(researcher)
    assert client.get(reverse("run", args=["tides", run.pk])).status_code == 404
    use = reverse("use_model", args=["tides", run.reward_model.pk])
    assert client.post(use).status_code == 404


# --- Retrain ------------------------------------------------------------------------


def retrain(client: Client, **changes: str) -> Any:
    return client.post(reverse("retrain", args=["tides"]), POSTED | changes)


def test_retrain_queues_a_run_and_goes_to_its_page(
    ranked: Project, researcher: Membership, signed_in: SignedIn
) -> None:
    response = retrain(signed_in(researcher))
    run = TrainingRun.objects.get()
    assert response.status_code == 302
    assert response["Location"] == reverse("run", args=["tides", run.pk])
    assert (run.state, run.base_model) == ("queued", "smol")
    assert run.created_by == researcher.user
    assert TrainingConfig.from_dict(run.config) == TrainingConfig(
        epochs=2, lr=1e-5, prompts_per_step=8, seed=7
    )


def test_retrain_takes_adapters_soft_labels_and_an_early_stop(
    ranked: Project, researcher: Membership, signed_in: SignedIn
) -> None:
    chosen = {"lora_rank": "16", "patience": "3", "labels": "share", "ties": "soft"}
    retrain(signed_in(researcher), **chosen, loss="pair_mean", lr="1e-4")
    config = TrainingConfig.from_dict(TrainingRun.objects.get().config)
    assert (config.lora_rank, config.patience, config.lr) == (16, 3, 1e-4)
    assert (config.labels, config.ties, config.loss) == ("share", "soft", "pair_mean")


def test_retrain_takes_a_frozen_dataset(
    ranked: Project, alice: Membership, researcher: Membership, signed_in: SignedIn
) -> None:
    frozen = freeze(ranked, user=None)
    retrain(signed_in(researcher), dataset=frozen.name)
    assert TrainingRun.objects.get().dataset == frozen


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("base_model", "/etc", "Select a valid choice"),
        ("base_model", "../smol", "Select a valid choice"),
        ("base_model", "", "required"),
        ("dataset", "ds-000000000000", "Select a valid choice"),
        ("epochs", "0", "greater than or equal to 1"),
        ("lr", "0", "lr must be above 0"),
        ("lr", "nan", "Enter a number"),
        ("lr", "2", "less than or equal to 1"),
        ("seed", "-1", "greater than or equal to 0"),
        ("max_steps", "x", "whole number"),
        ("lora_rank", "17", "Select a valid choice"),
        ("patience", "-1", "greater than or equal to 0"),
        ("labels", "none", "Select a valid choice"),
    ],
)
@pytest.mark.usefixtures("ranked")
def test_a_wrong_setting_is_named_and_nothing_is_queued(
    researcher: Membership,
    signed_in: SignedIn,
    *,
    field: str,
    value: str,
    says: str,
) -> None:
    response = retrain(signed_in(researcher), **{field: value})
    assert response.status_code == 422
    assert says in text_of(response)
    assert not TrainingRun.objects.exists()


def test_retraining_without_any_ranking_says_what_to_do(
    project: Project, researcher: Membership, signed_in: SignedIn
) -> None:
    response = retrain(signed_in(researcher))
    assert response.status_code == 422
    assert "nothing to learn from yet" in text_of(response)
    assert not TrainingRun.objects.exists()


def test_without_a_base_model_the_page_says_who_can_help(
    ranked: Project, researcher: Membership, signed_in: SignedIn, settings: Settings
) -> None:
    settings.MODEL_ROOT = settings.MODEL_ROOT / "empty"
    words = page(signed_in(researcher), "runs")
    assert "There is no base model to start from" in words


# --- The list -----------------------------------------------------------------------


def test_the_empty_list_says_what_a_run_does(
    project: Project, researcher: Membership, signed_in: SignedIn
) -> None:
    assert "No run yet." in page(signed_in(researcher), "runs")


def test_the_list_shows_state_reason_accuracy_pairs_and_time(
    ranked: Project, researcher: Membership, signed_in: SignedIn
) -> None:
    done(ranked)
    make_run(ranked, state=JobState.FAILED, reason="nonfinite: the loss", attempt=1)
    running(ranked)
    make_run(ranked)
    words = page(signed_in(researcher), "runs")
    assert "done in use 75.0 % of 16 pairs" in words  # of the kept weights
    assert "1 min 15 s" in words
    assert "failed nonfinite: the loss" in words
    assert "running step 10 of 40 62.5 % of 16 pairs" in words  # the latest
    assert "queued waiting for a training worker" in words


def test_the_newest_run_comes_first(
    ranked: Project, researcher: Membership, signed_in: SignedIn
) -> None:
    old, new = make_run(ranked), make_run(ranked, base_model="other")
    words = page(signed_in(researcher), "runs")
    assert words.index(f"Run {new.pk}") < words.index(f"Run {old.pk}")


def test_the_list_takes_the_same_queries_for_one_run_and_for_many(
    ranked: Project,
    researcher: Membership,
    signed_in: SignedIn,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    client, url = signed_in(researcher), reverse("runs", args=["tides"])
    done(ranked)
    # session with account, membership; datasets of the form; runs: count and rows;
    # settings of retraining, the clock, what is waiting
    with django_assert_num_queries(8):
        client.get(url)
    for _ in range(4):
        running(ranked)
        done(ranked, in_use=False)
    with django_assert_num_queries(8):
        client.get(url)


def test_the_list_is_asked_for_again_while_a_run_is_unfinished(
    ranked: Project, researcher: Membership, signed_in: SignedIn
) -> None:
    client, url = signed_in(researcher), reverse("runs", args=["tides"])
    done(ranked)
    assert b"hx-get" not in client.get(url).content
    make_run(ranked)
    assert b'hx-trigger="every 5s"' in client.get(url).content


def test_many_runs_are_spread_over_pages(
    ranked: Project, researcher: Membership, signed_in: SignedIn
) -> None:
    client, url = signed_in(researcher), reverse("runs", args=["tides"])
    first = make_run(ranked)
    for _ in range(50):
        make_run(ranked, dataset=first.dataset)
    assert f">Run {first.pk}<".encode() not in client.get(url).content
    assert f">Run {first.pk}<".encode() in client.get(url, {"page": 2}).content


# --- One run ------------------------------------------------------------------------


def test_a_running_run_shows_progress_loss_accuracy_and_time_left(
    ranked: Project, researcher: Membership, signed_in: SignedIn
) -> None:
    run = running(ranked)
    words = page(signed_in(researcher), "run", run.pk)
    assert "Step 10 of 40, about 45 s left" in words  # 30 steps of 1.5 s
    assert "62.5 % of 16 pairs, 3 prompts, at step 10" in words
    assert "0.600 nats at step 10" in words
    assert "Cancel this run" in words
    assert "Training loss fell from 0.690 at step 1 to 0.600 at step 10." in words


@pytest.mark.parametrize("name", ["run", "run_live"])
def test_only_an_unfinished_run_is_asked_for_again(
    ranked: Project, researcher: Membership, signed_in: SignedIn, name: str
) -> None:
    client = signed_in(researcher)
    for run, polls in ((running(ranked), True), (done(ranked), False)):
        body = client.get(reverse(name, args=["tides", run.pk])).content.decode()
        assert ('hx-trigger="every 2s"' in body) is polls


def test_a_queued_run_waits_and_after_a_while_asks_for_a_worker(
    ranked: Project, researcher: Membership, signed_in: SignedIn
) -> None:
    client, run = signed_in(researcher), make_run(ranked)
    words = page(client, "run", run.pk)
    assert "Waiting for a training worker." in words
    assert "is one started" not in words
    TrainingRun.objects.update(queued_at=Now() - Value(timedelta(minutes=2)))
    assert "is one started" in page(client, "run", run.pk)


def test_a_run_before_its_first_evaluation_says_when_it_comes(
    ranked: Project, researcher: Membership, signed_in: SignedIn
) -> None:
    run = running(ranked)
    run.metrics.filter(step__gt=1).delete()
    words = page(signed_in(researcher), "run", run.pk)
    assert "– first measured at step 25" in words


def test_a_failed_run_says_why_and_that_nothing_was_published(
    ranked: Project, researcher: Membership, signed_in: SignedIn
) -> None:
    run = make_run(ranked, state=JobState.FAILED, reason="disk_full: no <space> left")
    words = page(signed_in(researcher), "run", run.pk)
    assert "Nothing was published. disk_full: no &lt;space&gt; left" in words


def test_a_done_run_shows_the_final_number_and_how_to_use_the_model(
    ranked: Project, researcher: Membership, signed_in: SignedIn, settings: Settings
) -> None:
    run = done(ranked)
    words = page(signed_in(researcher), "run", run.pk)
    assert "Final accuracy (valid2) 68.8 % of 16 pairs, 3 prompts" in words
    assert "Selected on (valid1) 75.0 % of 16 pairs, 3 prompts, at step 1" in words
    assert "This is the model in use" in words
    folder = settings.MODEL_ROOT / run.reward_model.folder
    assert f"python manage.py score --model {folder}" in words
    assert "AutoModelForSequenceClassification.from_pretrained(folder)" in words
    assert "few prompts: some were moved" in words
    assert "Cancel" not in words


def test_undefined_accuracies_are_said_in_words(
    ranked: Project, researcher: Membership, signed_in: SignedIn
) -> None:
    run = done(ranked)
    run.metrics.all().delete()
    measure(run, 2)
    RewardModel.objects.update(metrics={"valid1": None, "valid2": None, "notes": []})
    words = page(signed_in(researcher), "run", run.pk)
    assert "undefined: no strictly ordered pair is in valid2" in words
    assert "undefined: no strictly ordered pair is in valid1" in words


def test_a_run_is_cancelled_once(
    ranked: Project, researcher: Membership, signed_in: SignedIn
) -> None:
    client, run = signed_in(researcher), running(ranked)
    url = reverse("cancel_run", args=["tides", run.pk])
    assert f"Run {run.pk} was cancelled." in text_of(client.post(url, follow=True))
    run.refresh_from_db()
    assert run.state == JobState.CANCELLED
    again = text_of(client.post(url, follow=True))
    assert "had finished before: nothing was changed" in again
    assert "This run was cancelled after step 10" in again


def test_one_model_is_put_to_use_and_the_other_stays(
    ranked: Project, researcher: Membership, signed_in: SignedIn
) -> None:
    first, second = done(ranked), done(ranked, in_use=False)
    client = signed_in(researcher)
    assert "Use this model" in page(client, "run", second.pk)
    client.post(reverse("use_model", args=["tides", second.reward_model.pk]))
    assert list(RewardModel.objects.filter(in_use=True)) == [second.reward_model]
    assert "Use this model" in page(client, "run", first.pk)


def test_a_run_page_reads_few_rows_however_long_the_run(
    ranked: Project,
    researcher: Membership,
    signed_in: SignedIn,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    client, run = signed_in(researcher), running(ranked)
    url = reverse("run_live", args=["tides", run.pk])
    for step in range(11, 30):
        measure(run, step)
    # session with account, membership; run; first step, newest step, evaluations; log
    with django_assert_num_queries(7):
        client.get(url)


def test_a_long_table_shows_the_newest_evaluations(
    ranked: Project, researcher: Membership, signed_in: SignedIn
) -> None:
    run = running(ranked)
    for step in range(11, 25):
        measure(run, step, wins=4)
    words = page(signed_in(researcher), "run", run.pk)
    assert "the newest 12 of 16 evaluations" in words


def test_pages_bring_no_style_and_no_script_of_their_own(
    ranked: Project, researcher: Membership, signed_in: SignedIn
) -> None:
    client, run = signed_in(researcher), running(ranked)
    for url in (
        reverse("runs", args=["tides"]),
        reverse("run", args=["tides", run.pk]),
    ):
        body = client.get(url).content.decode()
        assert not re.search(r"<style|\sstyle=|<script(?![^>]*\ssrc=)|\son\w+=", body)


# --- The figure and the numbers behind it -------------------------------------------


def figure(run: TrainingRun, theme: str = "light", width: str = "wide") -> str:
    return reverse("run_figure", args=["tides", run.pk, theme, width])


def test_the_figure_is_an_image_that_is_sent_once(
    ranked: Project, researcher: Membership, signed_in: SignedIn
) -> None:
    client, run = signed_in(researcher), running(ranked)
    first = client.get(figure(run))
    assert first["Content-Type"] == "image/svg+xml"
    assert first.content.startswith(b"<?xml")
    assert "private" in first["Cache-Control"]
    same = {"If-None-Match": first["ETag"]}
    assert client.get(figure(run), headers=same).status_code == 304
    assert client.get(figure(run, "dark"), headers=same).status_code == 200
    measure(run, 11)
    assert client.get(figure(run), headers=same).status_code == 200


@pytest.mark.parametrize(("theme", "width"), [("red", "wide"), ("dark", "huge")])
def test_there_are_no_other_figures(
    ranked: Project,
    researcher: Membership,
    signed_in: SignedIn,
    *,
    theme: str,
    width: str,
) -> None:
    url = figure(running(ranked), theme, width)
    assert signed_in(researcher).get(url).status_code == 404


def test_the_page_asks_for_a_new_figure_when_there_is_a_new_step(
    ranked: Project, researcher: Membership, signed_in: SignedIn
) -> None:
    client, run = signed_in(researcher), running(ranked)
    url = reverse("run_live", args=["tides", run.pk])

    def asked() -> list[str]:
        return re.findall(
            r"figure-\w+-\w+\.svg\?v=[\w.]+", client.get(url).content.decode()
        )

    before = asked()
    assert len(before) == 4
    assert asked() == before
    measure(run, 11)
    assert not set(asked()) & set(before)


def test_the_csv_has_every_step_and_empty_cells_for_what_is_undefined(
    ranked: Project, researcher: Membership, signed_in: SignedIn
) -> None:
    run = running(ranked)
    response = signed_in(researcher).get(reverse("run_metrics", args=["tides", run.pk]))
    rows = list(csv.DictReader(io.StringIO(response.content.decode())))
    assert [row["step"] for row in rows] == ["1", "5", "10"]
    assert [row["valid1_accuracy"] for row in rows] == ["", "0.5", "0.625"]
    assert float(rows[2]["loss"]) == pytest.approx(0.6)


# --- How numbers are written --------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (0, "0 s"),
        (0.4, "0 s"),
        (59.6, "1 min"),
        (75, "1 min 15 s"),
        (3600, "1 h"),
        (3725, "1 h 2 min"),
        (90_061, "1 d 1 h"),
    ],
)
def test_a_span_is_written_in_its_two_largest_units(
    seconds: float, written: str
) -> None:
    assert span(timedelta(seconds=seconds)) == written


def test_what_is_undefined_is_a_dash() -> None:
    assert (span(None), loss(None), loss(0.69314)) == ("–", "–", "0.693")
