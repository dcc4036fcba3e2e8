"""Turns through the fuzzers, some hundred inputs of each, until the time is over."""

import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis.database import DirectoryBasedExampleDatabase
from hypothesis.strategies import SearchStrategy

EXAMPLES = 100  # of one turn
SAY_EVERY = 10.0  # seconds


@dataclass(frozen=True)
class Fuzzer:
    """Inputs, and what has to hold for each of them."""

    inputs: SearchStrategy[Any]
    check: Callable[[Any], None]


class Search:
    """What is tried, how often, and what was found, by the name of the fuzzer."""

    def __init__(self, fuzzers: Mapping[str, Fuzzer], folder: Path) -> None:
        self.fuzzers = dict(fuzzers)
        self.folder = folder
        self.tried = dict.fromkeys(fuzzers, 0)
        self.found: dict[str, str] = {}
        self._started = self._said = time.monotonic()

    def run(self, seconds: float) -> None:
        """Whole rounds, at least one, until the time is over or every fuzzer has found
        something."""
        while left := [name for name in self.fuzzers if name not in self.found]:
            for name in left:
                self._turn(name)
            if time.monotonic() - self._started >= seconds:
                break
        self._say()

    def _turn(self, name: str) -> None:
        """The shortest input that breaks the check is kept, and comes first next."""
        fuzzer = self.fuzzers[name]

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=DirectoryBasedExampleDatabase(self.folder / name),
            suppress_health_check=list(HealthCheck),
        )
        @given(fuzzer.inputs)
        def promise(example: Any) -> None:
            self.tried[name] += 1
            if time.monotonic() - self._said > SAY_EVERY:
                self._say()
            fuzzer.check(example)

        try:
            promise()
        # A check may fail in any way; an interrupt is none of them.
        except Exception as error:  # noqa: BLE001
            self._keep(name, error)

    def _keep(self, name: str, error: Exception) -> None:
        # The error ends in what hypothesis adds to it: the input.
        trace = "".join(traceback.format_exception(error))
        text = trace.encode(errors="backslashreplace").decode()
        self.found[name] = text
        self.folder.mkdir(parents=True, exist_ok=True)
        report = self.folder / f"{name}.txt"
        report.write_text(text)
        print(
            f"\n{text}\n{name} FAILED; kept in {report}. To see it again:"
            f' make fuzz ONLY="{name}"',
            flush=True,
        )

    def _say(self) -> None:
        self._said = time.monotonic()
        counts = ", ".join(f"{name} {tried:,}" for name, tried in self.tried.items())
        line = f"{self._said - self._started:7.0f} s  {counts}"
        print(line, file=sys.stderr, flush=True)
