"""What must hold of agreement whatever people said."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ranking.ranked import Ranked, report_of
from tests.ranking.test_agreement_oracle import TAGS, rows_of_rankings

PEOPLE = ["ann", "ben", "cy.d"]
BY_LABELER = ("labelers_detail", "matrix", "undefined")


def impersonal(document: dict[str, Any]) -> dict[str, Any]:
    """What says nothing of anybody by name."""
    reasons = {
        path: why
        for path, why in document["undefined"].items()
        if not path.startswith("labelers_detail")
    }
    kept = {key: value for key, value in document.items() if key not in BY_LABELER}
    return kept | {"undefined": reasons}


@given(rows_of_rankings, st.permutations(PEOPLE))
@settings(max_examples=30, deadline=None)
def test_who_is_called_what_changes_no_number(
    rows: list[Ranked], others: list[str]
) -> None:
    """Symmetry: of two labelers it does not matter which is the first."""
    new = dict(zip(PEOPLE, others, strict=True))
    renamed = report_of([replace(row, labeler=new[row.labeler]) for row in rows])
    before = report_of(rows)
    # Means of tau are summed in another order.
    assert nearly(impersonal(renamed)) == nearly(impersonal(before))
    cells = {frozenset((c["a"], c["b"])): c["comparable"] for c in renamed["matrix"]}
    assert cells == {
        frozenset((new[c["a"]], new[c["b"]])): c["comparable"] for c in before["matrix"]
    }
    details = {row["labeler"]: row for row in renamed["labelers_detail"]}
    for row in before["labelers_detail"]:
        assert nearly(details[new[row["labeler"]]]) == nearly(
            row | {"labeler": new[row["labeler"]]}
        )


def nearly(value: Any) -> Any:
    """The same document with its floats rounded to 1e-5, single precision's worth."""
    if isinstance(value, float):
        return round(value, 5) + 0.0
    if isinstance(value, dict):
        return {key: nearly(inner) for key, inner in value.items()}
    return [nearly(inner) for inner in value] if isinstance(value, list) else value


@given(rows_of_rankings)
@settings(max_examples=30, deadline=None)
def test_everybody_agrees_with_somebody_who_says_the_same(rows: list[Ranked]) -> None:
    """Self is 1: beside an echo of one labeler nothing differs."""
    first = {(r.prompt, r.responses): r for r in rows if not r.repeat}
    own = [replace(row, labeler="ann") for row in first.values()]
    document = report_of([*own, *(replace(row, labeler="echo") for row in own)])
    for name in ("strict", "half_credit", "three_way"):
        assert document[name]["value"] in (1, None)
    for name in ("kappa", "alpha", "kendall_tau_b", "kendall_w"):
        assert document[name] is None or document[name] == pytest.approx(1), name
    [strict_pairs] = {
        d["vs_others"]["comparable"] for d in document["labelers_detail"]
    } or {0}
    assert strict_pairs == (document["pairs"] - document["ties"]) // 2


@given(rows_of_rankings, st.randoms())
@settings(max_examples=30, deadline=None)
def test_the_order_shown_changes_nothing_but_the_position_bias(
    rows: list[Ranked], random: Any
) -> None:
    shown = [
        replace(row, shown=tuple(random.sample(row.responses, len(row.ranks))))
        for row in rows
    ]
    placed = [without_places(report_of(some, tags=TAGS)) for some in (shown, rows)]
    assert placed[0] == placed[1]


def without_places(document: dict[str, Any]) -> dict[str, Any]:
    for row in document["labelers_detail"]:
        row.pop("position_bias")
    document["undefined"] = {
        path: why
        for path, why in document["undefined"].items()
        if "position_bias" not in path
    }
    return document


@given(rows_of_rankings)
@settings(max_examples=30, deadline=None)
def test_shares_lie_between_0_and_1_and_the_conventions_in_their_order(
    rows: list[Ranked],
) -> None:
    document = report_of(rows)
    shares = [document[name] for name in ("half_credit", "three_way", "strict")]
    for share in shares:
        assert share["value"] is None or 0 <= share["value"] <= 1
        if share["ci"] is not None:
            assert 0 <= share["ci"][0] <= share["ci"][1] <= 1
    half, three, _ = (share["value"] for share in shares)
    assert half is None or half >= three
