"""What all figures share: colours, axes, the file. Imports matplotlib: import late."""

import io
from dataclasses import dataclass
from typing import Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

# The same data gives the same bytes: ids come from this salt, not from a random one.
mpl.rcParams["svg.hashsalt"] = "rankwell"
# Names and tags are people's words: a dollar sign in one is no formula.
mpl.rcParams["text.parse_math"] = False
mpl.rcParams["date.converter"] = "concise"  # a year is written once, not on each day


@dataclass(frozen=True)
class Palette:
    """Colours of the site's style sheet; soft and strong differ in lightness too."""

    ink: str
    muted: str
    grid: str
    soft: str
    strong: str


LIGHT: Final = Palette("#1b1f24", "#57606a", "#d5dbe1", "#c98a3c", "#1f5f8b")
DARK: Final = Palette("#e6eaee", "#a3adb7", "#323a43", "#b98b4e", "#8ec5ea")


def svg(figure: Figure) -> bytes:
    """The figure's file; equal figures give equal bytes."""
    file = io.BytesIO()
    figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()


def dress(axes: Axes, palette: Palette, *, empty: str = "") -> None:
    """The colours of the page, a legend of what is labelled, and `empty` in the middle
    where nothing is drawn."""
    axes.set_facecolor("none")
    axes.tick_params(colors=palette.muted, which="both")
    axes.set_axisbelow(True)
    axes.grid(visible=True, color=palette.grid, lw=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(palette.muted)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, labelcolor=palette.ink, fontsize="small")
    if empty:
        say(axes, palette, empty)


def percent_ticks() -> FuncFormatter:
    """Shares as pages write them, with no more digits than tell two ticks apart."""
    return FuncFormatter(lambda share, _: f"{100 * share:.4g} %")


def say(axes: Axes, palette: Palette, words: str) -> None:
    """Words in the middle, for a figure without data."""
    axes.text(
        0.5,
        0.5,
        words,
        transform=axes.transAxes,
        ha="center",
        va="center",
        color=palette.muted,
    )
