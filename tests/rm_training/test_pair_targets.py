"""Soft labels, margins and weights by rank distance, against plain loops."""

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rm_training.batch import EncodedPrompt, pad_ranks
from rm_training.config import TrainingConfig
from rm_training.loss import loss_denominator, pair_targets, preference_loss

Prompt = tuple[list[float], list[list[int]]]  # rewards (K,), rankings (N, K)


def loss_of(prompts: Sequence[Prompt], config: TrainingConfig) -> float:
    """Our loss in float64, through the padded tensors that training uses."""
    encoded = [
        EncodedPrompt(
            prompt=(1,),
            responses=((2,),) * len(rewards),
            rankings=tuple(map(tuple, rankings)),
        )
        for rewards, rankings in prompts
    ]
    targets = pair_targets(pad_ranks(encoded), config)
    width = max(len(rewards) for rewards, _ in prompts)
    table = [[*rewards, *[33.0] * (width - len(rewards))] for rewards, _ in prompts]
    summed = preference_loss(
        torch.tensor(table, dtype=torch.float64),
        targets.weights,
        loss=config.loss,
        centering=config.centering,
        margins=targets.margins,
    )
    denominator = loss_denominator(targets.weights, config.loss)
    return (summed / denominator.where(denominator > 0, 1)).item()


def nll(lead: float) -> float:
    return math.log1p(math.exp(-lead))


Vote = tuple[int, int, float, float]  # winner, loser, weight, margin


def votes_of(ranks: list[int], config: TrainingConfig) -> list[Vote]:
    """What one labeler says of the ordered pairs."""
    votes = []
    for i, first in enumerate(ranks):
        for j, second in enumerate(ranks):
            if i == j or not first or not second:
                continue
            distance = second - first
            if distance > 0:
                weight = distance if config.pair_weight == "distance" else 1
                votes.append((i, j, float(weight), config.margin * distance))
            elif distance == 0 and config.ties == "soft":
                votes.append((i, j, 0.5, 0.0))
    return votes


def shared(votes: list[Vote]) -> list[Vote]:
    """All labelers' votes as one label a pair."""
    one = []
    for i, j in {(i, j) for i, j, _, _ in votes}:
        mine = [(w, m) for a, b, w, m in votes if (a, b) == (i, j)]
        against = sum(w for a, b, w, _ in votes if (a, b) == (j, i))
        total = sum(w for w, _ in mine)
        margin = sum(w * m for w, m in mine) / total
        one.append((i, j, total / (total + against), margin))
    return one


def brute_force(prompts: Sequence[Prompt], config: TrainingConfig) -> float:
    numerators, denominators, prompt_means = [], [], []
    for rewards, rankings in prompts:
        of_rankings = [votes_of(ranks, config) for ranks in rankings]
        if config.labels == "share":
            of_rankings = [shared([vote for votes in of_rankings for vote in votes])]
        means = []
        for votes in filter(None, of_rankings):
            costs = [
                w
                * (
                    nll(rewards[i] - rewards[j] - margin)
                    + config.centering * (rewards[i] + rewards[j]) ** 2
                )
                for i, j, w, margin in votes
            ]
            numerators += costs
            denominators += [w for _, _, w, _ in votes]
            means.append(math.fsum(costs) / math.fsum(w for _, _, w, _ in votes))
        if means:
            prompt_means.append(math.fsum(means) / len(means))
    if not prompt_means:
        return 0.0
    if config.loss == "pair_mean":
        return math.fsum(numerators) / math.fsum(denominators)
    return math.fsum(prompt_means) / len(prompt_means)


@st.composite
def a_prompt(draw: st.DrawFn) -> Prompt:
    k = draw(st.integers(2, 9))
    rewards = draw(st.lists(st.floats(-5, 5), min_size=k, max_size=k))
    ranks = st.lists(st.integers(0, k), min_size=k, max_size=k)  # 0: not ranked
    return rewards, draw(st.lists(ranks, min_size=1, max_size=3))


configs = st.builds(
    TrainingConfig,
    loss=st.sampled_from(["prompt_mean", "pair_mean"]),
    ties=st.sampled_from(["drop", "soft"]),
    labels=st.sampled_from(["each", "share"]),
    pair_weight=st.sampled_from(["equal", "distance"]),
    margin=st.sampled_from([0.0, 0.5]),
    centering=st.sampled_from([0.0, 0.01]),
)


@settings(deadline=None, max_examples=150)
@given(prompts=st.lists(a_prompt(), min_size=1, max_size=4), config=configs)
def test_every_option_equals_plain_loops_on_ragged_batches(
    prompts: list[Prompt], config: TrainingConfig
) -> None:
    assert loss_of(prompts, config) == pytest.approx(
        brute_force(prompts, config), abs=1e-12
    )


def a_config(**fields: Any) -> TrainingConfig:
    return TrainingConfig(centering=0.0, **fields)


def test_a_share_of_two_in_three_is_the_target_of_its_pair() -> None:
    """2/3 of softplus(-1) + 1/3 of softplus(1) = (2 · 0.313262 + 1.313262) / 3."""
    split: list[Prompt] = [([1.0, 0.0], [[1, 2], [1, 2], [2, 1]])]
    assert loss_of(split, a_config(labels="share")) == pytest.approx(0.646595, abs=1e-6)


def test_shares_and_labels_of_their_own_agree_where_everybody_orders_every_pair() -> (
    None
):
    strict: list[Prompt] = [([0.4, 1.0, -2.0], [[1, 2, 3], [2, 3, 1], [1, 3, 2]])]
    each, share = a_config(), a_config(labels="share")
    assert loss_of(strict, share) == pytest.approx(loss_of(strict, each), abs=1e-12)
    # A second labeler who ordered one pair has a ranking's weight for it, or one vote.
    partial: list[Prompt] = [([0.4, 1.0, -2.0], [[1, 2, 3], [2, 1, 0]])]
    assert abs(loss_of(partial, share) - loss_of(partial, each)) > 0.05


def test_shares_make_the_likeliest_probability_the_share_itself() -> None:
    """Where the reward differs by logit(2/3), the gradient is 0."""
    rewards = torch.tensor([[math.log(2), 0.0]], dtype=torch.float64)
    rewards.requires_grad_()
    ranks = torch.tensor([[[1, 2], [1, 2], [2, 1]]])
    targets = pair_targets(ranks, a_config(labels="share"))
    torch.autograd.backward(
        preference_loss(rewards, targets.weights, loss="prompt_mean")
    )
    assert rewards.grad is not None
    assert rewards.grad.abs().max().item() < 1e-15


def test_a_margin_asks_for_a_lead_by_rank_distance() -> None:
    """Leads 1, 1 and 2 less 0.5 a rank: softplus of -0.5, -0.5 and -1."""
    strict: list[Prompt] = [([2.0, 1.0, 0.0], [[1, 2, 3]])]
    expected = (2 * nll(0.5) + nll(1.0)) / 3
    assert loss_of(strict, a_config(margin=0.5)) == pytest.approx(expected)


def test_by_distance_a_pair_two_ranks_apart_counts_twice() -> None:
    strict: list[Prompt] = [([2.0, 1.0, 0.0], [[1, 2, 3]])]
    expected = (nll(1.0) + nll(1.0) + 2 * nll(2.0)) / 4
    assert loss_of(strict, a_config(pair_weight="distance")) == pytest.approx(expected)
