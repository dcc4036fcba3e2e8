"""A file of a dataset on its way here, once the site has written it. PURE."""

import json
import time
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import httpx

from ranking.client.connection import Connection
from ranking.client.errors import NotWrittenError, UnavailableError, refuse

POLL_SECONDS: Final = 1.0
GIVEN_UP: Final = frozenset({"failed", "cancelled"})


def nobody(*told: int) -> None:
    """Nobody wants to know."""


def when_written(
    download: "Download",
    progress: Callable[[int], object],
    waiting: Callable[[int, int], object],
    timeout: float,
) -> None:
    """Try the download until the site has written the file.

    What had failed or was cancelled before is asked for once more; a cancellation
    while this waits is meant for it, too.
    """
    ends = time.monotonic() + timeout
    asked_again = waited = False
    while (run := download(progress)) is not None:
        if run["state"] in GIVEN_UP:
            if asked_again or (waited and run["state"] == "cancelled"):
                raise NotWrittenError(run["reason"])
            download.ask_again()
            asked_again = True
            continue
        waited = True
        waiting(run["prompts_done"], run["prompts_total"])
        if time.monotonic() >= ends:
            raise NotWrittenError(
                f"{run['file']} is still {run['state']} after {timeout:g} s"
                f" ({run['prompts_done']} of {run['prompts_total']} prompts are"
                " written). The site goes on: ask for it again later"
            )
        time.sleep(POLL_SECONDS)


class Download:
    """One file on its way: `.part` holds its bytes, `.etag` says of which file."""

    def __init__(self, client: Connection, address: str, target: Path) -> None:
        self._client = client
        self._address = address
        self._target = target
        self._part = target.with_name(f"{target.name}.part")
        self._etag = target.with_name(f"{target.name}.etag")

    def __call__(self, progress: Callable[[int], object]) -> dict[str, Any] | None:
        """None: the file is here. Else it is not written, and this is how far it is."""
        try:
            with self._client.stream(self._address, self._headers()) as answer:
                run = _run_in(answer)
                if run is None:
                    self._receive(answer, progress)
                return run
        except httpx.HTTPError as error:
            raise UnavailableError(
                f"{self._address}: {error}; what was received is kept: try again"
            ) from error

    def ask_again(self) -> None:
        """Have it written once more, after a failure."""
        self._client.tell("POST", self._address)

    def _headers(self) -> dict[str, str]:
        """What is known of the file already. Never compressed: bytes are counted."""
        headers = {"Accept-Encoding": "identity"}
        etag = self._etag.read_text() if self._etag.exists() else ""
        if etag and self._target.exists():
            headers["If-None-Match"] = etag
        elif etag and self._part.exists():
            headers["Range"] = f"bytes={self._part.stat().st_size}-"
            headers["If-Range"] = etag
        return headers

    def _receive(
        self, answer: httpx.Response, progress: Callable[[int], object]
    ) -> None:
        if answer.status_code == HTTPStatus.NOT_MODIFIED:
            return
        if answer.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            self._part.replace(self._target)  # it was whole, and only not renamed
            return
        refuse(answer)
        goes_on = answer.status_code == HTTPStatus.PARTIAL_CONTENT
        self._etag.write_text(answer.headers.get("ETag", ""))
        with self._part.open("ab" if goes_on else "wb") as file:
            for chunk in answer.iter_raw():
                file.write(chunk)
                progress(file.tell())
        self._part.replace(self._target)


def _run_in(answer: httpx.Response) -> dict[str, Any] | None:
    """The job of a file that is not written, where the answer is one."""
    waits = (HTTPStatus.ACCEPTED, HTTPStatus.SERVICE_UNAVAILABLE)
    if answer.status_code not in waits:
        return None
    try:
        run = json.loads(answer.read())
    except ValueError:
        return None
    return run if isinstance(run, dict) and "state" in run else None
