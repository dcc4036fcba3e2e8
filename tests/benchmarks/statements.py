"""How many SQL statements a request costs, read from Postgres' own log."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

Given = TypeVar("Given")
Made = TypeVar("Made")
# The start of a line of the log, behind time and process. BEGIN and COMMIT have lines
# too, and so has the look at a kept connection that Django may take.
STATEMENT = re.compile(
    r"^\d{4}-\d\d-\d\d [^\n]*? LOG:  (?:statement|execute [^:]*): ", re.MULTILINE
)


@dataclass
class StatementLog:
    """Statements that the backend logs before it runs them, by what caused them."""

    log: Path
    seen: dict[str, list[list[str]]] = field(default_factory=dict)

    def during(self, what: str, act: Callable[[Given], Made], on: Given) -> Made:
        """Do something, and keep the statements logged meanwhile under its name."""
        before = self.log.stat().st_size
        result = act(on)
        with self.log.open(encoding="utf-8", errors="replace") as log:
            log.seek(before)
            self.seen.setdefault(what, []).append(STATEMENT.split(log.read())[1:])
        return result

    def most(self, what: str) -> int:
        """The most statements that one of these actions took."""
        return max(map(len, self.seen[what]))
