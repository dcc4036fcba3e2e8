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


def start(*arguments: str, threads: int = 1) -> subprocess.Popen[str]:
    """A Python process in the repository's root, without a hub.

    A thread that waits for another one sleeps. By default it would turn in a loop,
    which on a core that others use as well costs six times the work itself.
    """
    quiet = {
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": str(threads),
        "OMP_WAIT_POLICY": "PASSIVE",
    }
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=os.environ | quiet,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str], *, seconds: float = 240) -> str:
    """What it printed, once it has ended well."""
    out, errors = process.communicate(timeout=seconds)
    assert process.returncode == 0, errors
    return out
