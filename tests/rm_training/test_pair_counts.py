"""Accuracy from integer counts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rm_training.metrics import PairCounts, count_pairs, count_prompt


def test_wins_losses_and_both_kinds_of_ties_are_counted() -> None:
    # Ranks: a=1, b=2, c=2, d=3. a>b win, a>c tie, a>d loss, b~c human tie,
    # b>d loss, c>d loss.
    counts = count_pairs([1.0, 0.5, 1.0, 2.0], [1, 2, 2, 3])
    assert counts == PairCounts(wins=1, losses=3, ties=1, human_ties=1)
    assert counts.n == 5
    assert counts.accuracy == pytest.approx(1.5 / 5)


def test_an_unranked_response_is_in_no_pair() -> None:
    assert count_pairs([2.0, 9.0, 1.0], [1, 0, 2]) == PairCounts(wins=1)


def test_accuracy_without_a_strict_pair_is_undefined() -> None:
    assert count_pairs([1.0, 2.0], [1, 1]).accuracy is None


def test_two_rankings_of_a_prompt_count_twice() -> None:
    counts = count_prompt([1.0, 0.0], [[1, 2], [2, 1], [1, 2]])
    assert counts == PairCounts(wins=2, losses=1)


@given(
    st.integers(2, 9).flatmap(
        lambda k: st.tuples(
            st.lists(st.integers(-3, 3), min_size=k, max_size=k),
            st.lists(st.integers(0, k), min_size=k, max_size=k),
        )
    )
)
def test_every_ranked_pair_is_counted_once_and_reversal_swaps_wins_and_losses(
    case: tuple[list[int], list[int]],
) -> None:
    rewards, ranks = [float(reward) for reward in case[0]], case[1]
    counts = count_pairs(rewards, ranks)
    ranked = sum(rank > 0 for rank in ranks)
    assert counts.n + counts.human_ties == ranked * (ranked - 1) // 2
    flipped = count_pairs([-reward for reward in rewards], ranks)
    assert (flipped.wins, flipped.losses) == (counts.losses, counts.wins)
    assert (flipped.ties, flipped.human_ties) == (counts.ties, counts.human_ties)
