"""Loss and accuracy over the steps of a run, from the rows it wrote. PURE."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self

Point = tuple[int, float]
"""(step, value)."""

MOST_POINTS: Final = 2_000
"""A longer line is thinned out for drawing."""


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """Held-out prompts, scored after a step."""

    step: int
    accuracy: float | None
    """Share of strict pairs ordered as the labeler did; None without one."""
    loss: float | None
    """Nats; None where no pair is kept."""
    pairs: int
    """Strict pairs: the n of the accuracy."""
    prompts: int

    @classmethod
    def of(cls, evaluation: Mapping[str, Any]) -> Self:
        """From an Evaluation's JSON."""
        return cls(
            step=evaluation["step"],
            accuracy=evaluation["counts"]["accuracy"],
            loss=evaluation["loss"],
            pairs=evaluation["counts"]["n"],
            prompts=evaluation["prompts"],
        )


@dataclass(frozen=True, kw_only=True)
class Curves:
    """What a run measured, by step."""

    loss: Sequence[Point] = ()
    """Training loss of each step, nats, centring included."""
    accuracy: Sequence[Point] = ()
    """Of each step's own training pairs, by the rewards before the step."""
    heldout: Sequence[HeldOut] = field(default=())
    """valid1, in the order of steps."""

    @property
    def best(self) -> HeldOut | None:
        """The evaluation whose weights are kept: highest accuracy, then lowest loss,
        then earliest; None before the first."""
        return max(self.heldout, key=_worth, default=None)


def read_curves(rows: Iterable[tuple[int, Mapping[str, Any]]]) -> Curves:
    """The curves of (step, values) rows, in the order of steps."""
    loss: list[Point] = []
    accuracy: list[Point] = []
    heldout: list[HeldOut] = []
    for step, values in rows:
        loss.append((step, values["loss"]))
        if values["counts"]["accuracy"] is not None:
            accuracy.append((step, values["counts"]["accuracy"]))
        if "valid1" in values:
            heldout.append(HeldOut.of(values["valid1"]))
    return Curves(loss=loss, accuracy=accuracy, heldout=heldout)


def thinned(points: Sequence[Point], *, columns: int = MOST_POINTS // 2) -> list[Point]:
    """The lowest and the highest point of each column, so that spikes survive.

    >>> thinned([(step, 0.0) for step in range(1, 9)] + [(9, 5.0)], columns=1)
    [(1, 0.0), (9, 5.0)]
    """
    if len(points) <= 2 * columns:
        return list(points)
    first, width = points[0][0], (points[-1][0] - points[0][0] + 1) / columns
    by_column: dict[int, list[Point]] = {}
    for point in points:
        by_column.setdefault(int((point[0] - first) / width), []).append(point)
    kept = {
        chosen(column, key=lambda point: point[1])
        for column in by_column.values()
        for chosen in (min, max)
    }
    return sorted(kept)


def finding(curves: Curves) -> str:
    """What the figure shows, in words.

    >>> finding(Curves(loss=[(1, 0.71), (8, 0.52)]))
    'Training loss fell from 0.710 at step 1 to 0.520 at step 8. No held-out accuracy.'
    """
    if not curves.loss:
        return "No step has been measured yet."
    return f"{_loss_in_words(curves.loss)} {_accuracy_in_words(curves)}"


def _loss_in_words(loss: Sequence[Point]) -> str:
    (first, start), (last, end) = loss[0], loss[-1]
    if first == last:
        return f"One step so far, with training loss {start:.3f}."
    change = round(end, 3) - round(start, 3)
    if change == 0:
        return (
            f"Training loss stayed at {end:.3f} from step {first:,} to step {last:,}."
        )
    return (
        f"Training loss {'fell' if change < 0 else 'rose'} from {start:.3f} at step "
        f"{first:,} to {end:.3f} at step {last:,}."
    )


def _accuracy_in_words(curves: Curves) -> str:
    known = [row for row in curves.heldout if row.accuracy is not None]
    if not known or curves.best is None or curves.best.accuracy is None:
        return "No held-out accuracy."
    last = known[-1]
    words = (
        f"Held-out accuracy is {last.accuracy:.1%} of {last.pairs:,} pairs at "
        f"step {last.step:,}"
    )
    if curves.best.step != last.step:
        words += (
            f"; it was best, {curves.best.accuracy:.1%}, at step {curves.best.step:,}"
        )
    return words.replace("%", " %") + "."


def _worth(row: HeldOut) -> tuple[float, float]:
    return (
        -math.inf if row.accuracy is None else row.accuracy,
        -math.inf if row.loss is None else -row.loss,
    )
