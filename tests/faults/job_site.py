"""An installation whose jobs are to be broken: web, workers and beat as processes of
their own, on the database of the tests and a broker that is ours to kill."""

import signal
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from celery import Celery
from django.db import connection

from tests.e2e.stack import ROOT, START_SECONDS, Stack
from tests.faults.broker import Broker

NOBODY = 0  # the key of no run
HEARD = "run is finished or taken"  # what a worker writes about a run that is not free


class JobSite(Stack):
    """The tests store and look things up with the ORM; what they store, web and
    workers see. Its processes end before the tables are emptied."""

    def __init__(self, var_dir: Path, broker: Broker) -> None:
        super().__init__(var_dir)
        self.broker = broker
        place = connection.settings_dict
        address = f"{place['USER']}@{quote(str(place['HOST']), safe='')}"
        self.environment |= {
            "DATABASE_URL": f"postgres://{address}:{place['PORT']}/{place['NAME']}",
            "REDIS_URL": broker.url,
            "PYTHONPATH": f"{ROOT / 'tests' / 'loopback_only'}:{ROOT}",
        }
        self.var_dir.mkdir(parents=True, exist_ok=True)

    def start_web(self) -> None:
        """A site that dies when it is told to (`tests.faults.deadly_wsgi`)."""
        options = ["--bind", f"127.0.0.1:{self.port}", "-w", "2", "--preload"]
        options += ["--no-control-socket"]
        self._spawn("web", "gunicorn", "tests.faults.deadly_wsgi", *options)
        self.until(self._answers, "the site answers")

    def start_worker(self, name: str, *options: str, app: str = "annotation") -> None:
        """A worker of both queues that logs to `NAME.log`."""
        queues = ["-Q", "default,models", "--hostname", f"{name}@%h"]
        self._spawn(name, "celery", "-A", app, "worker", *queues, *options)

    def start_beat(self) -> None:
        """Its schedule lies in this installation's folder."""
        self._spawn("beat", "celery", "-A", "annotation", "beat", "--pidfile=")

    def end(self, name: str) -> float:
        """SIGTERM, as a deploy sends it; the seconds until the process is gone."""
        process = self._processes.pop(name)
        process.terminate()
        return self.until(lambda: process.poll() is not None, f"{name} ends")

    def pause(self, name: str) -> None:
        """The process stands still until `resume`."""
        self._processes[name].send_signal(signal.SIGSTOP)

    def resume(self, name: str) -> None:
        """It goes on; no harm where it did not stand still."""
        self._processes[name].send_signal(signal.SIGCONT)

    def send(self, run: int) -> None:
        """A message of `rm_training.tasks.train`, by no means of the site's own."""
        app = Celery("outsider", broker=self.broker.url, set_as_current=False)
        app.send_task("rm_training.tasks.train", args=[run], queue="models")
        app.close()

    def workers_are_idle(self, *names: str) -> None:
        """Wait until the workers are connected and have nothing left: every message
        before this one has been read, and each found no run to train here."""
        before = sum(self.log(name).count(HEARD) for name in names)
        self.send(NOBODY)
        self.until(
            lambda: sum(self.log(name).count(HEARD) for name in names) > before,
            "a worker reads the message of nobody",
        )
        self.until(
            lambda: self.broker.waiting() + self.broker.unacknowledged() == 0,
            "the broker holds nothing",
        )

    def until(
        self, condition: Callable[[], bool], what: str, seconds: float = START_SECONDS
    ) -> float:
        """Wait for it; the seconds it took. Fails with the logs when it is late."""
        began = time.monotonic()
        while not condition():
            late = time.monotonic() - began > seconds
            assert not late, f"{what}: not after {seconds} s\n{self._last_words()}"
            for name, process in self._processes.items():
                assert process.poll() is None, f"{name} ended: {self._last_words()}"
            time.sleep(0.05)
        return time.monotonic() - began

    def _last_words(self) -> str:
        return "\n".join(
            f"--- {name}\n{self.log(name)[-2000:]}" for name in self._processes
        )
