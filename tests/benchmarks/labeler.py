"""A labeler at work, as the page's script talks to the site: one request at a time.

The client is this very process (http.client; a new TCP connection a request, because a
sync worker closes it). Its own CPU time is no part of any figure.
"""

import http.client
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from tests.benchmarks.material import SLUG, K
from tests.benchmarks.site import HOST, Web

RANKS = (3, 1, 4, 1, 5, 2, 6, 5, 3)  # ties among them
TELEMETRY = {"active_ms": 61_500, "wall_ms": 70_250, "n_moves": 9, "n_key": 9}
CSRF = "abcdefgh" * 4  # cookie and field agree, which is all that is asked
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

    def claim(self) -> str:
        """Ask for a prompt; the path of its page."""
        answer = self._post(f"/p/{SLUG}/rank/claim/", {})
        return _path_of_a_prompt(answer.headers["Location"])

    def open(self, path: str) -> Page:
        """Load the page of a prompt."""
        return Page(path, self._ask("GET", path).body)

    def submit(self, page: Page) -> str:
        """Send a ranking with all that goes with it; the path of the next page."""
        ranks = {
            f"tier_{letter}": str(rank)
            for letter, rank in zip("ABCDEFGHI"[:K], RANKS, strict=True)
        }
        telemetry = {"telemetry": json.dumps(TELEMETRY)}
        fields = {"submission_uuid": page.key, **ranks, **telemetry}
        answer = self._post(page.path, fields)
        return _path_of_a_prompt(json.loads(answer.body)["next"])

    def show(self, page: Page) -> None:
        """Say that somebody is at work on it: the heartbeat."""
        self._post(f"{page.path}renew/", {})

    def _post(self, path: str, fields: Mapping[str, str]) -> Answer:
        token = {"csrfmiddlewaretoken": CSRF}
        return self._ask("POST", path, urlencode({**fields, **token}))

    def _ask(self, method: str, path: str, body: str | None = None) -> Answer:
        """Errors: RefusedError for anything that is not 2xx or 3xx."""
        connection = http.client.HTTPConnection("127.0.0.1", self.web.port, timeout=30)
        try:
            connection.request(method, path, body, self._headers(method))
            response = connection.getresponse()
            answer = Answer(response.status, dict(response.headers), response.read())
            self._keep(response.headers.get_all("Set-Cookie", []))
        finally:
            connection.close()
        if answer.status >= 400:
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
        if method == "POST":
            headers |= {
                "Content-Type": "application/x-www-form-urlencoded",
                "Accept": "application/json",
                "Referer": f"https://{HOST}/p/{SLUG}/rank/",
            }
        return headers


def _path_of_a_prompt(address: str) -> str:
    """Errors: RefusedError when it leads elsewhere: nothing was left to rank."""
    path = urlsplit(address).path
    if not re.fullmatch(rf"/p/{SLUG}/rank/[\w-]+/", path):
        raise RefusedError(f"no prompt was handed out, but {path}")
    return path
