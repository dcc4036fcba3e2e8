"""The order in which responses are shown: a permutation drawn from a secret.

It is independent of the responses, so the place on the page says nothing of them and
position bias can be measured; and it is a function of the secret and a label, so the
same assignment is shown the same way again.
"""

import hashlib
import hmac
from collections.abc import Iterator

BYTES_PER_DRAW = 4
DRAWS = 256**BYTES_PER_DRAW


def display_order(*, secret: str, label: str, count: int) -> list[int]:
    """A uniform permutation of 0 … count - 1, seeded by HMAC-SHA256(secret, label).

    Read it as "first shown first": `[2, 0, 1]` shows number 2 first. Labels must
    differ where permutations should be independent. `count` 0 gives `[]`.
    """
    draws = _draws(secret.encode(), f"display order of {label}".encode())
    order = list(range(count))
    # Fisher and Yates, from the last place down.
    for last in range(count - 1, 0, -1):
        chosen = _below(last + 1, draws)
        order[last], order[chosen] = order[chosen], order[last]
    return order


def _draws(key: bytes, label: bytes) -> Iterator[int]:
    """Endless uniform integers in 0 … 2^32 - 1, the same for the same arguments."""
    block = 0
    while True:
        digest = hmac.digest(key, label + b"#%d" % block, hashlib.sha256)
        for start in range(0, len(digest), BYTES_PER_DRAW):
            yield int.from_bytes(digest[start : start + BYTES_PER_DRAW])
        block += 1


def _below(bound: int, draws: Iterator[int]) -> int:
    """The next draw in 0 … bound - 1; the uneven rest at the top is drawn again."""
    limit = DRAWS - DRAWS % bound
    return next(draw for draw in draws if draw < limit) % bound
