"""Runs the scoring server: one process, an event loop, and the model's thread."""

import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import uvicorn

from rm_training.manifest import MANIFEST, DamagedFolder, file_sha256
from rm_training.serving.app import Service, make_app
from rm_training.serving.batcher import Batcher
from rm_training.serving.measures import Measures
from rm_training.serving.model import ServedModel
from rm_training.serving.requests import Limits

CONNECTIONS: Final = 1024
"""Open at once; more are answered 503 by uvicorn."""
IDLE_SECONDS: Final = 75
FINISH_SECONDS: Final = 30
"""For the requests that are held when the server is told to end."""


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where the server listens; port 0 takes a free one."""

    host: str
    port: int


def service_of(folder: Path, *, device: str, limits: Limits, token: str) -> Service:
    """The server's parts for the model in `folder`, nothing of it loaded yet.

    Raises DamagedFolder where no published model lies there at all. What is wrong with
    one that does is told by `/readyz`, once all its files have been read.
    """
    if not (folder / MANIFEST).is_file():
        raise DamagedFolder(f"{folder} has no {MANIFEST}: it is no published model")
    measures, loaded = Measures(), list[ServedModel]()

    def load() -> ServedModel:
        loaded.append(ServedModel.load(folder, device=device))
        return loaded[0]

    return Service(
        batcher=Batcher(load, limits=limits, measures=measures),
        measures=measures,
        limits=limits,
        model=f"{folder.resolve().name}@{file_sha256(folder / MANIFEST)[:12]}",
        bias=lambda: loaded[0].bias,
        token=token,
    )


def listen(address: Address) -> socket.socket:
    """Take the address, before the model is loaded. Raises OSError."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    taken = socket.socket(family, socket.SOCK_STREAM)
    try:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((address.host, address.port))
        taken.listen(CONNECTIONS)  # who comes before the event loop runs waits
    except OSError:
        taken.close()
        raise
    return taken


def serve(service: Service, taken: socket.socket) -> None:
    """Serve until SIGTERM or SIGINT; requests that are held then get their answers."""
    make_server(service).run(sockets=[taken])


def make_server(service: Service) -> uvicorn.Server:
    """The HTTP server around the application."""
    config = uvicorn.Config(
        make_app(service),
        lifespan="on",
        log_config=None,
        access_log=False,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=FINISH_SECONDS,
        server_header=False,
        ws="none",
    )
    return uvicorn.Server(config)
