"""`python -m tests.fuzz [NAME …]`: until Ctrl-C, or for FUZZ_SECONDS."""

import argparse
import logging
import math
import os
import signal
import sys

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
django.setup()

from tests.e2e.stack import ROOT  # noqa: E402  Django is set up now
from tests.fuzz import foreign_files, prompt_files, rendering, submissions  # noqa: E402
from tests.fuzz.database import own_database  # noqa: E402
from tests.fuzz.search import Search  # noqa: E402

FUZZERS = {
    "rendering": rendering.FUZZER,
    "prompt_files": prompt_files.FUZZER,
    "foreign_files": foreign_files.FUZZER,
    "submissions": submissions.FUZZER,
}


def main() -> int:
    """Search; the exit status is 1 if something was found."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    logging.disable(logging.WARNING)  # refusals are what most inputs are for
    parser = argparse.ArgumentParser(prog="tests.fuzz", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(FUZZERS))
    names = parser.parse_args().names or list(FUZZERS)
    if unknown := set(names) - set(FUZZERS):
        parser.error(f"there is no fuzzer {', '.join(sorted(unknown))}")
    seconds = float(os.environ.get("FUZZ_SECONDS") or math.inf)
    search = Search({name: FUZZERS[name] for name in names}, ROOT / "var" / "fuzz")
    try:
        with own_database():
            search.run(seconds)
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
    for name, tried in search.tried.items():
        print(f"{name}: {tried:,} inputs, {'FAILED' if name in search.found else 'ok'}")
    return int(bool(search.found))


if __name__ == "__main__":
    sys.exit(main())
