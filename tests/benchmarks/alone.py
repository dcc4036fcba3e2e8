"""Measuring in a process and a database of its own, both gone afterwards."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from annotation.embedded.places import places_of

ROOT: Final = Path(__file__).resolve().parent.parent.parent
OTHER_SITES: Final = ("DATABASE_URL", "REDIS_URL", "SITE_URL")


def run_alone(name: str, script: str) -> int:
    """Run a line of Python in Django's shell, on an empty site; its exit status."""
    (ROOT / "var").mkdir(exist_ok=True)
    var_dir = Path(tempfile.mkdtemp(dir=ROOT / "var", prefix=f"{name}-"))
    env = {name: os.environ[name] for name in os.environ if name not in OTHER_SITES}
    env |= {
        "VAR_DIR": str(var_dir),
        "DJANGO_SETTINGS_MODULE": "annotation.settings",
        "OPENBLAS_NUM_THREADS": "1",  # threads that wait for each other cost CPU
    }
    command = [sys.executable, "manage.py", "shell", "--no-imports", "-c", script]
    try:
        return subprocess.run(command, cwd=ROOT, env=env, check=False).returncode
    finally:
        places = places_of(var_dir, postgres=True, valkey=True)
        for folder in (var_dir, places.data, places.sockets):
            shutil.rmtree(folder, ignore_errors=True)
