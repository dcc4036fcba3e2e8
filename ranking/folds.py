"""Held-out labelers: which labeler is in which fold. PURE.

To see whether a model knows preferences or people, train on all folds but one and test
on the rankings of that one's labelers, who then taught it nothing.
"""

import hashlib
from collections.abc import Iterable
from typing import Final

FOLDS: Final = 5


def folds_by_labeler(
    labelers: Iterable[str], *, count: int = FOLDS, seed: int = 0
) -> dict[str, int]:
    """The fold, 0 to count − 1, of each labeler (by pseudonym); sorted by labeler.

    Each labeler is in one fold; folds differ by one labeler at most. Fewer labelers
    than folds leave the last folds empty. The same labelers, count and seed give the
    same folds, in whatever order they come. Raises ValueError for fewer than two folds.
    """
    if count < 2:
        raise ValueError(f"{count} folds hold nobody out: at least 2 are needed")
    drawn = sorted(set(labelers), key=lambda one: (_place(one, seed), one))
    return dict(sorted((one, at % count) for at, one in enumerate(drawn)))


def _place(labeler: str, seed: int) -> bytes:
    key = f"rankwell folds {seed}".encode()
    return hashlib.blake2b(labeler.encode(), digest_size=8, key=key).digest()
