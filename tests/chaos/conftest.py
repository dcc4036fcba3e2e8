"""What several slow tests need and none should wait for twice."""

import fcntl
from pathlib import Path

import pytest

from annotation.demo_model import prepare
from tests.e2e.stack import ROOT


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """The demo's SFT model, kept below var/. Of several processes one fetches and
    converts it, and the others wait for that one."""
    root = ROOT / "var" / "models"
    root.mkdir(parents=True, exist_ok=True)
    with (root / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        return prepare(root)
