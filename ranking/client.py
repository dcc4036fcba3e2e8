"""A client for notebooks: list datasets, freeze one, wait for it, read its rows. PURE.

    with Client("https://rank.example.org", token="…") as client:
        tides = client.project("tides")
        dataset = tides.freeze(since="2026-06-01", without_labeler=["L-0a1b2c3d"])
        pairs = list(dataset.rows("pairs"))

It needs httpx and nothing of the site: this file may be copied and used alone. Columns
as an Arrow table need pyarrow.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import httpx

if TYPE_CHECKING:
    import pyarrow

PATIENCE_SECONDS: Final = 60.0  # for one answer
POLL_SECONDS: Final = 1.0
WRITING_SECONDS: Final = 3_600.0  # that a file which is asked for first may take
UNFINISHED: Final = frozenset({"queued", "running"})


class ClientError(Exception):
    """What was asked for did not happen; the message says why."""


class NotSignedInError(ClientError):
    """The token is missing, wrong or was revoked."""


class NotAllowedError(ClientError):
    """Datasets are for the researchers and admins of a project."""


class NotThereError(ClientError):
    """No such project, dataset or file, or not one of yours."""


class RefusedError(ClientError):
    """The site understood, and refused: a filter, or nothing matches."""


class NoLongerThereError(ClientError):
    """The dataset lost a text or a person; freeze a new one."""


class FreezeFailedError(ClientError):
    """The freeze ended without a dataset."""


class NotWrittenError(ClientError):
    """A file is not there: its writing failed, or takes longer than `timeout`."""


class UnavailableError(ClientError):
    """The site did not answer, or said that it cannot now: try again later."""


REFUSALS: Final[Mapping[int, type[ClientError]]] = {
    HTTPStatus.UNAUTHORIZED: NotSignedInError,
    HTTPStatus.FORBIDDEN: NotAllowedError,
    HTTPStatus.NOT_FOUND: NotThereError,
    HTTPStatus.GONE: NoLongerThereError,
    HTTPStatus.UNPROCESSABLE_ENTITY: RefusedError,
    HTTPStatus.TOO_MANY_REQUESTS: UnavailableError,
}


class Client:
    """A connection to a site, for the owner of an API token."""

    def __init__(
        self,
        site: str,
        *,
        token: str,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._http = httpx.Client(
            base_url=f"{site.rstrip('/')}/api/v1/",
            headers={"Authorization": f"Token {token}"},
            timeout=PATIENCE_SECONDS,
            transport=transport,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def project(self, slug: str) -> "Project":
        """A project by its name in addresses. Nothing is asked yet."""
        return Project(self, slug)

    def ask(self, method: str, address: str, **options: Any) -> Any:
        """The JSON of an answer. Raises ClientError, by what went wrong."""
        try:
            answer = self._http.request(method, address, **options)
        except httpx.HTTPError as error:
            raise UnavailableError(f"{address}: {error}") from error
        _refuse(answer)
        return answer.json()

    def tell(self, method: str, address: str) -> None:
        """Ask for something whose answer says nothing. Raises ClientError."""
        try:
            _refuse(self._http.request(method, address))
        except httpx.HTTPError as error:
            raise UnavailableError(f"{address}: {error}") from error

    def stream(self, address: str, headers: Mapping[str, str]) -> Any:
        """A streamed answer, as a context manager of httpx."""
        return self._http.stream("GET", address, headers=dict(headers))


def _refuse(answer: httpx.Response) -> None:
    if answer.status_code < HTTPStatus.BAD_REQUEST:
        return
    kind = REFUSALS.get(answer.status_code, ClientError)
    if answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        kind = UnavailableError
    raise kind(f"{answer.request.url.path}: {answer.status_code} {_said(answer)}")


def _said(answer: httpx.Response) -> str:
    """The message or detail of a refusal, else the name of its status."""
    try:
        body = json.loads(answer.read())
    except ValueError:
        return answer.reason_phrase
    words = body if isinstance(body, dict) else {}
    return str(words.get("message") or words.get("detail") or answer.reason_phrase)


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


@dataclass(frozen=True)
class Project:
    """A project, as its researchers see it."""

    client: Client = field(repr=False)
    slug: str

    @property
    def address(self) -> str:
        """Under the API."""
        return f"projects/{self.slug}"

    def datasets(self) -> Iterator["Dataset"]:
        """The datasets, newest first, asked for page by page."""
        before: int | None = None
        while True:
            page = {"before": before} if before is not None else {}
            given = self.client.ask("GET", f"{self.address}/datasets", params=page)
            yield from (Dataset(self, one) for one in given["datasets"])
            before = given["older"]
            if before is None:
                return

    def dataset(self, name: str) -> "Dataset":
        """A dataset by its name, `ds-…`. Raises NotThereError."""
        return Dataset(self, self.client.ask("GET", f"{self.address}/datasets/{name}"))

    def matching(self, **filters: Any) -> dict[str, int]:
        """How much matches the filters now: rankings, prompts, labelers, pairs, ties.

        Raises RefusedError.
        """
        given: dict[str, int] = self.client.ask(
            "GET", f"{self.address}/datasets/matching", params=filters
        )
        return given

    def freeze(
        self, *, progress: Callable[[int, int], object] | None = None, **filters: Any
    ) -> "Dataset":
        """Freeze the rankings that match (filters as of `export_dataset`, and `seed`).

        Waits for a large one; `progress` is told how many prompts of how many are read.
        Interrupted, the freeze goes on: asked for again, it is found. Raises
        RefusedError and FreezeFailedError.
        """
        given = self.client.ask("POST", f"{self.address}/datasets", json=filters)
        if "state" not in given:
            return Dataset(self, given)
        while given["state"] in UNFINISHED:
            if progress:
                progress(given["prompts_done"], given["prompts_total"])
            time.sleep(POLL_SECONDS)
            given = self.client.ask("GET", f"{self.address}/freezes/{given['id']}")
        if given["state"] != "done":
            raise FreezeFailedError(given["reason"] or f"It was {given['state']}.")
        return self.dataset(given["dataset"])


@dataclass(frozen=True)
class Dataset:
    """A frozen dataset: what was given, and its rows on demand."""

    project: Project = field(repr=False)
    given: Mapping[str, Any] = field(repr=False)

    def __str__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        """`ds-` and twelve digits of the hash of its content."""
        return str(self.given["name"])

    @property
    def counts(self) -> dict[str, int]:
        """Prompts, labelers, rankings, strict pairs, ties, prompts left out."""
        return dict(self.given["counts"])

    @property
    def address(self) -> str:
        """Under the API."""
        return f"{self.project.address}/datasets/{self.name}"

    def details(self) -> dict[str, Any]:
        """With the prompts of each split, the folds by labeler, losses, files."""
        found: dict[str, Any] = self.project.client.ask("GET", self.address)
        return found

    def diff(self, before: "Dataset") -> dict[str, Any]:
        """What changed from an older dataset to this one; `words` is one line."""
        asked = {"from": before.name}
        found: dict[str, Any] = self.project.client.ask(
            "GET", f"{self.address}/diff", params=asked
        )
        return found

    def rankings(self, *, without: "Dataset | None" = None) -> Iterator[str]:
        """The ids of its rankings; those that an older dataset does not hold."""
        asked: dict[str, Any] = {"without": without.name} if without else {}
        while True:
            page = self.project.client.ask(
                "GET", f"{self.address}/rankings", params=asked
            )
            yield from page["rankings"]
            if page["after"] is None:
                return
            asked["after"] = page["after"]

    def download(  # noqa: PLR0913  each one with a default
        self,
        kind: str = "rankings",
        format: str = "jsonl",
        *,
        to: str | Path = ".",
        progress: Callable[[int], object] | None = None,
        waiting: Callable[[int, int], object] | None = None,
        timeout: float = WRITING_SECONDS,
    ) -> Path:
        """The file `<name>-<kind>.<format>` in the folder `to`, whole or not at all.

        Who asks for a file first waits until the site has written it, up to `timeout`
        seconds; `waiting` is told how many prompts of how many are. Interrupted, the
        writing goes on. One that failed before is tried once more.

        What was received stays beside it under `.part`, and the next call goes on from
        there if it is of the same file still. A file that is there is asked after by
        its ETag and not sent twice. `progress` is told the bytes so far. Raises
        NotWrittenError and other ClientErrors; OSError where the disk does not take it.
        """
        file = f"{kind}.{format}"
        target = Path(to) / f"{self.name}-{file}"
        download = _Download(
            self.project.client, f"{self.address}/files/{file}", target
        )
        _when_written(download, progress or _nobody, waiting or _nobody, timeout)
        return target

    def rows(
        self,
        kind: str = "rankings",
        *,
        to: str | Path = ".",
        timeout: float = WRITING_SECONDS,
    ) -> Iterator[dict[str, Any]]:
        """The rows of its file, downloaded first, one after the other."""
        with self.download(kind, to=to, timeout=timeout).open("rb") as file:
            for line in file:
                yield json.loads(line)

    def table(
        self,
        kind: str = "rankings",
        *,
        to: str | Path = ".",
        timeout: float = WRITING_SECONDS,
    ) -> "pyarrow.Table":
        """All rows as an Arrow table. Raises ClientError where pyarrow is missing."""
        try:
            from pyarrow import parquet  # noqa: PLC0415  not everybody has it
        except ImportError as error:
            raise ClientError("An Arrow table needs pyarrow: install it.") from error
        table: pyarrow.Table = parquet.read_table(
            self.download(kind, "parquet", to=to, timeout=timeout), memory_map=True
        )
        return table


def _nobody(*told: int) -> None:
    """Nobody wants to know."""


def _when_written(
    download: "_Download",
    progress: Callable[[int], object],
    waiting: Callable[[int, int], object],
    timeout: float,
) -> None:
    """Try the download until the site has written the file."""
    ends = time.monotonic() + timeout
    asked_again = False
    while (run := download(progress)) is not None:
        if run["state"] == "failed":
            if asked_again:
                raise NotWrittenError(run["reason"])
            download.ask_again()
            asked_again = True
            continue
        waiting(run["prompts_done"], run["prompts_total"])
        if time.monotonic() >= ends:
            raise NotWrittenError(
                f"{run['file']} is still {run['state']} after {timeout:g} s"
                f" ({run['prompts_done']} of {run['prompts_total']} prompts are"
                " written). The site goes on: ask for it again later"
            )
        time.sleep(POLL_SECONDS)


class _Download:
    """One file on its way: `.part` holds its bytes, `.etag` says of which file."""

    def __init__(self, client: Client, address: str, target: Path) -> None:
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
        _refuse(answer)
        goes_on = answer.status_code == HTTPStatus.PARTIAL_CONTENT
        self._etag.write_text(answer.headers.get("ETag", ""))
        with self._part.open("ab" if goes_on else "wb") as file:
            for chunk in answer.iter_raw():
                file.write(chunk)
                progress(file.tell())
        self._part.replace(self._target)
