"""The pages that take a prompt down and forget a labeler: told first, done once."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from annotation.models import TOMBSTONE, Membership, Project, Prompt, Role
from ranking.datasets import freeze
from ranking.models import Dataset
from rm_training.models import RewardModel, TrainingRun
from tests.conftest import make_member, make_prompt
from tests.ranking.rows import store_ranking

pytestmark = pytest.mark.django_db
SignedIn = Callable[[Membership], Client]
RANKS = {"r1": 1, "r2": 2, "r3": 2, "r4": 3}


@pytest.fixture
def prompt(project: Project, alice: Membership) -> Prompt:
    """A prompt that is part of a dataset, of which a model was made."""
    prompt = make_prompt(project)
    store_ranking(prompt, alice, RANKS, note="Close.")
    dataset = freeze(project)
    run = TrainingRun.objects.create(
        project=project, dataset=dataset, base_model="tiny", config={}
    )
    RewardModel.objects.create(
        project=project,
        run=run,
        folder="tides/1",
        manifest_sha256="0" * 64,
        metrics={},
        in_use=True,
    )
    return prompt


def words(response: Any) -> str:
    return " ".join(response.content.decode().split())


def test_the_takedown_page_lists_what_is_touched(
    prompt: Prompt, admin: Membership, signed_in: SignedIn
) -> None:
    page = words(signed_in(admin).get(f"/p/tides/prompts/{prompt.pk}/take-down/"))
    assert "the notes of 1 ranking." in page
    assert "the ranks of 1 ranking stay" in page
    assert Dataset.objects.get().name in page
    assert "Model of run" in page
    assert "in use" in page


def test_copies_in_other_projects_are_named_until_they_are_taken_down_too(
    prompt: Prompt, admin: Membership, stranger: Membership, signed_in: SignedIn
) -> None:
    address = f"/p/tides/prompts/{prompt.pk}/take-down/"
    browser = signed_in(admin)
    assert "in other projects" not in words(browser.get(address))
    copied = Project.objects.create(slug="copied", title="Copied tides")
    make_member(copied, "admin", Role.ADMIN)
    for project in (copied, stranger.project):
        make_prompt(project)
    neighbour = Project.objects.create(slug="neighbour", title="Neighbour")
    Prompt.objects.filter(pk=make_prompt(neighbour).pk).update(line_sha256="1" * 64)
    page = words(browser.get(address))
    assert "Copied tides" in page
    assert "1 project that you do not run" in page
    assert "Elsewhere" not in page
    assert "Neighbour" not in page  # another text under the same id
    mine = copied.prompt_set.get()
    sent = {"reason": "A person is named.", "confirmed": "p1"}
    browser.post(f"/p/copied/prompts/{mine.pk}/take-down/", sent)
    assert "Copied tides" not in words(browser.get(address))


def test_another_id_takes_nothing_down(
    prompt: Prompt, admin: Membership, signed_in: SignedIn
) -> None:
    address = f"/p/tides/prompts/{prompt.pk}/take-down/"
    sent = {"reason": "A name.", "confirmed": "p2"}
    answer = signed_in(admin).post(address, sent)
    assert answer.status_code == 422
    assert "nothing was changed" in words(answer)
    assert Prompt.objects.get().messages[0]["content"] != TOMBSTONE


def test_the_right_id_takes_it_down_and_its_pages_say_so(
    prompt: Prompt, admin: Membership, signed_in: SignedIn
) -> None:
    browser = signed_in(admin)
    sent = {"reason": "A person is named.", "confirmed": "p1"}
    for _ in range(2):  # a double click
        answer = browser.post(f"/p/tides/prompts/{prompt.pk}/take-down/", sent)
        assert answer.status_code == 302
    page = words(browser.get(f"/p/tides/prompts/{prompt.pk}/"))
    assert "Taken down" in page
    assert "A person is named." in page
    assert "Put it back" not in page
    again = browser.post(f"/p/tides/prompts/{prompt.pk}/restore/", follow=True)
    assert "its text is gone" in words(again)
    name = Dataset.objects.get().name
    dataset = words(browser.get(f"/p/tides/datasets/{name}/"))
    assert "No longer reproducible" in dataset
    file = browser.get(f"/p/tides/datasets/{name}/pairs.jsonl")
    assert file.status_code == 410
    assert "no longer reproducible: The prompt p1 was taken down." in words(file)


def test_a_labeler_is_forgotten_only_when_it_is_confirmed(
    prompt: Prompt, alice: Membership, admin: Membership, signed_in: SignedIn
) -> None:
    browser, address = signed_in(admin), f"/p/tides/members/{alice.pk}/forget/"
    page = words(browser.get(address))
    assert "Their account is emptied" in page
    assert "to skips, reports and 1 ranking," in page
    assert browser.post(address).status_code == 422
    assert Membership.objects.get(pk=alice.pk).name == "alice"
    for _ in range(2):
        assert browser.post(address, {"confirmed": "on"}).status_code == 302
    members = words(browser.get("/p/tides/members/"))
    assert "alice" not in members
    assert "Forgotten since" in words(browser.get(address))
    history = words(browser.get("/p/tides/changes/?kind=member"))
    assert "alice" not in history
    assert "Forgotten since" in history


def test_an_account_that_stays_is_announced(
    prompt: Prompt,
    alice: Membership,
    stranger: Membership,
    admin: Membership,
    signed_in: SignedIn,
) -> None:
    Membership.objects.create(
        project=stranger.project, user=alice.user, name="A.", role="labeler"
    )
    page = words(signed_in(admin).get(f"/p/tides/members/{alice.pk}/forget/"))
    assert "cut off from this project only" in page


def test_an_admin_is_not_a_labeler_to_be_forgotten(
    admin: Membership, signed_in: SignedIn
) -> None:
    address = f"/p/tides/members/{admin.pk}/forget/"
    assert signed_in(admin).get(address).status_code == 404
