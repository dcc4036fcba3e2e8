"""Does a claim cost the same at a million prompts as at a thousand?

    python -m tests.benchmarks.claiming [PROMPTS]

The measuring is done by `tests.benchmarks.claims`, in a process and a database of its
own, which is gone afterwards. Building a million prompts takes some minutes and 3 GB.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from annotation.embedded.places import places_of

ROOT: Final = Path(__file__).resolve().parent.parent.parent
LARGE: Final = 1_000_000
OTHER_SITES: Final = ("DATABASE_URL", "REDIS_URL", "SITE_URL")


def main(prompts: int = LARGE) -> int:
    """Measure with so many prompts, and print; 1 when a bar is missed."""
    (ROOT / "var").mkdir(exist_ok=True)
    var_dir = Path(tempfile.mkdtemp(dir=ROOT / "var", prefix="claiming-"))
    env = {name: os.environ[name] for name in os.environ if name not in OTHER_SITES}
    env |= {"VAR_DIR": str(var_dir), "DJANGO_SETTINGS_MODULE": "annotation.settings"}
    script = f"from tests.benchmarks import claims; claims.main({prompts})"
    command = [sys.executable, "manage.py", "shell", "--no-imports", "-c", script]
    try:
        return subprocess.run(command, cwd=ROOT, env=env, check=False).returncode
    finally:
        places = places_of(var_dir, postgres=True, valkey=True)
        for folder in (var_dir, places.data, places.sockets):
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
