"""Processes of the demo: started together, watched, and stopped together.

Standard library only. Each child gets a session of its own, so a Ctrl-C in the
terminal reaches the demo alone, which then stops the children in order.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

GRACE_SECONDS = 15.0  # from the polite signal to the one nobody survives


class Processes:
    """Children by name; each writes to `NAME.log` in the folder of logs."""

    def __init__(
        self, *, folder: Path, logs: Path, environment: Mapping[str, str]
    ) -> None:
        self._folder = folder
        self._environment = dict(environment)
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self.logs = logs

    def start(self, name: str, *module_and_arguments: str) -> None:
        """Start `python -m module arguments…`, quietly: it prints into its log."""
        self.logs.mkdir(parents=True, exist_ok=True)
        with self.log(name).open("wb") as log:
            self._running[name] = self._spawn(module_and_arguments, log.fileno())

    def start_aloud(self, name: str, *module_and_arguments: str) -> None:
        """The same, with its errors and its progress on our own terminal."""
        self._running[name] = self._spawn(module_and_arguments, None)

    def _spawn(
        self, module_and_arguments: Sequence[str], output: int | None
    ) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603  only commands of the demo
            [sys.executable, "-m", *module_and_arguments],
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )

    def log(self, name: str) -> Path:
        """Where a quiet child prints to."""
        return self.logs / f"{name}.log"

    def ended(self) -> dict[str, int]:
        """Exit status by name of children that have ended by themselves."""
        return {
            name: child.returncode
            for name, child in self._running.items()
            if child.poll() is not None
        }

    def is_running(self, name: str) -> bool:
        """Whether a child of this name is on the list."""
        return name in self._running

    def forget(self, name: str) -> None:
        """Take a child off the list: it has ended, as it was meant to."""
        del self._running[name]

    def stop(self) -> None:
        """Ask every child to end; kill what is left after 15 seconds, with whatever
        it had started itself. Afterwards none is left."""
        for child in self._running.values():
            child.terminate()
        deadline = time.monotonic() + GRACE_SECONDS
        for child in self._running.values():
            try:
                child.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                _kill_session(child.pid)
                child.wait()
        self._running.clear()


def _kill_session(pid: int) -> None:
    """The child leads a process group of its own; its own children are in it."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # it ended just now
