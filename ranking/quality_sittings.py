"""PURE: how a labeler's work changes: within a sitting, and over weeks."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf

import numpy as np

from ranking.answers import Answers
from ranking.conventions import ratio
from ranking.gold import Share
from ranking.quality import share_of
from ranking.quality_intervals import beside, resampled
from ranking.quality_lines import (
    FATIGUE,
    SITTING_GAP_SECONDS,
    WINDOW_PROMPTS,
    WINDOW_STEP,
    Measure,
)
from ranking.rank_table import FloatArray, IntArray

NO_SITTING = "no sitting has two rankings to compare"


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """Agreement with others over some rankings one after the other."""

    first_at: float
    last_at: float
    agreement: Share


def sittings(at: FloatArray) -> IntArray:
    """Which sitting each ranking is of, `(n,)` from 0, of seconds in order of time: one
    begins where SITTING_GAP_SECONDS went by or more."""
    return np.cumsum(np.diff(at, prepend=-inf) >= SITTING_GAP_SECONDS) - 1


def fatigue_of_agreement(answers: Answers) -> Measure:
    """How the share of strict pairs agreed with others changes; drawn by sitting."""
    order = answers.by_time
    agree, comparable = answers.agree[order], answers.comparable[order]
    slope = _slope(sittings(answers.at[order]), ratio(agree, comparable), comparable)
    return beside(slope, FATIGUE)


def fatigue_of_pace(answers: Answers) -> Measure:
    """How the seconds for 100 words change; drawn by sitting."""
    order = answers.by_time
    words = np.where(answers.paced, answers.words, 0.0)[order]
    paces = ratio(100 * answers.seconds[order], words)
    return _slope(sittings(answers.at[order]), paces, words)


def _slope(
    sitting: IntArray, value: FloatArray, weight: FloatArray | IntArray
) -> Measure:
    """The least-squares slope on the place in the sitting, per ten places, each sitting
    about its own mean: Σ w·(n - mean n)·(y - mean y) / Σ w·(n - mean n)².

    y is `value (n,)` and w its `weight`, 0 where it is not known.

    Within sittings, so that a labeler whose long sittings are their careful ones is
    not called tired. The interval draws sittings; `prompts` is how many.
    """
    starts = np.searchsorted(sitting, sitting)
    nth = (np.arange(len(sitting)) - starts).astype(np.float64)
    known = weight > 0
    of, w = sitting[known], weight[known].astype(np.float64)
    place, moved = (_about_the_mean(of, column[known], w) for column in (nth, value))
    counts = np.array(
        [np.bincount(of, weights=w * place * by) for by in (moved, place)]
    )
    several = (np.bincount(of) > 1) & (counts[1] > 0)
    return resampled(
        counts[:, several], lambda c: 10 * ratio(c[0], c[1]), missing=NO_SITTING
    )


def _about_the_mean(
    sitting: IntArray, column: FloatArray, weight: FloatArray
) -> FloatArray:
    """A column less its weighted mean in each sitting."""
    sums = (np.bincount(sitting, weights=w) for w in (weight * column, weight))
    centred: FloatArray = column - ratio(*sums)[sitting]
    return centred


def windows(answers: Answers) -> Iterator[Window]:
    """Agreement with others over WINDOW_PROMPTS rankings that can be compared, one
    window every WINDOW_STEP, the last one up to the latest ranking. Fewer make one.
    """
    order = answers.by_time
    compared = order[answers.comparable[order] > 0]
    if not len(compared):
        return
    latest = max(len(compared) - WINDOW_PROMPTS, 0)
    for start in sorted({*range(latest, -1, -WINDOW_STEP)}):
        some = compared[start : start + WINDOW_PROMPTS]
        yield Window(
            first_at=float(answers.at[some[0]]),
            last_at=float(answers.at[some[-1]]),
            agreement=share_of(answers.agree[some], answers.comparable[some]),
        )
