from collections.abc import Callable
from itertools import combinations
from math import comb
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranking.pairs import StrictPair, strict_pairs, ties
from tests.ranking.ranked import real_rankings

rankings = st.dictionaries(
    st.text(max_size=3), st.integers(1, 6), min_size=1, max_size=9
)


def test_a_tie_gives_no_pair() -> None:
    # (1, 1, 2, 3) has 5 strict pairs of 6; the gap is counted in tiers.
    assert strict_pairs({"b": 1, "a": 1, "c": 2, "d": 3}) == [
        StrictPair("a", "c", 1),
        StrictPair("a", "d", 2),
        StrictPair("b", "c", 1),
        StrictPair("b", "d", 2),
        StrictPair("c", "d", 1),
    ]
    assert ties({"b": 1, "a": 1, "c": 2, "d": 3}) == 1


def test_nine_responses_without_a_tie_give_36_pairs() -> None:
    ranks = {f"r{i}": i for i in range(9)}
    assert len(strict_pairs(ranks)) == 36
    assert ties(ranks) == 0


def test_gaps_in_the_ranks_do_not_widen_the_rank_gap() -> None:
    assert strict_pairs({"a": 1, "b": 10}) == [StrictPair("a", "b", 1)]


def test_everything_tied_gives_no_pair() -> None:
    assert strict_pairs(dict.fromkeys("abcd", 3)) == []
    assert ties(dict.fromkeys("abcd", 3)) == 6


@pytest.mark.parametrize("function", [strict_pairs, ties])
def test_no_ranks_are_refused(function: Callable[[dict[str, int]], object]) -> None:
    with pytest.raises(ValueError, match="empty"):
        function({})


@given(rankings)
def test_each_strict_pair_occurs_once_in_its_direction(ranks: dict[str, int]) -> None:
    expected = {
        (min(a, b, key=ranks.__getitem__), max(a, b, key=ranks.__getitem__))
        for a, b in combinations(ranks, 2)
        if ranks[a] != ranks[b]
    }
    found = [(pair.chosen, pair.rejected) for pair in strict_pairs(ranks)]
    assert len(found) == len(set(found))
    assert set(found) == expected
    assert len(found) + ties(ranks) == comb(len(ranks), 2)


@given(rankings, st.randoms())
def test_pairs_depend_neither_on_key_order_nor_on_the_scale(
    ranks: dict[str, int], random: Random
) -> None:
    keys = list(ranks)
    random.shuffle(keys)
    assert strict_pairs({key: ranks[key] * 2 + 3 for key in keys}) == strict_pairs(
        ranks
    )


@pytest.mark.parametrize(
    ("name", "strict", "tied", "without"),
    [
        ("pandalm_k4_5_rankings", 620, 128, 6),
        ("rankme-cc-by-sa/rankme_quality_k3", 316, 458, 140),
        ("rankme-cc-by-sa/rankme_naturalness_k3", 233, 541, 198),
        ("rankme-cc-by-sa/rankme_informativeness_k3", 489, 285, 74),
    ],
)
def test_real_rankings_expand_to_the_known_number_of_pairs(
    name: str, strict: int, tied: int, without: int
) -> None:
    rows = real_rankings(f"{name}.jsonl.gz")
    pairs = [strict_pairs(row.ranks) for row in rows]
    assert sum(map(len, pairs)) == strict
    assert sum(ties(row.ranks) for row in rows) == tied
    assert pairs.count([]) == without


def test_real_rankings_of_four_and_five_responses_expand_separately() -> None:
    rows = real_rankings("pandalm_k4_5_rankings.jsonl.gz")
    strict = {4: 0, 5: 0}
    for row in rows:
        strict[len(row.ranks)] += len(strict_pairs(row.ranks))
    assert strict == {4: 311, 5: 309}
