"""May somebody look at the dashboards of a large project as often as they like?

The measuring is done by `tests.benchmarks.dashboards`, in a process and a database of
its own, which is gone afterwards.
"""

from typing import Final

from tests.benchmarks.alone import run_alone

LARGE: Final = 33_000


def main(prompts: int = LARGE, *, rounds: int = 5) -> int:
    """Measure with so many prompts, and print; 1 when a bar is missed."""
    call = f"dashboards.measure({prompts}, rounds={rounds})"
    return run_alone("dashboards", f"from tests.benchmarks import dashboards; {call}")
