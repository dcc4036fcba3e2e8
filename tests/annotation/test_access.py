"""Getting into a project's pages, and being sent to sign in first."""

import pytest
from django.test import Client

from annotation import queue
from annotation.accounts import account_of
from annotation.models import Membership, Project
from tests.conftest import make_prompt

pytestmark = pytest.mark.django_db


def test_a_signed_out_person_comes_back_to_the_page_after_signing_in(
    project: Project, client: Client
) -> None:
    answer = client.get("/p/tides/agreement/?k=4")
    assert answer.status_code == 302
    assert answer["Location"] == "/accounts/login/?next=/p/tides/agreement/%3Fk%3D4"


def signs_in_to(client: Client, door: str) -> str:
    """The address on which alice ends, who signs in at the address `door`."""
    user, _ = account_of("alice@example.org")
    user.set_password("a long and quiet password")
    user.save()
    fields = {"login": user.email, "password": "a long and quiet password"}
    return str(client.post(door, fields)["Location"])


@pytest.mark.parametrize(
    "referrer", [None, "https://evil.invalid/p/tides/", "//evil.invalid/", "x:/p/tides"]
)
def test_a_form_sent_after_signing_out_leads_home_where_its_page_is_unknown(
    alice: Membership, client: Client, referrer: str | None
) -> None:
    headers = {"Referer": referrer} if referrer else None
    answer = client.post("/p/tides/rank/claim/", headers=headers)
    assert (answer.status_code, answer["Location"]) == (302, "/accounts/login/")
    assert signs_in_to(client, answer["Location"]) == "/"


def test_a_form_sent_after_signing_out_leads_back_to_its_page(
    alice: Membership, client: Client
) -> None:
    page = "http://testserver/p/tides/rank/"
    answer = client.post("/p/tides/rank/claim/", headers={"Referer": page})
    assert signs_in_to(client, answer["Location"]) == page
    assert client.get(page).status_code == 200


def test_a_ranking_sent_after_signing_out_leads_back_to_its_prompt(
    project: Project, alice: Membership, client: Client
) -> None:
    make_prompt(project)
    held = queue.claim(alice)
    assert held is not None
    page = f"http://testserver/p/tides/rank/{held.token}/"
    answer = client.post(page, {"tier_A": "1"}, headers={"Referer": page})
    assert signs_in_to(client, answer["Location"]) == page
    assert "Rank 4 responses" in client.get(page).content.decode()


def test_a_part_of_a_page_that_refreshes_itself_sends_the_whole_page_to_sign_in(
    project: Project, client: Client
) -> None:
    address = "/p/tides/generation/progress/"
    answer = client.get(address, headers={"HX-Request": "true"})
    assert answer.status_code == 200
    assert answer["HX-Redirect"] == "/accounts/login/"
    assert answer.content == b""
