"""PURE: Plackett-Luce strengths of the responses of one prompt, by choix.

Apart from the rest because choix loads SciPy's statistics, which takes more than a
second: import it where it is used.
"""

from collections.abc import Iterator

import choix
import numpy as np

from ranking.consensus_scores import PENALTY
from ranking.rank_table import FloatArray, IntArray

Choice = tuple[int, tuple[int, ...]]


def plackett_luce(ranks: IntArray) -> FloatArray:
    """Log-strengths `(K,)`, of mean 0, of the rankings `(n, K)` of one set.

    A ranking is a row of choices: the best of all, the best of the rest, and so on,
    each with chance exp θ_i / Σ exp θ_j over what was left. Members of a tier are each
    chosen from the same rest, tier included (Breslow's form for ties), so that a
    ranking that ties everything says that all are equal. Rank 0 leaves a response out.
    The penalty is that of `bradley_terry`, which this equals for K = 2 without ties.

    Sources: Plackett, Applied Statistics 24 (1975); Breslow's contribution to Cox,
    Journal of the Royal Statistical Society B 34 (1972), p. 216; choix, `opt_top1`.
    """
    k = ranks.shape[1]
    choices = [choice for row in ranks.tolist() for choice in _choices(row)]
    found = choix.opt_top1(k, choices, alpha=PENALTY, tol=1e-10)
    strengths: FloatArray = np.asarray(found, np.float64)
    return strengths


def _choices(ranks: list[int]) -> Iterator[Choice]:
    """(chosen, passed over) for every response that something else was left beside."""
    for chosen, rank in enumerate(ranks):
        passed_over = tuple(
            other for other, at in enumerate(ranks) if other != chosen and at >= rank
        )
        if rank > 0 and passed_over:
            yield chosen, passed_over
