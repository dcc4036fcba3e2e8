"""What a dataset holds, as the kinds of rows are made of it. PURE."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import numpy as np

from ranking.rank_table import IntArray

Message = dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One labeler's ranking, its ranks apart. `ratings` (None: not rated) and `flags`
    are aligned with the responses, or empty where the labeler gave none at all."""

    ranking_id: int
    labeler: str  # pseudonym
    display_order: list[int] | None
    instructions_version: int | None
    seconds: float | None
    submitted_at: datetime
    status: str
    pool: str
    note: str
    ratings: list[int | None]
    flags: list[list[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldPrompt:
    """A prompt, its 2 to 9 responses sorted by id, and weak orders of them.

    - `response_ids`, `texts`, `models`: of the responses; None: model not known.
    - `orders`: dense ranks, aligned with the responses; 1 is best, equal is a tie.
    - `said`: what else each labeler said, aligned with the orders; empty where there is
      one order instead, of all labelers together.
    - `labelers`: how many ranked it; `undecided_pairs`: pairs that stand tied in that
      one order because the orders nearest to theirs differ on them.
    """

    id: str
    messages: list[Message]
    tags: list[str]
    split: str | None
    response_ids: list[str]
    texts: list[str]
    models: list[str | None]
    orders: list[list[int]]
    said: list[Said]
    labelers: int
    undecided_pairs: int = 0

    @property
    def k(self) -> int:
        """How many responses it has."""
        return len(self.response_ids)


class RankRows(NamedTuple):
    """All orders of some prompts: `ranks (n, K)` for K the most responses of a prompt,
    0 beyond a prompt's own; `prompt (n,)`, running numbers in ascending order."""

    ranks: IntArray
    prompt: IntArray


def rank_rows(prompts: Sequence[HeldPrompt]) -> RankRows:
    """The orders of the prompts as one table."""
    most = max((prompt.k for prompt in prompts), default=0)
    rows = [
        order + [0] * (most - len(order))
        for prompt in prompts
        for order in prompt.orders
    ]
    sizes = [len(prompt.orders) for prompt in prompts]
    return RankRows(
        np.array(rows, np.int16).reshape(len(rows), most),
        np.repeat(np.arange(len(prompts)), np.array(sizes, np.int64)),
    )
