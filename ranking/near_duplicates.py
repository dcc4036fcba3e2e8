"""Which prompts are near-duplicates: MinHash signatures of their word shingles. PURE.

Two prompts are near-duplicates where the share of shingles that they have in common
(Jaccard: common / all different ones) is estimated at 0.8 or more, and a band of their
signatures is the same. A. Broder, "On the resemblance and containment of documents",
1997; candidates by bands as in Leskovec, Rajaraman, Ullman, "Mining of Massive
Datasets", section 3.4.

The estimate of 128 values has a standard deviation of sqrt(J (1 − J) / 128): 0.035 at
0.8, 0.027 at 0.9. Two prompts with J = 0.8 share one of the 21 bands of 6 values with a
probability of 1 − (1 − 0.8^6)^21 = 0.998, with J = 0.5 of 0.28, with J = 0.3 of 0.015.
Equal sets of shingles have equal signatures, so they are always found.
"""

import hashlib
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ranking.splits import normalised

Signature = NDArray[np.uint32]  # (VALUES,)

SIMILAR: Final = 0.8
SHINGLE: Final = 3  # words
VALUES, BANDS, ROWS = 128, 21, 6  # the last two values of a signature are in no band
ENOUGH: Final = math.ceil(SIMILAR * VALUES)  # 103 are 0.805, 102 are 0.797
SEED: Final = 1  # another one would make signatures that nothing stored compares with

# In scripts that are written without blanks each character is a word: Thai, Lao,
# Burmese, Khmer, kana, Han.
_UNSPACED: Final = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff"
_WORD: Final = re.compile(f"[{_UNSPACED}]|[^\\W{_UNSPACED}]+")


def shingles_of(messages: Iterable[Mapping[str, str]]) -> frozenset[str]:
    """Every run of three words of what was asked, without case and punctuation.

    System turns are left out: under one long system prompt all questions of a project
    would be near-duplicates. A text of fewer words is one shingle, and one without any
    word is itself.

    >>> sorted(shingles_of([{"role": "user", "content": "Why is the sea salt?"}]))
    ['is the sea', 'the sea salt', 'why is the']
    """
    asked = [turn["content"] for turn in messages if turn["role"] != "system"]
    text = normalised("\n".join(asked))
    words = _WORD.findall(text)
    if len(words) <= SHINGLE:
        return frozenset([" ".join(words) or text])
    return frozenset(
        " ".join(words[start : start + SHINGLE])
        for start in range(len(words) - SHINGLE + 1)
    )


def signatures_of(texts: Iterable[frozenset[str]]) -> Iterator[Signature]:
    """The signature of each set of shingles: 128 numbers, the same for the same set."""
    # It loads parts of SciPy that take a second: only who freezes needs it.
    from datasketch import MinHash  # noqa: PLC0415

    encoded = ([shingle.encode() for shingle in shingles] for shingles in texts)
    made: Iterator[Any] = MinHash.generator(
        encoded, num_perm=VALUES, seed=SEED, scheme="affine32"
    )
    for one in made:
        yield one.hashvalues.astype(np.uint32)


def bands_of(signature: Signature) -> list[int]:
    """21 numbers of 64 bits, signed. Near-duplicates have one in common, mostly."""
    rows = signature[: BANDS * ROWS].astype("<u4").reshape(BANDS, ROWS)
    return [
        int.from_bytes(
            hashlib.blake2b(
                row.tobytes(), digest_size=8, salt=band.to_bytes(2, "big")
            ).digest(),
            signed=True,
        )
        for band, row in enumerate(rows)
    ]


def are_similar(
    one: Signature, others: NDArray[np.uint32]
) -> NDArray[np.bool_]:  # (N, VALUES) → (N,)
    """Which of the others have as many values of this one as near-duplicates have."""
    return _are_enough(others == one)


def near_duplicates_of(
    one: Signature, others: NDArray[np.uint32]
) -> NDArray[np.int64]:  # (N, VALUES) → indices
    """Which of the others are near-duplicates of this one."""
    equal = others == one
    similar = np.flatnonzero(_are_enough(equal))
    # Value by value of all bands at once: six looks, where a look at each band is 21.
    values = [equal[similar, at : BANDS * ROWS : ROWS] for at in range(ROWS)]
    found: NDArray[np.int64] = similar[np.logical_and.reduce(values).any(axis=1)]
    return found


def _are_enough(equal: NDArray[np.bool_]) -> NDArray[np.bool_]:
    enough: NDArray[np.bool_] = equal.sum(axis=1, dtype=np.uint8) >= ENOUGH
    return enough
