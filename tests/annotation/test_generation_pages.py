"""Having responses written, by page: the form, the run, its progress."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from django.db.models import Value
from django.db.models.functions import Now
from django.test import Client
from pytest_django import Settings

from annotation import tasks
from annotation.generation import latest_run
from annotation.jobs import JobState
from annotation.models import (
    GenerationRun,
    Membership,
    Project,
    Prompt,
    Role,
)
from tests.conftest import make_member

pytestmark = pytest.mark.django_db

SignIn = Callable[[Membership], Client]
OVERVIEW = "/p/tides/"


@pytest.fixture(autouse=True)
def model_root(settings: Settings, tmp_path: Path) -> Path:
    settings.MODEL_ROOT = tmp_path
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "config.json").write_text("{}")
    return tmp_path


@pytest.fixture
def waiting(project: Project) -> Prompt:
    return Prompt.objects.create(
        project=project, external_id="w1", messages=[], line_sha256="0" * 64
    )


@pytest.fixture
def woken(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    ids: list[int] = []
    monkeypatch.setattr(tasks.generate_responses, "delay", ids.append)
    return ids


def test_an_admin_sees_progress_and_the_form(
    admin: Membership, waiting: Prompt, signed_in: SignIn
) -> None:
    page = signed_in(admin).get(OVERVIEW).content.decode()
    assert "Awaiting responses" in page
    assert "Write responses" in page
    assert "One prompt waits." in page
    assert '<option value="tiny">' in page


def test_without_a_model_the_page_says_how_to_name_one(
    admin: Membership, settings: Settings, tmp_path: Path, signed_in: SignIn
) -> None:
    settings.MODEL_ROOT = tmp_path / "nothing"
    page = signed_in(admin).get(OVERVIEW).content.decode()
    assert "generate_responses tides --sft DIR_OR_ID" in page
    assert "Write responses" not in page


def generation_form(**changes: object) -> dict[str, object]:
    fields: dict[str, object] = {
        "model": "tiny",
        "k_min": 4,
        "k_max": 6,
        "temperature": 0.9,
        "top_p": 0.95,
        "max_new_tokens": 64,
        "seed": 1,
    }
    return {**fields, **changes}


@pytest.mark.django_db(transaction=True)
def test_the_button_queues_a_run_with_the_settings_of_the_form(
    project: Project,
    admin: Membership,
    waiting: Prompt,
    woken: list[int],
    signed_in: SignIn,
) -> None:
    client = signed_in(admin)
    answer = client.post("/p/tides/generation/start/", generation_form(limit=5))
    assert answer["Location"] == OVERVIEW
    run = GenerationRun.objects.get()
    assert woken == [run.pk]
    assert run.created_by == admin.user
    assert run.settings == {
        "model": "tiny",
        "limit": 5,
        "sampling": {
            "k_min": 4,
            "k_max": 6,
            "temperature": 0.9,
            "top_p": 0.95,
            "max_new_tokens": 64,
            "seed": 1,
        },
    }
    page = client.get(OVERVIEW).content.decode()
    assert "Waiting for a worker." in page
    assert 'hx-get="/p/tides/generation/progress/"' in page
    assert "admin@example.org" in page
    answer = client.post("/p/tides/generation/start/", generation_form())
    assert answer.status_code == 409
    assert b"being generated for this project already" in answer.content
    assert GenerationRun.objects.count() == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model": "/etc"}, "Select a valid choice"),
        ({"model": "someone/else"}, "Select a valid choice"),
        ({"k_min": 7}, "k is 7-6"),
        ({"k_min": 3}, "greater than or equal to 4"),
        ({"temperature": 0}, "temperature is 0.0"),
        ({"temperature": "nan"}, "Enter a number"),
        ({"limit": 0}, "greater than or equal to 1"),
        ({"seed": 2**40}, "less than or equal to"),
    ],
)
def test_settings_that_cannot_be_are_refused_on_the_form(
    admin: Membership,
    waiting: Prompt,
    signed_in: SignIn,
    changes: dict[str, object],
    said: str,
) -> None:
    answer = signed_in(admin).post(
        "/p/tides/generation/start/", generation_form(**changes)
    )
    assert answer.status_code == 422
    assert said in answer.content.decode()
    assert not GenerationRun.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_failed_prompts_are_listed_and_tried_again(
    project: Project,
    admin: Membership,
    waiting: Prompt,
    woken: list[int],
    signed_in: SignIn,
) -> None:
    Prompt.objects.update(failure="only 2 different texts")
    client = signed_in(admin)
    page = client.get(OVERVIEW).content.decode()
    assert "<code>w1</code>: only 2 different texts" in page
    answer = client.post("/p/tides/generation/start/", generation_form())
    assert answer.status_code == 409
    assert "No prompt waits" in answer.content.decode()
    client.post("/p/tides/generation/start/", generation_form(retry_failed="on"))
    assert len(woken) == 1
    assert Prompt.objects.get().failure == ""


@pytest.fixture
def run(project: Project, waiting: Prompt) -> GenerationRun:
    run = GenerationRun.objects.create(
        project=project,
        settings={"model": "tiny"},
        prompts_total=8,
        state=JobState.RUNNING,
        attempt=1,
        lease_until=Now() + Value(timedelta(minutes=1)),
        prompts_done=3,
        prompts_failed=1,
    )
    run.refresh_from_db()
    return run


def test_the_fragment_shows_progress_and_asks_for_itself_until_the_end(
    admin: Membership, run: GenerationRun, signed_in: SignIn
) -> None:
    client = signed_in(admin)
    fragment = client.get("/p/tides/generation/progress/").content.decode()
    assert "<html" not in fragment
    assert "3 of 8 prompts answered, 1 failed" in fragment
    assert 'hx-trigger="every 2s"' in fragment
    assert '<progress max="8" value="4"' in fragment
    run.finish(JobState.FAILED, "'tiny' cannot be loaded.")
    fragment = client.get("/p/tides/generation/progress/").content.decode()
    assert "hx-get" not in fragment
    assert "&#x27;tiny&#x27; cannot be loaded." in fragment


def test_a_run_can_be_cancelled_and_only_by_post(
    project: Project, admin: Membership, run: GenerationRun, signed_in: SignIn
) -> None:
    client = signed_in(admin)
    assert client.get("/p/tides/generation/cancel/").status_code == 405
    answer = client.post("/p/tides/generation/cancel/", follow=True)
    assert "Cancelled." in answer.content.decode()
    latest = latest_run(project)
    assert latest is not None
    assert latest.state == JobState.CANCELLED
    answer = client.post("/p/tides/generation/cancel/", follow=True)
    assert "No run was under way." in answer.content.decode()


def test_another_projects_run_is_not_shown(
    admin: Membership, project: Project, signed_in: SignIn
) -> None:
    other = Project.objects.create(slug="other", title="Other")
    GenerationRun.objects.create(
        project=other, settings={"model": "their-model"}, prompts_total=77
    )
    assert b"their-model" not in signed_in(admin).get(OVERVIEW).content
    theirs = make_member(other, "zoe", Role.ADMIN)
    assert b"their-model" in signed_in(theirs).get("/p/other/").content
