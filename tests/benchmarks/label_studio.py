"""Label Studio with the same prompts, on the same Postgres server as the site.

It is driven through the requests that its own page makes: the next task, and the
annotation of it. Its page is a program of its own that the browser keeps; neither its
files nor its drafts are counted.
"""

import gzip
import http.client
import http.cookiejar
import json
import os
import re
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psycopg

from annotation.embedded import servers
from annotation.embedded.places import POSTGRES_PORT
from tests.benchmarks.material import K
from tests.benchmarks.peers import peer
from tests.benchmarks.site import LOG_STATEMENTS, START_PAUSE, Site
from tests.e2e.stack import START_SECONDS, free_port

REQUIREMENTS = ("label-studio==1.23.0", "gunicorn==27.0.0")
DATABASE = "label_studio"
EMAIL, PASSWORD = "labeler@example.org", "only-for-a-benchmark"
TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')
ORDER = tuple(f"r{place}" for place in (3, 1, 4, 2, 5, 0, 6, 8, 7))
assert len(ORDER) == K
# What a project of ours is made of, in its words.
SEED = f"""
import json, sys
from organizations.models import Organization
from projects.models import Project
from tasks.models import Task
from users.models import User

user = User.objects.create_user(email={EMAIL!r}, password={PASSWORD!r})
user.active_organization = Organization.create_organization(
    created_by=user, title="bench")
user.save()
project = Project.objects.create(
    title="bench", created_by=user, organization=user.active_organization,
    maximum_annotations=1,
    label_config='<View><Text name="prompt" value="$prompt"/>'
    '<List name="answers" value="$responses" title="Responses"/>'
    '<Ranker name="rank" toName="answers"/></View>')
with open(FILE) as lines:
    Task.objects.bulk_create(
        Task(project=project, overlap=1, inner_id=number, data=dict(
            prompt=line["prompt"],
            responses=[dict(id=one["id"], title=one["id"], body=one["text"])
                       for one in line["responses"]]))
        for number, line in enumerate(map(json.loads, lines), 1))
print(project.pk)
"""


class LabelStudio:
    """Its web process (one worker, one thread), and somebody who works there."""

    def __init__(self, process: "subprocess.Popen[bytes]", port: int) -> None:
        self.process = process
        self._port = port
        self._cookies: dict[str, str] = {}

    def sign_in(self) -> None:
        """By its form, as people do."""
        jar = http.cookiejar.CookieJar()
        keeping = urllib.request.HTTPCookieProcessor(jar)
        opener = urllib.request.build_opener(keeping)
        url = f"http://127.0.0.1:{self._port}/user/login/"
        token = TOKEN.search(opener.open(url).read().decode())
        assert token, "Label Studio's form for signing in has changed"
        form = {
            "csrfmiddlewaretoken": token[1],
            "email": EMAIL,
            "password": PASSWORD,
        }
        opener.open(urllib.request.Request(url, urlencode(form).encode()))
        self._cookies = {cookie.name: cookie.value or "" for cookie in jar}

    def next_task(self, project: int) -> int:
        """What the page asks for first; the task's id."""
        return int(self._ask("GET", f"/api/projects/{project}/next")["id"])

    def annotate(self, project: int, task: int) -> None:
        """Send a ranking of the nine responses."""
        result = {
            "id": "Rank123456",
            "from_name": "rank",
            "to_name": "answers",
            "type": "ranker",
            "value": {"ranker": {"rank": ORDER}},
        }
        path = f"/api/tasks/{task}/annotations?project={project}"
        self._ask("POST", path, {"lead_time": 61.5, "result": [result]})

    def _ask(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Errors: RuntimeError for anything that is not 2xx."""
        headers = {
            "Content-Type": "application/json",
            "Cookie": "; ".join(f"{name}={it}" for name, it in self._cookies.items()),
            "X-CSRFToken": self._cookies["csrftoken"],
            "Accept-Encoding": "gzip",
        }
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            text = None if body is None else json.dumps(body)
            connection.request(method, path, text, headers)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {content!r:.300}")
        if answer.headers.get("Content-Encoding") == "gzip":
            content = gzip.decompress(content)
        made: dict[str, Any] = json.loads(content)
        return made


def seed(site: Site, lines: Iterator[str]) -> int:
    """Make its database beside ours, and a project of these prompts; its key.

    Some hundred migrations run: a minute or two.
    """
    file = site.places.var_dir / "tasks.jsonl"
    file.write_text("\n".join(lines))
    with psycopg.connect(site.dsn, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {DATABASE}")
    _manage(site, "migrate")
    said = _manage(site, "shell", "-c", SEED.replace("FILE", repr(str(file))))
    return int(said.split()[-1])


@contextmanager
def running(site: Site, *, logging: bool = False) -> Iterator[LabelStudio]:
    """The web process, with somebody signed in; its statements logged if wanted."""
    options = {"PGOPTIONS": LOG_STATEMENTS} if logging else {}
    port, log = free_port(), site.places.var_dir / "label-studio.log"
    gunicorn = [str(_python()), "-m", "gunicorn", "core.wsgi"]
    shape = ["--workers", "1", "--threads", "1", "--worker-class", "sync"]
    bound = ["--bind", f"127.0.0.1:{port}", "--timeout", str(START_SECONDS)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*gunicorn, *shape, *bound],
            cwd=_folder(),
            env=_environment(site) | options,
            stdout=output,
            stderr=output,
        )
    try:
        studio = LabelStudio(process, port)
        _wait_for(studio, port, log)
        studio.sign_in()
        yield studio
    finally:
        process.terminate()
        process.wait()


def _wait_for(studio: LabelStudio, port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while studio.process.poll() is None and time.monotonic() < deadline:
        with (
            suppress(OSError),
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health"),
        ):
            return
        time.sleep(START_PAUSE)
    raise RuntimeError(f"Label Studio did not start: {log.read_text()[-3000:]}")


def _manage(site: Site, *command: str) -> str:
    done = subprocess.run(
        [_python(), "manage.py", *command],
        cwd=_folder(),
        env=_environment(site),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"Label Studio's {command[0]} failed: {done.stderr[-3000:]}")
    return done.stdout


def _python() -> Path:
    return peer("label-studio", *REQUIREMENTS)


def _folder() -> Path:
    """Its own modules import each other as if they lay in the current folder."""
    (found,) = (_python().parents[1] / "lib").glob("*/site-packages/label_studio")
    return found


def _environment(site: Site) -> dict[str, str]:
    return os.environ | {
        "DJANGO_SETTINGS_MODULE": "core.settings.label_studio",
        "DJANGO_DB": "default",
        "POSTGRE_NAME": DATABASE,
        "POSTGRE_USER": servers.DATABASE,
        "POSTGRE_HOST": str(site.places.sockets),
        "POSTGRE_PORT": POSTGRES_PORT,
        "LABEL_STUDIO_BASE_DATA_DIR": str(site.places.var_dir / "label-studio"),
        # Nothing of this run is told to anybody.
        "COLLECT_ANALYTICS": "false",
        "LATEST_VERSION_CHECK": "false",
        "SENTRY_DSN": "",
        "FRONTEND_SENTRY_DSN": "",
        "LOG_LEVEL": "ERROR",
    }
