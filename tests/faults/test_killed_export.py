"""An export whose process is killed half-way: nobody finds half of it."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.db.models.functions import Now

from annotation.jobs import LEASE
from annotation.models import Membership, Project
from ranking import tasks
from ranking.datasets import freeze
from ranking.downloads import written_file
from ranking.export.choice import Choice
from ranking.export.folder import write
from ranking.export.placing import manifest_of
from ranking.exporting import file_or_run
from ranking.losses import export_folder
from ranking.models import Dataset, ExportRun
from tests.conftest import make_prompt
from tests.racing import wait_until
from tests.ranking.exported import nobody_works
from tests.ranking.rows import store_ranking

__all__ = ["nobody_works"]

ROOT = Path(__file__).resolve().parents[2]
# Writes, and stands still for ever once some rows are on the disk.
HALF_WAY = """
import sys, time
from ranking.export import reading
from ranking.export.folder import write
from ranking.models import Dataset
reading.PROMPTS_AT_ONCE = 1

def stand_still(rows):
    print("half-way", flush=True)
    time.sleep(600)

write(Dataset.objects.get(), kind="pairs", out=OUT, progress=stand_still)
"""


@pytest.fixture
def dataset(project: Project, alice: Membership) -> Dataset:
    """Four prompts with six pairs each."""
    for number in range(4):
        prompt = make_prompt(project, f"p{number}")
        store_ranking(prompt, alice, {"r1": 1, "r2": 2, "r3": 3, "r4": 4})
    return freeze(project)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGKILL])
def test_half_an_export_is_never_seen_and_goes_with_the_next_one(
    dataset: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    sent: signal.Signals,
) -> None:
    whole, out = tmp_path / "whole", tmp_path / "out"
    write(dataset, kind="pairs", out=whole)
    killed = _killed_half_way(out, sent)
    assert killed in (-sent, 128 + sent)
    assert not out.exists()
    left = list(tmp_path.glob(".out.part-*"))
    # Who is asked to end clears up; who is killed leaves it to the next one.
    assert len(left) == (sent == signal.SIGKILL)
    for folder_left in left:
        os.utime(folder_left, (time.time() - 61,) * 2)
    write(dataset, kind="pairs", out=out)
    assert list(tmp_path.glob(".out.part-*")) == []
    assert _sha256(out / "pairs.jsonl") == _sha256(whole / "pairs.jsonl")
    assert manifest_of(out) == manifest_of(whole)


# The same as a worker's job, which looks after each part whether the worker stops.
JOB_HALF_WAY = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_DFL)  # as in a child of Celery's
from django.conf import settings
settings.VAR_DIR = OUT
from annotation import jobs
from ranking import job_progress, tasks
from ranking.export import folder, reading
from ranking.models import ExportRun
reading.PROMPTS_AT_ONCE = 1
job_progress.REPORT_SECONDS = 0.05

def parts(*args):
    for number, part in enumerate(reading.parts_of(*args)):
        yield part
        if number == 1:
            print("half-way", flush=True)
            while not jobs.worker_is_stopping():
                time.sleep(0.02)

folder.parts_of = parts
tasks.write_export(ExportRun.objects.get().pk)
"""


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("nobody_works")
@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGKILL])
def test_a_worker_that_ends_half_way_is_followed_by_one_that_writes_the_same(
    dataset: Dataset,
    tmp_path: Path,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    sent: signal.Signals,
) -> None:
    choice = Choice(kind="pairs")
    whole = write(dataset, kind="pairs", out=tmp_path / "whole")
    settings.VAR_DIR = tmp_path / "var"
    run = file_or_run(dataset, choice, user=None)
    assert isinstance(run, ExportRun)
    killed = sent == signal.SIGKILL
    ended = _killed_half_way(settings.VAR_DIR, sent, JOB_HALF_WAY, _two_are_told)
    assert ended == (-9 if killed else 0)
    run.refresh_from_db()
    assert run.state == ("running" if killed else "queued")
    assert written_file(dataset, choice) is None
    # Who is asked to end clears up; what a killed one leaves is swept up.
    left = list(export_folder(dataset).glob(".*.part-*"))
    assert len(left) == killed
    for folder_left in left:
        os.utime(folder_left, (time.time() - 61,) * 2)
    tasks.sweep_exports()
    assert list(export_folder(dataset).iterdir()) == []
    # The lease of the killed one runs out, and the job is sent to somebody else.
    ExportRun.objects.filter(state="running").update(lease_until=Now() - LEASE)
    ExportRun.objects.update(queued_at=Now() - LEASE)
    monkeypatch.setattr(tasks.write_export, "delay", tasks.write_export)
    tasks.reconcile()
    run.refresh_from_db()
    assert (run.state, run.attempt, run.lost_leases) == ("done", 2, killed)
    file = written_file(dataset, choice)
    assert file is not None
    assert file.sha256 == whole["files"]["pairs.jsonl"]["sha256"]
    content = b"".join(file.blocks(range(file.size)))
    assert hashlib.sha256(content).hexdigest() == file.sha256


def _two_are_told() -> None:
    wait_until(lambda: ExportRun.objects.get().prompts_done == 2)


def _killed_half_way(
    out: Path,
    sent: signal.Signals,
    work: str = HALF_WAY,
    before: Callable[[], object] = bool,
) -> int:
    """The exit status of a process that was told to end while it wrote."""
    database = connection.settings_dict["NAME"]
    script = (
        "from django.conf import settings\n"
        f"settings.DATABASES['default']['NAME'] = {database!r}\n"
        "from django.db import connection\n"
        f"connection.settings_dict['NAME'] = {database!r}\n"
        "from pathlib import Path\n"
        f"OUT = Path({str(out)!r})\n{work}"
    )
    command = [sys.executable, "manage.py", "shell", "--no-imports", "-c", script]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"half-way\n"
        before()
        process.send_signal(sent)
        return process.wait(60)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
