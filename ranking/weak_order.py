"""What a labeler answered: a weak order, that is ranks in which ties are allowed.

A rank is an integer, lower is better, equal is a tie. Real files hold gaps
(1, 1, 4) and scales that do not start at 1 (3, 3, 5); only the order means
anything, so every computation starts from dense ranks.
"""

from collections.abc import Collection, Mapping
from typing import TypeVar

Key = TypeVar("Key")


class IncompleteRanking(ValueError):  # noqa: N818 - reads as what happened
    """A ranking that does not cover exactly the responses of its prompt.

    `missing` holds the responses without a rank, `unknown` the ranked keys that
    are no response of the prompt; each sorted by its text.
    """

    def __init__(self, *, missing: Collection[object], unknown: Collection[object]):
        self.missing = sorted(missing, key=str)
        self.unknown = sorted(unknown, key=str)
        faults = []
        if self.missing:
            faults.append(f"misses {_named(self.missing, 'response')}")
        if self.unknown:
            are = "is not a response" if len(self.unknown) == 1 else "are not responses"
            faults.append(f"names {_listed(self.unknown)}, which {are} of this prompt")
        super().__init__(f"the ranking {' and '.join(faults)}")


def dense_ranks(ranks: Mapping[Key, int]) -> dict[Key, int]:
    """The same weak order in ranks 1..T, where T is the number of tiers.

    Gaps and offsets go, the order and the ties stay, and so does the order of the
    keys: `{"a": 3, "b": 3, "c": 5}` gives `{"a": 1, "b": 1, "c": 2}`. Doing it
    twice changes nothing.

    Raises ValueError for a ranking without responses and for a rank that is not an
    integer (`True` and `1.0` are not).
    """
    if not ranks:
        raise ValueError("the ranking is empty: it ranks no response")
    for key, rank in ranks.items():
        if not isinstance(rank, int) or isinstance(rank, bool):
            raise ValueError(f"the rank of {key} is {rank!r}, which is not an integer")
    tier_of = {rank: tier for tier, rank in enumerate(sorted(set(ranks.values())), 1)}
    return {key: tier_of[rank] for key, rank in ranks.items()}


def check_complete(ranks: Mapping[Key, int], responses: Collection[Key]) -> None:
    """Raise `IncompleteRanking` unless `ranks` covers exactly these responses."""
    expected = set(responses)
    missing, unknown = expected - ranks.keys(), ranks.keys() - expected
    if missing or unknown:
        raise IncompleteRanking(missing=missing, unknown=unknown)


def _named(keys: list[object], noun: str) -> str:
    return f"{noun if len(keys) == 1 else noun + 's'} {_listed(keys)}"


def _listed(keys: list[object]) -> str:
    """`r1`, `r1 and r2`, `r1, r2 and r3`."""
    texts = [str(key) for key in keys]
    if len(texts) == 1:
        return texts[0]
    return f"{', '.join(texts[:-1])} and {texts[-1]}"
