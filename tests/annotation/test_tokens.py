"""People make tokens for their programs, see them once, and end them."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from knox.models import AuthToken

from annotation.models import Membership
from annotation.token_pages import MOST_TOKENS

pytestmark = pytest.mark.django_db

SignIn = Callable[[Membership], Client]
PAGE, MAKE, REVOKE = (f"/accounts/tokens/{end}" for end in ("", "make/", "revoke/"))
CLAIM = "/api/v1/projects/tides/claim"


def made_by(client: Client, days: str = "30") -> str:
    answer = client.post(MAKE, {"days": days})
    assert answer.status_code == 201
    assert "no-store" in answer["Cache-Control"]
    [token] = re.findall(r"<p><code>([0-9a-zA-Z]+)</code>", answer.content.decode())
    return str(token)


def claims_with(token: str) -> int:
    header = {"Authorization": f"Token {token}"}
    answer = Client().post(CLAIM, {}, content_type="application/json", headers=header)
    return answer.status_code


def test_a_token_opens_the_api_and_is_shown_once(
    alice: Membership, signed_in: SignIn
) -> None:
    client = signed_in(alice)
    token = made_by(client)
    assert claims_with(token) == 200
    page = client.get(PAGE).content.decode()
    assert token not in page
    assert token[:8] in page
    expiry = AuthToken.objects.get().expiry
    assert abs(expiry - timezone.now() - timedelta(days=30)) < timedelta(minutes=5)


def test_a_revoked_token_opens_nothing(alice: Membership, signed_in: SignIn) -> None:
    client = signed_in(alice)
    token = made_by(client)
    key = AuthToken.objects.get().token_key
    assert client.post(REVOKE, {"key": key}).status_code == 302
    assert claims_with(token) == 401


def test_nobody_revokes_or_sees_what_is_somebody_elses(
    alice: Membership, bob: Membership, signed_in: SignIn
) -> None:
    token = made_by(signed_in(alice))
    key = AuthToken.objects.get().token_key
    signed_in(bob).post(REVOKE, {"key": key})
    assert claims_with(token) == 200
    assert key[:8] not in signed_in(bob).get(PAGE).content.decode()


@pytest.mark.parametrize("key", ["", "nothing", "a\0b"])
def test_a_token_that_nobody_has_is_not_revoked(
    alice: Membership, signed_in: SignIn, key: str
) -> None:
    client = signed_in(alice)
    token = made_by(client)
    assert client.post(REVOKE, {"key": key}).status_code == 302
    assert claims_with(token) == 200


@pytest.mark.parametrize("days", ["", "0", "-1", "36500", "x", "30\0"])
def test_a_life_that_is_not_offered_is_refused(
    alice: Membership, signed_in: SignIn, days: str
) -> None:
    assert signed_in(alice).post(MAKE, {"days": days}).status_code == 422
    assert not AuthToken.objects.exists()


def test_nobody_hoards_tokens(alice: Membership, signed_in: SignIn) -> None:
    client = signed_in(alice)
    for _ in range(MOST_TOKENS):
        made_by(client)
    answer = client.post(MAKE, {"days": "1"})
    assert answer.status_code == 409
    assert b"Revoke one" in answer.content
    assert AuthToken.objects.count() == MOST_TOKENS
