"""The vectorised report against plain loops, SciPy and krippendorff."""

from dataclasses import replace
from math import isnan, nan
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranking.bootstrap import SEED, bootstrap_totals
from ranking.conventions import kappa, krippendorff_alpha, ratio
from ranking.evidence import ALPHA, POOL, TAU, TIES, W, gather, questions
from tests.ranking import agreement_oracle as oracle
from tests.ranking.ranked import Ranked, as_tables, report_of

RESPONSES = "abcde"
TAGS = {0: ["code", "long"], 1: ["code"], 2: []}


@st.composite
def ranked(draw: st.DrawFn) -> Ranked:
    """A ranking of 1 to 4 responses of one of three prompts; overlap is frequent."""
    any_set = st.sets(st.sampled_from(RESPONSES), min_size=1, max_size=4)
    full, pair = st.just(set("abcd")), st.just(set("bc"))
    responses = draw(st.one_of(full, full, full, pair, any_set))
    return Ranked(
        labeler=draw(st.sampled_from(["ann", "ben", "cy.d"])),
        prompt=draw(st.integers(0, 2)),
        ranks={key: draw(st.integers(1, 4)) for key in sorted(responses)},
        repeat=draw(st.sampled_from([0, 0, 0, 1])),
        version=draw(st.integers(0, 2)),
        week=draw(st.sampled_from([0, 202553, 202601])),
        seconds=draw(st.sampled_from([nan, 10.0, 25.0, 90.0])),
    )


rows_of_rankings = st.lists(ranked(), max_size=16)


def same(found: float | None, expected: float) -> bool:
    """Equal to 1e-9, where None stands for NaN."""
    if found is None or isnan(expected):
        return found is None and isnan(expected)
    return found == pytest.approx(expected, abs=1e-9)


def strict_of(row: dict[str, Any]) -> tuple[int, int]:
    return row["agree"], row["comparable"]


@given(rows_of_rankings)
@settings(max_examples=70, deadline=None)
def test_every_number_over_all_prompts_equals_plain_loops(rows: list[Ranked]) -> None:
    document = report_of(rows)
    expected = oracle.numbers(rows)
    for name in ("strict", "half_credit", "three_way"):
        assert same(document[name]["value"], expected.pop(name)), name
    for name, value in expected.items():
        assert same(document[name], value), name


@given(rows_of_rankings)
@settings(max_examples=70, deadline=None)
def test_every_count_equals_plain_loops(rows: list[Ranked]) -> None:
    document = report_of(rows)
    work, twos = [r for r in rows if not r.repeat], oracle.comparisons(rows)
    outcomes = oracle.tally(twos).outcomes
    ties, pairs = oracle.tie_rate(rows)
    assert document["rankings"] == len(work)
    assert document["labelers"] == len({r.labeler for r in work})
    assert document["prompts"] == len({r.prompt for r in work})
    assert document["prompts_with_overlap"] == len({a.prompt for a, _ in twos})
    assert (document["ties"], document["pairs"]) == (ties, pairs)
    assert strict_of(document["strict"]) == oracle.tally(twos).strict()
    assert document["three_way"]["agree"] == outcomes["SE"] + outcomes["TT"]
    assert document["three_way"]["comparable"] == outcomes.total()
    assert document["half_credit"]["comparable"] == outcomes.total()
    taus, ws = np.array(oracle.taus(rows)), np.array(oracle.w_values(rows))
    assert document["n"]["tau_pairs"] == np.count_nonzero(~np.isnan(taus))
    assert document["n"]["tau_undefined"] == np.count_nonzero(np.isnan(taus))
    assert document["n"]["w_prompts"] == np.count_nonzero(~np.isnan(ws))


@given(rows_of_rankings)
@settings(max_examples=70, deadline=None)
def test_every_slice_equals_plain_loops_over_its_comparisons(
    rows: list[Ranked],
) -> None:
    document = report_of(rows, tags=TAGS)
    twos = oracle.comparisons(rows)

    def expect(chosen: list[tuple[Ranked, Ranked]]) -> tuple[int, int]:
        return oracle.tally(chosen).strict()

    for row in document["by_k"]:
        some = [two for two in twos if len(two[0].ranks) == row["k"]]
        assert strict_of(row) == expect(some)
    for row in document["by_tag"]:
        some = [two for two in twos if row["tag"] in TAGS.get(two[0].prompt, [])]
        assert strict_of(row) == expect(some)
    for row in document["by_version"]:
        some = [t for t in twos if t[0].version == t[1].version == row["version"]]
        assert strict_of(row) == expect(some)
    for row in document["by_week"]:
        dated = [t for t in twos if min(t[0].week, t[1].week) > 0]
        week = int(row["week"].replace("-W", ""))
        assert strict_of(row) == expect(
            [t for t in dated if max(t[0].week, t[1].week) == week]
        )
    found = {r["distance"]: list(strict_of(r)) for r in document["by_rank_distance"]}
    assert found == oracle.rank_distances(twos)


@given(rows_of_rankings)
@settings(max_examples=70, deadline=None)
def test_every_labeler_and_every_cell_equals_plain_loops(rows: list[Ranked]) -> None:
    document = report_of(rows)
    twos = oracle.comparisons(rows)
    names = sorted({r.labeler for r in rows if not r.repeat})
    assert [row["labeler"] for row in document["labelers_detail"]] == names
    for row in document["labelers_detail"]:
        check_labeler(row, [r for r in rows if r.labeler == row["labeler"]], twos)
    for cell in document["matrix"]:
        two = {cell["a"], cell["b"]}
        some = [t for t in twos if {t[0].labeler, t[1].labeler} == two]
        assert cell["a"] < cell["b"]
        assert strict_of(cell) == oracle.tally(some).strict()
        assert cell["value"] == cell["agree"] / cell["comparable"]
    total = sum(cell["comparable"] for cell in document["matrix"])
    assert total == document["strict"]["comparable"]


def check_labeler(
    row: dict[str, Any], own: list[Ranked], twos: list[tuple[Ranked, Ranked]]
) -> None:
    work = [r for r in own if not r.repeat]
    ties, pairs = oracle.tie_rate(work)
    times = [r.seconds for r in work if not isnan(r.seconds)]
    with_others = [t for t in twos if row["labeler"] in (t[0].labeler, t[1].labeler)]
    assert row["rankings"] == len(work)
    assert same(row["tie_rate"], ties / pairs if pairs else nan)
    assert same(row["median_seconds"], float(np.median(times)) if times else nan)
    assert strict_of(row["vs_others"]) == oracle.tally(with_others).strict()
    repeated = oracle.tally(oracle.twos_of(own)).strict()
    assert strict_of(row["self_consistency"]) == repeated


@given(rows_of_rankings, st.randoms())
@settings(max_examples=40, deadline=None)
def test_the_order_of_rows_and_the_scale_of_ranks_change_nothing(
    rows: list[Ranked], random: Any
) -> None:
    moved = [
        replace(row, ranks={key: rank * 2 + 3 for key, rank in row.ranks.items()})
        for row in rows
    ]
    random.shuffle(moved)
    assert report_of(moved, tags=TAGS) == report_of(rows, tags=TAGS)


@given(rows_of_rankings, st.permutations(RESPONSES))
@settings(max_examples=40, deadline=None)
def test_renaming_the_responses_changes_nothing_but_alpha(
    rows: list[Ranked], others: list[str]
) -> None:
    # Alpha counts "first better" and "second better" apart, and which response of a
    # pair is the first one is a matter of its id.
    name = dict(zip(RESPONSES, others, strict=True))
    renamed = [
        replace(row, ranks={name[key]: rank for key, rank in row.ranks.items()})
        for row in rows
    ]
    assert without_alpha(report_of(renamed)) == without_alpha(report_of(rows))


def without_alpha(document: dict[str, Any]) -> dict[str, Any]:
    document.pop("alpha")
    document["intervals"].pop("alpha")
    for path in ("alpha", "intervals.alpha"):
        document["undefined"].pop(path, None)
    return document


@given(rows_of_rankings.filter(lambda rows: len({r.prompt for r in rows}) > 1))
@settings(max_examples=25, deadline=None)
def test_every_draw_of_the_bootstrap_equals_the_report_of_the_drawn_prompts(
    rows: list[Ranked],
) -> None:
    tables, names = as_tables(rows)
    evidence = gather(tables, labelers=names, tags={})
    prompts = sorted({row.prompt for row in rows})
    draws = bootstrap_totals(questions(evidence), n_prompts=len(prompts), draws=8)
    pool, ties = draws[POOL], draws[TIES]
    three_way = ratio(pool[0] + pool[2], pool.sum(axis=0))
    found = {
        "tie_rate": ratio(ties[0], ties[1]),
        "strict": ratio(pool[0], pool[0] + pool[1]),
        "half_credit": ratio(pool[0] + pool[2] + pool[3] / 2, pool.sum(axis=0)),
        "three_way": three_way,
        "kappa": kappa(three_way, ratio(ties[0], ties[1])),
        "alpha": krippendorff_alpha(draws[ALPHA][0], draws[ALPHA][1:]),
        "kendall_tau_b": ratio(draws[TAU][0], draws[TAU][1]),
        "kendall_w": ratio(draws[W][0], draws[W][1]),
    }
    rng = np.random.default_rng(SEED)
    for draw in range(8):
        drawn = [
            prompts[i] for i in rng.integers(0, len(prompts), len(prompts), np.uint32)
        ]
        expected = oracle.numbers(oracle.resampled(rows, drawn))
        for name, values in found.items():
            assert values[draw] == pytest.approx(
                expected[name], abs=1e-6, nan_ok=True
            ), name
