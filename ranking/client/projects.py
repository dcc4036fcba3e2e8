"""Projects and their frozen datasets, as researchers see them. PURE."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ranking.client.connection import Connection
from ranking.client.errors import ClientError, FreezeFailedError
from ranking.client.files import Download, nobody, when_written
from ranking.client.runs import Model, Run, paged

if TYPE_CHECKING:
    import pyarrow

POLL_SECONDS: Final = 1.0
WRITING_SECONDS: Final = 3_600.0  # that a file which is asked for first may take
SEVERAL: Final = frozenset(
    {"labeler", "without_labeler", "k", "tag", "instructions_version", "include"}
)
"""Filters that take a list."""
UNFINISHED: Final = frozenset({"queued", "running"})


class Client(Connection):
    """A site, for the owner of an API token."""

    def project(self, slug: str) -> "Project":
        """A project by its name in addresses. Nothing is asked yet."""
        return Project(self, slug)


@dataclass(frozen=True)
class Project:
    """A project, as its researchers see it."""

    client: Connection = field(repr=False)
    slug: str

    @property
    def address(self) -> str:
        """Under the API."""
        return f"projects/{self.slug}"

    def datasets(self) -> Iterator["Dataset"]:
        """The datasets, newest first, asked for page by page."""
        for given in paged(self.client, f"{self.address}/datasets", "datasets"):
            yield Dataset(self, given)

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

        Waits for a large one; `progress` is told how many prompts of how many are read
        (of 0 while that is not known). Interrupted, the freeze goes on: asked for
        again, it is found. Raises RefusedError and FreezeFailedError.
        """
        body = _as_body(filters)
        given = self.client.ask("POST", f"{self.address}/datasets", json=body)
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

    def train(
        self, base_model: str, *, dataset: "Dataset | None" = None, **config: Any
    ) -> Run:
        """Queue a run: on all rankings that count now, or on a dataset.

        `config`: the names of `TrainingConfig`; the others keep their defaults. While
        the broker is down the run waits for it. The same request while such a run is
        unfinished gives that run. Raises RefusedError.
        """
        body: dict[str, Any] = {"base_model": base_model, "config": config}
        if dataset is not None:
            body["dataset"] = dataset.name
        given = self.client.ask("POST", f"{self.address}/runs", json=body)
        return Run(self.client, self.address, given)

    def runs(self) -> Iterator[Run]:
        """The training runs, newest first, asked for page by page."""
        for given in paged(self.client, f"{self.address}/runs", "runs"):
            yield Run(self.client, self.address, given)

    def run(self, number: int) -> Run:
        """A training run by its number. Raises NotThereError."""
        given = self.client.ask("GET", f"{self.address}/runs/{number}")
        return Run(self.client, self.address, given)

    def models(self) -> Iterator[Model]:
        """The published reward models, newest first, asked for page by page."""
        for given in paged(self.client, f"{self.address}/models", "models"):
            yield Model(self.client, self.address, given)


def _as_body(filters: Mapping[str, Any]) -> dict[str, Any]:
    """`tag="code"` as `tag=["code"]`, and a date as its word."""
    body: dict[str, Any] = {}
    for name, value in filters.items():
        word = value.isoformat() if isinstance(value, date) else value
        one = name in SEVERAL and isinstance(word, str | int)
        body[name] = [word] if one else word
    return body


@dataclass(frozen=True, repr=False)
class Dataset:
    """A frozen dataset: what was given, and its rows on demand."""

    project: Project
    given: Mapping[str, Any]

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        rankings, prompts = self.counts["rankings"], self.counts["prompts"]
        return f"<Dataset {self.name}: {rankings:,} rankings of {prompts:,} prompts>"

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

        The folder is made if it is not there.

        Who asks for a file first waits until the site has written it, up to `timeout`
        seconds; `waiting` is told how many prompts of how many are (of 0 while that is
        not known). Interrupted, the writing goes on. One that failed or was cancelled
        before is tried once more.

        What was received stays beside it under `.part`, and the next call goes on from
        there if it is of the same file still. A file that is there is asked after by
        its ETag and not sent twice. `progress` is told the bytes so far. Raises
        NotWrittenError and other ClientErrors; OSError where the disk does not take it.
        """
        file = f"{kind}.{format}"
        target = Path(to) / f"{self.name}-{file}"
        target.parent.mkdir(parents=True, exist_ok=True)
        download = Download(self.project.client, f"{self.address}/files/{file}", target)
        when_written(download, progress or nobody, waiting or nobody, timeout)
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
