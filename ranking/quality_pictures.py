"""PURE: what the pictures of a labeler's card show, as rows and in words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ranking.answers import Answers
from ranking.gold import student_quantile
from ranking.quality import NO_POSITIONS, NO_SECONDS, NOBODY_ELSE, median_pace
from ranking.quality_lines import FEWEST_PROMPTS
from ranking.quality_sittings import Window
from ranking.rank_table import FloatArray

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


class Dot(NamedTuple):
    """A ranking that took some time."""

    at: float  # seconds since 1970
    words: float
    seconds: float
    agree: int  # strict pairs, with others
    comparable: int


@dataclass(frozen=True, kw_only=True, slots=True)
class PaceBand:
    """The rankings of about as many words: medians over them."""

    least_words: float
    most_words: float
    rankings: int
    seconds: float
    seconds_per_100_words: float


def place_means(answers: Answers) -> list[PlaceMean]:
    """By K, then by place. Intervals: the mean ± t·s/√n, prompts being independent."""
    found = []
    for k in np.unique(answers.k[answers.k > 1]).tolist():
        mid_ranks = answers.mid_ranks[(answers.k == k) & answers.placed]
        places = range(k if len(mid_ranks) else 0)
        found += [_place_mean(k, at + 1, mid_ranks[:, at] + 0.5) for at in places]
    return found


def _place_mean(k: int, place: int, mid_ranks: FloatArray) -> PlaceMean:
    mean, n = float(mid_ranks.mean()), len(mid_ranks)
    interval = None
    if n >= FEWEST_PROMPTS:
        half = student_quantile(n - 1) * float(mid_ranks.std(ddof=1)) / n**0.5
        interval = (max(0.0, mean - half), min(1.0, mean + half))
    return PlaceMean(k=k, place=place, mean=mean, interval=interval, prompts=n)


def commonest_k(means: Sequence[PlaceMean]) -> list[PlaceMean]:
    """Those of the K that most prompts have, the smaller K of two: one picture."""
    if not means:
        return []
    k = max(means, key=lambda one: (one.prompts, -one.k)).k
    return [one for one in means if one.k == k]


def timed(answers: Answers) -> Answers:
    """The rankings that took some time, whose words are known."""
    return answers.only(answers.paced & (answers.seconds > 0))


def dots(answers: Answers) -> list[Dot]:
    """Those rankings one by one."""
    known = timed(answers)
    columns = (known.at, known.words, known.seconds, known.agree, known.comparable)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return [Dot(*row) for row in rows]


def pace_bands(answers: Answers) -> list[PaceBand]:
    """MOST_BANDS bands of about equally many rankings, from few words to many."""
    known = timed(answers)
    by_words = known.only(np.lexsort([known.seconds, known.words]))
    bands = min(MOST_BANDS, len(by_words))
    if not bands:
        return []
    parts = np.split(
        np.arange(len(by_words)),
        [len(by_words) * band // bands for band in range(1, bands)],
    )
    return [_band(by_words.only(part)) for part in parts]


def _band(some: Answers) -> PaceBand:
    return PaceBand(
        least_words=float(some.words[0]),
        most_words=float(some.words[-1]),
        rankings=len(some),
        seconds=float(np.median(some.seconds)),
        seconds_per_100_words=float(np.median(100 * some.seconds / some.words)),
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


def pace_finding(answers: Answers) -> str:
    """How fast, and how often faster than anybody reads."""
    pace, known = median_pace(answers), timed(answers)
    if pace is None:
        return f"No pace yet: {NO_SECONDS}."
    hurried = int(known.hurried.sum())
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
