"""A broker to be broken: a real Valkey on a port and in a folder of its own."""

import subprocess
import time
from pathlib import Path

import redis

from annotation.embedded.places import places_of
from annotation.embedded.programs import valkey_program
from tests.e2e.stack import START_SECONDS, free_port


class Broker:
    """Valkey as the site's documents ask for it, but for the `append_only` file that
    tests of a forgetful one leave away. It is never started by anybody else."""

    def __init__(self, folder: Path, *, append_only: bool = True) -> None:
        self.folder, self.append_only = folder, append_only
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._client = redis.Redis(port=self.port)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, with what its file remembers, and wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        options = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "dir": str(self.folder),
            "logfile": str(self.folder / "log"),
            "appendonly": "yes" if self.append_only else "no",
            "maxmemory-policy": "noeviction",
            "save": "",
        }
        arguments = [
            part for key, value in options.items() for part in (f"--{key}", value)
        ]
        program = valkey_program(places_of(self.folder), None)
        self._process = subprocess.Popen([program, *arguments])
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            assert time.monotonic() < deadline, (self.folder / "log").read_text()
            time.sleep(0.02)

    def kill(self) -> None:
        """As the kernel kills: it writes nothing down any more."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process = None

    def answers(self) -> bool:
        """Whether it is there."""
        try:
            return bool(self._client.ping())
        except redis.ConnectionError:
            return False

    def forget_everything(self) -> None:
        """FLUSHALL."""
        self._client.flushall()

    def waiting(self, queue: str = "models") -> int:
        """Messages that no worker has taken."""
        return int(self._client.llen(queue))

    def unacknowledged(self) -> int:
        """Messages that a worker has taken and not acknowledged."""
        return int(self._client.hlen("unacked"))
