"""What others have published of the real sets, and the mistakes that change it."""

from collections import Counter, defaultdict
from itertools import combinations
from math import sqrt
from typing import Any

import pytest

from tests.ranking.ranked import Ranked, pair, real_rankings, report_of
from tests.ranking.test_agreement_real_data import (
    INFORMATIVENESS,
    LLMFAO,
    MTBENCH,
    NATURALNESS,
    PANDALM,
    QUALITY,
    TABLE,
    TESTSET,
    document_of,
    pool_of,
)
from tests.real_data import real_records

Verdict = int


def shares_of_two(name: str, two: tuple[str, str]) -> Any:
    """The report of two annotators alone."""
    return report_of([row for row in real_rankings(name) if row.labeler in two])


def verdicts(rows: list[Ranked], labeler: str) -> dict[tuple[Any, ...], Verdict]:
    """What one labeler said of each pair: -1 first better, 0 tie, 1 second better."""
    return {
        (row.prompt, a, b): (row.ranks[a] > row.ranks[b])
        - (row.ranks[a] < row.ranks[b])
        for row in rows
        if row.labeler == labeler
        for a, b in combinations(row.responses, 2)
    }


def cohens_kappa(one: dict[Any, Verdict], other: dict[Any, Verdict]) -> float:
    """Of the pairs that both judged; chance is the product of their own shares.

    Not the report's kappa, which takes one tie rate for everybody (WMT).
    """
    both = one.keys() & other.keys()
    n = len(both)
    ours, theirs = (Counter(said[key] for key in both) for said in (one, other))
    observed = sum(one[key] == other[key] for key in both) / n
    chance = sum(ours[c] * theirs[c] for c in (-1, 0, 1)) / n**2
    return (observed - chance) / (1 - chance)


@pytest.mark.parametrize(
    ("name", "two", "equal", "judged", "kappa"),
    [
        (TESTSET, "12", 912, 999, 0.8520),
        (TESTSET, "13", 928, 999, 0.8789),
        (TESTSET, "23", 917, 999, 0.8617),
        (PANDALM, "12", 204, 228, 0.8329),
        (PANDALM, "13", 210, 224, 0.8983),
        (PANDALM, "23", 212, 234, 0.8502),
    ],
)
def test_pandalm_annotators_are_equal_as_often_as_their_published_kappa_says(
    name: str, two: str, equal: int, judged: int, kappa: float
) -> None:
    names = (f"annotator{two[0]}", f"annotator{two[1]}")
    three_way = shares_of_two(name, names)["three_way"]
    assert (three_way["agree"], three_way["comparable"]) == (equal, judged)
    rows = real_rankings(name)
    said = [verdicts(rows, labeler) for labeler in names]
    assert round(cohens_kappa(*said), 4) == kappa


@pytest.mark.parametrize(
    ("name", "comparable", "value"),
    [
        (PANDALM, 578, 0.8962),
        (TESTSET, 2722, 0.9118),
        (MTBENCH, 2098, 0.6111),
        (LLMFAO, 11806, 0.4012),
        (QUALITY, 530, 0.1151),
        (NATURALNESS, 358, 0.1592),
        (INFORMATIVENESS, 624, 0.5545),
    ],
)
def test_a_fourth_convention_follows_from_the_same_four_counts(
    name: str, comparable: int, value: float
) -> None:
    """SE / (SE + SO + TS): only what both tied is dropped."""
    agree, differ, _, one_tied = pool_of(real_rankings(name)).totals
    assert agree + differ + one_tied == comparable
    assert round(agree / comparable, 4) == value


def pairs_by_judgements(name: str) -> Counter[int]:
    """How many pairs have so many judgements."""
    judged = Counter((row.prompt, row.responses) for row in real_rankings(name))
    return Counter(judged.values())


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        (MTBENCH, {1: 853, 2: 561, 3: 271, 4: 92, 5: 25, 6: 10, 7: 2}),
        (LLMFAO, {1: 15, 2: 110, 3: 358, 4: 658, 5: 998}),
        (TESTSET, {3: 999}),
    ],
)
def test_pairs_have_as_many_judgements_as_listed(
    name: str, counts: dict[int, int]
) -> None:
    assert pairs_by_judgements(name) == counts
    units = sum(number for votes, number in counts.items() if votes > 1)
    assert document_of(name)["n"]["alpha_units"] == units


@pytest.mark.parametrize(
    ("name", "labelers", "prompts"),
    [
        (PANDALM, 3, 35),
        (TESTSET, 3, 170),
        (MTBENCH, 65, 160),
        (LLMFAO, 124, 13),
        (QUALITY, 7, 100),
        (NATURALNESS, 7, 100),
        (INFORMATIVENESS, 10, 100),
    ],
)
def test_a_real_set_has_its_labelers_and_prompts(
    name: str, labelers: int, prompts: int
) -> None:
    document = document_of(name)
    assert (document["labelers"], document["prompts"]) == (labelers, prompts)
    assert (
        sum(row["rankings"] for row in document["labelers_detail"])
        == document["rankings"]
    )


def test_keyed_by_the_order_shown_half_of_the_evidence_is_lost() -> None:
    """The mistake of a well-known script: the share stays plausible."""
    rows, orders = [], defaultdict(set)
    numbers: dict[tuple[str, ...], int] = {}
    for record in real_records(MTBENCH):
        if record["t"] != "comparison":
            continue
        key = record["prompt_id"], record["a"], record["b"]
        orders[key[0], *sorted(key[1:])].add(key[1:])
        number = numbers.setdefault(key, len(numbers))
        rows.append(pair(record["labeler"], number, "1st", "2nd", record["winner"]))
    wrong, right = report_of(rows), document_of(MTBENCH)
    assert len(orders) == 1814
    assert sum(len(shown) == 2 for shown in orders.values()) == 582
    found = [wrong["three_way"], wrong["strict"], right["three_way"], right["strict"]]
    assert [(f["agree"], f["comparable"]) for f in found] == [
        (775, 1199),
        (641, 779),
        (1551, 2367),
        (1282, 1550),
    ]


@pytest.mark.parametrize("name", [PANDALM, TESTSET, MTBENCH, LLMFAO])
def test_the_binomial_interval_would_be_too_narrow(name: str) -> None:
    strict = document_of(name)["strict"]
    low, high = strict["ci"]
    share, n = strict["value"], strict["comparable"]
    binomial = 2 * 1.96 * sqrt(share * (1 - share) / n)
    assert high - low > 1.3 * binomial


@pytest.mark.parametrize("name", TABLE)
def test_slices_and_matrix_add_up_to_the_whole(name: str) -> None:
    document = document_of(name)
    strict = (document["strict"]["agree"], document["strict"]["comparable"])
    for rows in ("by_k", "by_rank_distance", "matrix"):
        sums = [sum(r[n] for r in document[rows]) for n in ("agree", "comparable")]
        assert tuple(sums) == strict, rows
    others = [row["vs_others"] for row in document["labelers_detail"]]
    assert sum(row["comparable"] for row in others) == 2 * strict[1]
