"""Logistic fits of pair votes, with intervals over prompts. PURE."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from ranking.bootstrap import prompt_counts
from ranking.rank_table import FloatArray, IntArray
from rm_training.evaluation.intervals import NO_STRICT, Clusters

MOST_STEPS: Final = 100
CLOSE_ENOUGH: Final = 1e-12
"""Newton's decrement, in nats a pair, at which a fit is done."""
SEPARABLE: Final = (
    "every pair is explained without an error: the fit has no finite coefficients"
)
NOTHING_VARIES: Final = "all pairs are alike: there is nothing to fit"
COLLINEAR: Final = "the columns move together: their parts cannot be told apart"


@dataclass(frozen=True, eq=False)
class Fit:
    """β of P(better wins) = sigmoid(β · x), and the same in each draw of prompts."""

    coefficients: FloatArray
    """`(c,)`"""
    draws: FloatArray
    """`(c, draws)`: one Newton step from β with the prompts of the draw, the one-step
    bootstrap; exact to second order, and no draw has to be fitted anew."""


class NoFit(ValueError):  # noqa: N818  says what it is
    """The likelihood has no maximum; the message says why."""


def fit(x: FloatArray, prompt: IntArray, clusters: Clusters) -> Fit:
    """Maximum likelihood without intercept; x `(c, n)` is better less worse of n pairs.

    Raises NoFit.
    """
    if not x.shape[1]:
        raise NoFit(NO_STRICT)
    scale = np.sqrt((x**2).mean(axis=1))
    if not scale.all():
        raise NoFit(NOTHING_VARIES)
    scaled = x / scale[:, None]
    beta = _newton(scaled)
    if (beta @ scaled >= 0).all():
        raise NoFit(SEPARABLE)
    gradients, curvatures = _by_prompt(scaled, beta)
    sums = prompt_counts(prompt, *gradients, *curvatures)
    totals = clusters.totals(sums)
    c = len(x)
    slopes, matrices = totals[:c].T, totals[c:].T.reshape(-1, c, c)
    steps = np.linalg.pinv(matrices) @ slopes[:, :, None]  # (draws, c, 1)
    drawn = beta[:, None] + steps[:, :, 0].T
    return Fit(beta / scale, drawn / scale[:, None])


def _newton(x: FloatArray) -> FloatArray:
    """The maximum, by Newton's steps that are halved until they gain something."""
    beta = np.zeros(len(x))
    loss = _loss(x, beta)
    for _ in range(MOST_STEPS):
        gradients, curvatures = _by_prompt(x, beta)
        slope = gradients.sum(axis=1)
        matrix = curvatures.sum(axis=1).reshape(len(x), len(x))
        if np.linalg.cond(matrix) > 1e12:
            raise NoFit(COLLINEAR if (beta @ x < 0).any() else SEPARABLE)
        step = np.linalg.solve(matrix, slope)
        if slope @ step < CLOSE_ENOUGH * x.shape[1]:
            return beta
        while _loss(x, beta + step) > loss and np.abs(step).max() > CLOSE_ENOUGH:
            step /= 2
        beta = beta + step
        loss = _loss(x, beta)
    raise NoFit(SEPARABLE)


def _loss(x: FloatArray, beta: FloatArray) -> float:
    return float(np.logaddexp(0, -(beta @ x)).sum())


def _by_prompt(x: FloatArray, beta: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Gradient `(c, n)` and curvature `(c², n)` of each pair's log-likelihood."""
    p = sigmoid(beta @ x)
    curvatures = p * (1 - p) * x[:, None] * x[None, :]  # (c, c, n)
    return (1 - p) * x, curvatures.reshape(len(x) ** 2, -1)


def sigmoid(z: FloatArray) -> FloatArray:
    """1 / (1 + e⁻ᶻ), finite for every z."""
    found: FloatArray = np.exp(-np.logaddexp(0, -z))
    return found
