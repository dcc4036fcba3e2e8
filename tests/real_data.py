"""Real rankings and responses, where they lie beside the checkout."""

from pathlib import Path

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
