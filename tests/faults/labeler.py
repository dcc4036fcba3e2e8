"""A labeler as HTTP sees one: claims, ranks, and sends again what got no answer."""

import http.client
import json
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode
from uuid import UUID, uuid4

from ranking.submit import Submission
from tests.faults.history import Fate, History

CSRF = "c" * 32
LETTERS = "ABCD"
PROMPT = re.compile(r"/rank/([\w-]{20,})/$")
SECONDS = 60  # after which something is wrong that no retry mends


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: str

    @property
    def location(self) -> str:
        """Where a redirect leads; "" if it is none."""
        return self.headers.get("Location", "")


@dataclass
class Labeler:
    """One person's browser. `statuses` counts every answer; 0 is none at all."""

    port: int
    session: str
    history: History
    slug: str = "faults"
    statuses: Counter[int] = field(default_factory=Counter)
    without_retry_after: int = 0

    def post(self, path: str, form: Mapping[str, object], **headers: str) -> Answer:
        """One POST. Errors: OSError, HTTPException when no answer comes."""
        return self._send("POST", path, urlencode(dict(form)), headers)

    def send(self, verb: str, path: str, body: object, **headers: str) -> Answer:
        """One call of the API, in JSON. Errors: as `post`."""
        headers = {"Content-Type": "application/json", **headers}
        return self._send(verb, path, json.dumps(body), headers)

    def get(self, path: str) -> Answer:
        """One GET."""
        return self._send("GET", path, None, {})

    def claim(self) -> str | None:
        """The token of the next prompt; None when the queue has none for them."""
        address = f"/p/{self.slug}/rank/claim/"
        answer = self.until_answered(lambda: self.post(address, {}))
        assert answer.status == 302, answer
        found = PROMPT.search(answer.location)
        return found[1] if found else None

    def submit(
        self,
        token: str,
        ranks: Mapping[str, int],
        key: UUID,
        *,
        die: str = "",
        replace: bool = False,
    ) -> Answer:
        """One attempt to submit, written into the history however it ends. `die` is for
        `tests.faults.deadly_wsgi`."""
        content = Submission(uuid=key, ranks=ranks).body_sha256(token)
        body = {"submission_uuid": str(key), "ranks": dict(ranks), "replace": replace}
        headers = {"X-Die": die} if die else {}
        fate = Fate.UNKNOWN
        try:
            address = f"/api/v1/assignments/{token}/submit"
            answer = self.send("POST", address, body, **headers)
            fate = Fate.OK if answer.status in (200, 201) else Fate.FAIL
        finally:
            self.history.add(key, content, fate)
        return answer

    def rank_one(self, rng: random.Random) -> Answer | None:
        """Claim, and submit until it is answered; None when nothing was left."""
        token = self.claim()
        if token is None:
            return None
        ranks, key = {letter: rng.randint(1, 4) for letter in LETTERS}, uuid4()
        return self.until_answered(lambda: self.submit(token, ranks, key))

    def until_answered(self, send: Callable[[], Answer]) -> Answer:
        """Send until something comes back that is neither silence nor a 503."""
        deadline = time.monotonic() + SECONDS
        while True:
            try:
                answer = send()
            except (OSError, http.client.HTTPException):
                assert time.monotonic() < deadline, "no answer any more"
                self.statuses[0] += 1
                time.sleep(0.05)
                continue
            self.statuses[answer.status] += 1
            if answer.status != 503:
                return answer
            assert time.monotonic() < deadline, "unavailable for good"
            self.without_retry_after += "Retry-After" not in answer.headers
            time.sleep(0.05)

    def _send(
        self, verb: str, path: str, body: str | None, headers: Mapping[str, str]
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        sent = {
            "Cookie": f"sessionid={self.session}; csrftoken={CSRF}",
            "X-CSRFToken": CSRF,
            "Content-Type": "application/x-www-form-urlencoded",
            **headers,
        }
        try:
            connection.request(verb, path, body, sent)
            response = connection.getresponse()
            return Answer(
                response.status, dict(response.getheaders()), response.read().decode()
            )
        finally:
            connection.close()
