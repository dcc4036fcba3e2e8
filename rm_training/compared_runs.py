"""Some runs of a project side by side: what differs, what they measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from annotation.models import Project
from rm_training.curves import Curves, HeldOut, read_curves
from rm_training.models import RewardModel, TrainingRun

FEWEST, MOST = 2, 6
"""Runs on one figure: with more, nobody tells the lines apart."""
NOT_SET: Final = "not set"


@dataclass(frozen=True, kw_only=True)
class ComparedRun:
    """One of the runs, with its curves."""

    run: TrainingRun
    curves: Curves

    @property
    def name(self) -> str:
        """As the figure's legend has it."""
        return f"run {self.run.pk}"

    @property
    def model(self) -> RewardModel | None:
        """What it published."""
        return getattr(self.run, "reward_model", None)

    @property
    def best(self) -> HeldOut | None:
        """The evaluation on valid1 whose weights are, or would be, kept."""
        return self.curves.best

    @property
    def valid2(self) -> HeldOut | None:
        """Measured once, on the kept weights."""
        evaluation = self.model and self.model.metrics.get("valid2")
        return HeldOut.of(evaluation) if evaluation else None

    @property
    def last_loss(self) -> float | None:
        """Of the newest training step."""
        return self.curves.loss[-1][1] if self.curves.loss else None


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A setting that is not the same in all runs."""

    name: str
    values: list[str]


def compared(project: Project, keys: Sequence[int]) -> list[ComparedRun]:
    """The project's runs with these keys, oldest first, MOST at most. Two queries."""
    runs = TrainingRun.objects.filter(project=project, pk__in=keys)
    chosen = list(runs.select_related("dataset", "reward_model").order_by("pk")[:MOST])
    rows: dict[int, list[tuple[int, Mapping[str, Any]]]] = {r.pk: [] for r in chosen}
    if not chosen:
        return []
    metrics = chosen[0].metrics.model.objects.filter(run__in=chosen).order_by("step")
    for run, step, values in metrics.values_list("run", "step", "values"):
        rows[run].append((step, values))
    return [ComparedRun(run=r, curves=read_curves(rows[r.pk])) for r in chosen]


def differences(runs: Sequence[ComparedRun]) -> list[Difference]:
    """Dataset, base and settings that are not the same in all of them."""
    described = [_described(one.run) for one in runs]
    names = dict.fromkeys(name for one in described for name in one)
    rows = [
        Difference(name=name, values=[one.get(name, NOT_SET) for one in described])
        for name in names
    ]
    return [row for row in rows if len(set(row.values)) > 1]


def same_prompts(runs: Sequence[ComparedRun]) -> bool:
    """Whether all learned from one dataset: only then are their accuracies measured on
    the same held-out pairs."""
    return len({one.run.dataset_id for one in runs}) <= 1


def _described(run: TrainingRun) -> dict[str, str]:
    settings = {
        name: NOT_SET if value is None else str(value)
        for name, value in run.config.items()
    }
    dataset = run.dataset.name if run.dataset else "not frozen"
    return {"dataset": dataset, "base model": run.base_model, **settings}
