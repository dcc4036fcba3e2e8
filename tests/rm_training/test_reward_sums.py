"""The mean and the spread of a step's rewards, from sums."""

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rm_training.metrics import RewardSums

rewards = st.lists(st.floats(-50, 50), min_size=1, max_size=30)


@given(rewards, rewards)
def test_parts_add_up_to_the_numbers_of_the_whole(
    one: list[float], other: list[float]
) -> None:
    found = RewardSums.of(one) + RewardSums.of(other)
    assert found.n == len(one) + len(other)
    assert found.mean == pytest.approx(statistics.fmean(one + other), abs=1e-9)
    assert found.spread == pytest.approx(statistics.pstdev(one + other), abs=1e-5)


def test_nothing_has_no_mean_and_equal_rewards_no_spread() -> None:
    assert (RewardSums().mean, RewardSums().spread) == (None, None)
    assert RewardSums.of([0.1] * 7).spread == pytest.approx(0, abs=1e-7)
