"""Pairs of responses of which one is preferred, for many prompts at once. PURE.

Pairs are always derived from weak orders. A tie gives none; nor does a pair on which
the labelers together leave the preference open.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from ranking.export.held import HeldPrompt, RankRows, rank_rows
from ranking.rank_table import BoolArray, FloatArray, IntArray

_UNRANKED: Final = np.iinfo(np.int16).max  # beyond every rank


@dataclass(frozen=True, eq=False, kw_only=True)
class Preferences:
    """`n` pairs, prompt by prompt.

    - `prompt (n,)`: running number of the prompt; `order (n,)`: of the order among all
      orders of the prompts, None where a pair is made of several.
    - `chosen`, `rejected (n,)`: running numbers of the prompt's responses.
    - `rank_gap (n,)`: difference of the dense ranks; None without an order.
    - `share (n,)`: of the labelers who prefer the chosen response, a tie being half;
      None for pairs of single orders.
    - `weight`, `prompt_weight (n,)`: add up to 1 for each order (each prompt, without
      orders) that has a pair, and to 1 for each prompt that has one.
    - `left_open`: pairs of responses on which labelers together prefer neither.
    """

    prompt: IntArray
    chosen: IntArray
    rejected: IntArray
    weight: FloatArray
    prompt_weight: FloatArray
    order: IntArray | None = None
    rank_gap: IntArray | None = None
    share: FloatArray | None = None
    left_open: int = 0

    def __len__(self) -> int:
        return len(self.prompt)

    @property
    def orders(self) -> IntArray:
        """`order`, of pairs that single orders give; ValueError for others."""
        if self.order is None:
            raise ValueError("these pairs are made of several orders")
        return self.order


def of_orders(prompts: Sequence[HeldPrompt]) -> Preferences:
    """The strict pairs of each order, in the order of `ranking.pairs.strict_pairs`.

    `weight` is 1 / strict pairs of the order, `prompt_weight` that / orders of the
    prompt that have a strict pair. K responses without a tie give C(K, 2) pairs.
    """
    table = rank_rows(prompts)
    ranks = np.where(table.ranks > 0, table.ranks, _UNRANKED)
    best_first = np.argsort(ranks, axis=1, kind="stable")
    tiers = np.take_along_axis(ranks, best_first, axis=1)
    upper, lower = np.triu_indices(ranks.shape[1], 1)
    gaps = tiers[:, lower] - tiers[:, upper]  # (orders, pairs of places)
    strict = (gaps > 0) & (tiers[:, lower] != _UNRANKED)
    order, pair = np.nonzero(strict)
    prompt = table.prompt[order]
    pairs_of = strict.sum(axis=1)
    with_pairs = np.bincount(table.prompt[pairs_of > 0], minlength=len(prompts))
    weight = 1 / pairs_of[order]
    return Preferences(
        prompt=prompt,
        order=order,
        chosen=best_first[order, upper[pair]],
        rejected=best_first[order, lower[pair]],
        rank_gap=gaps[order, pair],
        weight=weight,
        prompt_weight=weight / with_pairs[prompt],
    )


def by_majority(prompts: Sequence[HeldPrompt]) -> Preferences:
    """Pairs on which more than half of the prompt's labelers prefer one response.

    Who ties the pair prefers neither, and counts among the labelers: of three, one
    a > b and two a = b are no majority.
    """
    votes = _votes(prompts)
    return _together(votes, 2 * votes.wins > votes.labelers)


def by_share(prompts: Sequence[HeldPrompt]) -> Preferences:
    """Pairs on which the share of labelers who prefer one response is above a half, a
    tie being half a vote for each; pairs at exactly a half have no side to choose."""
    votes = _votes(prompts)
    return _together(votes, 2 * votes.wins + votes.ties > votes.labelers)


PREFERENCES: Final[Mapping[str, Callable[[Sequence[HeldPrompt]], Preferences]]] = {
    "each": of_orders,
    "majority": by_majority,
    "soft": by_share,
    "consensus": of_orders,  # of the one order that a prompt then has
}


class _Votes(NamedTuple):
    """`wins`, `ties (prompts, K, K)`: labelers who prefer the first of the two, or
    neither; `labelers (prompts, 1, 1)`; `pairs`: of responses, of all prompts."""

    wins: IntArray
    ties: IntArray
    labelers: IntArray
    pairs: int


def _votes(prompts: Sequence[HeldPrompt]) -> _Votes:
    table = rank_rows(prompts)
    first, second = table.ranks[:, :, None], table.ranks[:, None, :]
    both = (first > 0) & (second > 0)
    sizes = [prompt.k for prompt in prompts]
    return _Votes(
        wins=_summed(table, both & (first < second)),
        ties=_summed(table, both & (first == second)),
        labelers=np.bincount(table.prompt)[:, None, None],
        pairs=sum(k * (k - 1) // 2 for k in sizes),
    )


def _summed(table: RankRows, said: BoolArray) -> IntArray:
    """Orders that say so, prompt by prompt, `(prompts, K, K)`; each prompt has one."""
    begins = np.flatnonzero(np.diff(table.prompt, prepend=-1))
    summed: IntArray = np.add.reduceat(said.astype(np.int64), begins, axis=0)
    return summed


def _together(votes: _Votes, preferred: BoolArray) -> Preferences:
    """The pairs where `preferred (prompts, K, K)`, by prompt, chosen, rejected."""
    prompt, chosen, rejected = np.nonzero(preferred)
    credit = 2 * votes.wins + votes.ties
    share = credit[prompt, chosen, rejected] / (2 * votes.labelers[prompt, 0, 0])
    weight = 1 / preferred.sum(axis=(1, 2))[prompt]
    return Preferences(
        prompt=prompt,
        chosen=chosen,
        rejected=rejected,
        share=share,
        weight=weight,
        prompt_weight=weight,
        left_open=votes.pairs - len(prompt),
    )
