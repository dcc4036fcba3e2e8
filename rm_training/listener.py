"""What a run tells whoever started it. PURE: importable where there is no torch."""

import dataclasses
from pathlib import Path
from typing import Any, Protocol

from rm_training.errors import RunError
from rm_training.metrics import PairCounts


class NonFiniteLoss(RunError):  # noqa: N818  the name says what is not finite
    """The loss, a gradient or a reward is NaN or infinite; nothing was published."""

    def __init__(self, step: int, what: str) -> None:
        """At the given step (counted from 1), `what` stopped being finite."""
        super().__init__(
            f"the {what} is not finite at step {step}; the run stopped and published "
            "nothing. Try a lower learning rate"
        )
        self.step = step


class TrainingStopped(Exception):  # noqa: N818  being asked to stop is no error
    """The listener asked the run to stop; nothing was published."""

    def __init__(self, step: int) -> None:
        """After so many finished steps."""
        super().__init__(f"training was stopped after {step} steps")
        self.step = step


@dataclasses.dataclass(frozen=True, kw_only=True)
class StepReport:
    """One optimizer step."""

    step: int
    """From 1."""
    total_steps: int
    loss: float
    """Nats, centring included."""
    counts: PairCounts
    """Training pairs of this step, by the rewards before it."""
    learning_rate: float
    gradient_norm: float
    """Before clipping."""
    tokens: int
    """Encoded in this step, padding not counted."""
    padding: int
    """Padding positions encoded beside them."""
    seconds: float
    reward_mean: float | None = None
    """Of the step's responses, by the rewards before it."""
    reward_spread: float | None = None
    """Their standard deviation."""

    def to_dict(self) -> dict[str, Any]:
        """JSON."""
        return dataclasses.asdict(self) | {"counts": self.counts.to_dict()}

    def to_log(self) -> dict[str, Any]:
        """JSON without the time it took: equal runs have equal logs."""
        return {k: value for k, value in self.to_dict().items() if k != "seconds"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluation:
    """A held-out split, scored after a step."""

    step: int
    split: str
    prompts: int
    counts: PairCounts
    """Every pair of every ranking counts once."""
    loss: float | None
    """Nats, averaged as in training and without centring (chance: ln 2 = 0.693);
    None where no pair is kept."""
    rewards: tuple[tuple[float, ...], ...] = dataclasses.field(
        default=(), repr=False, compare=False
    )
    """Of each prompt's responses, so that a report need not score them again; not in
    the JSON, so empty after a resume."""

    @property
    def accuracy(self) -> float | None:
        """Share of strict pairs ordered as the labeler did; None without one."""
        return self.counts.accuracy

    def to_dict(self) -> dict[str, Any]:
        """JSON."""
        return {
            "step": self.step,
            "split": self.split,
            "prompts": self.prompts,
            "counts": self.counts.to_dict(),
            "loss": self.loss,
        }

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "Evaluation":
        """Inverse of to_dict."""
        names = {field.name for field in dataclasses.fields(PairCounts)}
        counts = {name: n for name, n in fields["counts"].items() if name in names}
        return cls(**fields | {"counts": PairCounts(**counts)})


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """A finished run: the model lies in `folder`."""

    folder: Path
    steps: int
    best_step: int
    """The step whose weights were kept: best on valid1, else the last."""
    valid1: Evaluation | None
    """Of the kept weights; None where valid1 is empty."""
    valid2: Evaluation | None
    """Measured once, on the kept weights; it decides nothing."""
    notes: tuple[str, ...]
    """What a reader of the numbers should know."""
    meta: dict[str, Any]
    """What meta.json says."""
    evaluation: dict[str, Any]
    """What evaluation.json says (`rm_training.evaluation.report`)."""


class TrainingListener(Protocol):
    """Follows a run. All calls come from the training thread, between passes."""

    def on_step(self, report: StepReport) -> None:
        """A step is done. After a resume, step numbers go on from the checkpoint."""

    def on_evaluation(self, evaluation: Evaluation) -> None:
        """valid1 was scored during training, or valid2 at its end."""

    def on_note(self, note: str) -> None:
        """Something a person should read: a skipped checkpoint, dropped responses."""

    def should_stop(self) -> bool:
        """Asked before each step and between the passes of a step or an evaluation;
        True ends the run with TrainingStopped."""


class SilentListener:
    """Hears nothing and never stops a run. A base for listeners that want one call."""

    def on_step(self, report: StepReport) -> None:
        """Ignored."""

    def on_evaluation(self, evaluation: Evaluation) -> None:
        """Ignored."""

    def on_note(self, note: str) -> None:
        """Ignored."""

    def should_stop(self) -> bool:
        """Never."""
        return False
