"""The same training from several seeds; the best on valid1 is kept.

Head and order of the prompts come from the seed, and both move the result
(arXiv 2009.01325, B.1): a single run says little of how good a recipe is.
"""

import dataclasses
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rm_training.checkpoint import discard_checkpoints
from rm_training.config import TrainingConfig
from rm_training.heldout import better
from rm_training.listener import Evaluation
from rm_training.manifest import check_output
from rm_training.processes import speaks_for_all
from rm_training.published import read_meta

TrainOne = Callable[[TrainingConfig, Path], object]
"""Trains with this config into this folder."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SeedResult:
    """What one seed reached."""

    seed: int
    folder: Path
    valid1: Evaluation | None
    valid2: Evaluation | None


def train_seeds(
    train_one: TrainOne, *, config: TrainingConfig, count: int, out: Path
) -> tuple[SeedResult, list[SeedResult]]:
    """The best seed, whose model is moved to `out`, and all of them by seed.

    Seeds config.seed, config.seed + 1, … are trained one after the other into folders
    beside `out`, where those that are not chosen stay. A call that was killed goes on:
    finished seeds are read back, the one under way resumes from its checkpoints.

    Raises OutputRefused, and what train_one raises.
    """
    check_output(out)
    results = []
    for seed in range(config.seed, config.seed + count):
        folder = out.with_name(f"{out.name}.seeds") / f"seed-{seed}"
        if not folder.exists():
            train_one(dataclasses.replace(config, seed=seed), folder)
        if speaks_for_all():
            discard_checkpoints(folder)
        results.append(_result(seed, folder))
    best = results[0]
    for result in results[1:]:
        if result.valid1 is not None and better(result.valid1, best.valid1):
            best = result
    if speaks_for_all():
        best.folder.rename(out)
    return dataclasses.replace(best, folder=out), results


def spread(results: Sequence[SeedResult], split: str) -> str:
    """Mean and standard deviation (n - 1) of the seeds' accuracies, in words."""
    found = [getattr(result, split) for result in results]
    shares = [one.accuracy for one in found if one and one.accuracy is not None]
    if not shares:
        return "accuracy undefined"
    said = f"mean accuracy {100 * statistics.mean(shares):.1f} %"
    if len(shares) == 1:
        return f"{said} (one seed)"
    deviation = 100 * statistics.stdev(shares)
    return f"{said}, standard deviation {deviation:.1f} points ({len(shares)} seeds)"


def _result(seed: int, folder: Path) -> SeedResult:
    metrics: dict[str, Any] = read_meta(folder)["metrics"]
    valid1, valid2 = (
        Evaluation.from_dict(metrics[split]) if metrics[split] else None
        for split in ("valid1", "valid2")
    )
    return SeedResult(seed=seed, folder=folder, valid1=valid1, valid2=valid2)
