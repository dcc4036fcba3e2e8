"""The order in which responses are shown: a permutation drawn from a secret.

It is independent of the responses, so the place on the page says nothing of them and
position bias can be measured; and it is a function of the secret and a label, so the
same assignment is shown the same way again.
"""

import hmac
import struct
from collections.abc import Iterator

EIGHT = struct.Struct(">8I")  # draws of four bytes in a digest
DRAWS = 2**32


def display_order(*, secret: str, label: str, count: int) -> list[int]:
    """A uniform permutation of 0 … count - 1, seeded by HMAC-SHA256(secret, label).

    Read it as "first shown first": `[2, 0, 1]` shows number 2 first. Labels must
    differ where permutations should be independent. `count` 0 gives `[]`.
    """
    draws = _draws(secret.encode(), f"display order of {label}".encode())
    order = list(range(count))
    # Fisher and Yates, from the last place down. The uneven rest at the top of what can
    # be drawn is drawn again.
    for last in range(count - 1, 0, -1):
        bound = last + 1
        limit = DRAWS - DRAWS % bound
        while (draw := next(draws)) >= limit:
            pass
        chosen = draw % bound
        order[last], order[chosen] = order[chosen], order[last]
    return order


def _draws(key: bytes, label: bytes) -> Iterator[int]:
    """Endless uniform integers in 0 … 2^32 - 1, the same for the same arguments."""
    block = 0
    while True:
        yield from EIGHT.unpack(hmac.digest(key, label + b"#%d" % block, "sha256"))
        block += 1
