"""Figures, their bars, and the table that is printed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured number, and the bar it must not pass if it has one.

    `rounds` holds one value a round, all measured in this run; what is said of them is
    their median. A number that was counted, not timed, has one round.
    """

    benchmark: str
    what: str
    rounds: Sequence[float]
    unit: str
    at_most: float | None = None
    at_least: float | None = None

    @property
    def value(self) -> float:
        """The median of the rounds."""
        return median(self.rounds)

    @property
    def missed(self) -> bool:
        """Whether there is a bar and the figure is on its wrong side."""
        above = self.at_most is not None and self.value > self.at_most
        return above or (self.at_least is not None and self.value < self.at_least)

    @property
    def verdict(self) -> str:
        """`met`, `MISSED`, or nothing for a figure without a bar."""
        if not self.bar:
            return ""
        return "MISSED" if self.missed else "met"

    @property
    def bar(self) -> str:
        """`≤ 20`, `≥ 3.5`, or nothing for a figure without a bar."""
        bars = (("≤", self.at_most), ("≥", self.at_least))
        return ", ".join(
            f"{sign} {_number(bar)}" for sign, bar in bars if bar is not None
        )


HEADER = ("benchmark", "figure", "median", "rounds", "bar", "")


def table(figures: Iterable[Figure]) -> str:
    """The figures as lines of aligned columns, under a header."""
    rows = [HEADER, *(_row(figure) for figure in figures)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in rows
    )


def _row(figure: Figure) -> tuple[str, ...]:
    least, most = min(figure.rounds), max(figure.rounds)
    return (
        figure.benchmark,
        figure.what,
        f"{_number(figure.value)} {figure.unit}",
        f"{_number(least)}–{_number(most)}" if len(figure.rounds) > 1 else "",
        figure.bar,
        figure.verdict,
    )


def _number(value: float) -> str:
    """`8`, `14.6`, `0.083`, `41,532`: about three digits, counts in full."""
    if value == int(value) or abs(value) >= 1_000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3g}"
