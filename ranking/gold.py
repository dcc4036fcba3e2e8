"""PURE: how far a labeler follows a known order, and how sure that is.

`gold` of `agreement.md`: strict pairs of the gold order that the labeler ordered the
same, over all its strict pairs. A tie is not the same.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from itertools import combinations
from math import atan, cos, inf, pi, sin, sqrt
from statistics import NormalDist
from typing import Final, TypeVar

Key = TypeVar("Key")

LEVEL: Final = 0.95
# Pairs of one prompt depend on each other: `agreement.md`, section 2, measured
# intervals up to twice as wide as the binomial one, hence a fourth of the pairs.
LARGEST_DESIGN_EFFECT: Final = 4.0
LONGEST_TEST: Final = 500  # prompts


@dataclass(frozen=True, slots=True)
class Score:
    """On one prompt: pairs that could be ordered right, and those that were."""

    agree: int
    comparable: int


@dataclass(frozen=True, slots=True)
class Share:
    """Right pairs over several prompts; `prompts` are those with a pair to compare.

    `value` is None where nothing was comparable, `interval` also where all of it
    comes from one prompt.
    """

    agree: int
    comparable: int
    prompts: int
    value: float | None
    interval: tuple[float, float] | None


def score(ranks: Mapping[Key, int], gold: Mapping[Key, int]) -> Score:
    """One ranking against the known order of the same responses.

    Ranks: lower is better, equal is a tie; gaps are harmless. Gold (1, 1, 2) has two
    strict pairs; ranks (1, 2, 2) order one of them the same.

    Raises ValueError where the two do not rank the same responses.
    """
    if ranks.keys() != gold.keys():
        raise ValueError("the ranking and the gold order are not of the same responses")
    strict = [(a, b) for a, b in combinations(gold, 2) if gold[a] != gold[b]]
    same = sum(sign(ranks[a] - ranks[b]) == sign(gold[a] - gold[b]) for a, b in strict)
    return Score(same, len(strict))


def sign(difference: int) -> int:
    """-1, 0 or 1: first better, a tie, second better, of a difference of ranks."""
    return (difference > 0) - (difference < 0)


def share(scores: Iterable[Score]) -> Share:
    """All pairs of all prompts, then one division, with its 95 % interval."""
    counted = [one for one in scores if one.comparable]
    agree = sum(one.agree for one in counted)
    comparable = sum(one.comparable for one in counted)
    return Share(
        agree=agree,
        comparable=comparable,
        prompts=len(counted),
        value=agree / comparable if comparable else None,
        interval=interval(counted),
    )


def interval(scores: Sequence[Score]) -> tuple[float, float] | None:
    """95 % interval of the share of right pairs, for as few as two prompts.

    Wilson's score interval with an effective number of observations in place of the
    number of pairs, as Korn and Graubard (Survey Methodology 24, 1998) put one into
    the exact interval, and Franco, Little, Louis and Slud (Journal of Survey
    Statistics and Methodology 7, 2019) into Wilson's and others. A percentile
    bootstrap over prompts, right for the many prompts of a report, has no width at
    all where every prompt of a short test came out alike: it would be certain of
    somebody who got two prompts right.

    With a_i of n_i pairs right on prompt i of m, N = Σn_i and p = Σa_i / N:

    - v = m/(m-1) · Σ(a_i - p·n_i)² / N² is the variance of p between prompts;
    - p(1-p)/v observations have that variance, at most N / 4 are believed;
    - few prompts estimate v badly: times (z / t)², t being Student's quantile with
      m - 1 degrees of freedom;
    - at least N² / Σn_i² (Kish; m where prompts are of one size): a share within
      [0, 1] of mean p varies by p(1-p) at the most, when all pairs of a prompt are
      right or wrong together.

    None for fewer than two prompts with a comparable pair: nothing says how prompts
    differ.
    """
    counted = [one for one in scores if one.comparable]
    if len(counted) < 2:
        return None
    pairs = sum(one.comparable for one in counted)
    p = sum(one.agree for one in counted) / pairs
    return wilson(p, effective_observations(counted))


def reach(pairs: Iterable[int]) -> float | None:
    """The highest threshold that anybody can pass on prompts of so many strict pairs
    each: where the interval of a test without a mistake begins.

    Three prompts of 6 pairs: 3 observations, and 3 / (3 + 1.96²) is 44 %. None for
    fewer than two prompts, which have no interval.
    """
    faultless = interval([Score(number, number) for number in pairs])
    return None if faultless is None else faultless[0]


@lru_cache(maxsize=256)
def fewest_prompts(threshold: float, pairs: int) -> int | None:
    """How long a test must be for somebody to pass it: at least so many prompts of
    `pairs` ≥ 1 strict pairs each. None where more than 500 are needed.

    `reach` grows with every prompt, so it is found by halving.
    """
    lengths = range(2, LONGEST_TEST + 1)
    place = bisect_left(
        lengths, threshold, key=lambda length: reach([pairs] * length) or 0.0
    )
    return lengths[place] if place < len(lengths) else None


def effective_observations(scores: Sequence[Score]) -> float:
    """How many independent pairs tell as much as these of two or more prompts."""
    pairs = sum(one.comparable for one in scores)
    p = sum(one.agree for one in scores) / pairs
    return observations(
        prompts=len(scores),
        pairs=pairs,
        p=p,
        spread=sum((one.agree - p * one.comparable) ** 2 for one in scores),
        squares=sum(one.comparable**2 for one in scores),
    )


def observations(
    *, prompts: int, pairs: int, p: float, spread: float, squares: int
) -> float:
    """The same from sums over two prompts or more: N = Σn_i, Σ(a_i - p·n_i)², Σn_i²."""
    m = prompts
    variance = m / (m - 1) * spread / pairs**2
    observed = p * (1 - p) / variance if variance else inf
    believed = min(observed, pairs / LARGEST_DESIGN_EFFECT)
    z, t = NormalDist().inv_cdf((1 + LEVEL) / 2), student_quantile(m - 1)
    fewest = pairs**2 / squares
    return max(believed * (z / t) ** 2, fewest)


def wilson(p: float, n: float) -> tuple[float, float]:
    """Wilson's 95 % score interval of a share `p` of `n` observations, n > 0.

    Source: Wilson, Journal of the American Statistical Association 22 (1927).
    """
    z = NormalDist().inv_cdf((1 + LEVEL) / 2)
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    return max(0.0, centre - half), min(1.0, centre + half)


@lru_cache(maxsize=LONGEST_TEST)
def student_quantile(degrees: int) -> float:
    """The t with 95 % of Student's distribution between -t and t; degrees ≥ 1."""
    low, high = 0.0, 20.0  # 12.7 with one degree, the largest
    for _ in range(60):
        middle = (low + high) / 2
        if _student_between(middle, degrees) < LEVEL:
            low = middle
        else:
            high = middle
    return high


def _student_between(t: float, degrees: int) -> float:
    """P(-t < T < t): Abramowitz and Stegun 26.7.3 (odd) and 26.7.4 (even)."""
    angle = atan(t / sqrt(degrees))
    odd = degrees % 2
    term, total = (cos(angle) if odd else 1.0), 0.0
    for step in range(degrees // 2):
        total += term
        term *= cos(angle) ** 2 * (2 * step + 1 + odd) / (2 * step + 2 + odd)
    total *= sin(angle)
    return 2 / pi * (angle + total) if odd else total


class Entry(Enum):
    """What a completed test says of a labeler."""

    PASSED = "passed"
    FAILED = "failed"
    UNDECIDED = "undecided"  # the line lies within the interval: a person decides


def verdict(result: Share, threshold: float) -> Entry:
    """Passed where the whole interval is at the line or above, failed where the whole
    of it is under the line; else, or without an interval, undecided.
    """
    if result.interval is None:
        return Entry.UNDECIDED
    low, high = result.interval
    if low >= threshold:
        return Entry.PASSED
    return Entry.FAILED if high < threshold else Entry.UNDECIDED
