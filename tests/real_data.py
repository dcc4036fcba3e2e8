"""Where the real data for tests lies, outside the repository."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def real_data(name: str) -> Path:
    """Path of a real data file; skips the test where the data is not at hand.

    Where the folder is there, a file that is missing from it fails the test.
    """
    if not DATA.exists():
        pytest.skip(f"real data not present: ../shared/data/{name}")
    path = DATA / name
    assert path.exists(), f"../shared/data is there, but not {name}"
    return path


def real_records(name: str) -> Iterator[dict[str, Any]]:
    """The records of a real data file, one a line, the meta record included."""
    with gzip.open(real_data(name), "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)
