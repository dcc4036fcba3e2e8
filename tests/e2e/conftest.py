"""A real browser on the real pages, under the content policy that production has."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from playwright.sync_api import Browser, BrowserContext, Page, Request

from annotation.models import Membership, Project
from tests.conftest import make_prompt
from tests.e2e.rank_steps import started

DESKTOP = {"width": 1200, "height": 800}
PHONE = {"width": 390, "height": 780}


class Visit:
    """Somebody's browser window, with everything its console ever said."""

    def __init__(self, page: Page, site: str) -> None:
        self.page = page
        self.site = site
        self.said: list[str] = []
        self.asked: set[Request] = set()  # and not answered yet
        page.on("console", lambda message: self.said.append(message.text))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("request", lambda request: self.asked.add(request))
        page.on("requestfinished", lambda request: self.asked.discard(request))
        page.on("requestfailed", lambda request: self.asked.discard(request))

    def open(self, path: str) -> Page:
        """Go to a path of the site."""
        self.page.goto(self.site + path)
        return self.page

    def wait_for_answers(self) -> None:
        """Until nothing is under way, or two seconds: some tests never answer."""
        for _ in range(100):
            if not self.asked or self.page.is_closed():
                return
            self.page.wait_for_timeout(20)


Visitor = Callable[..., Visit]


@pytest.fixture
def nine(project: Project, alice: Membership, visit: Visitor) -> Visit:
    """alice's window with a prompt of nine responses."""
    make_prompt(project, k=9)
    return started(visit(alice))


BUSY = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
AND state <> 'idle' AND backend_type = 'client backend'
"""


def wait_for_the_server() -> None:
    """Until it has done what closed windows asked of it last.

    Emptying the tables in the middle of that would be a deadlock.
    """
    quiet = 0
    for _ in range(800):
        with connection.cursor() as cursor:
            cursor.execute(BUSY)
            quiet = quiet + 1 if cursor.fetchone() == (0,) else 0
        if quiet == 3:  # in a row: between two statements nobody is busy
            return
        time.sleep(0.005)
    raise AssertionError("The server is still at work.")


@pytest.fixture
def visit(
    browser: Browser, live_server: Any, signed_in: Callable[[Membership], Any]
) -> Iterator[Visitor]:
    """`visit(alice, viewport=PHONE)` is a window in which alice is signed in.

    At the end no window may have reported an error, a broken request or a breach of
    the content policy, unless its test has emptied `said`.
    """
    contexts: list[BrowserContext] = []
    visits: list[Visit] = []

    def open_window(member: Membership, **options: Any) -> Visit:
        context = browser.new_context(**{"viewport": DESKTOP, **options})
        context.set_default_timeout(10_000)
        contexts.append(context)
        session = signed_in(member).cookies[settings.SESSION_COOKIE_NAME].value
        context.add_cookies(
            [
                {
                    "name": settings.SESSION_COOKIE_NAME,
                    "value": session,
                    "url": live_server.url,
                }
            ]
        )
        visits.append(Visit(context.new_page(), live_server.url))
        return visits[-1]

    yield open_window
    for window in visits:
        window.wait_for_answers()
    for context in contexts:
        context.close()
    wait_for_the_server()
    assert [said for visit in visits for said in visit.said] == []
