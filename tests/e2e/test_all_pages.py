"""Every page of the site in a real browser.

The list is the access matrix's: a page that is added there is looked at here, once, as
whoever sees most of it. As everybody who may open it, on a phone, and empty, it is
looked at with the slow tests. axe finds what can be read off a page;
what it does not say is measured: whether anything is wider than the window, whether
targets are large enough, and whether what has the focus can be seen.
`SCREENSHOTS=DIR` takes pictures of it all.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.test import RequestFactory
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect
from pytest_django import Settings

from annotation.errors import bad_request, server_error
from annotation.unavailable import unavailable
from tests.conftest import browser_of
from tests.e2e.conftest import DESKTOP, PHONE, wait_for_the_server
from tests.e2e.furnished import furnish
from tests.e2e.looks import (
    bring_axe,
    complaints_at_a_desk,
    complaints_on_a_phone,
)
from tests.every_page import PEOPLE, pages_of
from tests.test_access_matrix import ROWS, Cast, cast

__all__ = ["cast"]
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]

Look = Callable[[Page, str], list[str]]
WINDOWS: dict[str, tuple[dict[str, Any], Look]] = {
    "desk": ({"viewport": DESKTOP}, complaints_at_a_desk),
    "phone": ({"viewport": PHONE, "has_touch": True}, complaints_on_a_phone),
}


@pytest.fixture(autouse=True)
def a_model_on_offer(settings: Settings, tmp_path: Any) -> None:
    """So that the forms that ask for one are there; nothing loads it."""
    settings.MODEL_ROOT = tmp_path
    (tmp_path / "sft").mkdir()
    (tmp_path / "sft" / "config.json").write_text("{}")


@pytest.fixture
def window_of(
    cast: Cast, browser: Browser, live_server: Any
) -> Iterator[Callable[..., Page]]:
    """`window_of("admin", viewport=PHONE)` is a window in which they are signed in."""
    contexts: list[BrowserContext] = []

    def open_window(actor: str, **options: Any) -> Page:
        context = browser.new_context(
            base_url=live_server.url, reduced_motion="reduce", **options
        )
        contexts.append(context)
        bring_axe(context)
        signed_in = browser_of(cast.user(actor)).cookies
        if cast.user(actor):
            name = settings.SESSION_COOKIE_NAME
            key = signed_in[name].value
            context.add_cookies([{"name": name, "value": key, "url": live_server.url}])
        return context.new_page()

    yield open_window
    for context in contexts:
        context.close()
    wait_for_the_server()


# Who sees most of a page comes first.
BY_WHAT_THEY_SEE = ("admin", "labeler", "researcher", "site_admin", "anon", "other")


def walk(
    cast: Cast, window_of: Callable[..., Page], *, window: str, state: str
) -> None:
    """Open every page that anybody may open, full or empty, and look at it."""
    singles = furnish(cast) if state == "full" else None
    complaints = []
    for actor in PEOPLE:
        pages = list(pages_of(actor, cast, singles))
        complaints += look_through(window_of, actor, pages, window=window, state=state)
    assert not complaints, "\n".join(complaints)


def look_through(
    window_of: Callable[..., Page],
    actor: str,
    pages: Iterable[tuple[str, str]],
    *,
    window: str,
    state: str,
) -> list[str]:
    """What is wrong with these pages as one person sees them."""
    options, look = WINDOWS[window]
    complaints = []
    page = window_of(actor, **options)
    for name, path in pages:
        answer = page.goto(path)
        assert answer is not None
        assert answer.headers["content-type"].startswith("text/html"), name
        found = look(page, f"{state}-{actor}-{name}")
        found += [f"status {answer.status}"] if answer.status >= 500 else []
        complaints += [f"{actor}, {path}: {one}" for one in found]
    return complaints


def test_nobody_is_kept_from_any_page_at_a_desk(
    cast: Cast, window_of: Callable[..., Page]
) -> None:
    singles = furnish(cast)
    seen: set[str] = set()
    complaints = []
    for actor in BY_WHAT_THEY_SEE:
        theirs = dict(pages_of(actor, cast, singles))
        pages = [
            (name, theirs[name]) for name in sorted(ROWS.keys() & theirs.keys() - seen)
        ]
        seen |= theirs.keys()
        complaints += look_through(window_of, actor, pages, window="desk", state="full")
    assert not complaints, "\n".join(complaints)


BROKEN: dict[int, Callable[[HttpRequest], HttpResponse]] = {
    400: lambda request: bad_request(request, ValueError()),
    429: lambda request: HttpResponse(render_to_string("429.html"), status=429),
    500: server_error,
    503: unavailable,
}


def broken(status: int, body: bytes) -> Callable[[Route], None]:
    """Answers with this page instead of the site's."""

    def answer(route: Route) -> None:
        route.fulfill(status=status, body=body, content_type="text/html; charset=utf-8")

    return answer


@pytest.mark.parametrize("window", WINDOWS)
def test_nobody_is_lost_where_something_is_wrong(
    cast: Cast, window_of: Callable[..., Page], window: str
) -> None:
    """Refusals as the site gives them; faults as it would, put in the way of a page."""
    options, look = WINDOWS[window]
    page = window_of("labeler", **options)
    complaints = []
    for status, path in {403: "/p/tides/members/", 404: "/p/nowhere/"}.items():
        answer = page.goto(path)
        assert answer is not None
        assert answer.status == status
        complaints += [f"{status}: {one}" for one in look(page, f"{status}")]
    for status, answer_of in BROKEN.items():
        body = answer_of(RequestFactory().get("/")).content
        page.route("**/broken", broken(status, body))
        page.goto("/broken")
        complaints += [f"{status}: {one}" for one in look(page, f"{status}")]
    assert not complaints, "\n".join(complaints)


EMPTIED = """() => {
  const typed = 'input:not([type=hidden], [type=checkbox]), textarea';
  const form = [...document.querySelectorAll('main form[method=post]')]
    .find(form => form.querySelector(typed));
  form.noValidate = true;
  form.querySelectorAll(typed).forEach(field => { field.value = ''; });
  form.requestSubmit();
}"""
WITH_A_FORM = {
    "labeler": ("/p/tides/reports/new/",),
    "admin": (
        "/p/tides/members/",
        "/p/tides/settings/",
        "/p/tides/instructions/",
        "/p/tides/terms/",
        "/p/tides/files/",
    ),
    "site_admin": ("/",),
}


@pytest.mark.parametrize("window", WINDOWS)
def test_a_form_that_was_refused_can_be_read_and_mended(
    cast: Cast, window_of: Callable[..., Page], window: str
) -> None:
    options, look = WINDOWS[window]
    complaints = []
    for actor, paths in WITH_A_FORM.items():
        page = window_of(actor, **options)
        for path in paths:
            page.goto(path)
            with page.expect_navigation():
                page.evaluate(EMPTIED)
            expect(page.locator(".errorlist").first).to_be_visible()
            name = f"refused-{path.strip('/').replace('/', '-')}"
            complaints += [f"{path}: {one}" for one in look(page, name)]
    assert not complaints, "\n".join(complaints)
