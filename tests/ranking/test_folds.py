"""Folds of labelers: each labeler once, the same ones for the same seed."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranking.folds import folds_by_labeler

LABELERS = st.lists(st.text(min_size=1, max_size=10), max_size=40)


@given(
    labelers=LABELERS,
    count=st.integers(2, 9),
    seed=st.integers(0, 5),
    order=st.randoms(use_true_random=False),
)
def test_every_labeler_is_in_one_fold_and_the_folds_are_even(
    labelers: list[str], count: int, seed: int, order: object
) -> None:
    folds = folds_by_labeler(labelers, count=count, seed=seed)
    assert set(folds) == set(labelers)
    assert set(folds.values()) <= set(range(count))
    sizes = [Counter(folds.values())[fold] for fold in range(count)]
    assert max(sizes) - min(sizes) <= 1
    again = labelers + labelers
    order.shuffle(again)  # type: ignore[attr-defined]
    assert folds_by_labeler(again, count=count, seed=seed) == folds


def test_folds_never_move_between_versions_of_the_program() -> None:
    """Results were reported by them."""
    labelers = [f"L-{n}" for n in range(6)]
    assert list(folds_by_labeler(labelers, count=3).values()) == [1, 2, 1, 0, 2, 0]
    other = folds_by_labeler(labelers, count=3, seed=1)
    assert list(other.values()) == [0, 2, 0, 2, 1, 1]


def test_one_fold_holds_nobody_out() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        folds_by_labeler(["L-1"], count=1)
