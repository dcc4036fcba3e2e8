"""A lean HTTP client of the scoring server, and servers in a thread of the test."""

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rm_training.batch import EncodedPrompt
from rm_training.errors import RunError
from rm_training.serving.app import Service
from rm_training.serving.requests import Item, Prompted
from rm_training.serving.server import Address, listen, make_server

PATIENCE = 30.0


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    raw: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.raw)


@dataclass(frozen=True)
class Remote:
    """Where a server listens, and the token it wants."""

    port: int
    token: str = ""

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)

    def ask(self, path: str, body: Any = None, **headers: str) -> Answer:
        """GET, or POST of the body: bytes as they are, anything else as JSON."""
        connection = self.connect()
        try:
            return self.ask_on(connection, path, body, **headers)
        finally:
            connection.close()

    def ask_on(
        self,
        connection: http.client.HTTPConnection,
        path: str,
        body: Any = None,
        **headers: str,
    ) -> Answer:
        sent = {"Content-Type": "application/json"}
        if self.token:
            sent["Authorization"] = f"Bearer {self.token}"
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        raw = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        connection.request("GET" if body is None else "POST", path, raw, sent)
        response = connection.getresponse()
        return Answer(response.status, dict(response.getheaders()), response.read())

    def measure(self, name: str) -> float:
        """A number of /metrics."""
        for line in self.ask("/metrics").raw.decode().splitlines():
            if line.startswith(f"{name} "):
                return float(line.split()[1])
        raise KeyError(name)


def until(condition: Callable[[], bool]) -> None:
    """Waits for it; fails once PATIENCE is at an end."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.01)


class Gated:
    """A model that works while its gate is open: a reward is the response's length."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.at_work = threading.Event()
        self.batches: list[int] = []

    def encode(self, item: Item) -> EncodedPrompt:
        assert isinstance(item, Prompted)
        if "unscorable" in item.responses:
            raise RunError("response 1 is unscorable")
        responses = tuple(tuple(text.encode()) for text in item.responses)
        return EncodedPrompt(prompt=(1,), responses=responses)

    def rewards(self, prompts: Sequence[EncodedPrompt]) -> list[list[float]]:
        self.at_work.set()
        assert self.gate.wait(PATIENCE)
        self.batches.append(len(prompts))
        texts = [bytes(r).decode() for prompt in prompts for r in prompt.responses]
        if "poison" in texts:
            raise ValueError("a secret of the model")
        if "nan" in texts:
            return [[float("nan")] for _ in prompts]
        return [[float(len(r)) for r in prompt.responses] for prompt in prompts]


@contextmanager
def served(service: Service) -> Iterator[Remote]:
    """The service behind real HTTP, in a thread."""
    taken = listen(Address(host="127.0.0.1", port=0))
    port = taken.getsockname()[1]
    server = make_server(service)
    thread = threading.Thread(target=lambda: server.run(sockets=[taken]))
    thread.start()
    try:
        until(lambda: server.started)
        yield Remote(port, service.token)
    finally:
        server.should_exit = True
        thread.join(PATIENCE)
        assert not thread.is_alive()
