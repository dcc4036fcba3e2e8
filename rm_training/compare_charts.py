"""Several runs on one figure, as SVG. Imports matplotlib, so views import it late."""

from collections.abc import Mapping, Sequence
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from ranking.drawing import DARK, LIGHT, Palette
from rm_training.charts import CHANCE_ACCURACY, CHANCE_LOSS, over_steps, two_panels
from rm_training.curves import Curves, Point, thinned

STYLE_VERSION: Final = 1
COLOURS: Final = {
    LIGHT: ("#1f5f8b", "#b4581a", "#3f7d3a", "#8a3f8f", "#6b6f00", "#a3243b"),
    DARK: ("#8ec5ea", "#e3a25c", "#8fce86", "#d69fdc", "#cfd06a", "#f08a9c"),
}
DASHES: Final = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)))
"""Told apart without colours, too."""


def comparison_figure(
    runs: Mapping[str, Curves], *, dark: bool = False, narrow: bool = False
) -> Figure:
    """Held-out loss on one panel, held-out accuracy on the other; a line a run."""
    palette = DARK if dark else LIGHT
    figure, for_loss, for_accuracy = two_panels(narrow=narrow)
    for_loss.set_title("Held-out loss (nats)", loc="left", color=palette.ink)
    for_loss.axhline(CHANCE_LOSS, ls="--", lw=1, color=palette.muted)
    for_accuracy.set_title("Held-out pairs ordered", loc="left", color=palette.ink)
    for_accuracy.axhline(CHANCE_ACCURACY, ls="--", lw=1, color=palette.muted)
    for_accuracy.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    losses = {name: _losses(curves) for name, curves in runs.items()}
    accuracies = {name: _accuracies(curves) for name, curves in runs.items()}
    for axes, lines in ((for_loss, losses), (for_accuracy, accuracies)):
        _draw(axes, lines, palette)
    return figure


def _losses(curves: Curves) -> list[Point]:
    return [(row.step, row.loss) for row in curves.heldout if row.loss is not None]


def _accuracies(curves: Curves) -> list[Point]:
    rows = curves.heldout
    return [(row.step, row.accuracy) for row in rows if row.accuracy is not None]


def _draw(axes: Axes, lines: Mapping[str, Sequence[Point]], palette: Palette) -> None:
    for number, (name, points) in enumerate(lines.items()):
        if points:
            steps, values = zip(*thinned(points), strict=True)
            axes.plot(
                steps,
                values,
                color=COLOURS[palette][number],
                ls=DASHES[number],
                lw=2,
                marker="o",
                ms=4,
                label=name,
            )
    drawn = any(lines.values())
    empty = "" if drawn else "Nothing was held out, or measured yet"
    over_steps(axes, palette, empty=empty)
