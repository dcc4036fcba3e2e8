"""Single responses, wanted or not, from where they stand in an order. PURE."""

from collections.abc import Callable, Sequence

import numpy as np

from ranking.export.columns import Column, Rows, Type, Values, few
from ranking.export.held import HeldPrompt, rank_rows
from ranking.rank_table import IntArray


def rows_for_kto(
    prompts: Sequence[HeldPrompt],
    origin: Callable[[IntArray], Sequence[Column]],
) -> Rows:
    """TRL's unpaired preference layout, conversational, as its KTOTrainer reads it (TRL
    documentation, Dataset formats): `prompt`, `completion`, `label`.

    A response is wanted (True) that is better than more others of its order than are
    better than it, unwanted (False) the other way round, and left out where these are
    equally many: in the middle. Of ranks 1, 2, 3, 3 the first is better than 3 and
    worse than 0: wanted; the second 2 and 1: wanted; the third and fourth 0 and 2:
    unwanted. Of 1, 1, 1 all are left out.

    `weight` is 1 / rows of the order, `prompt_weight` that / orders of the prompt that
    have a row. `origin` makes the columns that say whose order it is.
    """
    table = rank_rows(prompts)
    ranked = table.ranks > 0
    first, second = table.ranks[:, :, None], table.ranks[:, None, :]
    better = (first < second) & ranked[:, :, None] & ranked[:, None, :]
    above_middle = better.sum(axis=2) - better.sum(axis=1)  # (orders, K)
    order, response = np.nonzero(above_middle)
    prompt = table.prompt[order]
    rows_of = (above_middle != 0).sum(axis=1)
    with_rows = np.bincount(table.prompt[rows_of > 0], minlength=len(prompts))
    weight = 1 / rows_of[order]
    return Rows(
        [
            _messages(prompts, prompt),
            _completions(prompts, prompt, response),
            few("label", Type.BOOLEAN, above_middle[order, response] > 0),
            *origin(order),
            few("weight", Type.NUMBER, weight),
            few("prompt_weight", Type.NUMBER, weight / with_rows[prompt]),
            Column("split", Values(Type.TEXT, [p.split for p in prompts]), prompt),
        ]
    )


def _messages(prompts: Sequence[HeldPrompt], prompt: IntArray) -> Column:
    messages = [one.messages for one in prompts]
    return Column("prompt", Values(Type.MESSAGES, messages), prompt)


def _completions(
    prompts: Sequence[HeldPrompt], prompt: IntArray, response: IntArray
) -> Column:
    begins = np.cumsum([0, *(one.k for one in prompts)])
    texts = [text for one in prompts for text in one.texts]
    return Column("completion", Values(Type.TURN, texts), begins[prompt] + response)
