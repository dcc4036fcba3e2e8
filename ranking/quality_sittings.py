"""PURE: how a labeler's work changes: within a sitting, and over weeks."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import nan

import numpy as np

from ranking.conventions import ratio
from ranking.gold import Share, share
from ranking.quality import Answer, with_others
from ranking.quality_intervals import beside, resampled
from ranking.quality_lines import (
    FATIGUE,
    SITTING_GAP_SECONDS,
    WINDOW_PROMPTS,
    WINDOW_STEP,
    Measure,
)
from ranking.rank_table import FloatArray

NO_SITTING = "no sitting has two rankings to compare"


@dataclass(frozen=True, kw_only=True, slots=True)
class Fatigue:
    """How two numbers change with the n-th ranking of a sitting, per ten rankings.

    Within sittings, so that a labeler whose long sittings are their careful ones is
    not called tired. The intervals draw sittings; `prompts` of a measure is how many.
    """

    agreement: Measure  # of the share of strict pairs agreed with others
    seconds: Measure  # of the seconds for 100 words


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """Agreement with others over some rankings one after the other."""

    first_at: float
    last_at: float
    agreement: Share


def sittings(answers: Sequence[Answer]) -> list[list[Answer]]:
    """Rankings in order of time, cut where SITTING_GAP_SECONDS went by or more."""
    found: list[list[Answer]] = []
    for answer in sorted(answers, key=lambda answer: (answer.at, answer.prompt)):
        if found and answer.at - found[-1][-1].at < SITTING_GAP_SECONDS:
            found[-1].append(answer)
        else:
            found.append([answer])
    return found


def fatigue(answers: Sequence[Answer]) -> Fatigue:
    """Least-squares slopes on the place in the sitting, every sitting about its own
    mean: Σ w·(n - mean n)·(y - mean y) / Σ w·(n - mean n)².

    For agreement, y is a ranking's share of agreed pairs and w its comparable pairs;
    for seconds, y is seconds for 100 words and w the words.
    """
    in_turn = sittings(answers)
    return Fatigue(
        agreement=beside(_slope(in_turn, _agreed), FATIGUE),
        seconds=_slope(in_turn, _pace),
    )


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
