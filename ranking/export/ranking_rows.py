"""Rows of the kind `rankings`: all that is known of an order, ties included. PURE."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ranking.export.columns import Column, Rows, Type, Values, column
from ranking.export.held import HeldPrompt


def rows_of_rankings(prompts: Sequence[HeldPrompt]) -> Rows:
    """One row a ranking of one labeler."""
    by = [said for prompt in prompts for said in prompt.said]
    before, after = _of_prompts(prompts)
    return Rows(
        [
            *before,
            _ranks(prompts),
            column("labeler", Type.TEXT, [one.labeler for one in by]),
            column("ranking_id", Type.TEXT, [str(one.ranking_id) for one in by]),
            column("display_order", Type.INTEGERS, [one.display_order for one in by]),
            column(
                "instructions_version",
                Type.INTEGER,
                [one.instructions_version for one in by],
            ),
            column("seconds", Type.NUMBER, [one.seconds for one in by]),
            column("submitted_at", Type.TIME, [one.submitted_at for one in by]),
            after["split"],
            column("status", Type.TEXT, [one.status for one in by]),
            column("pool", Type.TEXT, [one.pool for one in by]),
            after["tags"],
            column("ratings", Type.INTEGERS, [one.ratings for one in by]),
            column("flags", Type.LISTS_OF_TEXTS, [one.flags for one in by]),
            column("note", Type.TEXT, [one.note for one in by]),
        ]
    )


def rows_of_agreed_orders(prompts: Sequence[HeldPrompt]) -> Rows:
    """One row a prompt, with the order that its labelers give together."""
    before, after = _of_prompts(prompts)
    labelers = [prompt.labelers for prompt in prompts]
    undecided = [prompt.undecided_pairs for prompt in prompts]
    return Rows(
        [
            *before,
            _ranks(prompts),
            column("labelers", Type.INTEGER, labelers),
            column("undecided_pairs", Type.INTEGER, undecided),
            after["split"],
            after["tags"],
        ],
        sum(undecided),
    )


def _ranks(prompts: Sequence[HeldPrompt]) -> Column:
    return column(
        "ranks", Type.INTEGERS, [order for prompt in prompts for order in prompt.orders]
    )


def _of_prompts(
    prompts: Sequence[HeldPrompt],
) -> tuple[list[Column], dict[str, Column]]:
    """What the rows of a prompt share: its columns before, and by name after, the
    columns of the order itself."""
    counts = np.array([len(prompt.orders) for prompt in prompts], np.int64)
    codes = np.repeat(np.arange(len(prompts)), counts)

    def shared(name: str, type: Type, items: Sequence[Any]) -> Column:
        return Column(name, Values(type, items), codes)

    responses = [
        [
            {"id": name, "text": text, "model": model}
            for name, text, model in zip(
                prompt.response_ids, prompt.texts, prompt.models, strict=True
            )
        ]
        for prompt in prompts
    ]
    before = [
        shared("prompt_id", Type.TEXT, [prompt.id for prompt in prompts]),
        shared("prompt", Type.MESSAGES, [prompt.messages for prompt in prompts]),
        shared("responses", Type.RESPONSES, responses),
    ]
    after = [
        shared("split", Type.TEXT, [prompt.split for prompt in prompts]),
        shared("tags", Type.TEXTS, [prompt.tags for prompt in prompts]),
    ]
    return before, {one.name: one for one in after}
