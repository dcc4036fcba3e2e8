"""Whether a new model is good enough to replace the one in use. PURE.

Both order the same held-out pairs, so the difference is taken pair by pair; the pairs
of a prompt depend on each other, so the bootstrap draws prompts.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Self

import numpy as np

from ranking.bootstrap import percentile_interval
from ranking.rank_table import FloatArray, IntArray
from rm_training.metrics import PairCounts

SEED: Final = 0
DRAWS: Final = 10_000
FEWEST_PROMPTS: Final = 10
"""With fewer, the percentiles of a bootstrap are far too narrow to decide by."""
MARGIN_POINTS: Final = 1.0
_WEIGHTS_AT_ONCE: Final = 2_000_000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two models on the same held-out prompts."""

    new: float | None
    """Accuracy of the new model: (wins + ties / 2) / pairs. None without a pair."""
    old: float | None
    difference: float | None
    """new - old, a share."""
    interval: tuple[float, float] | None
    """Its 95 % interval; None with fewer than two prompts."""
    prompts: int
    """Those with a strict pair, which are drawn."""
    pairs: int

    def to_dict(self) -> dict[str, Any]:
        """JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> Self:
        """Inverse of to_dict; other keys are passed over."""
        names = [field.name for field in dataclasses.fields(cls)]
        known = {name: facts[name] for name in names}
        interval = known["interval"] and tuple(known["interval"])
        return cls(**known | {"interval": interval})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verdict:
    """What follows from a comparison."""

    promote: bool
    why: str


def compare(new: Sequence[PairCounts], old: Sequence[PairCounts]) -> Comparison:
    """The accuracies of two models, one count a prompt from each, and the difference.

    A draw takes as many prompts as there are, with replacement; every pair of every
    ranking of a drawn prompt counts once, for both models. Seed 0, 10,000 draws,
    percentiles.

    Raises ValueError where the two did not order the same pairs.
    """
    if [one.n for one in new] != [one.n for one in old]:
        raise ValueError("the two models did not order the same pairs")
    both = [(a, b) for a, b in zip(new, old, strict=True) if a.n]
    pairs = np.array([a.n for a, _ in both], np.int64)  # (m,)
    right = np.array([_right(a) for a, _ in both])
    right_before = np.array([_right(b) for _, b in both])
    total = int(pairs.sum())
    if not total:
        return Comparison(
            new=None, old=None, difference=None, interval=None, prompts=0, pairs=0
        )
    gained = right - right_before
    return Comparison(
        new=float(right.sum() / total),
        old=float(right_before.sum() / total),
        difference=float(gained.sum() / total),
        interval=_interval(gained, pairs) if len(both) > 1 else None,
        prompts=len(both),
        pairs=total,
    )


def decide(comparison: Comparison, *, margin: float | None) -> Verdict:
    """Whether the new model may replace the old one without anybody's word.

    `margin` in points of accuracy: the lower end of the interval must be above
    -margin. None: a person always decides.
    """
    if comparison.difference is None:
        return _wait("no held-out pair (valid1) could be compared")
    if margin is None:
        return _wait("in this project a person always decides")
    if comparison.interval is None or comparison.prompts < FEWEST_PROMPTS:
        return _wait(
            f"{comparison.prompts} held-out prompt"
            f"{'' if comparison.prompts == 1 else 's'} are too few to decide by: "
            f"{FEWEST_PROMPTS} are needed"
        )
    low, line = points(comparison.interval[0]), points(-margin / 100)
    if comparison.interval[0] > -margin / 100:
        why = f"the lower end of the interval, {low}, is above {line}"
        return Verdict(promote=True, why=why)
    return _wait(
        f"the lower end of the interval, {low}, is not above {line}: the new model may "
        "be worse by more than that"
    )


def points(share: float) -> str:
    """A difference of two accuracies, in words.

    >>> points(-0.0125), points(0.01)
    ('−1.25 points', '+1.00 points')
    """
    rounded = round(100 * share, 2) + 0.0  # no minus before a naught
    sign = "−" if rounded < 0 else "+" if rounded else "±"
    return f"{sign}{abs(rounded):.2f} points"


def _right(counts: PairCounts) -> float:
    return counts.wins + counts.ties / 2


def _wait(why: str) -> Verdict:
    return Verdict(promote=False, why=why)


def _interval(gained: FloatArray, pairs: IntArray) -> tuple[float, float]:
    drawn = [(weights @ gained) / (weights @ pairs) for weights in _weights(len(pairs))]
    interval = percentile_interval(np.concatenate(drawn))
    assert interval is not None  # each draw has a prompt, and each prompt a pair
    return interval[0], interval[1]


def _weights(prompts: int) -> Iterator[IntArray]:
    """How often each prompt is drawn, (b, prompts), block by block of draws."""
    rng = np.random.default_rng(SEED)
    block = max(1, _WEIGHTS_AT_ONCE // prompts)
    for start in range(0, DRAWS, block):
        size = min(block, DRAWS - start)
        yield rng.multinomial(prompts, np.full(prompts, 1 / prompts), size=size)
