"""S3, S4 and S11 over every page: the policy, nothing inline, nothing reflected, and
reading changes nothing."""

from collections.abc import Iterable, Iterator
from html.parser import HTMLParser

import pytest
from django.db import connection
from django.http import HttpResponse, HttpResponseBase
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import Settings

from annotation.models import Project, User
from tests.conftest import browser_of
from tests.test_access_matrix import ACTORS, IN, ROWS, Cast, cast, finish

__all__ = ["cast"]
pytestmark = pytest.mark.django_db

POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self'",
    "connect-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}
PROBE = "\"'><script>probe()</script><img src=x onerror=probe()>"
PARAMETERS = (
    *("q", "page", "next", "since", "until", "labeler", "without-labeler", "k", "tag"),
    *("instructions-version", "pool", "include", "state", "sort", "cursor", "filter"),
)
READABLE = sorted(name for name, row in ROWS.items() if "GET" in row.answers)


def policy_of(response: HttpResponseBase) -> dict[str, str]:
    """The directives of a response's Content-Security-Policy."""
    directives = response["Content-Security-Policy"].split(";")
    pairs = (directive.strip().partition(" ") for directive in directives)
    return {name: sources for name, _, sources in pairs}


class Inline(HTMLParser):
    """Collects what the policy would block, and what comes from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Inline styles, handlers and scripts, and addresses of other sites."""
        given = dict(attrs)
        loads = given.get("href" if tag == "link" else "src") or ""
        inline_script = tag == "script" and "src" not in given
        if (
            tag == "style"
            or (inline_script and given.get("type") != "application/json")
            or any(name == "style" or name.startswith("on") for name in given)
            or loads.startswith(("http:", "https:", "//", "data:"))
        ):
            self.found.append(str(self.get_starttag_text()))


def inline_parts(response: HttpResponseBase) -> list[str]:
    """Tags that the policy would block."""
    parser = Inline()
    parser.feed(response.getvalue().decode())
    return parser.found


def rows_written() -> int:
    """Rows inserted, updated or deleted in this transaction so far.

    Without the kept HTML of texts: it is a function of what is stored already, so
    writing it down changes nothing that anybody could see (annotation.rendered). Nor
    does the request for a file of a dataset, which is a function of the dataset's name
    (ranking.exporting).
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)"
            " FROM pg_stat_xact_user_tables WHERE relname NOT IN"
            " ('annotation_renderedtext', 'ranking_exportrun')"
        )
        return int(cursor.fetchone()[0])


def test_a_written_row_is_noticed() -> None:
    before = rows_written()
    user = User.objects.create(email="a@example.org")
    assert rows_written() == before + 1
    User.objects.filter(pk=user.pk).update(is_active=False)
    assert rows_written() == before + 2
    assert Project.objects.count() == 0
    assert rows_written() == before + 2


@pytest.mark.parametrize(
    "tag",
    [
        '<p style="color: red">',
        "<style>",
        "<script>",
        '<button onclick="x()">',
        '<img src="https://elsewhere.example.org/x.png">',
        '<link rel="stylesheet" href="//elsewhere.example.org/x.css">',
        '<img src="data:image/png;base64,">',
    ],
)
def test_what_the_policy_would_block_is_noticed(tag: str) -> None:
    assert inline_parts(HttpResponse(tag)) == [tag]


def test_what_the_policy_allows_is_let_pass() -> None:
    page = '<script src="/x.js"></script><script type="application/json">{}</script>'
    assert inline_parts(HttpResponse(page + '<a href="https://x.example">')) == []


def visits(
    cast: Cast, name: str, query: str = "", people: Iterable[str] = ACTORS
) -> Iterator[HttpResponseBase]:
    """One page as everybody sees it, or these."""
    address = reverse(name, kwargs=dict(ROWS[name].points_at(cast))) + query
    for actor in people:
        browser = browser_of(cast.user(actor))
        before = rows_written()
        response = browser.get(address)
        assert rows_written() == before, f"{actor}: GET {address} wrote rows"
        yield response
        finish(response)


# What a browser makes of a file is none of ours: it may load and run nothing.
FILES = {"dataset_file", "api_dataset_file", "scored_rewards", "api_scored_rewards"}
SANDBOX = {"default-src": "'none'", "sandbox": ""}


@pytest.mark.parametrize("name", READABLE)
def test_every_page_has_the_policy_and_nothing_that_it_blocks(
    cast: Cast, name: str
) -> None:
    for response in visits(cast, name):
        is_file = name in FILES and response.status_code == 200
        assert policy_of(response) == (SANDBOX if is_file else POLICY)
        assert response["X-Content-Type-Options"] == "nosniff"
        if response["Content-Type"].startswith("text/html"):
            assert inline_parts(response) == []


@pytest.mark.parametrize("name", READABLE)
def test_no_page_repeats_a_query_parameter_unescaped(cast: Cast, name: str) -> None:
    pairs = "&".join(f"{parameter}={PROBE}" for parameter in PARAMETERS)
    let_in = {actor for actor in ACTORS if ROWS[name].answers["GET"][actor] is IN}
    for response in visits(cast, name, f"?{pairs}", {"anon", "stranger"} | let_in):
        assert response.status_code < 500
        body = response.getvalue()
        if response["Content-Type"].startswith("text/html"):
            assert b"<script>probe" not in body
            assert b"<img src=x" not in body
        else:
            assert response["X-Content-Type-Options"] == "nosniff"


def error_pages() -> list[tuple[int, str, dict[str, str]]]:
    """(status, address, headers) of requests that go wrong."""
    return [
        (404, f"/nothing/{PROBE}/", {}),
        (404, f"/p/tides/{PROBE}/", {}),
        (400, "/", {"HTTP_HOST": "evil.example.org"}),
        (400, "/", {"HTTP_HOST": PROBE}),
        (410, "/sign-in/unknown/", {}),
        (404, "/api/v1/nothing/", {}),
        (400, "/api/v1/nothing/", {"HTTP_HOST": "evil.example.org"}),
    ]


@pytest.mark.parametrize(("status", "address", "headers"), error_pages())
def test_error_pages_have_the_policy_and_repeat_nothing(
    status: int, address: str, headers: dict[str, str]
) -> None:
    response = Client().get(address, **headers)  # type: ignore[arg-type]
    assert response.status_code == status
    assert policy_of(response) == POLICY
    assert b"probe()" not in response.content
    assert b"evil" not in response.content
    is_json = address.startswith("/api/")
    expected = "application/json" if is_json else "text/html; charset=utf-8"
    assert response["Content-Type"] == expected
    assert response["X-Content-Type-Options"] == "nosniff"
    if not is_json:
        assert inline_parts(response) == []


def test_a_fault_of_ours_shows_a_page_and_no_detail(
    monkeypatch: pytest.MonkeyPatch, client: Client
) -> None:
    def fail() -> str:
        raise RuntimeError("a secret detail")

    monkeypatch.setattr("annotation.health._database_state", fail)
    client.raise_request_exception = False
    response = client.get("/readyz")
    assert response.status_code == 500
    assert policy_of(response) == POLICY
    assert b"secret" not in response.content
    assert b"Something went wrong here" in response.content
    assert inline_parts(response) == []


def test_the_redirect_to_https_has_the_policy_too(
    settings: Settings, client: Client
) -> None:
    settings.SECURE_SSL_REDIRECT = True
    response = client.get("/")
    assert response.status_code == 301
    assert policy_of(response) == POLICY


def unsafe_requests() -> list[tuple[str, str]]:
    """(name, verb) of everything that may change something."""
    return [
        (name, verb)
        for name, row in sorted(ROWS.items())
        for verb in row.answers
        if verb not in ("GET", "HEAD")
    ]


@pytest.mark.parametrize(("name", "verb"), unsafe_requests())
def test_nothing_is_changed_without_the_token_of_the_form(
    cast: Cast, name: str, verb: str
) -> None:
    row = ROWS[name]
    address = reverse(name, kwargs=dict(row.points_at(cast)))
    let_in = [a for a in ACTORS if row.answers[verb][a] is IN]
    actor = let_in[-1] if let_in else "admin"  # who gets furthest
    browser = browser_of(cast.user(actor))
    browser.handler.enforce_csrf_checks = True
    before = rows_written()
    assert browser.generic(verb, address).status_code == 403
    token = browser.get(reverse("account_login")).cookies.get("csrftoken")
    token = token or browser.get(reverse("account_logout")).cookies["csrftoken"]
    foreign = browser.generic(
        verb,
        address,
        headers={"X-CSRFToken": token.value, "Origin": "https://evil.example.org"},
    )
    assert foreign.status_code == 403
    assert rows_written() == before
