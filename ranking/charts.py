"""The dashboards' pictures, drawn. Imports matplotlib, so views import it late."""

from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator

from ranking.drawing import DARK, LIGHT, Palette, dress, percent_ticks, say
from ranking.pictures import Picture

STYLE_VERSION: Final = 2
"""Part of a figure's ETag: raise it when figures look different."""
# Inches; a phone shows the narrow one at its size.
WIDE: Final = 8.6
NARROW: Final = 3.8
HEIGHT: Final = 3.4
LETTERS_PER_INCH: Final = 9  # along an axis, its margins left out
FEWEST_BARS: Final = 14  # room for; a single one is no wall
LONGEST_LABEL: Final = 24
LONGEST_ON_A_PHONE: Final = 14
INCH_PER_ROW: Final = 0.28


def draw(picture: Picture, *, dark: bool = False, narrow: bool = False) -> Figure:
    """The figure of a picture; one without data says so."""
    palette = DARK if dark else LIGHT
    height = HEIGHT
    if picture.form == "dots":
        height = max(2.0, 1.1 + INCH_PER_ROW * len(picture.shown))
    size = (NARROW if narrow else WIDE, height)
    # Inches; half of a label may stick out of the axes.
    layout = ConstrainedLayoutEngine(w_pad=0.1)
    figure = Figure(figsize=size, layout=layout, facecolor="none")
    axes = figure.subplots()
    dress(axes, palette)
    if not picture.shown:
        say(axes, palette, "Nothing to show yet")
        axes.set_xticks([])
        axes.set_yticks([])
        return figure
    DRAWN[picture.form](axes, picture, palette)
    if axes.get_legend_handles_labels()[0]:
        figure.legend(
            loc="outside lower center",
            ncols=1 if narrow else 4,
            frameon=False,
            labelcolor=palette.ink,
            fontsize="small",
        )
    return figure


def _line(axes: Axes, picture: Picture, palette: Palette) -> None:
    """A line with its band, over rows in their order."""
    rows = list(picture.shown)
    places = range(len(rows))
    values = [row.value or 0.0 for row in rows]
    low = [row.interval[0] if row.interval else row.value or 0.0 for row in rows]
    high = [row.interval[1] if row.interval else row.value or 0.0 for row in rows]
    axes.fill_between(
        places, low, high, color=palette.strong, alpha=0.25, lw=0, label="95 % interval"
    )
    axes.plot(
        places, values, color=palette.strong, lw=2, marker="o", ms=4,
        label=picture.measure,
    )  # fmt: skip
    for (value, label), style in zip(picture.lines, ("--", ":"), strict=False):
        axes.axhline(value, color=palette.soft, lw=1.4, ls=style, label=label)
    _name_places(axes, [row.label for row in rows])
    axes.set_xlabel(picture.axis, color=palette.muted)
    axes.yaxis.set_major_formatter(percent_ticks())
    axes.set_ylim(_room([*low, *high, *(value for value, _ in picture.lines)]))


def _room(values: list[float]) -> tuple[float, float]:
    """Ten points at least, so that noise does not look like news."""
    low, high = min(values), max(values)
    spare = max(0.02, (0.1 - (high - low)) / 2)
    return max(low - spare, -0.01), min(high + spare, 1.01)


def _dots(axes: Axes, picture: Picture, palette: Palette) -> None:
    """A dot with its interval for each row, the first on top."""
    rows = list(picture.shown)
    ends = [end for row in rows for end in row.interval or [row.value or 0.0]]
    axes.set_xlim(_room([*ends, *(value for value, _ in picture.lines)]))
    for place, row in enumerate(rows):
        if row.interval:
            low, high = row.interval
            axes.hlines(place, low, high, color=palette.strong, lw=2)
        axes.plot([row.value or 0.0], [place], "o", color=palette.strong, ms=5)
    if picture.overall is not None and picture.overall.value is not None:
        axes.axvline(
            picture.overall.value, color=palette.muted, lw=1, label="all together"
        )
    for value, label in picture.lines:
        axes.axvline(value, color=palette.soft, lw=1.2, ls="--", label=label)
    longest = LONGEST_LABEL if _is_wide(axes) else LONGEST_ON_A_PHONE
    axes.set_yticks(range(len(rows)), [_short(row.label, longest) for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlabel(picture.measure, color=palette.muted)
    axes.xaxis.set_major_formatter(percent_ticks())


def _bars(axes: Axes, picture: Picture, palette: Palette) -> None:
    """A bar for each row."""
    rows = list(picture.shown)
    axes.bar(range(len(rows)), [row.part for row in rows], color=palette.strong)
    axes.set_xlim(-0.7, max(len(rows), FEWEST_BARS) - 0.3)
    _name_places(axes, [row.label for row in rows])
    axes.set_xlabel(picture.axis, color=palette.muted)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))


def _name_places(axes: Axes, labels: list[str]) -> None:
    """As many labels as there is room for, the first one always."""
    letters = LETTERS_PER_INCH * (WIDE if _is_wide(axes) else NARROW)
    room = max(2, int(letters / (max(map(len, labels)) + 2)))
    step = -(-len(labels) // room)
    axes.set_xticks(range(0, len(labels), step), labels[::step])


def _is_wide(axes: Axes) -> bool:
    return axes.figure.get_figwidth() == WIDE  # type: ignore[union-attr]


def _short(label: str, longest: int) -> str:
    """What fits beside the figure, in letters that its font has."""
    font = get_font(findfont("DejaVu Sans"))
    drawn = "".join(c if font.get_char_index(ord(c)) else "□" for c in label)
    return drawn if len(drawn) <= longest else f"{drawn[: longest - 1]}…"


DRAWN: Final = {"line": _line, "dots": _dots, "bars": _bars}
