"""The rows of each kind, whatever becomes of disagreement. PURE."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from ranking.export.choice import Choice
from ranking.export.columns import Column, Rows
from ranking.export.held import HeldPrompt
from ranking.export.kto_rows import rows_for_kto
from ranking.export.one_order import with_one_order
from ranking.export.origin import by_labeler, together
from ranking.export.pair_rows import rows_for_nemo, rows_for_openrlhf, rows_of_pairs
from ranking.export.preferences import PREFERENCES, Preferences
from ranking.export.ranking_rows import rows_of_agreed_orders, rows_of_rankings
from ranking.export.task_rows import rows_for_argilla, rows_for_label_studio

Prompts = Sequence[HeldPrompt]

PAIRS: Final[Mapping[str, Callable[[Prompts, Preferences, Sequence[Column]], Rows]]] = {
    "pairs": rows_of_pairs,
    "openrlhf": rows_for_openrlhf,
    "nemo": rows_for_nemo,
}
TASKS: Final[Mapping[str, Callable[[Prompts], Rows]]] = {
    "label-studio": rows_for_label_studio,
    "argilla": rows_for_argilla,
}


def rows_of(choice: Choice, prompts: Prompts) -> Rows:
    """The rows that some prompts give, each prompt with all its rankings.

    No prompts give no rows, with the same columns.
    """
    if choice.disagreement == "consensus":
        prompts = with_one_order(prompts)
    if choice.kind in PAIRS:
        return _pairs(choice, prompts)
    if choice.kind in TASKS:
        return TASKS[choice.kind](prompts)
    if choice.kind == "kto":
        origin = by_labeler if choice.disagreement == "each" else together
        return rows_for_kto(prompts, lambda orders: origin(prompts, orders))
    if choice.disagreement == "consensus":
        return rows_of_agreed_orders(prompts)
    return rows_of_rankings(prompts)


def _pairs(choice: Choice, prompts: Prompts) -> Rows:
    pairs = PREFERENCES[choice.disagreement](prompts)
    if choice.disagreement == "each":
        origin = by_labeler(prompts, pairs.orders)
    else:
        origin = together(prompts, pairs.prompt)
    return PAIRS[choice.kind](prompts, pairs, origin)
