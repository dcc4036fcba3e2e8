"""What does it cost to freeze the rankings of 33,000 prompts?

The measuring is done by `tests.benchmarks.freezes`, in a process and a database of its
own, which is gone afterwards. Building 33,000 prompts takes a minute and 1 GB.
"""

from typing import Final

from tests.benchmarks.alone import run_alone

NAME: Final = "freezing"
LARGE: Final = 33_000


def main(prompts: int = LARGE, *, rounds: int = 3) -> int:
    """Measure with so many prompts, and print; 1 when it fails."""
    call = f"freezes.measure({prompts}, rounds={rounds})"
    return run_alone(NAME, f"from tests.benchmarks import freezes; {call}")
