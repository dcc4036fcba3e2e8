"""How figures look and how they become files. Imports matplotlib, so views import what
uses it late: most web processes never need it."""

import io
from dataclasses import dataclass
from typing import Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# The same data gives the same bytes: ids come from this salt, not from a random one.
mpl.rcParams["svg.hashsalt"] = "rankwell"
# Names and tags are people's words: a dollar sign in one is no formula.
mpl.rcParams["text.parse_math"] = False


@dataclass(frozen=True)
class Palette:
    """Colours of the site's style sheet; the two of data differ in lightness too."""

    ink: str
    muted: str
    grid: str
    second: str
    first: str


LIGHT: Final = Palette("#1b1f24", "#57606a", "#d5dbe1", "#c98a3c", "#1f5f8b")
DARK: Final = Palette("#e6eaee", "#a3adb7", "#323a43", "#b98b4e", "#8ec5ea")


def svg(figure: Figure) -> bytes:
    """The figure's file; equal figures give equal bytes."""
    file = io.BytesIO()
    figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()


def dress(axes: Axes, palette: Palette) -> None:
    """Paper shows through; a light grid, no frame, words in the page's colours."""
    axes.set_facecolor("none")
    axes.tick_params(colors=palette.muted)
    axes.set_axisbelow(True)
    axes.grid(visible=True, color=palette.grid, lw=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(palette.muted)


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
