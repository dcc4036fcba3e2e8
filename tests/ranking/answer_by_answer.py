"""Answers one by one: the long way to every number of a labeler's card.

The product counts in columns, for all labelers at once (`ranking.answers`). This is
what it counts, written down as it is said; `of` turns such answers into its columns.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from math import comb, nan
from statistics import median
from typing import NamedTuple

import numpy as np

from ranking import answers as columns
from ranking.answers import Answers
from ranking.conventions import ratio
from ranking.gold import Score, share
from ranking.quality import (
    NO_LENGTHS,
    NO_POSITIONS,
    NO_REPEAT,
    NO_SECONDS,
    NOBODY_ELSE,
    Comparison,
    Habits,
    Rate,
)
from ranking.quality_intervals import beside, or_none, resampled
from ranking.quality_lines import (
    AGREEMENT,
    FATIGUE,
    HURRIED,
    LEAST_SECONDS_PER_WORD,
    LENGTH,
    POSITION,
    SELF_CONSISTENCY,
    SITTING_GAP_SECONDS,
    TIES,
    WINDOW_PROMPTS,
    WINDOW_STEP,
    Line,
    Measure,
    measure_of,
)
from ranking.quality_sittings import NO_SITTING, Window
from ranking.rank_table import FloatArray
from ranking.worked import Worked


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


# --- Sittings ---


def sittings(answers: Sequence[Answer]) -> list[list[Answer]]:
    """Rankings in order of time, cut where SITTING_GAP_SECONDS went by or more."""
    found: list[list[Answer]] = []
    for answer in sorted(answers, key=lambda answer: (answer.at, answer.prompt)):
        if found and answer.at - found[-1][-1].at < SITTING_GAP_SECONDS:
            found[-1].append(answer)
        else:
            found.append([answer])
    return found


def fatigue(answers: Sequence[Answer]) -> tuple[Measure, Measure]:
    """Of agreement and of pace, every sitting about its own mean:
    Σ w·(n - mean n)·(y - mean y) / Σ w·(n - mean n)².

    For agreement, y is a ranking's share of agreed pairs and w its comparable pairs;
    for seconds, y is seconds for 100 words and w the words.
    """
    in_turn = sittings(answers)
    return beside(_slope(in_turn, _agreed), FATIGUE), _slope(in_turn, _pace)


def _agreed(answer: Answer) -> tuple[float, float]:
    score = with_others(answer)
    return (score.agree / score.comparable if score.comparable else nan), float(
        score.comparable
    )


def _pace(answer: Answer) -> tuple[float, float]:
    if answer.seconds is None or answer.words <= 0:
        return nan, 0.0
    return 100 * answer.seconds / answer.words, answer.words


def _slope(
    in_turn: Sequence[Sequence[Answer]], told: Callable[[Answer], tuple[float, float]]
) -> Measure:
    rows = [_about_the_mean(sitting, told) for sitting in in_turn]
    moved = [row for row in rows if row[1] > 0]
    counts: FloatArray = np.array(moved).reshape(-1, 2).T
    return resampled(counts, lambda c: 10 * ratio(c[0], c[1]), missing=NO_SITTING)


def _about_the_mean(
    sitting: Sequence[Answer], told: Callable[[Answer], tuple[float, float]]
) -> tuple[float, float]:
    """Σ w·(n - mean n)·(y - mean y) and Σ w·(n - mean n)² of one sitting."""
    value, weight = np.array([told(answer) for answer in sitting]).T
    known = weight > 0
    if known.sum() < 2:
        return 0.0, 0.0
    place, value, weight = np.flatnonzero(known) + 1.0, value[known], weight[known]
    place = place - np.average(place, weights=weight)
    value = value - np.average(value, weights=weight)
    return float(weight @ (place * value)), float(weight @ place**2)


def windows(answers: Sequence[Answer]) -> Iterator[Window]:
    """Agreement with others over WINDOW_PROMPTS rankings that can be compared, one
    window every WINDOW_STEP, the last one up to the latest ranking. Fewer make one.
    """
    by_time = sorted(answers, key=lambda answer: (answer.at, answer.prompt))
    scored = [(answer.at, with_others(answer)) for answer in by_time]
    compared = [(at, score) for at, score in scored if score.comparable]
    if not compared:
        return
    latest = max(len(compared) - WINDOW_PROMPTS, 0)
    for start in sorted({*range(latest, -1, -WINDOW_STEP)}):
        some = compared[start : start + WINDOW_PROMPTS]
        yield Window(
            first_at=some[0][0],
            last_at=some[-1][0],
            agreement=share(score for _, score in some),
        )


def mid_ranks_by_place(
    answers: Sequence[Answer],
) -> dict[tuple[int, int], list[float]]:
    """From 0 to 1, by K and place."""
    found: defaultdict[tuple[int, int], list[float]] = defaultdict(list)
    for answer in answers:
        if answer.display_order is None or len(answer.ranks) < 2:
            continue
        _, mid_ranks = places_and_mid_ranks(answer.ranks, answer.display_order)
        for place, mid_rank in enumerate(mid_ranks, start=1):
            found[len(answer.ranks), place].append(float(mid_rank) + 0.5)
    return found


# --- As the product has them ------------------------------------------------------

MINE, THEIRS = 1, 1_000  # labelers; the second and further others are 1,001, 1,002 …
SIX = 6  # characters of a word


def of(rows: Sequence[Answer]) -> Answers:
    """The columns of these answers of one labeler, as summary rows would bring them."""
    own, others = [], []
    for row in rows:
        own.append((row, MINE, 0, row.ranks))
        own += [(row, MINE, n, ranks) for n, ranks in enumerate(row.again, 1)]
        others += [(row, THEIRS + n, 0, ranks) for n, ranks in enumerate(row.others)]
    return columns.answers(_worked(own), _worked(others))


def _worked(rows: Sequence[tuple[Answer, int, int, Sequence[int]]]) -> Worked:
    n, answers = len(rows), [row[0] for row in rows]
    at = [round(answer.at * 1e6) for answer in answers]
    lengths = np.array([_nine(answer.lengths) for answer in answers], np.int64)
    words = np.array([round(answer.words * SIX) for answer in answers], np.int64)
    shown = [[1 + place for place in a.display_order or ()] for a in answers]
    moments = np.array(at, np.int64).astype("datetime64[us]")
    known = [nan if a.seconds is None else a.seconds for a in answers]
    seconds = np.array(known, np.float64)
    return Worked(
        prompt=np.array([answer.prompt for answer in answers], np.int64),
        ranking=np.arange(n),
        labeler=np.array([labeler for _, labeler, _, _ in rows], np.int64),
        submitted=moments,
        first_at=moments,
        seconds=seconds,
        spent=seconds,
        version=np.zeros(n, np.int64),
        repeat=np.array([repeat for _, _, repeat, _ in rows], np.int64),
        status=np.zeros(n, np.int64),
        targeted=np.zeros(n, np.bool_),
        ranks=np.array([_nine(ranks) for *_, ranks in rows], np.uint8).reshape(-1, 9),
        shown=np.array([_nine(one) for one in shown], np.uint8).reshape(-1, 9),
        asked=words - lengths.reshape(-1, 9).sum(axis=1),
        lengths=lengths.reshape(-1, 9),
        wanted=np.ones(n, np.bool_),
    )


def _nine(numbers: Sequence[int]) -> list[int]:
    return [*numbers, *[0] * (9 - len(numbers))]
