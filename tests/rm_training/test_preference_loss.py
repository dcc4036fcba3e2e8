"""The loss against plain loops, closed forms and another library's formula."""

import math
import random
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import choix
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rm_training.batch import EncodedPrompt, pad_ranks
from rm_training.config import Loss, Ties, TrainingConfig
from rm_training.loss import (
    loss_denominator,
    pair_targets,
    pair_weights,
    preference_loss,
)

Prompt = tuple[list[float], list[list[int]]]  # rewards (K,), rankings (N, K)


def loss_of(
    prompts: Sequence[Prompt],
    *,
    loss: Loss = "prompt_mean",
    ties: Ties = "drop",
    centering: float = 0.0,
    padding: float = 0.0,
) -> float:
    """Our loss in float64, through the padded tensors that training uses."""
    rewards = table([r for r, _ in prompts], padding=padding)
    return ours(rewards, weights_of(prompts, ties), loss, centering).item()


def ours(rewards: Tensor, weights: Tensor, loss: Loss, centering: float) -> Tensor:
    summed = preference_loss(rewards, weights, loss=loss, centering=centering)
    return summed / loss_denominator(weights, loss).clamp(min=1)


def weights_of(prompts: Sequence[Prompt], ties: Ties) -> Tensor:
    encoded = [
        EncodedPrompt(
            prompt=(1,),
            responses=((2,),) * len(rewards),
            rankings=tuple(map(tuple, rankings)),
        )
        for rewards, rankings in prompts
    ]
    return pair_weights(pad_ranks(encoded), ties)


def table(rewards: Sequence[Sequence[float]], *, padding: float) -> Tensor:
    width = max(map(len, rewards))
    rows = [[*row, *[padding] * (width - len(row))] for row in rewards]
    return torch.tensor(rows, dtype=torch.float64)


def cost(a: float, b: float, centering: float) -> float:
    """-log(1 / (1 + e^-(a - b))) + centering (a + b)², without our library."""
    return math.log1p(math.exp(b - a)) + centering * (a + b) ** 2


def costs_of_ranking(
    rewards: list[float], ranks: list[int], ties: Ties, centering: float
) -> list[float]:
    costs = []
    for i in range(len(ranks)):
        for j in range(i + 1, len(ranks)):
            if not ranks[i] or not ranks[j]:
                continue
            one = cost(rewards[i], rewards[j], centering)
            other = cost(rewards[j], rewards[i], centering)
            if ranks[i] == ranks[j]:
                if ties == "soft":
                    costs.append((one + other) / 2)
            else:
                costs.append(one if ranks[i] < ranks[j] else other)
    return costs


def mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else 0.0


def brute_force(
    prompts: Sequence[Prompt], loss: Loss, ties: Ties, centering: float
) -> float:
    every_pair, prompt_means = [], []
    for rewards, rankings in prompts:
        kept = [costs_of_ranking(rewards, r, ties, centering) for r in rankings]
        kept = [costs for costs in kept if costs]
        every_pair += [value for costs in kept for value in costs]
        if kept:
            prompt_means.append(mean([mean(costs) for costs in kept]))
    return mean(every_pair if loss == "pair_mean" else prompt_means)


@st.composite
def a_prompt(draw: st.DrawFn) -> Prompt:
    k = draw(st.integers(2, 9))
    rewards = draw(st.lists(st.floats(-5, 5), min_size=k, max_size=k))
    ranks = st.lists(st.integers(0, k), min_size=k, max_size=k)  # 0: not ranked
    return rewards, draw(st.lists(ranks, min_size=1, max_size=3))


@settings(deadline=None, max_examples=150)
@given(
    prompts=st.lists(a_prompt(), min_size=1, max_size=4),
    loss=st.sampled_from(["prompt_mean", "pair_mean"]),
    ties=st.sampled_from(["drop", "soft"]),
    centering=st.sampled_from([0.0, 0.01]),
)
def test_the_loss_equals_plain_loops_on_ragged_batches(
    prompts: list[Prompt], loss: Loss, ties: Ties, centering: float
) -> None:
    expected = brute_force(prompts, loss, ties, centering)
    got = loss_of(prompts, loss=loss, ties=ties, centering=centering, padding=77.0)
    assert got == pytest.approx(expected, abs=1e-12)


def test_a_strict_ranking_of_three_is_worked_out_by_hand() -> None:
    # Δ = 1, 1, 2: (0.313262 + 0.313262 + 0.126928) / 3
    assert loss_of([([2.0, 1.0, 0.0], [[1, 2, 3]])]) == pytest.approx(
        0.2511505, abs=1e-7
    )


def test_equal_rewards_cost_ln_2_whatever_the_ranks() -> None:
    assert loss_of([([3.0] * 4, [[1, 2, 3, 4], [2, 1, 1, 1]])]) == pytest.approx(
        math.log(2), abs=1e-15
    )


def test_a_tie_gives_no_pair_unless_ties_are_soft() -> None:
    tied: list[Prompt] = [([1.0, -1.0], [[1, 1]])]
    assert loss_of(tied) == 0.0
    # ½ [softplus(-2) + softplus(2)] = ½ (0.126928 + 2.126928)
    assert loss_of(tied, ties="soft") == pytest.approx(1.126928, abs=1e-6)


def test_rankings_and_prompts_without_a_pair_are_not_counted() -> None:
    alone: Prompt = ([2.0, 0.0], [[1, 2]])
    crowd: list[Prompt] = [
        ([2.0, 0.0], [[1, 2], [1, 1], [0, 1]]),
        ([9.0, 9.0, 9.0], [[1, 1, 1]]),
    ]
    for loss in ("prompt_mean", "pair_mean"):
        assert loss_of(crowd, loss=loss) == loss_of([alone], loss=loss)


def test_no_kept_pair_at_all_is_zero_with_a_zero_gradient() -> None:
    rewards = torch.zeros(1, 2, requires_grad=True)
    summed = preference_loss(
        rewards, weights_of([([0.0, 0.0], [[1, 1]])], "drop"), loss="prompt_mean"
    )
    torch.autograd.backward(summed)
    assert summed.item() == 0.0
    assert rewards.grad is not None
    assert rewards.grad.tolist() == [[0.0, 0.0]]


def test_prompt_mean_and_pair_mean_part_on_mixed_k_and_agree_on_one_prompt() -> None:
    four: Prompt = ([0.1, 0.5, -0.2, 0.0], [[1, 2, 3, 4]])
    nine: Prompt = ([0.3 * k for k in range(9)], [list(range(1, 10))])
    assert loss_of([four]) == pytest.approx(loss_of([four], loss="pair_mean"))
    by_prompt = loss_of([four, nine])
    by_pair = loss_of([four, nine], loss="pair_mean")
    one, other = loss_of([four]), loss_of([nine])
    assert by_prompt == pytest.approx((one + other) / 2)
    assert by_pair == pytest.approx((6 * one + 36 * other) / 42)
    assert abs(by_prompt - by_pair) > 0.1


def test_the_gradient_has_its_closed_form_and_sums_to_zero_per_prompt() -> None:
    """∂L/∂rᵢ = (losses' Σ sigmoid(-Δ) - wins' Σ sigmoid(-Δ)) / pairs, per ranking."""
    rewards = torch.tensor([[0.7, -0.3, 1.9, 0.2]], dtype=torch.float64)
    rewards.requires_grad_()
    weights = weights_of([([0.0] * 4, [[2, 1, 3, 3]])], "drop")
    torch.autograd.backward(ours(rewards, weights, "prompt_mean", 0.0))
    expected = [0.0] * 4
    for winner, loser in [(1, 0), (1, 2), (1, 3), (0, 2), (0, 3)]:
        delta = (rewards[0, winner] - rewards[0, loser]).item()
        pull = 1 / (1 + math.exp(delta)) / 5
        expected[winner] -= pull
        expected[loser] += pull
    assert rewards.grad is not None
    assert rewards.grad[0].tolist() == pytest.approx(expected, abs=1e-12)
    assert rewards.grad.sum().item() == pytest.approx(0.0, abs=1e-12)


def test_a_shift_of_a_prompts_rewards_changes_nothing_without_centering() -> None:
    ranks = [[3, 1, 2, 2], [1, 2, 0, 4]]
    rewards = [0.7, -0.3, 1.9, 0.2]
    shifted = [reward + 5.25 for reward in rewards]
    assert loss_of([(shifted, ranks)]) == pytest.approx(
        loss_of([(rewards, ranks)]), abs=1e-12
    )
    # Centring: + 0.01 · (1 + 1)² where the mean moved from 0 to 1 for both.
    assert loss_of([([1.0, 1.0], [[1, 2]])], centering=0.01) == pytest.approx(
        math.log(2) + 0.04
    )


def test_rewards_ten_thousand_apart_stay_finite_and_have_a_gradient() -> None:
    rewards = torch.tensor([[-1e4, 1e4]], requires_grad=True)
    summed = preference_loss(
        rewards, weights_of([([0.0, 0.0], [[1, 2]])], "drop"), loss="prompt_mean"
    )
    torch.autograd.backward(summed)
    assert summed.item() == pytest.approx(2e4)
    assert rewards.grad is not None
    assert rewards.grad.tolist() == [[-1.0, 1.0]]


def test_half_precision_rewards_are_refused() -> None:
    with pytest.raises(TypeError, match="float32 or float64"):
        preference_loss(
            torch.zeros(1, 2, dtype=torch.bfloat16),
            torch.zeros(1, 1, 2, 2),
            loss="prompt_mean",
        )


def trl_loss(
    chosen: Sequence[float],
    rejected: Sequence[float],
    *,
    centering: float | None = None,
    margins: Sequence[float] | None = None,
) -> float:
    """Through TRL's own RewardTrainer.compute_loss, in float64."""
    from trl.trainer.reward_trainer import RewardTrainer  # noqa: PLC0415  slow import

    logits = torch.tensor([*chosen, *rejected], dtype=torch.float64).unsqueeze(-1)

    def gather(tensor: Tensor) -> Tensor:
        return tensor

    trainer: Any = SimpleNamespace(
        model=SimpleNamespace(training=False),
        args=SimpleNamespace(center_rewards_coefficient=centering),
        accelerator=SimpleNamespace(gather=gather, gather_for_metrics=gather),
        _metrics={"eval": Logs()},
        _total_train_tokens=0,
    )
    inputs = {} if margins is None else {"margin": torch.tensor(margins).double()}
    compute_loss: Any = RewardTrainer.compute_loss  # it carries no types
    loss = compute_loss(trainer, lambda **_: SimpleNamespace(logits=logits), inputs)
    return float(loss.item())


def trl_loss_of(prompt: Prompt, **options: Any) -> float:
    """TRL's loss of the strict pairs of one ranking."""
    rewards, (ranks,) = prompt
    places = range(len(ranks))
    pairs = [(i, j) for i in places for j in places if ranks[i] < ranks[j]]
    return trl_loss(
        [rewards[i] for i, _ in pairs], [rewards[j] for _, j in pairs], **options
    )


@pytest.mark.parametrize("centering", [None, 0.01])
def test_one_prompt_costs_what_trl_computes_on_its_pairs(
    centering: float | None,
) -> None:
    """K = 5 with one tie: 9 pairs."""
    prompt: Prompt = ([0.31, -1.2, 2.5, 0.0, 0.9], [[2, 5, 1, 4, 2]])
    theirs = trl_loss_of(prompt, centering=centering)
    assert loss_of([prompt], centering=centering or 0.0) == pytest.approx(
        theirs, abs=1e-12
    )


def test_a_margin_is_trls_margin() -> None:
    ranks = torch.tensor([[[1, 2, 3]]])
    targets = pair_targets(ranks, TrainingConfig(margin=0.5))
    summed = preference_loss(
        torch.tensor([[0.3, 0.7, -1.0]], dtype=torch.float64),
        targets.weights,
        loss="pair_mean",
        margins=targets.margins,
    )
    theirs = trl_loss([0.3, 0.3, 0.7], [0.7, -1.0, -1.0], margins=[0.5, 1.0, 0.5])
    assert summed.item() / 3 == pytest.approx(theirs, abs=1e-12)


def test_mixed_k_costs_what_trl_computes_on_pairs_weighed_by_their_prompt() -> None:
    """TRL has no weights: each prompt's mean is one call, their mean is ours."""
    four: Prompt = ([0.1, 0.5, -0.2, 0.0], [[1, 2, 3, 4]])
    nine: Prompt = ([0.3 * k for k in range(9)], [[5, 1, 2, 3, 9, 8, 7, 6, 4]])
    theirs = (trl_loss_of(four) + trl_loss_of(nine)) / 2
    assert loss_of([four, nine]) == pytest.approx(theirs, abs=1e-12)
    # The tensors of one batch of 6 + 36 pairs: TRL's mean is our pair_mean.
    assert loss_of([four, nine], loss="pair_mean") == pytest.approx(
        (6 * trl_loss_of(four) + 36 * trl_loss_of(nine)) / 42, abs=1e-12
    )


def open_assistant_loss(logits: Tensor, lengths: Sequence[int]) -> Tensor:
    """RMLoss of LAION-AI/Open-Assistant with beta 0, from its formula.

    logits (Σ K,) of prompts whose responses come best first: the mean over prompts of
    the mean over pairs i < j of -log sigmoid(r_i - r_j).
    """
    losses, start = [], 0
    for length in lengths:
        mine = logits[start : start + length]
        first, second = torch.combinations(torch.arange(length), 2).unbind(1)
        losses.append(
            -torch.nn.functional.logsigmoid(mine[first] - mine[second]).mean()
        )
        start += length
    return torch.stack(losses).mean()


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.lists(st.floats(-5, 5), min_size=2, max_size=9), min_size=1, max_size=4)
)
def test_strict_rankings_cost_what_open_assistant_computes(
    rewards: list[list[float]],
) -> None:
    prompts: list[Prompt] = [(r, [list(range(1, len(r) + 1))]) for r in rewards]
    flat = torch.tensor([x for r in rewards for x in r], dtype=torch.float64)
    theirs = open_assistant_loss(flat, [len(r) for r in rewards])
    assert loss_of(prompts) == pytest.approx(theirs.item(), abs=1e-12)


def fitted(pairs: Sequence[tuple[int, int]], n: int, alpha: float) -> list[float]:
    """Free scalars fitted by LBFGS: Σ over pairs of our cost + alpha · Σ r²."""
    rewards = torch.zeros(1, n, dtype=torch.float64, requires_grad=True)
    weights = torch.zeros(1, 1, n, n, dtype=torch.float64)
    for winner, loser in pairs:
        weights[0, 0, winner, loser] += 1
    optimizer = torch.optim.LBFGS(
        [rewards],
        max_iter=500,
        tolerance_grad=1e-12,
        tolerance_change=1e-16,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = preference_loss(rewards, weights, loss="pair_mean")
        loss = loss + alpha * rewards.square().sum()
        torch.autograd.backward(loss)
        return loss

    for _ in range(5):
        optimizer.step(closure)  # type: ignore[no-untyped-call]
    values: list[float] = (rewards - rewards.mean())[0].tolist()
    return values


def test_free_scalars_reach_the_bradley_terry_fit_of_choix() -> None:
    draw = random.Random(0)
    truth = [1.0, 0.4, 0.0, -0.3, -0.9]
    pairs = []
    for _ in range(300):
        i, j = draw.sample(range(5), 2)
        wins = draw.random() < 1 / (1 + math.exp(truth[j] - truth[i]))
        pairs.append((i, j) if wins else (j, i))
    # choix's penalty is alpha · Σ θ² (its code; the documentation implies half of it).
    for alpha in (1e-3, 1e-1):
        theirs = choix.opt_pairwise(5, pairs, alpha=alpha)
        expected = theirs - theirs.mean()
        assert fitted(pairs, 5, alpha) == pytest.approx(expected.tolist(), abs=1e-6)
    free = choix.ilsr_pairwise(5, pairs, alpha=0.0)
    expected = free - free.mean()
    assert fitted(pairs, 5, 0.0) == pytest.approx(expected.tolist(), abs=1e-6)


class Logs(dict[str, list[float]]):
    """The lists that TRL appends its metrics to."""

    def __missing__(self, key: str) -> list[float]:
        self[key] = []
        return self[key]
