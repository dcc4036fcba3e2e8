"""Is the whole agreement report worth a few COPYs of the rankings it is made of?

The measuring is done by `tests.benchmarks.reports`, in a process and a database of its
own, which is gone afterwards. Building 33,000 prompts takes half a minute and 1 GB.
"""

from typing import Final

from tests.benchmarks.alone import run_alone

LARGE: Final = 33_000


def main(prompts: int = LARGE, *, rounds: int = 5) -> int:
    """Measure with so many prompts, and print; 1 when a bar is missed."""
    call = f"reports.measure({prompts}, rounds={rounds})"
    return run_alone("report", f"from tests.benchmarks import reports; {call}")
