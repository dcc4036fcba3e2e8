"""An export whose process is killed half-way: nobody finds half of it."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from django.db import connection

from annotation.models import Membership, Project
from ranking.datasets import freeze
from ranking.export import folder
from ranking.export.folder import write
from tests.conftest import make_prompt
from tests.ranking.rows import store_ranking

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


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGKILL])
def test_half_an_export_is_never_seen_and_goes_with_the_next_one(
    project: Project,
    alice: Membership,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    sent: signal.Signals,
) -> None:
    for number in range(4):
        prompt = make_prompt(project, f"p{number}")
        store_ranking(prompt, alice, {"r1": 1, "r2": 2, "r3": 3, "r4": 4})
    dataset = freeze(project)
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
    assert folder.manifest_of(out) == folder.manifest_of(whole)


def _killed_half_way(out: Path, sent: signal.Signals) -> int:
    """The exit status of a process that was told to end while it wrote."""
    database = connection.settings_dict["NAME"]
    script = (
        "from django.conf import settings\n"
        f"settings.DATABASES['default']['NAME'] = {database!r}\n"
        "from django.db import connection\n"
        f"connection.settings_dict['NAME'] = {database!r}\n"
        "from pathlib import Path\n"
        f"OUT = Path({str(out)!r})\n{HALF_WAY}"
    )
    command = [sys.executable, "manage.py", "shell", "--no-imports", "-c", script]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"half-way\n"
        process.send_signal(sent)
        return process.wait(60)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
