"""Models that are trained again without some of the labelers."""

from dataclasses import replace
from pathlib import Path

import pytest

from rm_training.config import TrainingConfig
from rm_training.data import DataError, Example
from rm_training.evaluation.folds import Fold, fold_report, without_labelers
from rm_training.held_out_labelers import held_out_labelers
from rm_training.listener import SilentListener
from tests.preferences import make_example, polite_preferences
from tests.rm_training.judged_prompts import judged_prompt

LEARNS = TrainingConfig(lr=3e-3, epochs=4, prompts_per_step=8, device="cpu")


def contrary_preferences(prompts: int) -> list[Example]:
    """Ada prefers the polite responses, Bob the others, always."""
    return [
        replace(
            example,
            rankings=(ranks, tuple(3 - rank for rank in ranks)),
            labelers=("ada", "bob"),
            ratings=((7,) * len(ranks), (1,) * len(ranks)),
        )
        for example in polite_preferences(prompts)
        for ranks in example.rankings
    ]


def test_a_model_follows_whom_it_learned_from_and_not_whom_it_never_met(
    tiny_sft: Path,
) -> None:
    found = held_out_labelers(
        contrary_preferences(40),
        base=str(tiny_sft),
        # A published model knows its reference set by name only.
        config=LEARNS.to_dict() | {"reference": "demonstrations.jsonl"},
        listener=SilentListener(),
        count=2,
    )
    inside, held = found["in_group"], found["held_out"]
    assert inside["value"] > 0.8
    # What one prefers the other does not: each fold's two parts mirror each other.
    assert held["value"] == pytest.approx(1 - inside["value"])
    assert held["n"] == inside["n"]
    assert found["gap"]["value"] == pytest.approx(2 * inside["value"] - 1)
    assert [fold["labelers"] for fold in found["folds"]] in (
        [["ada"], ["bob"]],
        [["bob"], ["ada"]],
    )


def test_sums_are_over_folds_before_they_are_divided() -> None:
    # Fold 1 holds ada out: bob's pair right; ada's wrong. Fold 2 holds bob out, with
    # other rewards: ada's pair right, bob's tied by the model.
    first = judged_prompt([1, 0], [2, 1], [1, 2], labelers=["ada", "bob"])
    second = judged_prompt([1, 1], [2, 1], [1, 2], labelers=["ada", "bob"])
    found = fold_report(
        [
            Fold(labelers={"ada"}, prompts=[first, first]),
            Fold(labelers={"bob"}, prompts=[second, second]),
        ]
    )
    assert (found["in_group"]["value"], found["in_group"]["n"]) == (0.75, 4)
    assert (found["held_out"]["value"], found["held_out"]["n"]) == (0.25, 4)
    assert found["gap"]["value"] == 0.5
    assert found["gap"]["prompts"] == 2


def test_without_a_labeler_their_prompts_go_and_others_keep_the_rest() -> None:
    both = make_example(rankings=[[1, 2, 3], [3, 2, 1]])
    both = replace(both, labelers=("ada", "bob"))
    alone = replace(make_example("p2"), labelers=("ada",))
    (kept,) = without_labelers([both, alone], {"ada"})
    assert (kept.rankings, kept.labelers) == (((3, 2, 1),), ("bob",))


def test_too_few_labelers_and_unnamed_ones_are_refused(tiny_sft: Path) -> None:
    def fold(examples: list[Example]) -> None:
        held_out_labelers(
            examples,
            base=str(tiny_sft),
            config=LEARNS.to_dict(),
            listener=SilentListener(),
        )

    with pytest.raises(DataError, match="5 folds need 5 labelers; there are 2"):
        fold(contrary_preferences(10))
    with pytest.raises(DataError, match="the labeler of every ranking"):
        fold(polite_preferences(10))
