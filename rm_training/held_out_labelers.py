"""Trains again without a group of labelers, once for each group. Loads torch."""

import dataclasses
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ranking.folds import FOLDS, folds_by_labeler
from rm_training.config import TrainingConfig
from rm_training.data import DataError, Example
from rm_training.evaluation.folds import Fold, fold_report, without_labelers
from rm_training.judging import HeldOut, rewards_of
from rm_training.listener import TrainingListener
from rm_training.scoring import RewardModel
from rm_training.splits import split_examples
from rm_training.trainer import train

JUDGED: Final = "valid2"


def held_out_labelers(
    examples: Sequence[Example],
    *,
    base: str,
    config: Mapping[str, Any],
    listener: TrainingListener,
    count: int = FOLDS,
) -> dict[str, Any]:
    """Accuracy on valid2 by labelers who taught a model and by those who did not.

    `count` models are trained from `base`, each without what one fold of labelers said
    of train and valid1, and removed once they have scored valid2.

    Raises DataError where not every ranking names its labeler, and where there are
    fewer labelers than folds; what `train` raises.
    """
    names = {name for example in examples for name in example.labelers}
    if None in names or any(not example.labelers for example in examples):
        raise DataError("folds need the labeler of every ranking")
    fold_of = folds_by_labeler((name for name in names if name), count=count)
    if len(fold_of) < count:
        raise DataError(f"{count} folds need {count} labelers; there are {len(names)}")
    marked = _marked(examples)
    folds = []
    for number in range(count):
        labelers = {name for name, fold in fold_of.items() if fold == number}
        listener.on_note(
            f"fold {number + 1} of {count}: training without {len(labelers)} labelers"
        )
        folds.append(
            _fold(marked, labelers, base=base, config=config, listener=listener)
        )
    return fold_report(folds)


def _fold(
    examples: Sequence[Example],
    labelers: set[str],
    *,
    base: str,
    config: Mapping[str, Any],
    listener: TrainingListener,
) -> Fold:
    judged = [example for example in examples if example.split == JUDGED]
    learned = without_labelers(
        [example for example in examples if example.split != JUDGED], labelers
    )
    # The model keeps the name of its reference set, not the file; and a zero point
    # moves all rewards alike, so it changes no order.
    chosen = TrainingConfig.from_dict(
        {**config, "checkpoint_every": 0, "reference": None}
    )
    with tempfile.TemporaryDirectory() as folder:
        result = train(
            learned,
            base=base,
            out=Path(folder) / "fold",
            config=chosen,
            listener=listener,
        )
        model = RewardModel.load(result.folder, device=chosen.device)
    heldout = HeldOut.of({JUDGED: judged}, model.encoder).splits[JUDGED]
    rewards = rewards_of(model.model, heldout, bfloat16=chosen.dtype == "bfloat16")
    prompts = [
        found
        for prompt, given in zip(heldout, rewards, strict=True)
        if (found := prompt.judged(given)) is not None
    ]
    return Fold(labelers=labelers, prompts=prompts)


def _marked(examples: Sequence[Example]) -> list[Example]:
    """Each example with its split, which must not move when rankings go."""
    parts = split_examples(examples)
    return [
        dataclasses.replace(example, split=name)
        for name, part in (
            ("train", parts.train),
            ("valid1", parts.valid1),
            ("valid2", parts.valid2),
        )
        for example in part
    ]
