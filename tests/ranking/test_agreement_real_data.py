"""Every count and share that data/README.md lists for the real judgements."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from statistics import median
from typing import Any

import pytest

from ranking.bootstrap import PromptCounts
from ranking.evidence import POOL, gather, questions
from tests.ranking.ranked import Ranked, as_tables, real_rankings, report_of

PANDALM = "pandalm_k4_5_rankings.jsonl.gz"
TESTSET = "pandalm_testset.jsonl.gz"
MTBENCH = "mtbench_human_votes.jsonl.gz"
LLMFAO = "llmfao_crowd.jsonl.gz"
QUALITY = "rankme-cc-by-sa/rankme_quality_k3.jsonl.gz"
NATURALNESS = "rankme-cc-by-sa/rankme_naturalness_k3.jsonl.gz"
INFORMATIVENESS = "rankme-cc-by-sa/rankme_informativeness_k3.jsonl.gz"

# Pairs and tied pairs, the counts SE, SO, TT and TS; then tie rate, the three
# conventions, kappa and alpha to four decimals.
TABLE: dict[str, tuple[int, int, tuple[int, ...]]] = {
    PANDALM: (748, 128, (518, 48, 108, 12)),
    TESTSET: (2997, 326, (2482, 138, 275, 102)),
    MTBENCH: (3355, 780, (1282, 268, 269, 548)),
    LLMFAO: (8931, 3471, (4737, 2018, 3306, 5051)),
    QUALITY: (774, 458, (61, 41, 244, 428)),
    NATURALNESS: (774, 541, (57, 51, 416, 250)),
    INFORMATIVENESS: (774, 285, (346, 8, 150, 270)),
}
SHARES: dict[str, list[float]] = {
    PANDALM: [0.1711, 0.9152, 0.9213, 0.9125, 0.8605, 0.8552],
    TESTSET: [0.1088, 0.9473, 0.9369, 0.9199, 0.8645, 0.8642],
    MTBENCH: [0.2325, 0.8271, 0.7710, 0.6553, 0.4708, 0.4855],
    LLMFAO: [0.3886, 0.7013, 0.6993, 0.5322, 0.2935, 0.2896],
    QUALITY: [0.5917, 0.5980, 0.6705, 0.3941, -0.0696, -0.0682],
    NATURALNESS: [0.6990, 0.5278, 0.7726, 0.6111, 0.1657, 0.1665],
    INFORMATIVENESS: [0.3682, 0.9774, 0.8152, 0.6408, 0.4598, 0.4605],
}


@cache
def document_of(name: str) -> dict[str, Any]:
    return report_of(real_rankings(name))


def pool_of(rows: Sequence[Ranked]) -> PromptCounts:
    tables, names = as_tables(rows)
    return questions(gather(tables, labelers=names, tags={}))[POOL]


def headline(document: dict[str, Any]) -> list[float]:
    shares = [document[n]["value"] for n in ("strict", "half_credit", "three_way")]
    numbers = [document["tie_rate"], *shares, document["kappa"], document["alpha"]]
    return [round(number, 4) for number in numbers]


@pytest.mark.parametrize("name", TABLE)
def test_a_real_set_gives_its_known_counts_and_shares(name: str) -> None:
    pairs, ties, outcomes = TABLE[name]
    document = document_of(name)
    agree, differ, both_tied, one_tied = outcomes
    assert (document["pairs"], document["ties"]) == (pairs, ties)
    assert tuple(pool_of(real_rankings(name)).totals) == outcomes
    assert document["strict"]["agree"] == agree
    assert document["strict"]["comparable"] == agree + differ
    assert document["three_way"]["agree"] == agree + both_tied
    assert document["half_credit"]["credit"] == agree + both_tied + one_tied / 2
    assert document["half_credit"]["comparable"] == sum(outcomes)
    assert headline(document) == SHARES[name]


def test_mtbench_without_its_one_repeat_gives_the_second_row() -> None:
    rows = real_rankings(MTBENCH)
    seen: set[tuple[Any, ...]] = set()
    kept = []
    for row in rows:
        key = row.labeler, row.prompt, row.responses
        kept.append(replace(row, repeat=int(key in seen)))
        seen.add(key)
    document = report_of(kept)
    assert (document["pairs"], document["ties"]) == (3354, 779)
    assert headline(document) == [0.2323, 0.8271, 0.7710, 0.6553, 0.4707, 0.4849]
    assert document["n"]["alpha_units"] == 960
    assert document_of(MTBENCH)["n"]["alpha_units"] == 961
    [own] = [r for r in document["labelers_detail"] if r["labeler"] == "author_0"]
    # One tie and one strict vote: served twice, but nothing strict to compare.
    assert own["self_consistency"]["comparable"] == 0
    path = "labelers_detail.author_0.self_consistency"
    assert document["undefined"][path] == "no pair was ordered strictly both times"


@pytest.mark.parametrize(
    ("who", "turn", "three_way", "strict"),
    [
        ("expert", 1, (454, 721), (388, 479)),
        ("expert", 2, (471, 707), (388, 474)),
        ("", 1, (768, 1198), (633, 772)),
        ("", 2, (783, 1169), (649, 778)),
    ],
)
def test_mtbench_by_turn_and_by_experts_gives_the_published_shares(
    who: str, turn: int, three_way: tuple[int, int], strict: tuple[int, int]
) -> None:
    rows = [
        row
        for row in real_rankings(MTBENCH)
        if row.labeler.startswith(who) and f"-t{turn}-" in row.responses[0]
    ]
    document = report_of(rows)
    found = document["three_way"], document["strict"]
    assert [(f["agree"], f["comparable"]) for f in found] == [three_way, strict]


def test_pandalm_rankings_give_their_sizes_slices_and_matrix() -> None:
    document = document_of(PANDALM)
    assert document["rankings"] == 98
    assert document["labelers"] == 3
    assert document["prompts"] == document["prompts_with_overlap"] == 35
    by_k = [(r["k"], r["agree"], r["comparable"]) for r in document["by_k"]]
    assert by_k == [(4, 271, 299), (5, 247, 267)]
    cells = [
        (c["a"][-1] + c["b"][-1], c["agree"], c["comparable"])
        for c in document["matrix"]
    ]
    assert cells == [("12", 166, 185), ("13", 178, 190), ("23", 174, 191)]
    rows = document["labelers_detail"]
    assert [r["rankings"] for r in rows] == [32, 33, 33]
    assert [r["tie_rate"] for r in rows] == [38 / 244, 50 / 254, 40 / 250]
    distances = document["by_rank_distance"]
    assert sum(r["comparable"] for r in distances) == 566
    assert sum(r["agree"] for r in distances) == 518


def test_pandalm_rankings_give_their_tau_and_w() -> None:
    document = document_of(PANDALM)
    assert round(document["kendall_tau_b"], 4) == 0.8319
    assert round(document["kendall_w"], 4) == 0.9208
    assert document["n"]["tau_pairs"] == 85
    assert document["n"]["tau_undefined"] == 6
    assert document["n"]["w_prompts"] == 33


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        (TESTSET, [(823, 875), (839, 878), (820, 867)]),
        (PANDALM, [(166, 185), (178, 190), (174, 191)]),
    ],
)
def test_pandalm_annotators_agree_pairwise_as_published(
    name: str, cells: list[tuple[int, int]]
) -> None:
    matrix = document_of(name)["matrix"]
    assert [(c["agree"], c["comparable"]) for c in matrix] == cells


@pytest.mark.parametrize(
    ("name", "low", "high", "clusters"),
    [
        (PANDALM, 0.868, 0.958, 35),
        (TESTSET, 0.927, 0.966, 170),
        (MTBENCH, 0.797, 0.857, 160),
        (LLMFAO, 0.657, 0.750, 13),
    ],
)
def test_the_interval_is_the_one_clustered_by_prompt(
    name: str, low: float, high: float, clusters: int
) -> None:
    document = document_of(name)
    assert document["prompts"] == clusters
    assert document["strict"]["ci"] == pytest.approx([low, high], abs=0.012)


def test_the_crowd_of_llmfao_has_its_best_and_worst_workers() -> None:
    workers = document_of(LLMFAO)["labelers_detail"]
    others = {
        w["labeler"]: w["vs_others"]
        for w in workers
        if w["vs_others"]["comparable"] >= 20
    }
    assert len(others) == 92
    worst, *_, best = sorted(others, key=lambda name: others[name]["value"])
    assert (worst, others[worst]["comparable"]) == ("worker16", 397)
    assert (best, others[best]["comparable"]) == ("worker40", 40)
    assert round(others[worst]["value"], 3) == 0.453
    assert others[best]["value"] == 0.9


def test_the_crowd_of_llmfao_ties_between_never_and_seven_times_in_ten() -> None:
    workers = document_of(LLMFAO)["labelers_detail"]
    busy = [w["tie_rate"] for w in workers if w["rankings"] >= 20]
    assert len(workers) == 124
    assert (len(busy), min(busy), round(max(busy), 3)) == (72, 0, 0.7)
    assert round(median(busy), 3) == 0.381
    assert sum(w["tie_rate"] == 0 for w in workers) == 20


def test_criteria_change_places_with_the_convention() -> None:
    quality, naturalness = document_of(QUALITY), document_of(NATURALNESS)
    assert quality["strict"]["value"] > naturalness["strict"]["value"]
    for name in ("half_credit", "three_way"):
        assert quality[name]["value"] < naturalness[name]["value"]


@pytest.mark.parametrize("name", [PANDALM, MTBENCH, QUALITY])
def test_multiplying_ranks_by_2_and_adding_3_changes_no_result(name: str) -> None:
    rows = [
        replace(row, ranks={key: rank * 2 + 3 for key, rank in row.ranks.items()})
        for row in reversed(real_rankings(name))
    ]
    assert report_of(rows) == document_of(name)


@pytest.mark.parametrize(
    ("name", "longer_wins", "comparable"),
    [
        (PANDALM, 392, 620),
        (TESTSET, 1769, 2649),
        (LLMFAO, 2238, 5460),
        (QUALITY, 222, 295),
        (NATURALNESS, 86, 222),
        (INFORMATIVENESS, 414, 472),
    ],
)
def test_the_longer_answer_wins_as_often_as_known(
    name: str, longer_wins: int, comparable: int
) -> None:
    rows = [r["length_bias"] for r in document_of(name)["labelers_detail"]]
    assert sum(row["longer_wins"] for row in rows) == longer_wins
    assert sum(row["comparable"] for row in rows) == comparable


def test_lengths_of_mtbench_are_unknown_and_not_zero() -> None:
    document = document_of(MTBENCH)
    assert all(r["length_bias"]["comparable"] == 0 for r in document["labelers_detail"])
    assert document["undefined"]["labelers_detail.author_0.length_bias"] == (
        "this labeler ordered no two responses that are known to differ in length"
    )
