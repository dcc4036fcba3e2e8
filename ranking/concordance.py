"""Kendall's W: how far all rankings of one prompt agree with each other."""

from itertools import combinations

import numpy as np

from ranking.conventions import ratio
from ranking.rank_table import FloatArray, IntArray, Rankings


def kendall_w(table: Rankings) -> tuple[IntArray, FloatArray]:
    """W of every set with two counted rankings or more: `(prompt (m,), w (m,))`.

    With mid-ranks R and tie corrections T, the textbook form is
    W = 12·S / (m²·(K³ - K) - m·ΣT), S the sum of squares of the rank sums about
    their mean. A mid-rank less its mean is half of b_i = Σ_j sign(r_i - r_j), and
    K³ - K - T is 3·Σ b_i², so that W = Σ_i (Σ_rankings b_i)² / (m · Σ Σ b_i²):
    whole numbers until the one division. NaN where every ranking tied everything
    (K = 1 included).

    Source: Kendall and Gibbons, Rank Correlation Methods, chapter 6 (ties).
    """
    rows = np.flatnonzero(table.judged_again)
    if not rows.size:
        return np.zeros(0, np.int64), np.zeros(0)
    item = table.item[rows]
    starts = np.flatnonzero(np.diff(item, prepend=-1))
    scores = doubled_centred_mid_ranks(table, rows)  # (K, n)
    sums = np.add.reduceat(scores, starts, axis=1)  # (K, m)
    squares = np.add.reduceat((scores**2).sum(axis=0), starts)  # (m,)
    judges = table.judges[rows][starts]
    w = ratio((sums**2).sum(axis=0), judges * squares)
    return table.prompt[rows][starts], w


def doubled_centred_mid_ranks(table: Rankings, rows: IntArray) -> IntArray:
    """b_i = Σ_j sign(r_i - r_j) of each response in each ranking, `(K, n)`."""
    scores = np.zeros((table.k, len(rows)), np.int64)
    pairs = combinations(range(table.k), 2)
    for (a, b), gaps in zip(pairs, table.gaps, strict=True):
        signs = np.sign(gaps[rows])
        scores[a] += signs
        scores[b] -= signs
    return scores
