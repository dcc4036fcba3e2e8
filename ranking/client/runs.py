"""Training runs and reward models, as researchers see them. PURE."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ranking.client.connection import Connection
from ranking.client.errors import RunFailedError

POLL_SECONDS: Final = 2.0
UNFINISHED: Final = frozenset({"queued", "running"})
Progress = Callable[[int, int], object]


@dataclass(frozen=True, repr=False)
class Run:
    """A training run, as it was when it was asked after."""

    client: Connection
    project_address: str
    given: Mapping[str, Any]

    def __str__(self) -> str:
        return f"run {self.id}: {self.state}"

    def __repr__(self) -> str:
        return f"<Run {self.id}: {self.state}>"

    @property
    def id(self) -> int:
        """Its number."""
        return int(self.given["id"])

    @property
    def state(self) -> str:
        """queued, running, done, failed or cancelled."""
        return str(self.given["state"])

    @property
    def address(self) -> str:
        """Under the API."""
        return f"{self.project_address}/runs/{self.id}"

    def now(self) -> "Run":
        """The same, asked after again: with `latest`, `valid1` and `log` in `given`."""
        given = self.client.ask("GET", self.address)
        return Run(self.client, self.project_address, given)

    def cancel(self) -> bool:
        """Stop it; False when it had finished before."""
        return bool(self.client.ask("POST", f"{self.address}/cancel")["changed"])

    def go_on(self) -> bool:
        """Continue it from its newest checkpoint, after a failure or a cancel; False
        when it is under way or done. Raises RefusedError where it has none, or its
        data or base are gone."""
        return bool(self.client.ask("POST", f"{self.address}/continue")["changed"])

    def wait(self, *, progress: Progress | None = None) -> "Run":
        """Until it is done; `progress` is told the steps done, of how many.

        Interrupted, the run goes on. Raises RunFailedError where it failed or was
        cancelled, with the reason.
        """
        run = self.now()
        while run.state in UNFINISHED:
            if progress:
                progress(run.given["step"], run.given["steps_total"])
            time.sleep(POLL_SECONDS)
            run = run.now()
        if run.state != "done":
            raise RunFailedError(run.given["reason"] or f"It was {run.state}.")
        return run


@dataclass(frozen=True, repr=False)
class Model:
    """A published reward model."""

    client: Connection
    project_address: str
    given: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"<Model {self.id}{', in use' if self.in_use else ''}>"

    @property
    def id(self) -> int:
        """Its number."""
        return int(self.given["id"])

    @property
    def in_use(self) -> bool:
        """Whether it was the project's when it was asked after."""
        return bool(self.given["in_use"])

    def use(self) -> "Model":
        """Make it the one in use."""
        given = self.client.ask("POST", f"{self.project_address}/models/{self.id}/use")
        return Model(self.client, self.project_address, given)


def paged(client: Connection, address: str, name: str) -> Iterator[Mapping[str, Any]]:
    """The rows of a list, asked for page by page."""
    before: int | None = None
    while True:
        page = {"before": before} if before is not None else {}
        given = client.ask("GET", address, params=page)
        yield from given[name]
        before = given["older"]
        if before is None:
            return
