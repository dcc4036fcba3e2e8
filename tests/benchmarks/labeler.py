"""A labeler at work, as the page's script talks to the site: one request at a time.

The client is this very process (http.client; a new TCP connection a request, because a
sync worker closes it). Its own CPU time is no part of any figure.
"""

import http.client
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from tests.benchmarks.material import FLAGS, SLUG, K
from tests.benchmarks.site import HOST, Web

LETTERS = "ABCDEFGHI"[:K]
JUDGEMENT = {
    "ranks": dict(zip(LETTERS, (3, 1, 4, 1, 5, 2, 6, 5, 3), strict=True)),
    "ratings": dict(zip(LETTERS, (4, 7, 3, 7, 3, 6, 1, 3, 4), strict=True)),
    "flags": {"G": [FLAGS[1], FLAGS[0]]},
    "note": "B and D say the same in other words.",
}
TELEMETRY = {
    "telemetry": {"active_ms": 61_500, "wall_ms": 70_250, "n_moves": 9, "n_key": 9}
}
CSRF = "abcdefgh" * 4  # cookie and field agree, which is all that is asked
PATH = re.compile(rf"/p/{SLUG}/rank/[\w-]{{16,}}/")
KEY = re.compile(r'name="submission_uuid" value="([^"]+)"')


class RefusedError(Exception):
    """The site did not do what a labeler asked; what it answered."""


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Page:
    """A prompt on the screen."""

    path: str
    html: bytes

    @property
    def api(self) -> str:
        """Where its script sends what the labeler does."""
        return f"/api/v1/assignments/{self.path.split('/')[-2]}"

    @property
    def key(self) -> str:
        """Name of the one submission that may be made from it."""
        found = KEY.search(self.html.decode())
        assert found, "no submission key on the page"
        return found[1]


class Labeler:
    """Somebody signed in, with their cookies."""

    def __init__(self, web: Web, session: str) -> None:
        self.web = web
        self._cookies = {"sessionid": session, "csrftoken": CSRF}

    def claim(self) -> Page:
        """Ask for the next prompt; its page is the answer."""
        answer = self._ask("POST", f"/p/{SLUG}/rank/claim/")
        path = answer.headers.get("Content-Location", "")
        if not PATH.fullmatch(path):
            raise RefusedError(f"No prompt was handed out, but {answer.headers}.")
        return Page(path, answer.body)

    def prefetch(self) -> str:
        """Have the next prompt set aside; the path of its page."""
        answer = self._ask("POST", f"/p/{SLUG}/rank/prefetch/")
        return str(json.loads(answer.body)["url"])

    def open(self, path: str) -> Page:
        """Load the page of a prompt that is theirs."""
        return Page(path, self._ask("GET", path).body)

    def show(self, page: Page) -> None:
        """Say that somebody is looking at it: the heartbeat."""
        self._ask("POST", f"{page.api}/heartbeat")

    def save(self, page: Page, rev: int) -> None:
        """Keep a draft over the revision last seen."""
        self._ask("PUT", f"{page.api}/draft", {"rev": rev, **JUDGEMENT})

    def submit(self, page: Page) -> None:
        """Send a ranking with all that goes with it."""
        named = {"submission_uuid": page.key, "render_mode": "rich"}
        self._ask("POST", f"{page.api}/submit", named | JUDGEMENT | TELEMETRY)

    def _ask(self, method: str, path: str, body: object = None) -> Answer:
        """Errors: RefusedError for anything that is not 2xx."""
        text = None if body is None else json.dumps(body)
        connection = http.client.HTTPConnection("127.0.0.1", self.web.port, timeout=30)
        try:
            connection.request(method, path, text, self._headers(method))
            response = connection.getresponse()
            answer = Answer(response.status, dict(response.headers), response.read())
            self._keep(response.headers.get_all("Set-Cookie", []))
        finally:
            connection.close()
        if answer.status >= 300:
            raise RefusedError(f"{method} {path}: {answer.status} {answer.body!r:.300}")
        return answer

    def _keep(self, cookies: list[str]) -> None:
        """What a browser does with them; one with an empty value is deleted."""
        for name, _, rest in (cookie.partition("=") for cookie in cookies):
            self._cookies[name] = rest.partition(";")[0]
            if self._cookies[name] in ("", '""'):
                del self._cookies[name]

    def _headers(self, method: str) -> dict[str, str]:
        headers = {
            "Host": HOST,
            "X-Forwarded-Proto": "https",
            "X-Forwarded-For": "192.0.2.1",
            "Cookie": "; ".join(f"{name}={it}" for name, it in self._cookies.items()),
            "Accept-Encoding": "gzip",
        }
        if method != "GET":
            headers |= {
                "Content-Type": "application/json",
                "Referer": f"https://{HOST}/p/{SLUG}/rank/",
                "X-CSRFToken": CSRF,
                "Prefer": "return=representation",  # the page itself, no redirect to it
            }
        return headers
