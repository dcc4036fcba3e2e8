"""S28: whatever comes from outside stays inside one JSON line, and secrets stay out."""

import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from django.urls import reverse

from annotation.accounts import make_sign_in_link
from annotation.logs import AS_JSON
from annotation.models import Membership, User
from annotation.request_log import RequestLog
from tests.conftest import make_prompt
from tests.test_access_matrix import SITE

pytestmark = pytest.mark.django_db
NASTY = 'x\r\n{"event": "forged"}\n\x1b[31mred\x1b[0m\x00\x9b\u2028end'
PASSWORD = "a quite long password"


@pytest.fixture
def log() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """Call it for the lines logged so far, each parsed from JSON."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    formatter = dict(AS_JSON["formatters"]["json"])
    handler.setFormatter(formatter.pop("()")(**formatter))
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)

    def lines() -> list[dict[str, Any]]:
        text = written.getvalue()
        assert all(line.isascii() and line.isprintable() for line in text.split("\n"))
        return [json.loads(line) for line in text.split("\n") if line]

    yield lines
    root.removeHandler(handler)
    root.setLevel(level)


Log = Callable[[], list[dict[str, Any]]]


def test_a_request_is_one_line_that_names_it(log: Log) -> None:
    Client().get(
        "/livez", query_params={"q": "a prompt's text"}, headers={"user-agent": "probe"}
    )
    [line] = log()
    assert line["event"] == "request_finished"
    assert line["request"] == "GET /livez"
    assert line["code"] == 200
    assert line["ip"] == "127.0.0.1"
    assert line["user_agent"] == "probe"
    assert len(line["request_id"]) == 36


def test_a_process_that_must_end_says_what_it_was_at(log: Log) -> None:
    """As gunicorn ends a worker that takes too long over a request."""

    def slow(request: HttpRequest) -> HttpResponse:
        raise SystemExit(1)

    with pytest.raises(SystemExit):
        RequestLog(slow)(RequestFactory().get("/p/tides/"))
    [line] = log()
    assert (line["event"], line["request"]) == ("request_aborted", "GET /p/tides/")
    assert "SystemExit" in line["exception"]


def test_a_line_that_is_written_amid_a_request_names_it(log: Log) -> None:
    def told(request: HttpRequest) -> HttpResponse:
        logging.getLogger("somewhere").warning("hm")
        return HttpResponse()

    RequestLog(told)(RequestFactory().get("/p/tides/"))
    amid, finished = log()
    assert amid["event"] == "hm"
    assert amid["request_id"] == finished["request_id"]


@pytest.mark.parametrize("place", ["path", "agent", "email", "forwarded"])
def test_nothing_from_outside_breaks_out_of_its_line(log: Log, place: str) -> None:
    browser = Client(
        HTTP_USER_AGENT=NASTY if place == "agent" else "browser",
        HTTP_X_FORWARDED_FOR=NASTY if place == "forwarded" else "",
    )
    if place == "path":
        browser.get(f"/{NASTY}")
    form = {"login": NASTY if place == "email" else "a@b.example", "password": "wrong"}
    assert browser.post(reverse("account_login"), form).status_code == 200
    assert all(line["event"] != "forged" for line in log())
    assert "request_finished" in {line["event"] for line in log()}


def test_a_traceback_is_one_line(log: Log) -> None:
    try:
        raise ValueError(NASTY)
    except ValueError:
        logging.getLogger("somewhere").exception("failed %s", NASTY)
    [line] = log()
    assert "ValueError" in line["exception"]


def test_no_password_is_logged(log: Log) -> None:
    User.objects.create_user("ada@example.org", PASSWORD)
    for password in (PASSWORD, "wrong-but-close"):
        form = {"login": "ada@example.org", "password": password}
        Client().post(reverse("account_login"), form)
    text = json.dumps(log())
    assert "login" in text
    assert PASSWORD not in text
    assert "wrong-but-close" not in text


def test_the_token_of_a_link_is_logged_nowhere(log: Log) -> None:
    user = User.objects.create_user("ada@example.org")
    path = make_sign_in_link(user).removeprefix(settings.SITE_URL)
    token = path.split("/")[2]
    strict = Client(enforce_csrf_checks=True)
    assert strict.get(path).status_code == 200
    assert strict.post(path).status_code == 403  # Django's own log names the path
    assert Client().post(path).status_code == 302
    assert Client().get(path).status_code == 410
    text = json.dumps(log())
    assert "/sign-in/[hidden]" in text
    assert token not in text


def test_the_key_of_a_reset_is_logged_nowhere(log: Log) -> None:
    path = "/accounts/password/reset/key/1-very-secret-key/"
    Client().get(path)
    Client(enforce_csrf_checks=True).post(path)
    text = json.dumps(log())
    assert "/password/reset/key/[hidden]" in text
    assert "very-secret" not in text


def test_every_address_with_a_key_in_it_is_known_to_the_log() -> None:
    """A new address with a token or key must be hidden, or named here as harmless:
    an assignment's token opens nothing without its labeler's session."""
    named = {
        name
        for route, name in SITE
        if name and ("token" in route or "key" in route) and "<" in route
    }
    harmless = {
        name
        for name in named
        if name.startswith(("rank_", "api_", "training_feedback"))
        or name == "revoke_member_token"  # says "token", and holds a number
    }
    assert named - harmless == {"sign_in_link", "account_reset_password_from_key"}


def test_no_text_of_a_prompt_is_logged(
    log: Log, admin: Membership, signed_in: Callable[[Membership], Client]
) -> None:
    make_prompt(admin.project, "p-with-text")
    browser = signed_in(admin)
    for name in ("project", "members", "agreement"):
        browser.get(reverse(name, args=[admin.project.slug]))
    text = json.dumps(log())
    assert "GET /p/tides/" in text
    assert "Question" not in text
    assert "Answer" not in text
