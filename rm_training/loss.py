"""The preference loss: pure functions of tensors, with their equation.

For a prompt x with responses y₁ … y_K and one ranking of them, let w be a matrix of
pair weights: wᵢⱼ = 1 where yᵢ is ranked above yⱼ, and 0 elsewhere; with soft ties also
wᵢⱼ = wⱼᵢ = ½ where they are tied. With rewards r, a pair costs

    cᵢⱼ = -logsigmoid(rᵢ - rⱼ - mᵢⱼ) + centering · (rᵢ + rⱼ)²

    prompt_mean:  L = mean over prompts ( mean over rankings ( Σ w c / Σ w ) )
    pair_mean:    L = Σ w c / Σ w        over all rankings of all prompts

Each mean runs only over what has a kept pair: a ranking, or a prompt, without one adds
nothing and is not counted. With one ranking a prompt, prompt_mean is InstructGPT's
-1/C(K,2) · E[logsigmoid(r_w - r_l)] (arXiv 2203.02155, equation 1); pair_mean weighs
K = 9 six times as much as K = 4.

Three options, all off by default. With d = rankⱼ - rankᵢ, how far apart a labeler put
the two (neighbours: 1, a tie: 0):

    margin m:        mᵢⱼ = m · d, a lead that the winner must have (as in Llama 2)
    distance:        wᵢⱼ = d instead of 1; soft ties keep ½
    share (labels):  the N rankings of a prompt become one, whose wᵢⱼ is the weighted
                     share of its labelers who put yᵢ above yⱼ: wᵢⱼ + wⱼᵢ = 1, so that
                     c is the cross-entropy with that share; mᵢⱼ is their mean margin
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from rm_training.config import Loss, Ties, TrainingConfig


def pair_weights(ranks: Tensor, ties: Ties) -> Tensor:
    """Weights w (B, N, K, K) of ordered pairs (winner, loser) from ranks (B, N, K).

    Lower ranks are better and equal ones are a tie. Rank 0 means not ranked (a partial
    ranking, or padding): such a response is in no pair. Σ w counts the kept pairs.

    >>> pair_weights(torch.tensor([[[1, 2, 2]]]), "drop")[0, 0].tolist()
    [[0.0, 1.0, 1.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    >>> pair_weights(torch.tensor([[[1, 2, 2]]]), "soft")[0, 0].tolist()
    [[0.0, 1.0, 1.0], [0.0, 0.0, 0.5], [0.0, 0.5, 0.0]]
    """
    first, second = (
        ranks.unsqueeze(-1),
        ranks.unsqueeze(-2),
    )  # (B, N, K, 1), (B, N, 1, K)
    ranked = (first > 0) & (second > 0)  # (B, N, K, K)
    weights = (ranked & (first < second)).float()
    if ties == "soft":
        itself = torch.eye(ranks.shape[-1], dtype=torch.bool, device=ranks.device)
        weights = weights + 0.5 * (ranked & (first == second) & ~itself)
    return weights


@dataclass(frozen=True, kw_only=True)
class PairTargets:
    """What the loss is to learn of B prompts, in float64: a share may be a third."""

    weights: Tensor
    """w (B, N, K, K); with shares N is 1."""
    margins: Tensor | None
    """m, of the same shape; None: 0 everywhere."""


def pair_targets(ranks: Tensor, config: TrainingConfig) -> PairTargets:
    """Weights and margins as the config asks for, from ranks (B, N, K).

    >>> two_to_one = torch.tensor([[[1, 2], [1, 2], [2, 1]]])
    >>> targets = pair_targets(two_to_one, TrainingConfig(labels="share"))
    >>> [[round(w, 3) for w in row] for row in targets.weights[0, 0].tolist()]
    [[0.0, 0.667], [0.333, 0.0]]
    """
    weights = pair_weights(ranks, config.ties).double()
    distance = (ranks.unsqueeze(-2) - ranks.unsqueeze(-1)).abs()  # (B, N, K, K)
    if config.pair_weight == "distance":
        weights = weights * distance.clamp(min=1)  # a soft tie has distance 0
    margins = config.margin * distance.double() if config.margin else None
    if config.labels == "share":
        votes = weights.sum(dim=1, keepdim=True)  # (B, 1, K, K)
        if margins is not None:
            summed = (weights * margins).sum(dim=1, keepdim=True)
            margins = summed / votes.where(votes > 0, 1.0)
        both = votes + votes.transpose(-1, -2)
        weights = votes / both.where(both > 0, 1.0)
    return PairTargets(weights=weights, margins=margins)


def loss_denominator(weights: Tensor, loss: Loss) -> Tensor:
    """What a batch is divided by: prompts with a kept pair, or kept pairs. Scalar.

    Under gradient accumulation, the sum of this over the whole optimizer step.
    """
    if loss == "pair_mean":
        return weights.sum()
    return (weights.sum(dim=(1, 2, 3)) > 0).sum()


def preference_loss(
    rewards: Tensor,
    weights: Tensor,
    *,
    loss: Loss,
    centering: float = 0.0,
    margins: Tensor | None = None,
) -> Tensor:
    """The sum that, divided by loss_denominator, is L of the module's docstring.

    rewards (B, K) in float32 or float64, weights and margins (B, N, K, K) from
    pair_targets; where a prompt has fewer than K responses, its padding may hold any
    finite number. The sum over micro-batches, each divided by the step's denominator,
    is the loss of the step. Without a kept pair: 0. Two equal rewards give ln 2.

    Raises TypeError for half precision, in which rewards tie by rounding.
    """
    if rewards.dtype not in (torch.float32, torch.float64):
        raise TypeError(f"the loss needs float32 or float64, got {rewards.dtype}")
    weights = weights.to(rewards)  # its type and device
    winners, losers = (
        rewards[:, None, :, None],
        rewards[:, None, None, :],
    )  # (B, 1, K, 1), (B, 1, 1, K)
    lead = winners - losers
    if margins is not None:
        lead = lead - margins.to(rewards)
    cost = centering * (winners + losers) ** 2 - logsigmoid(lead)  # (B, 1 or N, K, K)
    costs = (weights * cost).sum(dim=(2, 3))  # (B, N)
    if loss == "pair_mean":
        return costs.sum()
    pairs = weights.sum(dim=(2, 3))  # (B, N)
    ranking_means = costs / pairs.where(pairs > 0, 1.0)
    rankings = (pairs > 0).sum(dim=1)  # (B,)
    return (ranking_means.sum(dim=1) / rankings.clamp(min=1)).sum()
