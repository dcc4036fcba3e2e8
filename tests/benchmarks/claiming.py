"""Does a claim cost the same at a million prompts as at a thousand?

    python -m tests.benchmarks.claiming [PROMPTS]

The measuring is done by `tests.benchmarks.claims`, in a process and a database of its
own, which is gone afterwards. Building a million prompts takes some minutes and 3 GB.
"""

import sys
from typing import Final

from tests.benchmarks.alone import run_alone

LARGE: Final = 1_000_000


def main(prompts: int = LARGE) -> int:
    """Measure with so many prompts, and print; 1 when a bar is missed."""
    script = f"from tests.benchmarks import claims; claims.main({prompts})"
    return run_alone("claiming", script)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
