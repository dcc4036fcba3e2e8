"""An installation to be broken: real gunicorn and Postgres, on a VAR_DIR of its own."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg

from annotation.embedded.places import POSTGRES_PORT, places_of
from tests.e2e.stack import ROOT, START_SECONDS, Stack


class Site(Stack):
    """The web processes and Postgres, without workers of jobs and beat.

    `wsgi` is the module that gunicorn loads: the site's own, or one of the modules
    here that make it die or give it a wrong clock. `workers` are its processes, each of
    which answers one request after the other, or `threads` at once.
    """

    threads = 1

    def __init__(
        self, var_dir: Path, wsgi: str = "annotation.wsgi", *, workers: int = 2
    ) -> None:
        super().__init__(var_dir)
        self.wsgi, self.workers = wsgi, workers
        self.places = places_of(var_dir)

    def prepare(self, *, labelers: int, prompts: int, overlap: int = 1) -> list[str]:
        """Migrate and fill the database; the labelers' session keys."""
        self.var_dir.mkdir(parents=True, exist_ok=True)
        self.manage("migrate", "--verbosity", "0")
        command = [sys.executable, "-m", "tests.faults.populate"]
        command += [str(number) for number in (labelers, prompts, overlap)]
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=self.environment | {"PYTHONPATH": self._python_path()},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        sessions: list[str] = json.loads(done.stdout)
        return sessions

    def start(self) -> None:
        """Start gunicorn; a worker that dies is replaced at once (the program is
        loaded before the fork)."""
        self.environment |= {"PYTHONPATH": self._python_path()}
        options = ["--bind", f"127.0.0.1:{self.port}", "-w", str(self.workers)]
        options += ["--threads", str(self.threads)]
        # Its control socket would be one for all gunicorns of this machine's user.
        options += ["--preload", "--no-control-socket"]
        self._spawn("web", "gunicorn", self.wsgi, *options)
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            assert time.monotonic() < deadline, self.log("web")
            time.sleep(0.05)

    def postmaster(self) -> int:
        """Pid of Postgres' first process."""
        return int(
            (self.places.postgres_data / "postmaster.pid").read_text().split()[0]
        )

    @contextmanager
    def database(self) -> Iterator[psycopg.Connection[Any]]:
        """A connection beside those of the site."""
        with psycopg.connect(
            host=str(self.places.sockets),
            port=POSTGRES_PORT,
            user="rankwell",
            dbname="rankwell",
            application_name="checker",
            autocommit=True,
        ) as connection:
            yield connection

    def ask(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        with self.database() as connection:
            return connection.execute(query, values).fetchall()

    def stored(self) -> list[tuple[UUID, str]]:
        """(key, hash of the content) of every ranking."""
        rows = self.ask("SELECT submission_uuid, body_sha256 FROM ranking_ranking")
        return [(key, content) for key, content in rows]

    def halves(self) -> int:
        """Rankings that do not place all responses, and placements without ranking."""
        query = """
            SELECT count(*) FROM (
                SELECT r.id FROM ranking_ranking r
                LEFT JOIN ranking_placement p ON p.ranking_id = r.id
                GROUP BY r.id HAVING count(p.id) <> 4) halves"""
        return int(self.ask(query)[0][0])

    def _python_path(self) -> str:
        return os.pathsep.join([str(ROOT / "tests" / "loopback_only"), str(ROOT)])
