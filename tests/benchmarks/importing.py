"""How many prompts a second of the importer's CPU brings into the database.

The measuring is done by `tests.benchmarks.imported`, in a process and a database of
its own, which is gone afterwards. 20,000 prompts take 170 MB for the file and 1 GB.
"""

from typing import Final

from tests.benchmarks.alone import run_alone

NAME: Final = "importing"
LARGE: Final = 20_000


def main(prompts: int = LARGE, *, rounds: int = 3) -> int:
    """Measure with so many prompts, and print; 1 when a bar is missed."""
    call = f"imported.measure({prompts}, rounds={rounds})"
    return run_alone(NAME, f"from tests.benchmarks import imported; {call}")
