"""Where the real data for tests lies, outside the repository."""

from pathlib import Path

import pytest

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def real_data(name: str) -> Path:
    """Path of a real data file; skips the test where the data is not at hand."""
    path = DATA / name
    if not path.exists():
        pytest.skip(f"real data not present: ../shared/data/{name}")
    return path
