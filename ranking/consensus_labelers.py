"""PURE: how reliable each labeler is, and Bradley-Terry strengths that weigh by it.

The model of a judgement is Crowd-BT's: labeler l says of two responses what their
strengths say with chance η_l, else the opposite. Its joint fit is not used for η,
because every prompt's strengths are fitted to the very labelers that they then judge:
with three labelers a prompt it put true reliabilities of .95, .9, .8, .7 at .998, .997,
.954, .79 and above. η comes from how far labelers agree with each other instead, which
no strengths enter. Source of the model: Chen, Bennett, Collins-Thompson and Horvitz,
Pairwise Ranking Aggregation in a Crowdsourced Setting (WSDM 2013).
"""

from dataclasses import dataclass

import numpy as np

from ranking.bootstrap import LEVEL, bootstrap_totals, counts_by_group
from ranking.comparisons import Comparisons
from ranking.consensus import Ballots, signs_of_pairs
from ranking.consensus_scores import newton_step, sigmoid
from ranking.rank_table import BoolArray, FloatArray, IntArray

# As if everybody had also been compared on so many pairs with a labeler who knows the
# right order, and had agreed on three of four.
PRIOR_PAIRS, PRIOR_WEIGHT = 4.0, 0.5
UNKNOWN = (1 + PRIOR_WEIGHT) / 2  # the η of whom nobody compares with
WEIGHT_CONVERGED, MOST_WEIGHT_ROUNDS = 1e-9, 2_000
STRENGTH_CONVERGED, MOST_STRENGTH_ROUNDS = 1e-5, 500


@dataclass(frozen=True, eq=False)
class Reliability:
    """How often each labeler would agree with somebody who is always right.

    - `values (L,)`: ½ for somebody who tosses a coin, below it for one who ranks
      backwards; NaN for labelers with nothing to compare.
    - `intervals (L, 2)`: 95 %, over prompts; NaN where fewer than two prompts tell.
    - `comparable (L,)`: strict pairs that were compared with others.
    """

    values: FloatArray
    intervals: FloatArray
    comparable: FloatArray


def reliability(between: Comparisons, *, labelers: int, n_prompts: int) -> Reliability:
    """The reliability of each labeler, from the agreement of every two.

    With weights w = 2η - 1 and errors that do not depend on each other, two labelers
    agree on a strict pair with chance (1 + w_k·w_l) / 2. So the w are the vector whose
    products come nearest to 2·agreement - 1, each product weighed by its pairs: least
    squares with a weak prior, which also tells w from -w. From equal weights for all,
    by steps in which all move at once, so that no order of names breaks a tie: two
    labelers alone are equally reliable. Intervals: percentiles over draws of prompts.

    `between` as `Comparisons.between_labelers` gives it, of all prompts, or of one for
    the weights on that prompt alone; `labelers` and `n_prompts` are how many codes
    there are. Sources: Ghosh, Kale and McAfee, Who Moderates the Moderators? (EC 2011);
    Dalvi, Dasgupta, Kumar and Rastogi, Aggregating Crowdsourced Binary Ratings (WWW
    2013).
    """
    cells = counts_by_group(
        between.first * labelers + between.second,
        between.prompt,
        between.agree,
        between.differ,
    )
    draws = bootstrap_totals(cells, n_prompts=n_prompts)
    n_draws = next(iter(draws.values())).shape[1] if draws else 0
    agree, differ = np.zeros((2, 1 + n_draws, labelers, labelers))
    for cell, counts in cells.items():
        k, l = divmod(cell, labelers)  # noqa: E741  as in the formula
        both = np.concatenate([counts.totals[:, None], draws[cell]], axis=1)
        agree[:, k, l], differ[:, k, l] = both
        agree[:, l, k], differ[:, l, k] = both
    pairs = agree + differ
    eta = (1 + _factors(agree - differ, pairs)) / 2
    eta[pairs.sum(axis=2) == 0] = np.nan
    return Reliability(
        values=eta[0],
        intervals=_intervals(eta[1:], _told_by(between, labelers)),
        comparable=pairs[0].sum(axis=1),
    )


def reliability_of_counts(agree: IntArray, differ: IntArray) -> FloatArray:
    """`Reliability.values (L,)` alone, of strict pairs counted `(L, L)`, symmetric:
    how often every two labelers agree and differ. NaN for whom nobody compares with."""
    surplus, pairs = np.array([[agree - differ], [agree + differ]], np.float64)
    eta: FloatArray = (1 + _factors(surplus, pairs)[0]) / 2
    eta[pairs[0].sum(axis=1) == 0] = np.nan
    return eta


def _factors(surplus: FloatArray, pairs: FloatArray) -> FloatArray:
    """w `(d, L)` with pairs·w_k·w_l near to the surplus `(d, L, L)`, in each draw.

    Half of the way to where each w would be best alone: for two labelers without a
    prior these are Newton's steps to the square root.
    """
    w = np.full(surplus.shape[:2], PRIOR_WEIGHT)
    for _ in range(MOST_WEIGHT_ROUNDS):
        pull = np.einsum("dkl,dl->dk", surplus, w) + PRIOR_PAIRS * PRIOR_WEIGHT
        mass = np.einsum("dkl,dl->dk", pairs, w**2) + PRIOR_PAIRS
        step = (np.clip(pull / mass, -1, 1) - w) / 2
        w = w + step
        if np.abs(step).max(initial=0) < WEIGHT_CONVERGED:
            break
    return w


def _told_by(between: Comparisons, labelers: int) -> BoolArray:
    """Labelers with strict pairs to compare on two prompts or more, `(L,)`."""
    strict = between.only(between.agree + between.differ > 0)
    width = int(strict.prompt.max(initial=0)) + 1
    both = np.concatenate([strict.first, strict.second])
    prompts = np.unique(both * width + np.tile(strict.prompt, 2)) // width
    told: BoolArray = np.bincount(prompts, minlength=labelers) >= 2
    return told


def _intervals(draws: FloatArray, told: BoolArray) -> FloatArray:
    intervals = np.full((len(told), 2), np.nan)
    tail = (1 - LEVEL) / 2
    for labeler in np.flatnonzero(told):
        drawn = draws[:, labeler]
        ends = np.quantile(drawn[~np.isnan(drawn)], [tail, 1 - tail])
        intervals[labeler] = ends
    return intervals


def weighted_bradley_terry(cast: Ballots, eta: FloatArray) -> FloatArray:
    """Log-strengths `(s, K)` of every set, in which reliable labelers weigh more.

    The mode of Σ log(η_l·s(θ_i - θ_j) + (1 - η_l)·s(θ_j - θ_i)) over strict judgements
    i > j of labelers l, and the penalty of `bradley_terry`. A tie is half a win for
    each, whoever says it. By EM, one step of Newton's in each round: a judgement is
    credited to its winner with the chance that it follows the strengths so far, to its
    loser with the rest.

    `eta (L,)` by the codes of `cast.labeler`. Below ½ it counts as ½, which says
    nothing: nobody is read backwards. NaN (nobody to compare with) counts as ¾, the
    prior. With η = 1 for all it is `bradley_terry`. Raises ArithmeticError if it does
    not converge.
    """
    known = np.where(np.isnan(eta), UNKNOWN, eta)
    right = np.clip(known, 0.5, 1)[cast.labeler]
    values = np.zeros((len(cast), cast.k))
    moving = np.arange(len(cast))
    for _ in range(MOST_STRENGTH_ROUNDS):
        rows = np.isin(cast.place, moving)
        credit = _credit(cast.only(moving), values[moving], right[rows])
        met = credit + credit.transpose(0, 2, 1)
        step = newton_step(credit, met, values[moving])
        values[moving] += step
        moving = moving[~(np.abs(step).max(axis=1) <= STRENGTH_CONVERGED)]
        if not moving.size:
            return values
    raise ArithmeticError(f"{len(moving)} sets of strengths did not converge")


def _credit(cast: Ballots, values: FloatArray, right: FloatArray) -> FloatArray:
    """What each response is credited with against each other, `(s, K, K)`."""
    credit = np.zeros((len(cast), cast.k, cast.k))
    for a, b, signs, both in signs_of_pairs(cast):
        gap = (values[:, a] - values[:, b])[cast.place]
        chance = sigmoid(-signs * gap)
        follows = right * chance / (right * chance + (1 - right) * (1 - chance))
        first = np.where(signs < 0, follows, np.where(signs > 0, 1 - follows, 0.5))
        credit[:, a, b] = np.bincount(cast.place, both * first, len(cast))
        credit[:, b, a] = np.bincount(cast.place, both * (1 - first), len(cast))
    return credit
