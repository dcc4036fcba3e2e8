"""Figures of a training run, as SVG. Imports matplotlib, so views import it late."""

from collections.abc import Sequence
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from ranking.drawing import DARK, LIGHT, Palette, dress
from rm_training.curves import Curves, HeldOut, Point, thinned

CHANCE_LOSS: Final = 0.6931471805599453  # ln 2: both responses equally likely
CHANCE_ACCURACY: Final = 0.5
FEW_POINTS: Final = 40
STYLE_VERSION: Final = 1
"""Part of a figure's ETag: raise it when figures look different."""


def training_figure(
    curves: Curves, *, dark: bool = False, narrow: bool = False
) -> Figure:
    """Loss on one panel, pair accuracy on the other, over optimizer steps.

    Thin: each training step. Thick, with markers: held-out prompts (valid1). Dashed:
    chance. A vertical line marks the step whose weights are kept.
    """
    palette = DARK if dark else LIGHT
    figure, for_loss, for_accuracy = two_panels(narrow=narrow)
    _draw_loss(for_loss, curves, palette)
    _draw_accuracy(for_accuracy, curves, palette)
    empty = "" if curves.loss else "No step has been measured yet"
    for axes in (for_loss, for_accuracy):
        _mark_best(axes, curves.best, palette)
        over_steps(axes, palette, empty=empty)
    return figure


def two_panels(*, narrow: bool) -> tuple[Figure, Axes, Axes]:
    """Side by side, or one below the other where it is narrow."""
    figure = Figure(
        figsize=(4.4, 6.2) if narrow else (10, 3.6),
        layout="constrained",
        facecolor="none",
    )
    first, second = figure.subplots(2, 1) if narrow else figure.subplots(1, 2)
    return figure, first, second


def over_steps(axes: Axes, palette: Palette, *, empty: str) -> None:
    """Optimizer steps to the right; `empty` is said where nothing was drawn."""
    axes.set_xlabel("Step", color=palette.muted)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    dress(axes, palette, empty=empty)


def _draw_loss(axes: Axes, curves: Curves, palette: Palette) -> None:
    axes.set_title("Loss (nats)", loc="left", color=palette.ink)
    axes.axhline(CHANCE_LOSS, ls="--", lw=1, color=palette.muted, label="chance, ln 2")
    _draw_train(axes, curves.loss, palette)
    known = [(row.step, row.loss) for row in curves.heldout if row.loss is not None]
    _draw_heldout(axes, known, palette)


def _draw_accuracy(axes: Axes, curves: Curves, palette: Palette) -> None:
    axes.set_title("Pairs ordered as the labeler did", loc="left", color=palette.ink)
    axes.axhline(CHANCE_ACCURACY, ls="--", lw=1, color=palette.muted, label="chance")
    _draw_train(axes, curves.accuracy, palette)
    known = [
        (row.step, row.accuracy) for row in curves.heldout if row.accuracy is not None
    ]
    _draw_heldout(axes, known, palette)
    axes.set_ylim(0, 1.02)
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))


def _draw_train(axes: Axes, points: Sequence[Point], palette: Palette) -> None:
    _draw(axes, points, palette.soft, label="training, each step", width=1.0)


def _draw_heldout(axes: Axes, points: Sequence[Point], palette: Palette) -> None:
    _draw(axes, points, palette.strong, label="held-out", width=2.2)


def _draw(
    axes: Axes, points: Sequence[Point], color: str, *, label: str, width: float
) -> None:
    """A line; few points get markers, because a line of one point is invisible."""
    if points:
        steps, values = zip(*thinned(points), strict=True)
        marker = "o" if len(points) <= FEW_POINTS else ""
        axes.plot(
            steps, values, color=color, lw=width, marker=marker, ms=4, label=label
        )


def _mark_best(axes: Axes, best: HeldOut | None, palette: Palette) -> None:
    if best is not None:
        label = f"best, step {best.step}"
        axes.axvline(best.step, lw=1, ls=":", color=palette.strong, label=label)
