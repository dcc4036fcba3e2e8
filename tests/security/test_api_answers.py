"""S9 and S11 for the API: a page's secrets are not in its JSON either, and a session
alone changes nothing through it."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from annotation.models import AssignmentSource, Membership, Project, Purpose
from tests.conftest import browser_of
from tests.security.test_blindness import plant, told
from tests.security.test_gold_is_not_told import a_prompt, held_row
from tests.test_access_matrix import ROWS, Cast, cast

__all__ = ["cast"]
pytestmark = pytest.mark.django_db

CHANGING = sorted(
    (name, verb)
    for name, row in ROWS.items()
    for verb in row.answers
    if name.startswith("api_") and verb not in ("GET", "HEAD")
)
KEPT = {
    "token": "TOKEN",
    "lease_until": "LATER",
    "submission_uuid": "UUID",
    "submission_asked": "SEAL",
}


def claimed(browser: Client, project: Project) -> Any:
    """What the API hands out."""
    address = reverse("api_claim", args=[project.slug])
    response = browser.post(address, "{}", content_type="application/json")
    assert response.status_code == 200, response.content
    return response.json()["assignment"]


def test_a_prompt_handed_out_as_json_tells_nothing(cast: Cast) -> None:
    """The control is that the texts are there."""
    plant(cast)
    browser = browser_of(cast.labeler.user)
    address = reverse("api_claim", args=[cast.project.slug])
    response = browser.post(address, "{}", content_type="application/json")
    given = response.json()["assignment"]
    assert sorted(one["text"] for one in given["responses"]) == [
        f"Answer {number}." for number in range(1, 5)
    ]
    assert told(response) == []

    ranks = {one["position"]: 1 for one in given["responses"]}
    body = {"submission_uuid": given["submission_uuid"], "ranks": ranks}
    address = reverse("api_submit", args=[given["token"]])
    answer = browser.post(address, json.dumps(body), content_type="application/json")
    assert answer.status_code == 201
    assert told(answer) == []


def test_gold_and_a_repeat_are_handed_out_like_any_other(
    project: Project, alice: Membership, signed_in: Callable[[Membership], Client]
) -> None:
    """Equal but for what is drawn anew: the token, the key and the time."""
    browser = signed_in(alice)
    work = a_prompt(project, "work", Purpose.WORK)
    gold = a_prompt(project, "gold", Purpose.GOLD)

    held_row(work, alice, AssignmentSource.QUEUE, 0)
    of_work = claimed(browser, project)
    assert set(KEPT) < set(of_work)
    for prompt, repeat in ((gold, 0), (work, 1)):
        held = held_row(prompt, alice, AssignmentSource.DIRECT, repeat)
        given = claimed(browser, project)
        assert given["token"] == held.token
        assert given | KEPT == of_work | KEPT


@pytest.mark.parametrize(("name", "verb"), CHANGING)
def test_a_session_without_its_token_changes_nothing(
    cast: Cast, name: str, verb: str
) -> None:
    """403 for the very person whose call it would be; with the token it is let in."""
    address = reverse(name, kwargs=dict(ROWS[name].points_at(cast)))
    browser = Client(enforce_csrf_checks=True)
    assert cast.labeler.user is not None
    browser.force_login(
        cast.labeler.user, "allauth.account.auth_backends.AuthenticationBackend"
    )
    send: dict[str, Any] = {"data": "{}", "content_type": "application/json"}
    refused = browser.generic(verb, address, **send)
    assert refused.status_code == 403
    assert "CSRF" in refused.json()["detail"]
    browser.cookies["csrftoken"] = "c" * 32
    let_in = browser.generic(verb, address, **send, headers={"X-CSRFToken": "c" * 32})
    assert let_in.status_code in ROWS[name].answers[verb]["labeler"]
