"""How a run's numbers are written; an undefined one is never shown as a number."""

from datetime import timedelta

from django import template

from annotation.jobs import JobState
from rm_training.curves import HeldOut
from rm_training.models import TrainingRun
from rm_training.promotion import points as in_points
from rm_training.run_page import took

register = template.Library()


@register.filter
def loss(value: float | None) -> str:
    """0.69314 → "0.693"; undefined → "–"."""
    return "–" if value is None else f"{value:.3f}"


@register.filter
def signed(value: float) -> str:
    """Two decimals, with a true minus: -0.118 → "−0.12"."""
    return f"{value:.2f}".replace("-", "−")


@register.filter
def points(share: float) -> str:
    """A difference of two shares: 0.0123 → "+1.23 points"."""
    return in_points(share)


@register.filter
def span(duration: timedelta | None) -> str:
    """The two largest units: 3,725 s → "1 h 2 min"; 59.6 s → "1 min"; None → "–"."""
    if duration is None:
        return "–"
    minutes, seconds = divmod(round(duration.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    units = [(days, "d"), (hours, "h"), (minutes, "min"), (seconds, "s")]
    while len(units) > 1 and units[0][0] == 0:
        units.pop(0)
    shown = [f"{count} {unit}" for count, unit in units[:2] if count]
    return " ".join(shown) or "0 s"


@register.filter
def time_taken(run: TrainingRun) -> str:
    """How long the run's last attempt took, or has taken until now."""
    return span(took(run))


@register.filter
def base_name(run: TrainingRun) -> str:
    """The last part of the base model's path or hub id."""
    return run.base_model.rstrip("/").rsplit("/", 1)[-1]


@register.filter
def heldout(run: TrainingRun) -> HeldOut | None:
    """The evaluation of a listed run: of the weights it kept, else its latest."""
    if run.state == JobState.DONE:
        evaluation = run.reward_model.metrics["valid1"]
    else:
        evaluation = run.latest_valid1  # type: ignore[attr-defined]
    return HeldOut.of(evaluation) if evaluation else None
