"""A card's numbers as a page says them: value, interval, basis, verdict."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from ranking.quality import Comparison
from ranking.quality_cards import Card
from ranking.quality_lines import Line, Measure, Verdict

STATES: Final = {
    Verdict.FINE: "done",
    Verdict.FLAGGED: "failed",
    Verdict.UNDECIDED: "",
    Verdict.NOT_ENOUGH: "cancelled",
    Verdict.NO_LINE: "",
}


class Unit(NamedTuple):
    """How numbers of one kind are written, and what their intervals draw."""

    written: Callable[[float], str]
    after: str = ""  # said once, after the number
    drawn: str = "prompt"

    def value(self, number: float | None) -> str:
        """0.915 → "91.5 %"; undefined → "–"."""
        return "–" if number is None else f"{self.written(number)}{self.after}"

    def interval(self, ends: tuple[float, float] | None) -> str:
        """(0.868, 0.958) → "86.8 % to 95.8 %"; undefined → ""."""
        return "" if ends is None else " to ".join(map(self.written, ends))


def _signed(text: str) -> str:
    return text.replace("-", "−")


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _points(difference: float) -> str:
    return _signed(f"{100 * difference:+.1f}")


def _slope(slope: float) -> str:
    return _signed(f"{slope:+.3f}")


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s"


def _more_seconds(seconds: float) -> str:
    return _signed(f"{seconds:+.1f} s")


SHARE: Final = Unit(_percent)
POINTS: Final = Unit(_points, " points")
SLOPE: Final = Unit(_slope)
SECONDS: Final = Unit(_seconds)
POINTS_PER_TEN: Final = Unit(_points, " points", "sitting")
SECONDS_PER_TEN: Final = Unit(_more_seconds, drawn="sitting")


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """One number of a card, in words. `state` is the colour of its verdict."""

    name: str
    counted: str  # how it was counted
    value: str
    interval: str
    basis: str
    line: str
    verdict: str
    state: str


def readings(card: Card) -> Iterator[Reading]:
    """Every number of a card that has an interval, those with a line first."""
    yield _reading(
        "Agreement with others",
        card.agreement,
        SHARE,
        "pairs that both ordered strictly, with all others on the same prompts",
    )
    yield _reading(
        "Gold", card.gold, SHARE, "strict pairs of hidden gold prompts ordered right"
    )
    yield _reading(
        "Agreement with self",
        card.self_consistency,
        SHARE,
        "pairs ordered strictly both times on prompts that came again",
    )
    yield _reading(
        "Position bias",
        card.position_bias,
        SLOPE,
        "slope of the rank on the place on the page: +1 always as shown, −1 always the"
        " reverse",
    )
    yield _reading(
        "Length bias",
        card.length_bias.difference,
        POINTS,
        _beside(card.length_bias, "pairs in which the longer of two wins"),
    )
    yield _reading(
        "Ties",
        card.tie_rate.difference,
        POINTS,
        _beside(card.tie_rate, "pairs that are tied"),
    )
    yield _reading(
        "Faster than reading",
        card.hurried,
        SHARE,
        "of the rankings that were timed: less than 0.06 s a word",
    )
    yield _reading(
        "Fatigue",
        card.fatigue,
        POINTS_PER_TEN,
        "change of the agreement with others over ten rankings of a sitting",
    )
    yield _reading(
        "Time for 100 words",
        card.seconds_per_100_words,
        SECONDS,
        "all time spent over all words there were to read",
    )
    yield _reading(
        "Pace in a sitting",
        card.fatigue_of_pace,
        SECONDS_PER_TEN,
        "change of the time for 100 words over ten rankings of a sitting",
    )


def _beside(found: Comparison, what: str) -> str:
    """What is compared with others, and the two shares where there are any."""
    said = f"share of {what}, less that of others on the same prompts"
    if found.own_there is None or found.others is None:
        return said
    return f"{said}: {SHARE.value(found.own_there)} and {SHARE.value(found.others)}"


def _reading(name: str, measure: Measure, unit: Unit, counted: str) -> Reading:
    n = measure.prompts
    return Reading(
        name=name,
        counted=counted,
        value=unit.value(measure.value),
        interval=unit.interval(measure.interval),
        basis=f"{n:,} {unit.drawn}{'' if n == 1 else 's'}",
        line=line_words(measure.line, unit),
        verdict=verdict_words(measure, unit),
        state=STATES[measure.verdict],
    )


def verdict_words(measure: Measure, unit: Unit) -> str:
    """`fine`, `below the line of 60.0 % (…)`, that the data do not decide yet, or why
    there is not enough data."""
    if measure.verdict is Verdict.NOT_ENOUGH:
        return f"{Verdict.NOT_ENOUGH.value}: {measure.why}"
    if measure.verdict is Verdict.UNDECIDED:
        return f"{Verdict.UNDECIDED.value}: the interval reaches over the line"
    if measure.verdict is Verdict.FLAGGED and measure.line is not None:
        return _beyond(measure, measure.line, unit)
    return str(measure.verdict.value)


def _beyond(measure: Measure, line: Line, unit: Unit) -> str:
    """Which end of its line a flagged number lies beyond."""
    low, _ = measure.interval or (0.0, 0.0)
    above = line.most is not None and low > line.most
    where, end = ("above", line.most) if above else ("below", line.least)
    return f"{where} the line of {unit.value(end)} ({line.meaning})"


def line_words(line: Line | None, unit: Unit) -> str:
    """`at least 60.0 %`, `−10.0 to +10.0 points`; "" where there is no line."""
    if line is None:
        return ""
    if line.least is not None and line.most is not None:
        return f"{unit.written(line.least)} to {unit.value(line.most)}"
    if line.least is not None:
        return f"at least {unit.value(line.least)}"
    return f"at most {unit.value(line.most)}"
