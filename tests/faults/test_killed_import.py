"""An import whose worker is killed half-way: the next worker ends it, and nothing is
there twice."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings as site
from django.db import connection
from django.db.models import Value
from django.db.models.functions import Now
from pytest_django import Settings

from annotation.importing import ImportMode
from annotation.jobs import LEASE, JobState
from annotation.models import Assignment, Project, Prompt, PromptImport, Response
from ranking.file_imports import receive, run
from ranking.models import Placement, Ranking
from ranking.models.file_imports import FileImport

ROOT = Path(__file__).resolve().parents[2]
LINES, AT_ONCE, PIECES = 100, 10, 4
# Stands still for ever with a piece written and not committed, those above committed
# or not, as its mode has it.
HALF_WAY = """
import time
from annotation import import_report, importing, imports
from ranking import file_imports
import_report.MOST_LINES = AT_ONCE
importing.BATCHES_A_PIECE = 1
store, calls = imports.store_prompts, []

def stand_still(*args):
    calls.append(store(*args))
    if len(calls) == PIECES:
        print("half-way", flush=True)
        time.sleep(600)
    return calls[-1]

imports.store_prompts = stand_still
file_imports.run(JOB, worker="doomed")
"""


def lines_of(shape: str) -> bytes:
    answers = [{"id": name, "text": f"Answer {name}"} for name in "abcd"]
    rows = [
        {"id": f"p{n}", "prompt": f"Why {n}?", "responses": answers}
        if shape == "prompts"
        else {"prompt": f"Why {n}?", "chosen": "a", "rejected": "b"}
        for n in range(LINES)
    ]
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("shape", ["prompts", "trl"])
@pytest.mark.parametrize("mode", [ImportMode.WHOLE, ImportMode.PARTIAL])
def test_the_next_worker_ends_the_import_and_stores_nothing_twice(
    settings: Settings, tmp_path: Path, mode: ImportMode, shape: str
) -> None:
    settings.VAR_DIR = tmp_path
    project = Project.objects.create(slug="old", title="Old", archive=shape == "trl")
    pieces = [lines_of(shape)]
    job = receive(project, pieces, shape=shape, file_name="x", mode=mode, user=None)
    killed_half_way(job)
    kept = (PIECES - 1) * AT_ONCE if mode is ImportMode.PARTIAL else 0
    assert Prompt.objects.count() == kept
    run(job.pk, worker="too early")  # its lease has not run out
    job.refresh_from_db()
    assert (job.state, job.worker) == (JobState.RUNNING, "doomed")
    FileImport.objects.update(lease_until=Now() - Value(LEASE))
    run(job.pk, worker="next")
    job.refresh_from_db()
    assert (job.state, job.worker, job.attempt) == (JobState.DONE, "next", 2)
    assert (job.lines, job.unchanged, job.refused) == (LINES, kept, 0)
    assert job.imported == LINES - kept
    k = 4 if shape == "prompts" else 2
    assert Prompt.objects.values("external_id").distinct().count() == LINES
    assert Prompt.objects.count() == LINES
    assert Response.objects.count() == LINES * k
    assert Assignment.objects.count() == LINES
    rankings = LINES if shape == "trl" else 0
    assert Ranking.objects.count() == rankings
    assert Placement.objects.count() == rankings * k
    assert sum(one.imported for one in PromptImport.objects.all()) == LINES
    assert not job.is_here


def killed_half_way(job: FileImport) -> None:
    """Have a process of its own run the job, and kill it while it stands still."""
    values = f"JOB, AT_ONCE, PIECES = {job.pk}, {AT_ONCE}, {PIECES}\n"
    database = connection.settings_dict["NAME"]
    script = (
        "from django.conf import settings\n"
        "from django.db import connection\n"
        f"connection.settings_dict['NAME'] = {database!r}\n"
        f"settings.VAR_DIR = {str(site.VAR_DIR)!r}\n{values}{HALF_WAY}"
    )
    command = [sys.executable, "manage.py", "shell", "--no-imports", "-c", script]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"half-way\n"
        process.kill()
        assert process.wait(60) == -signal.SIGKILL
