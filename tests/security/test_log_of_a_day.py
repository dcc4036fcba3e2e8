"""S28 over a real run: what people wrote and what opens doors is in no line of the log.

alice signs in, ranks by page and by program, skips and reports; an admin lets somebody
in. The log of it names addresses and people's numbers, and nothing of what was said.
"""

import json
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client
from django.urls import reverse

from annotation.models import Membership, Project, Prompt, SignInLink
from annotation.queue import open_slots
from ranking.models import Ranking
from tests.conftest import browser_of
from tests.security.test_logs import Log, log

__all__ = ["log"]
pytestmark = pytest.mark.django_db(transaction=True)

PASSWORD = "a quite long password"
RANKS = dict.fromkeys("ABCD", 1)


def a_prompt(project: Project, name: str) -> None:
    prompt = Prompt.objects.create(
        project=project,
        external_id=name,
        messages=[{"role": "user", "content": "zqsaid in the prompt"}],
        line_sha256="0" * 64,
    )
    for n in range(4):
        prompt.responses.create(external_id=f"r{n}", text="zqsaid in a response")
    open_slots([prompt])


class Day:
    """What was sent and answered, and the secrets among it."""

    def __init__(self, project: Project) -> None:
        self.slug = project.slug
        self.secrets: list[str] = [PASSWORD, "zqwrong-password"]

    def cookies(self, browser: Client) -> None:
        """Keep the values of what a browser holds."""
        names = (settings.SESSION_COOKIE_NAME, settings.CSRF_COOKIE_NAME)
        kept = [
            browser.cookies[name].value for name in names if name in browser.cookies
        ]
        assert kept
        self.secrets += kept

    def sign_in(self, member: Membership) -> Client:
        browser = Client()
        assert member.user is not None
        member.user.set_password(PASSWORD)
        member.user.save()
        address = reverse("account_login")
        for password in ("zqwrong-password", PASSWORD):
            form = {"login": member.user.email, "password": password}
            browser.post(address, form)
        self.cookies(browser)
        return browser

    def token(self, browser: Client) -> str:
        """An API token, as the page shows it."""
        page = browser.post(reverse("make_token"), {"days": "1"})
        made = str(page.context["made"])
        assert len(made) > 60
        self.secrets.append(made)
        return made

    def work(self, send: Callable[..., Any]) -> None:
        """Claim, draft, refuse, submit, submit otherwise; then skip the next."""
        claim = f"/api/v1/projects/{self.slug}/claim"
        token = send("POST", claim)["assignment"]["token"]
        at = f"/api/v1/assignments/{token}"
        note = {"note": "zqsaid in a note"}
        send("PUT", f"{at}/draft", rev=0, ranks={"A": 1}, **note)
        send("PUT", f"{at}/draft", rev=0, ranks={"A": 2}, **note)
        flags = {"A": ["zqsaid in a flag"]}
        send("POST", f"{at}/submit", submission_uuid="zqsaid", ranks=RANKS, **note)
        for more in ({"flags": flags}, {}, {"ranks": {**RANKS, "D": 2}}):
            body = {"submission_uuid": str(uuid4()), "ranks": RANKS} | note | more
            send("POST", f"{at}/submit", **body)
        token = send("POST", claim)["assignment"]["token"]
        at = f"/api/v1/assignments/{token}"
        send("POST", f"{at}/skip", reason="zqsaid", text="zqsaid")
        send("POST", f"{at}/skip", reason="other", text="zqsaid in a skip")


def by_program(token: str) -> Callable[..., Any]:
    program = Client(headers={"Authorization": f"Token {token}"})

    def send(verb: str, path: str, **body: Any) -> Any:
        answer = program.generic(
            verb, path, json.dumps(body), content_type="application/json"
        )
        return answer.json()

    return send


def test_nothing_that_was_said_and_no_key_is_in_the_log_of_a_day(
    log: Log, project: Project, alice: Membership, admin: Membership
) -> None:
    for name in ("p1", "p2", "p3"):
        a_prompt(project, name)
    day = Day(project)
    hers = day.sign_in(alice)
    day.work(by_program(day.token(hers)))
    shown = hers.post(reverse("rank_claim", args=[day.slug]), follow=True)
    assert b"zqsaid in a response" in shown.content
    about = {"text": "zqsaid in a report", "q": "zqsaid"}
    hers.post(reverse("report_problem", args=[day.slug]) + "?q=zqsaid", about)
    hers.get(reverse("rank", args=[day.slug]), {"q": "zqsaid"})
    his = browser_of(admin.user)
    day.cookies(his)
    carol = {"email": "carol@example.org", "name": "Carol", "role": "labeler"}
    page = his.post(reverse("add_member", args=[day.slug]), carol, follow=True)
    link = page.content.decode().split("/sign-in/")[1].split("/")[0]
    newcomer = Client(HTTP_REFERER=f"{settings.SITE_URL}/sign-in/{link}/")
    newcomer.get(f"/sign-in/{link}/")
    newcomer.post(f"/sign-in/{link}/")
    day.cookies(newcomer)
    newcomer.get(f"/sign-in/{link}/")
    day.secrets.append(link)
    assert SignInLink.objects.get().used_at is not None
    assert Ranking.objects.filter(note="zqsaid in a note").exists()

    text = json.dumps(log())
    assert "POST /api/v1/assignments/" in text
    assert "/sign-in/[hidden]" in text
    assert "zqsaid" not in text
    assert [secret for secret in day.secrets if secret in text] == []


def test_a_row_that_the_database_refuses_is_not_in_the_traceback(
    log: Log, project: Project, alice: Membership
) -> None:
    """Postgres quotes the whole row in its DETAIL, with the note that is in it."""
    a_prompt(project, "p1")
    browser = browser_of(alice.user)
    browser.raise_request_exception = False
    given = browser.post(
        reverse("api_claim", args=[project.slug]), "{}", content_type="application/json"
    ).json()["assignment"]
    body = {"submission_uuid": str(uuid4()), "ranks": RANKS, "note": "zqsaid in it"}
    path = f"/api/v1/assignments/{given['token']}/submit"
    with connection.cursor() as cursor:
        cursor.execute(
            "ALTER TABLE ranking_ranking ADD CONSTRAINT no_note CHECK (note = '')"
        )
    try:
        failed = browser.post(path, json.dumps(body), content_type="application/json")
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE ranking_ranking DROP CONSTRAINT no_note")
    assert failed.status_code == 500
    text = json.dumps(log())
    assert "no_note" in text, "the constraint is named"
    assert "zqsaid" not in text
