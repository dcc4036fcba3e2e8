"""`python -m tests.benchmarks [NAME …]` measures and prints; it fails for a miss."""

import argparse
import signal
import sys
from collections.abc import Callable

from tests.benchmarks import cycle, first_key
from tests.benchmarks.figures import Figure, table

BENCHMARKS: dict[str, Callable[[], list[Figure]]] = {
    cycle.NAME: lambda: cycle.measure(cycle.Size()),
    first_key.NAME: lambda: first_key.measure(first_key.Size()),
}
SMALL: dict[str, Callable[[], list[Figure]]] = {
    cycle.NAME: lambda: cycle.measure(
        cycle.Size(rounds=2, cycles=2, logged=2, trips=20)
    ),
    first_key.NAME: lambda: first_key.measure(first_key.Size(rounds=1)),
}


def main() -> int:
    """Run the benchmarks that are named, or all; the exit status."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    parser = argparse.ArgumentParser(prog="tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument(
        "--small", action="store_true", help="a few of each: shows that it runs"
    )
    options = parser.parse_args()
    if unknown := set(options.names) - set(BENCHMARKS):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}")
    figures = []
    for name in options.names or BENCHMARKS:
        print(f"Measuring {name} …", file=sys.stderr, flush=True)
        figures += (SMALL if options.small else BENCHMARKS)[name]()
    print(table(figures))
    return int(any(figure.missed for figure in figures))


if __name__ == "__main__":
    sys.exit(main())
