"""`python -m tests.benchmarks [NAME …]` measures and prints; it fails for a miss."""

import argparse
import signal
import sys
from collections.abc import Callable

from tests.benchmarks import (
    beside_label_studio,
    claiming,
    consensus,
    cycle,
    exporting,
    first_key,
    freezing,
    importing,
    looking,
    reporting,
    scoring,
    training,
)
from tests.benchmarks.figures import Figure, table

FEW = cycle.Size(rounds=2, cycles=2, logged=2, trips=20)
FEW_BESIDE = beside_label_studio.Size(rounds=1, cycles=2, logged=1)
FEW_SCORED = scoring.Size(rounds=1, clients=4, requests=1)
FEW_PROMPTS = 2_000


def _missed(figures: list[Figure]) -> bool:
    """Print the figures, and say whether a bar was missed."""
    print(table(figures), flush=True)
    return any(figure.missed for figure in figures)


# Each measures and prints, only a few of each where that is wanted, and says whether a
# bar was missed.
BENCHMARKS: dict[str, Callable[[bool], bool]] = {
    cycle.NAME: lambda few: _missed(cycle.measure(FEW if few else cycle.Size())),
    beside_label_studio.NAME: lambda few: _missed(
        beside_label_studio.measure(FEW_BESIDE if few else beside_label_studio.Size())
    ),
    first_key.NAME: lambda few: _missed(
        first_key.measure(first_key.Size(rounds=1 if few else 5))
    ),
    "claiming": lambda few: bool(claiming.main(FEW_PROMPTS if few else claiming.LARGE)),
    "report": lambda few: bool(
        reporting.main(FEW_PROMPTS, rounds=1) if few else reporting.main()
    ),
    "dashboards": lambda few: bool(
        looking.main(FEW_PROMPTS, rounds=1) if few else looking.main()
    ),
    importing.NAME: lambda few: bool(
        importing.main(FEW_PROMPTS, rounds=1) if few else importing.main()
    ),
    "exporting": lambda few: bool(
        exporting.main(FEW_PROMPTS, rounds=1) if few else exporting.main()
    ),
    freezing.NAME: lambda few: bool(
        freezing.main(FEW_PROMPTS, rounds=1) if few else freezing.main()
    ),
    consensus.NAME: lambda few: _missed(
        consensus.measure(consensus.BESIDE_CHOIX, rounds=1)
        if few
        else consensus.measure()
    ),
    scoring.NAME: lambda few: _missed(
        scoring.measure(FEW_SCORED if few else scoring.Size())
    ),
    training.NAME: lambda few: _missed(
        training.measure(training.CASES[:1], rounds=1) if few else training.measure()
    ),
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
    missed = False
    for name in options.names or BENCHMARKS:
        print(f"Measuring {name} …", file=sys.stderr, flush=True)
        missed = BENCHMARKS[name](options.small) or missed
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
