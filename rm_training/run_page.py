"""What the page of a run shows while it goes on, from few rows: it is asked for every
two seconds, so it never reads the whole history."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.db.models import OuterRef, QuerySet, Subquery
from django.utils import timezone

from annotation.jobs import JobState
from annotation.models import Project
from rm_training.config import TrainingConfig
from rm_training.curves import Curves, HeldOut, finding
from rm_training.models import RewardModel, TrainingMetric, TrainingRun

ROWS_SHOWN: Final = 12
"""Evaluations in the page's table; the CSV has every step."""


def runs_of(project: Project) -> QuerySet[TrainingRun]:
    """The project's runs, newest first, each with its latest held-out evaluation as
    `latest_valid1` (JSON, or None)."""
    evaluated = TrainingMetric.objects.filter(
        run=OuterRef("pk"), values__has_key="valid1"
    ).order_by("-step")
    return (
        TrainingRun.objects.filter(project=project)
        .select_related("dataset", "reward_model", "created_by")
        .defer("reward_model__evaluation")  # hundreds of numbers, none of them listed
        .annotate(latest_valid1=Subquery(evaluated.values("values__valid1")[:1]))
        .order_by("-pk")
    )


@dataclass(frozen=True, kw_only=True)
class LiveRun:
    """A run as it stands at this moment."""

    run: TrainingRun
    latest: dict[str, Any] | None
    """Values of the newest step."""
    heldout: list[HeldOut]
    first: dict[str, Any] | None
    """Values of the first step."""

    @property
    def model(self) -> RewardModel | None:
        """The model that the run published."""
        return getattr(self.run, "reward_model", None)

    @property
    def model_folder(self) -> Path | None:
        """Where the model lies on the machines of this site."""
        return settings.MODEL_ROOT / self.model.folder if self.model else None

    @property
    def valid2(self) -> HeldOut | None:
        """The final number, measured once on the kept weights."""
        evaluation = self.model and self.model.metrics["valid2"]
        return HeldOut.of(evaluation) if evaluation else None

    @property
    def best(self) -> HeldOut | None:
        """The evaluation whose weights are kept."""
        return Curves(heldout=self.heldout).best

    @property
    def shown(self) -> HeldOut | None:
        """The evaluation to show: of the kept weights in the end, before that the
        latest."""
        if self.run.state == JobState.DONE:
            return self.best
        return self.heldout[-1] if self.heldout else None

    @property
    def first_evaluation(self) -> int:
        """The step after which held-out prompts are scored for the first time."""
        config = TrainingConfig.from_dict(self.run.config)
        return min(config.eval_every, self.run.steps_total)

    @property
    def finding(self) -> str:
        """What the figure shows, in words."""
        ends = [values for values in (self.first, self.latest) if values]
        loss = [(values["step"], values["loss"]) for values in ends]
        return finding(Curves(loss=loss, heldout=self.heldout))

    @property
    def recent(self) -> list[HeldOut]:
        """The newest evaluations, oldest first, for the table."""
        return self.heldout[-ROWS_SHOWN:]

    @property
    def time_left(self) -> timedelta | None:
        """The remaining steps at the pace of this attempt, evaluations included; None
        unless it is training and its first step is done."""
        if self.run.state != JobState.RUNNING or self.latest is None:
            return None
        steps = self.run.steps_total - self.run.step
        return timedelta(seconds=steps * self.latest["seconds_per_step"])

    @property
    def tokens_per_second(self) -> float | None:
        """Encoded in the newest step, padding not counted; None before the first."""
        if self.latest is None or not self.latest.get("seconds"):
            return None
        tokens: int = self.latest.get("tokens", 0)
        return tokens / float(self.latest["seconds"])

    @property
    def figure_version(self) -> str:
        """Changes whenever the figure's data does."""
        run = self.run
        newest = self.latest["step"] if self.latest else 0
        return f"{run.attempt}.{newest}.{len(self.heldout)}"


def live_run(run: TrainingRun) -> LiveRun:
    """The run's newest numbers, and its first. Three queries."""
    steps = run.metrics.values_list("values", flat=True)
    evaluations = run.metrics.filter(values__has_key="valid1").order_by("step")
    return LiveRun(
        run=run,
        first=steps.order_by("step").first(),
        latest=steps.order_by("-step").first(),
        heldout=[
            HeldOut.of(evaluation)
            for evaluation in evaluations.values_list("values__valid1", flat=True)
        ],
    )


def took(run: TrainingRun) -> timedelta | None:
    """How long its last attempt has been at work; None before the first."""
    if run.started_at is None:
        return None
    return (run.finished_at or timezone.now()) - run.started_at
