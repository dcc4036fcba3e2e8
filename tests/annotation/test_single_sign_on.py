"""Signing in at an OpenID Connect server, played by a thread on this machine."""

import json
import re
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from allauth.mfa.totp.internal.auth import generate_totp_secret
from allauth.socialaccount.models import SocialAccount
from django.http import HttpResponseBase
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import Settings

from annotation.models import Membership, User
from annotation.second_factor import turn_on
from annotation.single_sign_on import untie

pytestmark = pytest.mark.django_db
LEAVE = "/accounts/oidc/oidc/login/"
BACK = "/accounts/oidc/oidc/login/callback/"
Person = dict[str, Any]
ADA: Person = {"sub": "key-1", "email": "ada@example.org", "email_verified": True}


class Server(ThreadingHTTPServer):
    """Names `person` to whoever comes with a code."""

    person: Person = ADA
    asked: list[dict[str, list[str]]]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answers(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        url = self.server.url
        if self.path == "/.well-known/openid-configuration":
            self.answer(
                {
                    "issuer": url,
                    "authorization_endpoint": f"{url}/authorize",
                    "token_endpoint": f"{url}/token",
                    "userinfo_endpoint": f"{url}/userinfo",
                    "jwks_uri": f"{url}/keys",
                    "token_endpoint_auth_methods_supported": ["client_secret_post"],
                }
            )
        else:
            assert self.headers["Authorization"] == "Bearer of-ada"
            self.answer(self.server.person)

    def do_POST(self) -> None:
        sent = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.asked.append(parse_qs(sent))
        self.answer({"access_token": "of-ada", "token_type": "Bearer"})

    def answer(self, body: Any) -> None:
        content = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


@pytest.fixture
def server(settings: Settings) -> Iterator[Server]:
    """An OpenID Connect server that the site is configured for."""
    with Server(("127.0.0.1", 0), Answers) as server:
        server.asked = []
        thread = Thread(target=server.serve_forever)
        thread.start()
        settings.OIDC_SERVER_URL, settings.OIDC_NAME = server.url, "Example ID"
        settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"APPS": [app(server)]}}
        yield server
        server.shutdown()
        thread.join()


def app(server: Server) -> dict[str, Any]:
    return {
        "provider_id": "oidc",
        "name": "Example ID",
        "client_id": "rankwell",
        "secret": "a secret",
        "settings": {"server_url": server.url, "oauth_pkce_enabled": True},
    }


@pytest.fixture
def ada(db: None) -> User:
    return User.objects.create_user("ada@example.org", "a quite long password")


def state_of(browser: Client) -> str:
    """Leave for the server; the state that it is to send back."""
    page = browser.post(LEAVE).content.decode()
    address: str
    [address] = re.findall(r'content="0; url=([^"]+)"', page)
    return parse_qs(urlsplit(address.replace("&amp;", "&")).query)["state"][0]


def come_back(browser: Client, **query: str) -> HttpResponseBase:
    """From the server, which has let them in."""
    return browser.get(BACK, {"code": "a-code", "state": state_of(browser), **query})


def is_in(browser: Client) -> bool:
    return browser.get(reverse("tokens")).status_code == 200


def test_the_form_to_sign_in_shows_the_way(server: Server) -> None:
    page = Client().get(reverse("account_login")).content
    assert b"Sign in with Example ID" in page
    assert LEAVE.encode() in page


def test_a_site_without_a_server_has_no_such_way() -> None:
    assert LEAVE.encode() not in Client().get(reverse("account_login")).content
    assert Client().post(LEAVE).status_code == 404
    assert Client().get(BACK).status_code == 404


def test_somebody_who_was_invited_is_signed_in(server: Server, ada: User) -> None:
    browser = Client()
    planted = browser.session
    planted["theirs"] = True
    planted.save()
    assert come_back(browser)["Location"] == reverse("home")
    assert browser.session["_auth_user_id"] == str(ada.pk)
    assert browser.session.session_key != planted.session_key
    [asked] = server.asked
    assert asked["client_secret"] == ["a secret"]
    assert len(asked["code_verifier"][0]) >= 43, "without PKCE"
    tie = SocialAccount.objects.get()
    assert (tie.user, tie.uid, tie.extra_data) == (ada, "key-1", {})
    ada.refresh_from_db()
    assert ada.check_password("a quite long password"), "the password was taken off"


@pytest.mark.parametrize(
    "person",
    [
        ADA | {"email": "nobody@example.org"},
        ADA | {"email_verified": False},
        ADA | {"email_verified": "false"},
        {"sub": "key-1", "email": "ada@example.org"},
        {"sub": "key-1"},
    ],
)
def test_nobody_else_is(server: Server, ada: User, person: Person) -> None:
    server.person = person
    browser = Client()
    answer = come_back(browser)
    assert answer.status_code == 403
    assert b"no account here is yours" in answer.getvalue()
    assert not is_in(browser)
    assert not SocialAccount.objects.exists()
    assert User.objects.count() == 1


def test_a_closed_account_stays_closed(server: Server, ada: User) -> None:
    """Before and after it was tied to the server's key."""
    User.objects.update(is_active=False)
    assert come_back(Client()).status_code == 403
    User.objects.update(is_active=True)
    assert is_in(after_coming_back())
    User.objects.update(is_active=False)
    assert not is_in(after_coming_back())


def after_coming_back() -> Client:
    browser = Client()
    come_back(browser)
    return browser


def test_the_servers_key_decides_once_it_is_known(server: Server, ada: User) -> None:
    come_back(Client())
    server.person = ADA | {"email": "ada-newname@example.org"}
    assert is_in(after_coming_back())
    server.person = ADA | {"sub": "key-2"}  # a successor who was given the address
    assert come_back(Client()).status_code == 403
    assert untie(ada)
    assert is_in(after_coming_back())
    assert SocialAccount.objects.get().uid == "key-2"


def test_a_second_factor_is_asked_for_here_as_well(server: Server, ada: User) -> None:
    turn_on(ada, secret=generate_totp_secret(), but=None)
    browser = Client()
    assert come_back(browser)["Location"] == reverse("mfa_authenticate")
    assert not is_in(browser)


def test_an_answer_to_nobodys_question_lets_nobody_in(
    server: Server, ada: User
) -> None:
    """What somebody else was given cannot be handed to a victim's browser."""
    thief, victim = Client(), Client()
    query = {"code": "a-code", "state": state_of(thief)}
    for answer in (victim.get(BACK, query), victim.get(BACK, {"code": "a-code"})):
        assert answer.status_code == 401
        assert b"begin again" in answer.content
    assert not is_in(victim)


def test_who_turns_back_is_not_signed_in(server: Server, ada: User) -> None:
    browser = Client()
    query = {"state": state_of(browser), "error": "access_denied"}
    answer = browser.get(BACK, query)
    assert answer.status_code == 401
    assert not is_in(browser)


@pytest.mark.parametrize("process", ["connect", "redirect"])
def test_nobody_ties_a_stranger_to_their_own_account(
    server: Server,
    alice: Membership,
    signed_in: Callable[[Membership], Client],
    process: str,
) -> None:
    browser = signed_in(alice)
    page = browser.post(LEAVE, {"process": process}).content.decode()
    state = re.search(r"state=([^&]+)&", page)
    assert state is not None
    answer = browser.get(BACK, {"code": "a-code", "state": state[1]})
    assert answer.status_code == 401
    assert not SocialAccount.objects.exists()


def test_it_begins_with_a_form_of_ours(server: Server) -> None:
    assert Client().get(LEAVE).status_code == 405
    guarded = Client(enforce_csrf_checks=True)
    assert guarded.post(LEAVE).status_code == 403


def test_nonsense_from_the_server_is_no_fault_of_ours(
    server: Server, ada: User
) -> None:
    server.person = {"email": "ada@example.org", "email_verified": True}
    answer = come_back(Client())
    assert answer.status_code == 401
    assert b"begin again" in answer.getvalue()


def test_a_server_that_is_away_is_said_to_be(
    server: Server, settings: Settings
) -> None:
    away = app(server) | {"settings": {"server_url": "http://127.0.0.1:9"}}
    settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"APPS": [away]}}
    answer = Client().post(LEAVE)
    assert answer.status_code == 503
    assert b"does not answer just now" in answer.content
