"""The pictures of a labeler's card. Imports matplotlib, so views import it late."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator

from ranking.drawing import DARK, LIGHT, Palette, dress, percent_ticks
from ranking.quality_lines import (
    LEAST_AGREEMENT,
    LEAST_SECONDS_PER_WORD,
    PUBLISHED_AGREEMENT,
    READING_SECONDS_PER_WORD,
)
from ranking.quality_pictures import Dot, PlaceMean, commonest_k
from ranking.quality_sittings import Window

STYLE_VERSION: Final = 2
"""Part of a figure's ETag: raise it when figures look different."""


def agreement_chart(
    windows: Sequence[Window], *, dark: bool = False, narrow: bool = False
) -> Figure:
    """Agreement with others over rolling windows, with the 95 % interval of each, at
    the time of its latest ranking."""
    figure, axes, palette = _paper(dark=dark, narrow=narrow)
    at = np.array([window.last_at for window in windows]).astype("datetime64[s]")
    values = [window.agreement.value or 0.0 for window in windows]
    ends = [
        window.agreement.interval or (v, v)
        for window, v in zip(windows, values, strict=True)
    ]
    for line, style, label in (
        (PUBLISHED_AGREEMENT, ":", "72.6 %, InstructGPT"),
        (LEAST_AGREEMENT, "--", "the line, 60 %"),
    ):
        axes.axhline(line, lw=1, ls=style, color=palette.muted, label=label)
    if windows:
        axes.vlines(at, *zip(*ends, strict=True), color=palette.soft, lw=1.5)
        axes.plot(at, values, color=palette.strong, lw=2.2, marker="o", ms=5)
    axes.set_ylim(0, 1.02)
    axes.yaxis.set_major_formatter(percent_ticks())
    axes.set_xlabel("Latest ranking of each window", color=palette.muted, loc="left")
    dress(axes, palette, empty="" if windows else "Nothing to compare yet")
    return figure


def pace_chart(
    dots: Sequence[Dot], *, dark: bool = False, narrow: bool = False
) -> Figure:
    """Seconds against words, a dot a ranking, both on logarithmic axes: the lines of
    equal pace are straight."""
    figure, axes, palette = _paper(dark=dark, narrow=narrow)
    words = [dot.words for dot in dots]
    if dots:
        seconds = [dot.seconds for dot in dots]
        axes.scatter(words, seconds, s=12, color=palette.strong, alpha=0.6, lw=0)
        ends = [min(words) / 1.2, max(words) * 1.2]
        for pace, style, label in (
            (READING_SECONDS_PER_WORD, ":", "as people read"),
            (LEAST_SECONDS_PER_WORD, "--", "faster than anybody reads, below"),
        ):
            line = [pace * end for end in ends]
            axes.plot(ends, line, lw=1.2, ls=style, color=palette.soft, label=label)
        axes.set_xscale("log")
        axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis):
        if dots:
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
        axis.set_minor_formatter(FuncFormatter(lambda value, _: ""))
    axes.set_xlabel("Words to read", color=palette.muted)
    axes.set_ylabel("Seconds", color=palette.muted)
    dress(axes, palette, empty="" if dots else "No time was recorded")
    return figure


def position_chart(
    means: Sequence[PlaceMean], *, dark: bool = False, narrow: bool = False
) -> Figure:
    """Mean mid-rank by place on the page, best on top, with 95 % intervals."""
    figure, axes, palette = _paper(dark=dark, narrow=narrow)
    drawn = commonest_k(means)
    if drawn:
        places = [one.place for one in drawn]
        ends = [one.interval or (one.mean, one.mean) for one in drawn]
        axes.axhline(0.5, lw=1, ls="--", color=palette.muted, label="no bias")
        axes.vlines(places, *zip(*ends, strict=True), color=palette.soft, lw=2)
        axes.plot(places, [one.mean for one in drawn], "o", color=palette.strong, ms=6)
        axes.set_xlim(0.5, len(drawn) + 0.5)
    axes.set_ylim(1, 0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("Place on the page", color=palette.muted)
    axes.set_ylabel("Mean rank, 0 best", color=palette.muted)
    dress(axes, palette, empty="" if drawn else "The order shown is not known")
    return figure


def _paper(*, dark: bool, narrow: bool) -> tuple[Figure, Axes, Palette]:
    """One panel, wide or for a phone."""
    figure = Figure(
        figsize=(3.8, 3.2) if narrow else (8.6, 3.2),
        layout="constrained",
        facecolor="none",
    )
    return figure, figure.subplots(), DARK if dark else LIGHT
