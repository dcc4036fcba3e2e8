"""Where rows come from: their prompt and whose order it is, or how many labelers there
are. PURE."""

from collections.abc import Sequence

from ranking.export.columns import Column, Type, Values
from ranking.export.held import HeldPrompt
from ranking.rank_table import IntArray


def by_labeler(prompts: Sequence[HeldPrompt], orders: IntArray) -> list[Column]:
    """`prompt_id, ranking_id, labeler` of rows that come from these orders, given by
    their running numbers among all orders of the prompts."""
    said = [one for prompt in prompts for one in prompt.said]
    ids = [prompt.id for prompt in prompts for _ in prompt.said]
    rankings = [str(one.ranking_id) for one in said]
    return [
        Column("prompt_id", Values(Type.TEXT, ids), orders),
        Column("ranking_id", Values(Type.TEXT, rankings), orders),
        Column("labeler", Values(Type.TEXT, [one.labeler for one in said]), orders),
    ]


def together(prompts: Sequence[HeldPrompt], rows: IntArray) -> list[Column]:
    """`prompt_id, labelers` of rows that come from all labelers of these prompts."""
    labelers = [prompt.labelers for prompt in prompts]
    return [
        Column("prompt_id", Values(Type.TEXT, [p.id for p in prompts]), rows),
        Column("labelers", Values(Type.INTEGER, labelers), rows),
    ]
