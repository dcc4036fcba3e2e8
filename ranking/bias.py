"""Does the place on the page, or the length of a response, predict its rank?

Both are counted per labeler. The order shown is an independent random permutation
per assignment, so without a bias the slope is 0 whatever the responses are worth;
the length is no experiment, and its share is to be read beside the pool's.
"""

from itertools import combinations

import numpy as np

from ranking.concordance import doubled_centred_mid_ranks
from ranking.rank_table import FloatArray, IntArray, Rankings


def position_bias(
    table: Rankings,
) -> tuple[IntArray, IntArray, IntArray | FloatArray, FloatArray]:
    """Rows `(prompt, labeler, products, squares)` of the rankings shown in a known
    order, `(m,)` each: the slope is Σ products / Σ squares.

    It is the least-squares slope of the mid-rank, from 0 (best) to 1, on the
    position, from 0 (shown first) to 1. Both have mean ½ in every ranking, so that
    centring needs no second pass. +1: always ranked in the order shown; -1: always
    the reverse. K = 1 has no slope.
    """
    if table.positions is None or table.k < 2:
        none, nothing = np.zeros(0, np.int64), np.zeros(0)
        return none, none, nothing, nothing
    rows = np.flatnonzero(table.counted & (table.positions >= 0).all(axis=1))
    place = table.positions[rows].T / (table.k - 1) - 0.5  # (K, m)
    rank = doubled_centred_mid_ranks(table, rows) / (2 * (table.k - 1))
    products, squares = (place * rank).sum(axis=0), (place**2).sum(axis=0)
    return table.prompt[rows], table.labeler[rows], products, squares


def length_bias(
    table: Rankings,
) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """Rows `(prompt, labeler, longer_wins, comparable)`, `(m,)` each.

    `comparable` counts the strict pairs of a ranking whose two lengths are known
    and differ, `longer_wins` those of them that the longer response won.
    """
    if table.lengths is None:
        none = np.zeros(0, np.int64)
        return none, none, none, none
    rows = np.flatnonzero(table.counted)
    wins = np.zeros(len(rows), np.int64)
    comparable = np.zeros(len(rows), np.int64)
    columns = np.ascontiguousarray(table.lengths[rows].T)  # (K, m)
    for gaps, (first, second) in zip(table.gaps, combinations(columns, 2), strict=True):
        gap = gaps[rows]
        counts = (first >= 0) & (second >= 0) & (first != second) & (gap != 0)
        comparable += counts
        wins += counts & ((first > second) == (gap < 0))
    return table.prompt[rows], table.labeler[rows], wins, comparable
