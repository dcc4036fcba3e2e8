"""How numbers are written on pages; an undefined one is never shown as a number."""

from collections.abc import Sequence

from django import template
from django.contrib.humanize.templatetags.humanize import intcomma
from django.utils.html import format_html

from ranking.quality_lines import Measure

register = template.Library()


@register.filter
def percent(share: float | None) -> str:
    """0.9152 → "91.5 %"; undefined → "–"."""
    return "–" if share is None else f"{share * 100:.1f} %"


@register.filter
def percent_interval(interval: Sequence[float] | None) -> str:
    """[0.868, 0.958] → "86.8–95.8 %"; undefined → ""."""
    if interval is None:
        return ""
    low, high = interval
    return f"{low * 100:.1f}–{high * 100:.1f} %"


@register.filter
def measured(measure: Measure) -> str:
    """A share with its interval and how many prompts it rests on, where there are any.

    A list has some for each labeler: templates of their own took a fifth of its time.
    """
    value, n = percent(measure.value), intcomma(measure.prompts)
    if not measure.prompts:
        return value
    known = f"{percent_interval(measure.interval)}, " if measure.interval else ""
    return format_html('{} <small class="hint">{}n {}</small>', value, known, n)


def _signed(value: float | None, digits: int) -> str:
    """With a minus sign as pages write it, and none before what rounds to 0."""
    if value is None:
        return "–"
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")


@register.filter
def coefficient(value: float | None) -> str:
    """0.8552 → "0.855", −0.07 → "−0.070"; undefined → "–"."""
    return _signed(value, 3)


@register.filter
def hundredths(value: float | None) -> str:
    """For what is known to no more than that: 0.1873 → "0.19", undefined → "–"."""
    return _signed(value, 2)


@register.filter
def hundredths_interval(interval: Sequence[float] | None) -> str:
    """[-1.647, 2.02] → "−1.65 to 2.02"; undefined → ""."""
    return "" if interval is None else " to ".join(map(hundredths, interval))


@register.filter
def coefficient_interval(interval: Sequence[float] | None) -> str:
    """[0.79, 0.91] → "0.790 to 0.910"; undefined → ""."""
    if interval is None:
        return ""
    return " to ".join(coefficient(end) for end in interval)
