"""PURE: what the pictures of a labeler's card show, as rows and in words."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, median, stdev

from ranking.gold import student_quantile
from ranking.quality import (
    NO_POSITIONS,
    NO_SECONDS,
    NOBODY_ELSE,
    Answer,
    is_hurried,
    median_pace,
    places_and_mid_ranks,
)
from ranking.quality_lines import FEWEST_PROMPTS
from ranking.quality_sittings import Window

MOST_BANDS = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class PlaceMean:
    """Of prompts with `k` responses: how what stood on a place of the page was ranked.

    `place` from 1, the first. `mean` is its mean mid-rank from 0, always best, to 1,
    always last: ½ wherever place does not matter. `interval` is 95 %, None for fewer
    than FEWEST_PROMPTS prompts.
    """

    k: int
    place: int
    mean: float
    interval: tuple[float, float] | None
    prompts: int


@dataclass(frozen=True, kw_only=True, slots=True)
class PaceBand:
    """The rankings of about as many words: medians over them."""

    least_words: float
    most_words: float
    rankings: int
    seconds: float
    seconds_per_100_words: float


def place_means(answers: Sequence[Answer]) -> list[PlaceMean]:
    """By K, then by place. Intervals: the mean ± t·s/√n, prompts being independent."""
    found: defaultdict[tuple[int, int], list[float]] = defaultdict(list)
    for answer in answers:
        if answer.display_order is None or len(answer.ranks) < 2:
            continue
        _, mid_ranks = places_and_mid_ranks(answer.ranks, answer.display_order)
        for place, mid_rank in enumerate(mid_ranks, start=1):
            found[len(answer.ranks), place].append(float(mid_rank) + 0.5)
    return [_place_mean(k, place, found[k, place]) for k, place in sorted(found)]


def _place_mean(k: int, place: int, mid_ranks: Sequence[float]) -> PlaceMean:
    mean, n = fmean(mid_ranks), len(mid_ranks)
    interval = None
    if n >= FEWEST_PROMPTS:
        half = student_quantile(n - 1) * stdev(mid_ranks) / n**0.5
        interval = (max(0.0, mean - half), min(1.0, mean + half))
    return PlaceMean(k=k, place=place, mean=mean, interval=interval, prompts=n)


def commonest_k(means: Sequence[PlaceMean]) -> list[PlaceMean]:
    """Those of the K that most prompts have, the smaller K of two: one picture."""
    if not means:
        return []
    k = max(means, key=lambda one: (one.prompts, -one.k)).k
    return [one for one in means if one.k == k]


def timed(answers: Sequence[Answer]) -> list[tuple[Answer, float]]:
    """The rankings whose time and words are known, with their seconds."""
    return [(a, a.seconds) for a in answers if a.seconds and a.words > 0]


def pace_bands(answers: Sequence[Answer]) -> list[PaceBand]:
    """MOST_BANDS bands of about equally many rankings, from few words to many."""
    by_words = sorted(timed(answers), key=lambda pair: (pair[0].words, pair[1]))
    bands = min(MOST_BANDS, len(by_words))
    cuts = [len(by_words) * band // bands for band in range(bands + 1)] if bands else []
    return [_band(by_words[start:end]) for start, end in pairwise(cuts)]


def _band(some: Sequence[tuple[Answer, float]]) -> PaceBand:
    return PaceBand(
        least_words=some[0][0].words,
        most_words=some[-1][0].words,
        rankings=len(some),
        seconds=median(seconds for _, seconds in some),
        seconds_per_100_words=median(100 * s / answer.words for answer, s in some),
    )


# --- In words ---------------------------------------------------------------------


def agreement_finding(windows: Sequence[Window]) -> str:
    """Where agreement with others began and where it is."""
    if not windows:
        return f"No agreement yet: {NOBODY_ELSE}."
    last = windows[-1].agreement
    said = f"Agreement with others is {_percent(last.value)} over the latest"
    said += f" {_prompts(last.prompts)} that can be compared"
    if last.interval:
        said += f" (95 % interval {' to '.join(map(_percent, last.interval))})"
    if len(windows) > 1:
        first = windows[0].agreement
        said += f"; it was {_percent(first.value)} over the first {first.prompts}"
    return f"{said}."


def pace_finding(answers: Sequence[Answer]) -> str:
    """How fast, and how often faster than anybody reads."""
    pace, known = median_pace(answers), timed(answers)
    if pace is None:
        return f"No pace yet: {NO_SECONDS}."
    hurried = sum(is_hurried(seconds, answer.words) for answer, seconds in known)
    rankings = (
        "1 timed ranking" if len(known) == 1 else f"{len(known):,} timed rankings"
    )
    return (
        f"The median is {pace:.1f} s for 100 words over {rankings}; {hurried:,}"
        f" {'was' if hurried == 1 else 'were'} faster than anybody reads."
    )


def position_finding(means: Sequence[PlaceMean]) -> str:
    """How what stood first and last was ranked."""
    if not means:
        return f"No picture yet: {NO_POSITIONS}."
    first, last = means[0], means[-1]
    return (
        f"On {_prompts(first.prompts)} with {first.k} responses, what stood first came"
        f" to a mean rank of {first.mean:.2f} and what stood last to {last.mean:.2f},"
        " from 0, always best, to 1, always last."
    )


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


def _prompts(n: int) -> str:
    return "1 prompt" if n == 1 else f"{n:,} prompts"
