"""What cannot be computed is None, and the document says why in words."""

import json
from collections.abc import Iterator
from math import nan
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from ranking.agreement import RankTable, headline, report
from tests.ranking.ranked import Ranked, as_tables, report_of
from tests.ranking.test_agreement_oracle import TAGS, rows_of_rankings

# The list rows of the document, and the key that names a row.
ROW_KEYS = {
    "by_k": "k",
    "by_rank_distance": "distance",
    "by_tag": "tag",
    "by_version": "version",
    "by_week": "week",
    "labelers_detail": "labeler",
}


def nulls(value: Any, path: str = "") -> Iterator[str]:
    """Dotted path of every None of the document."""
    if value is None:
        yield path
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from nulls(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and path in ROW_KEYS:
        for row in value:
            yield from nulls(row, f"{path}.{row[ROW_KEYS[path]]}")
    elif isinstance(value, list):
        for inner in value:
            yield from nulls(inner, path)


def block_of(path: str) -> str:
    return path.rpartition(".")[0]


def check_reasons(document: dict[str, Any]) -> None:
    """Every None has a reason at its path or its block's, and no reason is idle."""
    undefined = document["undefined"]
    found = set(nulls(document))
    assert all(path in undefined or block_of(path) in undefined for path in found)
    assert set(undefined) <= found | {block_of(path) for path in found}


@given(rows_of_rankings)
@settings(max_examples=70, deadline=None)
def test_every_null_has_its_reason_and_every_reason_a_null(rows: list[Ranked]) -> None:
    document = report_of(rows, tags=TAGS)
    check_reasons(document)
    assert json.loads(json.dumps(document, allow_nan=False)) == document


def test_an_empty_project_has_a_report() -> None:
    document = report([], labelers=[], project="new", filters={"k": 4})
    check_reasons(document)
    assert (document["project"], document["filters"]) == ("new", {"k": 4})
    assert document["rankings"] == document["labelers"] == document["prompts"] == 0
    assert document["strict"] == {
        "agree": 0,
        "comparable": 0,
        "value": None,
        "ci": None,
    }
    reasons = document["undefined"]
    assert reasons["tie_rate"] == "no ranking has been counted yet"
    assert reasons["strict"] == "no two labelers ranked the same prompt yet"
    assert reasons["alpha"] == "no pair has two judgements"
    for name in ("by_k", "by_week", "labelers_detail", "matrix"):
        assert document[name] == []


def test_the_document_has_exactly_the_documented_keys() -> None:
    document = report_of([Ranked("u1", 0, {"a": 1, "b": 2})])
    assert list(document) == [
        "project", "filters", "rankings", "labelers", "prompts",
        "prompts_with_overlap", "pairs", "ties", "tie_rate", "strict",
        "half_credit", "three_way", "kappa", "alpha", "kendall_tau_b", "kendall_w",
        "intervals", "n", "by_k", "by_rank_distance", "by_tag", "by_version",
        "by_week", "labelers_detail", "matrix", "undefined",
    ]  # fmt: skip
    assert list(document["labelers_detail"][0]) == [
        "labeler", "rankings", "tie_rate", "vs_others", "self_consistency",
        "median_seconds", "position_bias", "length_bias", "gold",
    ]  # fmt: skip
    names = {"tie_rate", "kappa", "alpha", "kendall_tau_b", "kendall_w"}
    assert set(document["intervals"]) == names
    assert set(document["n"]) == {
        "alpha_units",
        "tau_pairs",
        "tau_undefined",
        "w_prompts",
    }


def test_one_labeler_alone_agrees_with_nobody() -> None:
    document = report_of([Ranked("u1", p, {"a": 1, "b": 2}) for p in range(3)])
    reasons = document["undefined"]
    assert document["tie_rate"] == 0
    assert document["intervals"]["tie_rate"] == [0, 0]
    assert reasons["kappa"] == "no two labelers ranked the same prompt yet"
    assert reasons["labelers_detail.u1.vs_others"] == (
        "nobody else ranked a prompt that this labeler ranked"
    )
    assert reasons["by_k.2"] == (
        "no two labelers ranked the same prompt with this many responses"
    )


def test_one_prompt_has_values_and_no_interval() -> None:
    rows = [Ranked(name, 0, {"a": 2, "b": 1, "c": 3}) for name in ("u1", "u2")]
    document = report_of(rows)
    assert document["strict"]["value"] == 1
    assert document["strict"]["ci"] is None
    reason = "all of it comes from one prompt; an interval needs two"
    for path in ("strict.ci", "three_way.ci", "by_k.3.ci", "intervals.alpha"):
        assert document["undefined"][path] == reason
    assert "strict" not in document["undefined"]


def test_everything_tied_by_everyone_is_undefined_and_not_perfect() -> None:
    rows = [Ranked(n, p, {"a": 1, "b": 1}) for n in ("u1", "u2") for p in range(3)]
    document = report_of(rows)
    reasons = document["undefined"]
    assert document["tie_rate"] == document["three_way"]["value"] == 1
    assert reasons["strict"] == "no pair was ordered strictly by two labelers"
    assert reasons["kappa"] == "every pair is tied"
    assert reasons["alpha"] == "all judgements are the same"
    assert reasons["kendall_w"] == "every ranking of every prompt ties everything"
    check_reasons(document)


def test_a_single_response_is_counted_and_compares_nothing() -> None:
    document = report_of([Ranked(name, 0, {"a": 1}) for name in ("u1", "u2")])
    assert (document["rankings"], document["pairs"]) == (2, 0)
    assert document["prompts_with_overlap"] == 0
    assert document["by_k"] == []
    assert document["undefined"]["tie_rate"] == (
        "no ranking has two responses to compare"
    )
    check_reasons(document)


def table(**columns: Any) -> RankTable:
    given: dict[str, Any] = {
        "ranks": np.ones((2, 3), int),
        "cluster": np.zeros(2, int),
        "labeler": np.arange(2),
    }
    return RankTable(**given | columns)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"ranks": np.ones(2, int)}, r"ranks must be \(n, K\), not \(2,\)"),
        ({"ranks": np.ones((2, 0), int)}, r"ranks must be \(n, K\), not \(2, 0\)"),
        ({"ranks": np.ones((2, 3))}, "ranks must be integers, not float64"),
        ({"cluster": np.zeros(3, int)}, r"cluster is \(3,\), but there are 2 rows"),
        ({"lengths": np.ones((2, 4), int)}, r"lengths are \(2, 4\), but ranks are"),
        ({"seconds": np.full(1, nan)}, r"seconds is \(1,\), but there are 2 rows"),
    ],
)
def test_a_table_whose_columns_do_not_fit_is_refused(
    columns: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        table(**columns)


def test_two_tables_of_one_k_are_refused() -> None:
    with pytest.raises(ValueError, match=r"these have K = \[3, 3\]"):
        report([table(), table()], labelers=["u", "v"], project="p", filters={})


def test_two_labelers_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two labelers are both named u"):
        report([table()], labelers=["u", "u"], project="p", filters={})


def test_a_prompt_without_items_is_one_set_of_responses() -> None:
    ranks = np.array([[1, 2], [1, 2], [2, 1], [2, 1]])
    clusters = np.array([0, 0, 1, 1])
    labelers = np.array([0, 1, 0, 1])
    one_set_each = RankTable(ranks=ranks, cluster=clusters, labeler=labelers)
    document = report([one_set_each], labelers=["u", "v"], project="p", filters={})
    assert document["strict"]["comparable"] == document["strict"]["agree"] == 2


def test_the_order_of_tables_and_names_changes_nothing() -> None:
    rows = [
        Ranked(name, prompt, {r: (ord(r) * prompt) % 3 for r in "abcde"[: 3 + prompt]})
        for prompt in range(3)
        for name in ("u1", "u2", "u3")
    ]
    tables, names = as_tables(rows)
    turned = [
        RankTable(
            ranks=t.ranks[::-1],
            cluster=t.cluster[::-1],
            labeler=len(names) - 1 - t.labeler[::-1],
        )
        for t in reversed(tables)
    ]
    before = report(tables, labelers=names, project="p", filters={})
    after = report(turned, labelers=names[::-1], project="p", filters={})
    assert after == before


@given(rows_of_rankings)
@settings(max_examples=25, deadline=None)
def test_the_headline_alone_is_that_of_the_report(rows: list[Ranked]) -> None:
    tables, names = as_tables(rows)
    alone, whole = headline(tables, labelers=names), report_of(rows)
    reasons = alone.pop("undefined")
    assert alone == {name: whole[name] for name in alone}
    assert reasons == {path: whole["undefined"][path] for path in reasons}
    assert next(iter(alone)) == "tie_rate"
    assert list(alone)[-1] == "intervals"
