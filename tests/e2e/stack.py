"""The real thing as processes of its own: web, worker, beat, Postgres and Valkey.

Everything runs on a VAR_DIR of its own and a free port, and is stopped by the pids
that were recorded at the start.
"""

import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# After these something is wrong that waiting does not mend, also on a busy machine.
START_SECONDS = 180
STOP_SECONDS = 60


def free_port() -> int:
    """A port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Stack:
    """One installation of Rankwell below `var_dir`."""

    def __init__(self, var_dir: Path) -> None:
        self.var_dir = var_dir
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        outside = {"DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE"}
        self.environment = {
            **{key: value for key, value in os.environ.items() if key not in outside},
            "VAR_DIR": str(var_dir),
            "SITE_URL": self.url,
            "OMP_NUM_THREADS": "1",
            # Every process refuses to connect to anything but this machine.
            "PYTHONPATH": str(ROOT / "tests" / "loopback_only"),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def manage(self, *arguments: str, stdin: str = "") -> str:
        """Run a management command; its standard output. Fails with its stderr."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{arguments}: {done.stderr[-3000:]}"
        return done.stdout

    def start(self) -> None:
        """Migrate, then start web, worker and beat, and wait until the site answers."""
        self.var_dir.mkdir(parents=True, exist_ok=True)
        celery = ["celery", "-A", "annotation"]
        self.manage("migrate", "--verbosity", "0")
        bind = f"127.0.0.1:{self.port}"
        self._spawn("web", "gunicorn", "annotation.wsgi", "--bind", bind, "-w", "2")
        self._spawn(
            "worker", *celery, "worker", "--pool", "solo", "-Q", "default,models"
        )
        self._spawn("beat", *celery, "beat")
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            assert time.monotonic() < deadline, self.log("web")
            time.sleep(0.1)

    def stop(self) -> None:
        """Stop every process that was started, the last ones by force."""
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes.clear()

    def log(self, name: str) -> str:
        """What a process has printed."""
        return (self.var_dir / f"{name}.log").read_text(errors="replace")

    def pid(self, name: str) -> int:
        """The process that was started under this name."""
        return self._processes[name].pid

    def _spawn(self, name: str, *command: str) -> None:
        with (self.var_dir / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [Path(sys.executable).parent / command[0], *command[1:]],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _answers(self) -> bool:
        for name, process in self._processes.items():
            assert process.poll() is None, f"{name} ended: {self.log(name)[-3000:]}"
        try:
            with urllib.request.urlopen(f"{self.url}/livez", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:  # refused, reset or slow: not up yet
            return False


def link_in(text: str) -> str:
    """The one-time sign-in link in something that was printed."""
    found = re.search(r"http\S+/sign-in/\S+", text)
    assert found, text
    return found[0]
