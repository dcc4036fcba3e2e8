"""What clients were told, held against what the database has (after Jepsen).

Every submission that was acknowledged must be stored exactly once, as it was sent;
one whose fate the client never learned may be stored once or not at all.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from threading import Lock
from uuid import UUID


class Fate(Enum):
    """What a client learned of one attempt."""

    OK = "ok"  # 2xx
    FAIL = "fail"  # an answer that says no: 4xx, 503
    UNKNOWN = "unknown"  # no answer


@dataclass
class History:
    """Attempts of many clients, in the order in which they ended."""

    _attempts: list[tuple[UUID, str, Fate]] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    def add(self, key: UUID, content: str, fate: Fate) -> None:
        """One attempt to store `content` (a hash of it) under `key` has ended."""
        with self._lock:
            self._attempts.append((key, content, fate))

    def counts(self) -> Counter[str]:
        """How many attempts ended how."""
        return Counter(fate.value for _, _, fate in self._attempts)

    def acknowledged(self) -> dict[UUID, str]:
        """Key → content of what clients believe to be stored."""
        return {k: content for k, content, fate in self._attempts if fate is Fate.OK}

    def problems(self, stored: Iterable[tuple[UUID, str]]) -> list[str]:
        """What contradicts the rows (key, content) of the database; [] if nothing."""
        rows = list(stored)
        times = Counter(key for key, _ in rows)
        sent = {(key, content) for key, content, _ in self._attempts}
        return [
            *(f"{key} stored {n} times" for key, n in times.items() if n > 1),
            *(f"{row[0]} holds what nobody sent" for row in rows if row not in sent),
            *(
                f"{key} was acknowledged and is not stored so"
                for key, content in self.acknowledged().items()
                if (key, content) not in rows
            ),
        ]
