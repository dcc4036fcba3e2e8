"""How far a long test is, for somebody who watches it in a terminal."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from tqdm import tqdm


@contextmanager
def progress(
    capsys: pytest.CaptureFixture[str], name: str, total: float
) -> Iterator["tqdm[Any]"]:
    """A bar of `total` steps; nothing where the output is no terminal."""
    with (
        capsys.disabled(),
        tqdm(total=total, desc=name, disable=None, leave=False) as bar,
    ):
        yield bar


def report(capsys: pytest.CaptureFixture[str], line: str) -> None:
    """A line of numbers that is to be read also when the test passes."""
    with capsys.disabled():
        print(f"\n{line}", flush=True)
