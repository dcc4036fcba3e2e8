"""PURE: what one labeler's rankings say of how they work, each number with an interval.

Beside the same prompts' other rankings where there are any: agreement, ties and length
are compared with what others said of the same responses. Shares have the interval of
`gold.interval`, made for few prompts; differences and slopes the percentile interval of
a bootstrap over prompts, from FEWEST_PROMPTS on.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from math import comb
from statistics import median
from typing import NamedTuple

import numpy as np

from ranking.conventions import ratio
from ranking.gold import Score, share
from ranking.quality_intervals import beside, or_none, resampled
from ranking.quality_lines import (
    AGREEMENT,
    HURRIED,
    LEAST_SECONDS_PER_WORD,
    LENGTH,
    POSITION,
    SELF_CONSISTENCY,
    TIES,
    Line,
    Measure,
    measure_of,
)
from ranking.rank_table import FloatArray

NOBODY_ELSE = "nobody else ranked a prompt that this labeler ranked"
NO_REPEAT = "no prompt was ranked twice by this labeler"
NO_POSITIONS = "the order shown is not known for any ranking of this labeler"
NO_LENGTHS = "no pair that both sides ordered is known to differ in length"
NO_SECONDS = "no time was recorded for these rankings"


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """One prompt that a labeler ranked, and what others said of it.

    - `ranks`, each of `others` and `again` (`again`: rankings of theirs when it was
      served once more): lower is better, in the order of the response ids.
    - `display_order`: the responses in the order shown; None when not known.
    - `lengths`: characters of each response; `words`: about how many there were to
      read, prompt included.
    - `seconds`: active time over all revisions, `unread` the letters that no page
      opened; None where no page measured it.
    - `at`: when the first ranking came, in seconds since any moment.
    """

    prompt: int
    at: float
    ranks: Sequence[int]
    others: Sequence[Sequence[int]] = ()
    again: Sequence[Sequence[int]] = ()
    display_order: Sequence[int] | None = None
    lengths: Sequence[int] = ()
    words: float = 0.0
    seconds: float | None = None
    unread: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Rate:
    """So many of so many; without any of them there is no rate."""

    count: int
    of: int

    @property
    def value(self) -> float | None:
        """A share from 0 to 1."""
        return self.count / self.of if self.of else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Habits:
    """How often a labeler does what may be a sign of haste. Counts of rankings."""

    all_tied: Rate  # everything in one tier
    never_tied: Rate  # no tie at all
    untouched: Rate  # of those whose order shown is known: ranked just as shown
    unread: Rate  # of those measured: one response at least was never opened
    hurried: Rate  # of those timed: faster than anybody reads


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """A share of the labeler's beside that of the others on the same prompts.

    `own` is of all their prompts; `own_there`, `others` and the `difference` of these
    two are of the prompts that others ranked too. The others of one prompt count as
    one: their mean, so that a prompt that many ranked does not weigh more on their
    side than on the labeler's.
    """

    own: Measure
    own_there: float | None
    others: float | None
    difference: Measure


# --- Two rankings of one set ------------------------------------------------------


class Ordered(NamedTuple):
    """The pairs (first, second) of one ranking, a bit for each: those in which the
    first is better, and those in which the second is. What is in neither is tied.

    A page with everybody's numbers looks at millions of pairs: of two rankings it
    counts those ordered alike by two ANDs, not one by one.
    """

    first: int
    second: int

    @property
    def strict(self) -> int:
        """Pairs that are no ties."""
        return self.first | self.second


def ordered(ranks: Sequence[int]) -> Ordered:
    """Ranks 1, 2, 2 order the pairs (0, 1) and (0, 2), and tie (1, 2): 0b11 and 0."""
    return _ordered(tuple(ranks))


@lru_cache(maxsize=1 << 15)
def _ordered(ranks: tuple[int, ...]) -> Ordered:
    """Every measure asks for those of the same rankings."""
    first = second = 0
    for bit, (a, b) in enumerate(combinations(ranks, 2)):
        if a < b:
            first |= 1 << bit
        elif b < a:
            second |= 1 << bit
    return Ordered(first, second)


def same_again(first: Sequence[int], second: Sequence[int]) -> Score:
    """Two rankings of one prompt: pairs that both order strictly, and of these the
    ones ordered the same. Raises ValueError where they rank different numbers."""
    if len(first) != len(second):
        raise ValueError(f"{len(first)} responses cannot be beside {len(second)}")
    one, other = ordered(first), ordered(second)
    same = (one.first & other.first) | (one.second & other.second)
    return Score(same.bit_count(), (one.strict & other.strict).bit_count())


def pooled(scores: Iterable[Score]) -> Score:
    """All pairs of one prompt together: they depend on each other."""
    listed = list(scores)
    return Score(sum(s.agree for s in listed), sum(s.comparable for s in listed))


def with_others(answer: Answer) -> Score:
    """Strict pairs of this prompt, against each of the others in turn."""
    return pooled(same_again(answer.ranks, other) for other in answer.others)


def with_oneself(answer: Answer) -> Score:
    """Strict pairs between all their own rankings of this prompt."""
    return pooled(
        same_again(a, b) for a, b in combinations([answer.ranks, *answer.again], 2)
    )


def is_untouched(ranks: Sequence[int], display_order: Sequence[int]) -> bool:
    """Whether the responses were ranked strictly in the order shown, first best.

    `ranks` by response, `display_order` the responses in the order shown:
    ranks [2, 3, 1] shown as [2, 0, 1] are 1, 2, 3.
    """
    return [ranks[place] for place in display_order] == list(range(1, len(ranks) + 1))


def is_hurried(seconds: float, words: float) -> bool:
    """Whether nobody reads so fast: under LEAST_SECONDS_PER_WORD."""
    return seconds < LEAST_SECONDS_PER_WORD * words


# --- Measures ---------------------------------------------------------------------


def agreement(answers: Sequence[Answer]) -> Measure:
    """Strict agreement with all others who ranked the same pairs: `vs_others`."""
    found = share(with_others(answer) for answer in answers)
    return measure_of(found, line=AGREEMENT, missing=NOBODY_ELSE)


def self_consistency(answers: Sequence[Answer]) -> Measure:
    """Strict agreement with themselves on prompts that were served again."""
    found = share(with_oneself(answer) for answer in answers)
    return measure_of(found, line=SELF_CONSISTENCY, missing=NO_REPEAT)


def hurried(answers: Sequence[Answer]) -> Measure:
    """The share of timed rankings that were faster than anybody reads."""
    found = share(
        Score(is_hurried(answer.seconds, answer.words), 1)
        for answer in answers
        if answer.seconds is not None
    )
    return measure_of(found, line=HURRIED, missing=NO_SECONDS)


def seconds_per_100_words(answers: Sequence[Answer]) -> Measure:
    """Active time over the words there were to read: sums, then one division."""
    timed = [a for a in answers if a.seconds is not None and a.words > 0]
    rows = np.array([(a.seconds, a.words / 100) for a in timed]).reshape(-1, 2)
    return resampled(rows.T, lambda c: ratio(c[0], c[1]), missing=NO_SECONDS)


def median_pace(answers: Sequence[Answer]) -> float | None:
    """The median over rankings of seconds for 100 words; None where none was timed.

    One long break does not move it, as it moves the sums of `seconds_per_100_words`.
    """
    paces = [
        100 * a.seconds / a.words
        for a in answers
        if a.seconds is not None and a.words > 0
    ]
    return median(paces) if paces else None


def position_bias(answers: Sequence[Answer]) -> Measure:
    """The slope of the mid-rank on the place on the page, as in `bias.position_bias`:
    +1 always ranked in the order shown, -1 always the reverse."""
    rows = [
        _place_and_rank(answer.ranks, answer.display_order)
        for answer in answers
        if answer.display_order is not None and len(answer.ranks) > 1
    ]
    counts = np.array(rows).reshape(-1, 2).T
    slope = resampled(counts, lambda c: ratio(c[0], c[1]), missing=NO_POSITIONS)
    return beside(slope, POSITION)


def places_and_mid_ranks(
    ranks: Sequence[int], display_order: Sequence[int]
) -> tuple[FloatArray, FloatArray]:
    """Of two responses or more, first shown first: place and mid-rank `(K,)`, both
    from -½, first and best, to ½."""
    shown = np.array([ranks[response] for response in display_order])
    places: FloatArray = np.arange(len(shown)) / (len(shown) - 1) - 0.5
    ahead = np.sign(shown[:, None] - shown[None, :]).sum(axis=1)
    mid_ranks: FloatArray = ahead / (2 * (len(shown) - 1))
    return places, mid_ranks


def _place_and_rank(
    ranks: Sequence[int], display_order: Sequence[int]
) -> tuple[float, float]:
    """Σ products and Σ squares of place and mid-rank."""
    places, mid_ranks = places_and_mid_ranks(ranks, display_order)
    return float(places @ mid_ranks), float(places @ places)


def length_bias(answers: Sequence[Answer]) -> Comparison:
    """P(the longer of two wins), over strict pairs whose lengths differ."""
    return _compared(
        answers, lambda ranks, a: _longer_wins(ranks, a.lengths), LENGTH, NO_LENGTHS
    )


def tie_rate(answers: Sequence[Answer]) -> Comparison:
    """The share of tied pairs."""
    return _compared(answers, lambda ranks, _: _tied(ranks), TIES, NOBODY_ELSE)


def _longer_wins(ranks: Sequence[int], lengths: Sequence[int]) -> Score:
    """Lengths are none where they are not known."""
    if not lengths:
        return Score(0, 0)
    shorter_wins = same_again(ranks, lengths)  # the shorter first, as the better rank
    comparable = shorter_wins.comparable
    return Score(comparable - shorter_wins.agree, comparable)


def _tied(ranks: Sequence[int]) -> Score:
    pairs = comb(len(ranks), 2)
    return Score(pairs - ordered(ranks).strict.bit_count(), pairs)


def _compared(
    answers: Sequence[Answer],
    scored: Callable[[Sequence[int], Answer], Score],
    line: Line,
    missing: str,
) -> Comparison:
    own_scores = [scored(answer.ranks, answer) for answer in answers]
    rows = []
    for answer, mine in zip(answers, own_scores, strict=True):
        theirs = [scored(ranks, answer) for ranks in answer.others]
        if theirs:
            count = sum(score.agree for score in theirs) / len(theirs)
            of = sum(score.comparable for score in theirs) / len(theirs)
            rows.append((mine.agree, mine.comparable, count, of))
    counts = np.array(rows, np.float64).reshape(-1, 4).T
    own, others = (ratio(c[0], c[1]) for c in (counts[:2].sum(1), counts[2:].sum(1)))
    difference = resampled(
        counts, lambda c: ratio(c[0], c[1]) - ratio(c[2], c[3]), missing=missing
    )
    return Comparison(
        own=measure_of(share(own_scores), missing=missing),
        own_there=or_none(own),
        others=or_none(others),
        difference=beside(difference, line),
    )


def habits(answers: Sequence[Answer]) -> Habits:
    """Counts of rankings: give those of repeats too, which are rankings as well."""
    shown = [a for a in answers if a.display_order is not None]
    timed = [a for a in answers if a.seconds is not None]
    measured = [a for a in answers if a.unread is not None]
    tiers = [(len(set(a.ranks)), len(a.ranks)) for a in answers]
    return Habits(
        all_tied=Rate(sum(t == 1 for t, _ in tiers), len(tiers)),
        never_tied=Rate(sum(t == k for t, k in tiers), len(tiers)),
        untouched=Rate(
            sum(is_untouched(a.ranks, a.display_order or ()) for a in shown), len(shown)
        ),
        unread=Rate(sum(bool(a.unread) for a in measured), len(measured)),
        hurried=Rate(
            sum(is_hurried(a.seconds or 0.0, a.words) for a in timed), len(timed)
        ),
    )
