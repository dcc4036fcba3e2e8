"""`train_reward_model` as a command of its own."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def command(data: Path, base: Path, out: Path, *flags: str) -> list[str]:
    """What comes after manage.py."""
    return [
        *["train_reward_model", "--data", str(data)],
        *["--base", str(base), "--out", str(out), "--device", "cpu", *flags],
    ]


def start(*arguments: str) -> subprocess.Popen[str]:
    """A Python process in the repository's root, on one thread and without a hub."""
    quiet = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=os.environ | quiet,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    """What it printed, once it has ended well."""
    out, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    return out
