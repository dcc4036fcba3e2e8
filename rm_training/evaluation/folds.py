"""Whether a model knows preferences or people: labelers it never learned from. PURE."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from ranking.conventions import ratio
from ranking.rank_table import BoolArray, FloatArray
from rm_training.data import Example
from rm_training.evaluation.intervals import Clusters, Number, missing
from rm_training.evaluation.judged import JudgedPrompt, Pairs, Split

NOBODY: Final = "the held-out prompts were ranked by nobody of these labelers"


@dataclass(frozen=True, kw_only=True)
class Fold:
    """Labelers whose rankings a model did not learn from, and its rewards."""

    labelers: Collection[str]
    prompts: Sequence[JudgedPrompt]
    """The same held-out prompts in the same order in every fold."""


def without_labelers(
    examples: Sequence[Example], labelers: Collection[str]
) -> list[Example]:
    """The examples with nothing that these labelers said; prompts of theirs alone go.

    Raises ValueError where an example names no labelers.
    """
    kept = []
    for example in examples:
        named = zip(range(len(example.rankings)), example.labelers, strict=True)
        rest = [place for place, name in named if name not in labelers]
        if rest:
            kept.append(
                replace(
                    example,
                    rankings=tuple(example.rankings[i] for i in rest),
                    labelers=tuple(example.labelers[i] for i in rest),
                    ratings=tuple(example.ratings[i] for i in rest if example.ratings),
                )
            )
    return kept


def fold_report(folds: Sequence[Fold]) -> dict[str, Any]:
    """Accuracy on labelers that were learned from and on those held out, and the gap.

    Sums over folds, then one division: every labeler is held out once and learned from
    in the other folds. A prompt of all folds is one cluster of the bootstrap.
    """
    clusters = Clusters(len(folds[0].prompts) if folds else 0)
    parts = [_parts(fold) for fold in folds]
    held_out = _joined([held for _, held in parts])
    in_group = _joined([inside for inside, _ in parts])
    return {
        "count": len(folds),
        "in_group": clusters.share(*in_group, why=NOBODY),
        "held_out": clusters.share(*held_out, why=NOBODY),
        "gap": _gap(in_group, held_out, clusters),
        "folds": [
            {
                "labelers": sorted(fold.labelers),
                "in_group": clusters.share(inside.prompt, inside.credit, why=NOBODY),
                "held_out": clusters.share(held.prompt, held.credit, why=NOBODY),
            }
            for fold, (inside, held) in zip(folds, parts, strict=True)
        ],
    }


def _parts(fold: Fold) -> tuple[Pairs, Pairs]:
    """The strict pairs of labelers that were learned from, and of those held out."""
    split = Split(fold.prompts)
    held: BoolArray = np.array(
        [split.labelers[ranking] in fold.labelers for ranking in split.strict.ranking],
        np.bool_,
    )
    return split.strict.where(~held), split.strict.where(held)


def _joined(parts: Sequence[Pairs]) -> tuple[Any, FloatArray]:
    """(prompt, credit) of the pairs of all folds."""
    none = np.zeros(0, np.int64)
    prompts = np.concatenate([none, *(pairs.prompt for pairs in parts)])
    return prompts, np.concatenate([np.zeros(0), *(pairs.credit for pairs in parts)])


def _gap(
    inside: tuple[Any, FloatArray], held: tuple[Any, FloatArray], clusters: Clusters
) -> Number:
    """Accuracy in the group less that of the held-out labelers."""
    if not len(inside[0]) or not len(held[0]):
        return missing(NOBODY)
    n, m = len(inside[0]), len(held[0])
    columns = [
        np.concatenate([inside[1], np.zeros(m)]),
        np.concatenate([np.ones(n), np.zeros(m)]),
        np.concatenate([np.zeros(n), held[1]]),
        np.concatenate([np.zeros(n), np.ones(m)]),
    ]

    def gap(a: FloatArray, b: FloatArray, c: FloatArray, d: FloatArray) -> FloatArray:
        return ratio(a, b) - ratio(c, d)

    prompt = np.concatenate([inside[0], held[0]])
    return clusters.number(prompt, columns, gap, why=NOBODY)
