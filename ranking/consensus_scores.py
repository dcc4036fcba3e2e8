"""PURE: a number for every response of a prompt: Borda and Bradley-Terry.

Both take all sets of one K at once. A number is no order: `consensus.score_ranks` says
which responses are tied.
"""

from dataclasses import dataclass

import numpy as np

from ranking.consensus import Ballots, PairCounts
from ranking.conventions import ratio
from ranking.rank_table import FloatArray

# Strengths have a normal prior of variance 1 / (2·PENALTY) = 5, as choix's `alpha`. It
# keeps what won or lost every comparison finite: 3 : 0 comes to odds of 11.3 : 1.
PENALTY = 0.1
LARGEST_STEP = 2.0  # keeps Newton's method from overshooting
CONVERGED = 1e-10
MOST_STEPS = 100


def borda(cast: Ballots) -> FloatArray:
    """The mean share of the other responses that each one beats, `(s, K)`, 0 to 1.

    A tie is half a win, so in a complete ranking it is (K - mid-rank) / (K - 1): the
    order by it is that of the average ranks. Ranks 1, 2, 2, 4 give 1, ½, ½, 0. A
    partial ranking counts for what it ranks, against what it ranks. NaN where nobody
    ranked the response beside another one.
    """
    listed = cast.ranks > 0  # (n, K)
    points = np.zeros(cast.ranks.shape)
    for rival in range(cast.k):
        ahead = np.sign(cast.ranks[:, [rival]].astype(int) - cast.ranks)
        met = listed & listed[:, [rival]]
        met[:, rival] = False
        points += np.where(met, (1 + ahead) / 2, 0)
    others = np.maximum(listed.sum(axis=1, keepdims=True) - 1, 0)
    share = ratio(points, others)
    counts = listed & (others > 0)
    return ratio(_by_set(cast, np.where(counts, share, 0)), _by_set(cast, counts))


def _by_set(cast: Ballots, columns: FloatArray | np.ndarray) -> FloatArray:
    """Sum `(n, K)` over the rankings of each set, `(s, K)`."""
    sums = np.zeros((len(cast), cast.k))
    for k in range(cast.k):
        sums[:, k] = np.bincount(cast.place, columns[:, k], len(cast))
    return sums


@dataclass(frozen=True, eq=False)
class Strengths:
    """Log-strengths of the responses of each set, and how sure they are.

    - `values (s, K)`: of mean 0 in each set; s(difference) is the chance of a win.
    - `covariance (s, K, K)`: of the values, by the curvature at the mode.
    """

    values: FloatArray
    covariance: FloatArray

    def probabilities(self) -> FloatArray:
        """The chance that the first beats the second, `(s, K, K)`; ½ on the
        diagonal."""
        return sigmoid(self.values[:, :, None] - self.values[:, None, :])


def bradley_terry(counts: PairCounts) -> Strengths:
    """Strengths θ with P(i beats j) = s(θ_i - θ_j), s the logistic function.

    The mode of Σ c_ij·log s(θ_i - θ_j) - PENALTY·Σ θ_i², c the wins with a tie as half
    a win for each: one says a > b and another b > a gives 0 and 0. The penalty makes
    the mode unique and finite whatever was won or lost, and a response that nobody
    compared has strength 0. Source: Bradley and Terry, Biometrika 39 (1952); the
    penalty is a normal prior of variance 5, what choix calls `alpha`.

    Newton's method for all sets in turn: choix takes one set, without ties or weights.
    Raises ArithmeticError if it does not converge, which no finite counts cause.
    """
    return strongest(counts.credit)


def strongest(credit: FloatArray, start: FloatArray | None = None) -> Strengths:
    """`bradley_terry` of the credit `(s, K, K)` each got against each; weights do."""
    sets, k = credit.shape[:2]
    met = credit + credit.transpose(0, 2, 1)
    values = np.zeros((sets, k)) if start is None else start.copy()
    rows = np.arange(sets)
    for _ in range(MOST_STEPS):
        if not rows.size:
            covariance = np.linalg.inv(curvature(met, values)).astype(np.float64)
            return Strengths(values, covariance)
        step = newton_step(credit[rows], met[rows], values[rows])
        values[rows] += step
        rows = rows[~(np.abs(step).max(axis=1) <= CONVERGED)]
    raise ArithmeticError(f"{len(rows)} sets of strengths did not converge")


def newton_step(credit: FloatArray, met: FloatArray, values: FloatArray) -> FloatArray:
    """One step towards the mode, `(s, K)`; `met` is the credit of both directions."""
    chance = sigmoid(values[:, :, None] - values[:, None, :])
    slope = (credit - met * chance).sum(axis=2) - 2 * PENALTY * values
    step = np.linalg.solve(curvature(met, values), slope[:, :, None])[:, :, 0]
    longest = np.abs(step).max(axis=1, keepdims=True)
    scaled: FloatArray = step * (LARGEST_STEP / np.maximum(longest, LARGEST_STEP))
    return scaled


def curvature(met: FloatArray, values: FloatArray) -> FloatArray:
    """Minus the second derivative of the penalised log-likelihood, `(s, K, K)`."""
    chance = sigmoid(values[:, :, None] - values[:, None, :])
    weight = met * chance * (1 - chance)
    k = values.shape[1]
    own = weight.sum(axis=2) + 2 * PENALTY
    curved: FloatArray = own[:, :, None] * np.eye(k) - weight
    return curved


def sigmoid(x: FloatArray) -> FloatArray:
    """1 / (1 + e^-x), without overflow."""
    half: FloatArray = np.tanh(x / 2) / 2 + 0.5
    return half
