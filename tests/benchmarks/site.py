"""Rankwell as a production site runs, in a folder of its own that goes afterwards.

The servers are the embedded ones with their default settings; the web processes are
told of them by DATABASE_URL, as those of a real installation are.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from annotation.embedded import servers
from annotation.embedded.attach import ensure_running
from annotation.embedded.places import Places, places_of
from tests.e2e.stack import ROOT, START_SECONDS, free_port

HOST = "rank.example.org"
START_PAUSE = 0.05
STOP_SECONDS = 20
LOG_STATEMENTS = "-c log_statement=all -c log_min_messages=log"


@dataclass(frozen=True)
class Web:
    """A gunicorn with one sync worker and one thread."""

    port: int
    process: "subprocess.Popen[bytes]"
    log: Path

    @property
    def url(self) -> str:
        """Its address on this machine."""
        return f"http://127.0.0.1:{self.port}"


class Site:
    """Postgres, and web processes that differ in their settings."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self._stack = ExitStack()

    @property
    def postgres_pid(self) -> int:
        """The process whose descendants are all of Postgres."""
        pid_file = self.places.postgres_data / "postmaster.pid"
        return int(pid_file.read_text().splitlines()[0])

    @property
    def postgres_log(self) -> Path:
        """Where a web process that logs its statements has them logged."""
        return self.places.postgres_data / "log"

    @property
    def dsn(self) -> str:
        """What psycopg needs to connect as the site does."""
        name = servers.DATABASE
        return f"host={self.places.sockets} user={name} dbname={name}"

    def seed(self, lines: Iterator[str]) -> str:
        """Make the database, static files, a project; its labeler's session."""
        file = self.places.var_dir / "prompts.jsonl"
        file.write_text("\n".join(lines))
        return self._seeding(f"main({str(file)!r})")

    def render_ahead(self) -> float:
        """Render what was seeded, as a worker does; CPU milliseconds a prompt."""
        return float(self._seeding("render_ahead()"))

    def _seeding(self, call: str) -> str:
        """Call a function of `tests.benchmarks.seeding`; the last word it prints."""
        script = f"from tests.benchmarks import seeding; seeding.{call}"
        done = subprocess.run(
            [sys.executable, "manage.py", "shell", "--no-imports", "-c", script],
            cwd=ROOT,
            env=self._environment({}),
            capture_output=True,
        )
        if done.returncode:
            raise RuntimeError(f"The site was not made: {done.stderr.decode()[-3000:]}")
        return done.stdout.decode().split()[-1]

    def web(self, name: str, **settings: str) -> Web:
        """Start a web process that differs from production in `settings`."""
        port, log = free_port(), self.places.var_dir / f"{name}.log"
        gunicorn = [sys.executable, "-m", "gunicorn", "annotation.wsgi"]
        shape = ["--workers", "1", "--threads", "1", "--worker-class", "sync"]
        local = {
            name: text.replace("PORT", str(port)) for name, text in settings.items()
        }
        with log.open("wb") as output:
            process = subprocess.Popen(
                [
                    *gunicorn,
                    *shape,
                    "--bind",
                    f"127.0.0.1:{port}",
                    "--no-control-socket",
                ],
                cwd=ROOT,
                env=self._environment(local),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        self._stack.callback(_stop, process)
        web = Web(port, process, log)
        _wait_for(web)
        return web

    def web_that_logs_statements(self) -> Web:
        """One whose every statement is a line of `postgres_log`."""
        url = f"{self._database_url()}?options={quote(LOG_STATEMENTS)}"
        return self.web("logged", DATABASE_URL=url)

    def web_for_a_browser(self) -> Web:
        """One that a browser may visit by plain http, because it is on loopback."""
        return self.web("browser", SITE_URL="http://127.0.0.1:PORT", BEHIND_PROXY="off")

    def stop(self) -> None:
        """Stop the web processes, then the servers, and delete all they wrote."""
        self._stack.close()
        servers.stop(self.places)
        for folder in (self.places.var_dir, self.places.data, self.places.sockets):
            shutil.rmtree(folder, ignore_errors=True)

    def _database_url(self) -> str:
        host = quote(str(self.places.sockets), safe="")
        return f"postgres://{servers.DATABASE}@{host}/{servers.DATABASE}"

    def _environment(self, settings: dict[str, str]) -> dict[str, str]:
        production = {
            "DJANGO_SETTINGS_MODULE": "annotation.settings",
            "SITE_URL": f"https://{HOST}",
            "ALLOWED_HOSTS": HOST,
            "SECRET_KEY": "for-benchmarks-only-"
            + "their-data-goes-with-them-when-they-end",
            "BEHIND_PROXY": "on",
            "DATABASE_URL": self._database_url(),
            "REDIS_URL": "redis://127.0.0.1:1/0",  # nothing here makes a job
            "VAR_DIR": str(self.places.var_dir),
            "OMP_NUM_THREADS": "1",
        }
        return os.environ | production | settings


@contextmanager
def fresh_site() -> Iterator[Site]:
    """Servers on a new, empty folder below var/, which is gone at the end."""
    (ROOT / "var").mkdir(exist_ok=True)
    var_dir = Path(tempfile.mkdtemp(prefix="bench-", dir=ROOT / "var"))
    var_dir.chmod(0o755)  # as root, the servers' own user must be able to pass
    site = Site(places_of(var_dir, valkey=False))
    try:
        ensure_running(site.places)
        yield site
    finally:
        site.stop()


def _wait_for(web: Web) -> None:
    """Until the process answers. Errors: RuntimeError with what it printed."""
    headers = {"Host": HOST, "X-Forwarded-Proto": "https"}
    request = urllib.request.Request(f"{web.url}/livez", headers=headers)
    deadline = time.monotonic() + START_SECONDS
    while not _answers(request):
        if web.process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"The web process did not start: {web.log.read_text()}")
        time.sleep(START_PAUSE)


def _answers(request: urllib.request.Request) -> bool:
    try:
        with urllib.request.urlopen(request, timeout=START_SECONDS):
            return True
    except OSError:  # refused, reset, slow, or an error page: not up yet
        return False


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
