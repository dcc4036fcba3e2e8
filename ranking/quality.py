"""PURE: what one labeler's rankings say of how they work, each number with an interval.

Beside the same prompts' other rankings where there are any: agreement, ties and length
are compared with what others said of the same responses. Shares have the interval of
`gold.interval`, made for few prompts; differences and slopes the percentile interval of
a bootstrap over prompts, from FEWEST_PROMPTS on.
"""

from dataclasses import dataclass

import numpy as np

from ranking.answers import Answers
from ranking.conventions import ratio
from ranking.gold import Share, observations, wilson
from ranking.quality_intervals import beside, or_none, resampled
from ranking.quality_lines import (
    AGREEMENT,
    HURRIED,
    LENGTH,
    POSITION,
    SELF_CONSISTENCY,
    TIES,
    Line,
    Measure,
    measure_of,
)
from ranking.rank_table import BoolArray, FloatArray, IntArray
from ranking.tallies import MOST_RESPONSES

NOBODY_ELSE = "nobody else ranked a prompt that this labeler ranked"
NO_REPEAT = "no prompt was ranked twice by this labeler"
NO_POSITIONS = "the order shown is not known for any ranking of this labeler"
NO_LENGTHS = "no pair that both sides ordered is known to differ in length"
NO_SECONDS = "no time was recorded for these rankings"


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


# --- Measures ---------------------------------------------------------------------


def agreement(answers: Answers) -> Measure:
    """Strict agreement with all others who ranked the same pairs: `vs_others`."""
    found = share_of(answers.agree, answers.comparable)
    return measure_of(found, line=AGREEMENT, missing=NOBODY_ELSE)


def self_consistency(answers: Answers) -> Measure:
    """Strict agreement with themselves on prompts that were served again."""
    found = share_of(answers.again_agree, answers.again_comparable)
    return measure_of(found, line=SELF_CONSISTENCY, missing=NO_REPEAT)


def hurried(answers: Answers) -> Measure:
    """The share of timed rankings that were faster than anybody reads."""
    found = share_of(answers.hurried & answers.timed, answers.timed)
    return measure_of(found, line=HURRIED, missing=NO_SECONDS)


def share_of(agree: IntArray | BoolArray, comparable: IntArray | BoolArray) -> Share:
    """`gold.share` of columns `(n,)`, a prompt each."""
    counted = comparable > 0
    part, whole = (column[counted].astype(np.int64) for column in (agree, comparable))
    m, pairs, right = len(whole), int(whole.sum()), int(part.sum())
    interval = None
    if m > 1:
        p = right / pairs
        told = observations(
            prompts=m,
            pairs=pairs,
            p=p,
            spread=float(((part - p * whole) ** 2).sum()),
            squares=int((whole**2).sum()),
        )
        interval = wilson(p, told)
    return Share(right, pairs, m, right / pairs if m else None, interval)


def seconds_per_100_words(answers: Answers) -> Measure:
    """Active time over the words there were to read: sums, then one division."""
    paced = answers.paced
    counts = np.array([answers.seconds[paced], answers.words[paced] / 100])
    return resampled(counts, lambda c: ratio(c[0], c[1]), missing=NO_SECONDS)


def median_pace(answers: Answers) -> float | None:
    """The median over rankings of seconds for 100 words; None where none was timed.

    One long break does not move it, as it moves the sums of `seconds_per_100_words`.
    """
    paced = answers.paced
    paces = 100 * answers.seconds[paced] / answers.words[paced]
    return float(np.median(paces)) if len(paces) else None


def position_bias(answers: Answers) -> Measure:
    """The slope of the mid-rank on the place on the page, as in `bias.position_bias`:
    +1 always ranked in the order shown, -1 always the reverse."""
    places = np.arange(MOST_RESPONSES) / np.maximum(answers.k - 1, 1)[:, None] - 0.5
    products, squares = places * answers.mid_ranks, places**2
    known = ~np.isnan(products)
    counts = np.array(
        [(c * known).sum(axis=1, where=known) for c in (products, squares)]
    )
    slope = resampled(counts, lambda c: ratio(c[0], c[1]), missing=NO_POSITIONS)
    return beside(slope, POSITION)


def length_bias(answers: Answers) -> Comparison:
    """P(the longer of two wins), over strict pairs whose lengths differ."""
    own, others = (
        (answers.longer, answers.sized),
        (answers.others_longer, answers.others_sized),
    )
    return _compared(answers, own, others, LENGTH, NO_LENGTHS)


def tie_rate(answers: Answers) -> Comparison:
    """The share of tied pairs."""
    own, others = (answers.ties, answers.pairs), (answers.others_ties, answers.pairs)
    return _compared(answers, own, others, TIES, NOBODY_ELSE)


def _compared(
    answers: Answers,
    mine: tuple[IntArray, IntArray],
    theirs: tuple[FloatArray | IntArray, FloatArray | IntArray],
    line: Line,
    missing: str,
) -> Comparison:
    met = answers.others > 0
    counts = np.array([*mine, *theirs], np.float64)[:, met]
    own, others = (ratio(c[0], c[1]) for c in (counts[:2].sum(1), counts[2:].sum(1)))
    difference = resampled(
        counts, lambda c: ratio(c[0], c[1]) - ratio(c[2], c[3]), missing=missing
    )
    return Comparison(
        own=measure_of(share_of(*mine), missing=missing),
        own_there=or_none(own),
        others=or_none(others),
        difference=beside(difference, line),
    )


def habits(answers: Answers, unread: Rate) -> Habits:
    """Counts of rankings: give those of repeats too, which are rankings as well.

    `unread` is what the pages measured: rankings with a response never opened.
    """
    n = len(answers)
    return Habits(
        all_tied=Rate(_count(answers.tiers == 1), n),
        never_tied=Rate(_count(answers.tiers == answers.k), n),
        untouched=Rate(_count(answers.untouched), _count(answers.placed)),
        unread=unread,
        hurried=Rate(_count(answers.hurried & answers.timed), _count(answers.timed)),
    )


def _count(rows: BoolArray) -> int:
    return int(np.count_nonzero(rows))
