from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranking.weak_order import IncompleteRanking, check_complete, dense_ranks

rankings = st.dictionaries(
    st.text(max_size=3), st.integers(-50, 50), min_size=1, max_size=9
)


@pytest.mark.parametrize(
    ("given_ranks", "dense"),
    [
        ({"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 2, "c": 3}),
        (
            {"a": 1, "b": 1, "c": 1, "d": 4, "e": 4},
            dict.fromkeys("abc", 1) | dict.fromkeys("de", 2),
        ),
        ({"a": 3, "b": 3, "c": 5}, {"a": 1, "b": 1, "c": 2}),
        ({"a": -7}, {"a": 1}),
        ({"a": 0, "b": 10**20, "c": 10**20 + 1}, {"a": 1, "b": 2, "c": 3}),
    ],
)
def test_gaps_and_offsets_go_while_order_and_ties_stay(
    given_ranks: dict[str, int], dense: dict[str, int]
) -> None:
    assert dense_ranks(given_ranks) == dense


@given(rankings)
def test_dense_ranks_use_every_number_from_1_and_keep_the_order(
    ranks: dict[str, int],
) -> None:
    dense = dense_ranks(ranks)
    assert list(dense) == list(ranks)
    assert sorted(set(dense.values())) == list(range(1, len(set(ranks.values())) + 1))
    for a in ranks:
        for b in ranks:
            assert (dense[a] < dense[b]) == (ranks[a] < ranks[b])


@given(rankings)
def test_doubling_and_shifting_the_ranks_changes_nothing(ranks: dict[str, int]) -> None:
    moved = {key: rank * 2 + 3 for key, rank in ranks.items()}
    assert dense_ranks(moved) == dense_ranks(ranks) == dense_ranks(dense_ranks(ranks))


@pytest.mark.parametrize("rank", [True, 1.0, "1", None])
def test_a_rank_that_is_no_integer_is_refused_by_name(rank: Any) -> None:
    with pytest.raises(
        ValueError, match=r"the rank of r2 is .*, which is not an integer"
    ):
        dense_ranks({"r1": 1, "r2": rank})


def test_an_empty_ranking_is_refused() -> None:
    with pytest.raises(ValueError, match="the ranking is empty"):
        dense_ranks({})


def test_a_complete_ranking_passes() -> None:
    check_complete({"r1": 1, "r2": 1}, ["r2", "r1"])


@pytest.mark.parametrize(
    ("ranked", "message"),
    [
        (["r1", "r2"], "the ranking misses response r3"),
        (["r2"], "the ranking misses responses r1 and r3"),
        ([], "the ranking misses responses r1, r2 and r3"),
        (
            ["r1", "r2", "r3", "r9"],
            "the ranking names r9, which is not a response of this prompt",
        ),
        (
            ["r1", "r2", "r3", "r9", "r8"],
            "the ranking names r8 and r9, which are not responses of this prompt",
        ),
        (
            ["r1", "r2", "r9"],
            "the ranking misses response r3 and names r9, "
            "which is not a response of this prompt",
        ),
    ],
)
def test_an_incomplete_ranking_says_what_is_missing_and_what_is_a_stranger(
    ranked: list[str], message: str
) -> None:
    with pytest.raises(IncompleteRanking) as caught:
        check_complete(dict.fromkeys(ranked, 1), ["r1", "r2", "r3"])
    assert str(caught.value) == message
    assert caught.value.missing == sorted({"r1", "r2", "r3"} - set(ranked))
    assert caught.value.unknown == sorted(set(ranked) - {"r1", "r2", "r3"})
