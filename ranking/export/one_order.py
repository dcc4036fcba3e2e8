"""One weak order a prompt that its labelers' orders come nearest to. PURE.

Kemeny's rule leaves open what the labelers leave open: several orders may be nearest.
The one written here says of two responses that one is better only where all nearest
orders say so. Responses on which they differ, directly or by way of others, are tied.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from ranking.consensus import ballots, pair_counts
from ranking.consensus_kemeny import MOST_RESPONSES, Kemeny, kemeny
from ranking.export.held import HeldPrompt, rank_rows
from ranking.rank_table import IntArray, RankTable

_DOUBLINGS: Final = (MOST_RESPONSES - 1).bit_length()  # of a path's longest step


def with_one_order(prompts: Sequence[HeldPrompt]) -> list[HeldPrompt]:
    """The prompts, each with one order instead of its labelers'.

    Two labelers, one a > b and the other b > a: both ways and the tie are equally near,
    so a and b are tied, and one pair is undecided. One labeler: their own order.
    """
    by_k: dict[int, list[int]] = {}
    for number, prompt in enumerate(prompts):
        by_k.setdefault(prompt.k, []).append(number)
    agreed: dict[int, HeldPrompt] = {}
    for numbers in by_k.values():
        some = [prompts[number] for number in numbers]
        agreed.update(zip(numbers, _with_one_order(some), strict=True))
    return [agreed[number] for number in range(len(prompts))]


def _with_one_order(prompts: Sequence[HeldPrompt]) -> list[HeldPrompt]:
    """The same for prompts with equally many responses."""
    table = rank_rows(prompts)
    everybody = np.arange(len(table.ranks))  # as they come: nobody has a name here
    cast = ballots(
        RankTable(ranks=table.ranks, cluster=table.prompt, labeler=everybody)
    )
    nearest = kemeny(pair_counts(cast))
    ranks = tied_where_open(nearest).tolist()
    undecided = (nearest.undecided.sum(axis=(1, 2)) // 2).tolist()
    return [
        replace(prompt, orders=[order], said=[], undecided_pairs=open_pairs)
        for prompt, order, open_pairs in zip(prompts, ranks, undecided, strict=True)
    ]


def tied_where_open(nearest: Kemeny) -> IntArray:
    """Dense ranks `(s, K)` that put no response above another one unless all nearest
    orders do.

    Responses that are tied or undecided, directly or by way of others, form a tier. Of
    two tiers all nearest orders put one wholly first: were x better than y, and y
    better than x' of x's tier, x would be better than x', and so on along the tier.
    """
    k = nearest.better.shape[1]
    together = nearest.tied | nearest.undecided | np.eye(k, dtype=np.bool_)
    for _ in range(_DOUBLINGS):
        together = np.matmul(together, together)
    first = together.argmax(axis=2)  # of each response's tier
    stands_for_tier = first == np.arange(k)
    above = nearest.better & ~together & stands_for_tier[:, :, None]
    ranks: IntArray = 1 + above.sum(axis=1)
    return ranks
