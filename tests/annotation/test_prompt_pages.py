"""The admin's list of prompts."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from annotation import prompt_pages
from annotation.models import Assignment, AssignmentState, Membership, Project, Prompt
from tests.conftest import make_prompt

pytestmark = pytest.mark.django_db
SignIn = Callable[[Membership], Client]
LIST = "/p/tides/prompts/"


@pytest.fixture
def everybody(
    alice: Membership,
    researcher: Membership,
    admin: Membership,
    stranger: Membership,
    signed_in: SignIn,
) -> dict[str, Client]:
    return {who.name: signed_in(who) for who in (alice, researcher, admin, stranger)}


@pytest.fixture
def visitor(project: Project, admin: Membership, signed_in: SignIn) -> Client:
    """The admin's."""
    return signed_in(admin)


def test_the_list_says_how_far_each_prompt_is(
    project: Project, alice: Membership, admin: Membership, signed_in: SignIn
) -> None:
    make_prompt(project, "open-one")
    done = make_prompt(project, "done-one", slots=1)
    Assignment.objects.filter(prompt=done).update(
        state=AssignmentState.COMPLETED, labeler=alice
    )
    make_prompt(project, "waiting-one", k=0, slots=0)
    failed = make_prompt(project, "failed-one", k=0, slots=0)
    Prompt.objects.filter(pk=failed.pk).update(failure="Fewer than four texts.")
    Assignment.objects.filter(
        prompt__external_id__in=["waiting-one", "failed-one"]
    ).delete()
    response = signed_in(admin).get(LIST)
    states = {row.prompt.external_id: row.state for row in response.context["rows"]}
    assert states == {
        "open-one": "open",
        "done-one": "done",
        "waiting-one": "awaiting responses",
        "failed-one": "failed",
    }
    assert response.context["counts"] == {
        "prompts": 4,
        "failed": 1,
        "awaiting": 1,
        "ranked": 1,
        "missing": 2,
    }
    assert "Fewer than four texts." in response.content.decode()


def test_the_list_goes_on_to_older_prompts(
    project: Project,
    admin: Membership,
    signed_in: SignIn,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(prompt_pages, "PROMPTS_PER_PAGE", 2)
    for number in range(5):
        make_prompt(project, f"p{number}")
    browser, address, seen = signed_in(admin), LIST, []
    for _ in range(3):
        context = browser.get(address).context
        seen.append([row.prompt.external_id for row in context["rows"]])
        address = f"{LIST}?before={context['older']}"
    assert seen == [["p4", "p3"], ["p2", "p1"], ["p0"]]
    assert context["older"] is None


@pytest.mark.parametrize("before", ["x", "-1", "9" * 400, "1%00", "1' or 1=1"])
def test_a_page_that_is_not_there_is_the_first_one(
    project: Project, admin: Membership, signed_in: SignIn, before: str
) -> None:
    make_prompt(project)
    response = signed_in(admin).get(f"{LIST}?before={before}")
    assert len(response.context["rows"]) == 1


def test_the_list_costs_the_same_however_many_prompts_it_shows(
    project: Project,
    admin: Membership,
    signed_in: SignIn,
    django_assert_num_queries: Any,
) -> None:
    browser = signed_in(admin)
    for number in range(20):
        make_prompt(project, f"p{number}")
    # Session with user, and membership; then five of the page's own.
    with django_assert_num_queries(8):
        assert len(browser.get(LIST).context["rows"]) == 20


def test_only_admins_of_the_project_come_in(everybody: dict[str, Client]) -> None:
    found = {name: client.get(LIST).status_code for name, client in everybody.items()}
    assert found == {"alice": 403, "researcher": 403, "admin": 200, "stranger": 404}
    assert Client().get(LIST).status_code == 302
