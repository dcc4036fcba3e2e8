"""The report's figures, drawn. Imports matplotlib: import late. PURE."""

from dataclasses import fields
from typing import Final

import numpy as np
from matplotlib.figure import Figure

from ranking import charts
from ranking.drawing import DARK, LIGHT, dress, percent_ticks, say
from rm_training.evaluation.exhibits import Exhibit

STYLE_VERSION: Final = f"1.{charts.STYLE_VERSION}"
"""Part of a figure's ETag: raise it when figures look different."""


def draw(exhibit: Exhibit, *, dark: bool = False, narrow: bool = False) -> Figure:
    """The figure of an exhibit; one without data says so."""
    if exhibit.form == "dots":
        return charts.draw(exhibit.picture, dark=dark, narrow=narrow)
    return _reliability(exhibit, dark=dark, narrow=narrow)


def recoloured(light: bytes) -> bytes:
    """The SVG of a light figure in dark colours: half the work of drawing it again."""
    for field in fields(LIGHT):
        old, new = getattr(LIGHT, field.name), getattr(DARK, field.name)
        light = light.replace(old.encode(), new.encode())
    return light


def _reliability(exhibit: Exhibit, *, dark: bool, narrow: bool) -> Figure:
    """P against what happened: on the diagonal, the model means what it says."""
    palette = DARK if dark else LIGHT
    size = (3.8, 4.2) if narrow else (6.0, 5.0)
    figure = Figure(figsize=size, layout="constrained", facecolor="none")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], ls="--", lw=1, color=palette.muted, label="calibrated")
    styles = (
        (exhibit.scaled, palette.soft, "s", "with the temperature"),
        (exhibit.shown, palette.strong, "o", "as it is, 95 % interval"),
    )
    for rows, color, marker, label in styles:
        if rows:
            x = [row.said for row in rows]
            y = np.array([row.number["value"] for row in rows])
            axes.plot(x, y, color=color, marker=marker, ms=4, lw=1.4, label=label)
    for row in exhibit.shown:
        if row.number["ci"]:
            axes.vlines(row.said, *row.number["ci"], color=palette.strong, lw=2)
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(-0.01, 1.01)
    axes.xaxis.set_major_formatter(percent_ticks())
    axes.yaxis.set_major_formatter(percent_ticks())
    axes.set_xlabel(exhibit.axis, color=palette.muted)
    axes.set_ylabel(exhibit.measure, color=palette.muted)
    dress(axes, palette)
    if not exhibit.shown:
        say(axes, palette, "Nothing to show yet")
    return figure
