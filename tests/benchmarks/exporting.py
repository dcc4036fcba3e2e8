"""What do 1,188,000 pairs cost as files, beside psql's COPY of the same joined rows?

The measuring is done by `tests.benchmarks.exports`, in a process and a database of its
own, which is gone afterwards. Building 33,000 prompts takes a minute and 1 GB.
"""

from typing import Final

from tests.benchmarks.alone import run_alone

LARGE: Final = 33_000


def main(prompts: int = LARGE, *, rounds: int = 5) -> int:
    """Measure with so many prompts, and print; 1 when a bar is missed."""
    call = f"exports.measure({prompts}, rounds={rounds})"
    return run_alone("exporting", f"from tests.benchmarks import exports; {call}")
