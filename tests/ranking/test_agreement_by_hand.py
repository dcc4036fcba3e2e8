"""The reference vectors of agreement.md, section 4, and arithmetic worked out here."""

from itertools import permutations
from math import nan, sqrt
from typing import Any

import pytest

from ranking.agreement import accuracy_band
from tests.ranking.ranked import Ranked, pair, report_of


def orders(*texts: str, prompt: int = 0) -> list[Ranked]:
    """Each text is a ranking, best first, tiers in brackets: "a(bc)d"."""
    return [
        Ranked(f"u{i}", prompt, ranks_of(text)) for i, text in enumerate(texts, start=1)
    ]


def ranks_of(text: str) -> dict[str, int]:
    tiers, inside = [""], False
    for letter in text:
        if letter in "()":
            inside = letter == "("
        if letter == "(" or (not inside and letter != ")"):
            tiers.append("")
        tiers[-1] += letter.strip("()")
    return {r: tier for tier, some in enumerate(tiers) for r in some}


def labeler(document: dict[str, Any], name: str) -> dict[str, Any]:
    row: dict[str, Any]
    [row] = [r for r in document["labelers_detail"] if r["labeler"] == name]
    return row


def test_identical_rankings_agree_on_everything() -> None:
    document = report_of(orders("abcd", "abcd"))
    assert document["strict"]["agree"] == document["strict"]["comparable"] == 6
    assert document["strict"]["value"] == document["kendall_tau_b"] == 1
    assert document["kendall_w"] == 1


def test_reversed_rankings_agree_on_nothing() -> None:
    document = report_of(orders("abcd", "dcba"))
    assert document["strict"]["value"] == 0
    assert document["kendall_tau_b"] == -1
    assert document["kendall_w"] == 0


def test_one_side_all_tied_leaves_strict_and_tau_undefined() -> None:
    document = report_of(orders("abc", "(abc)"))
    assert document["strict"]["value"] is None
    assert document["kendall_tau_b"] is None
    assert document["half_credit"]["value"] == 0.5
    assert document["three_way"]["value"] == 0


def test_tau_compares_rank_positions_and_not_item_sequences() -> None:
    assert report_of(orders("acedb", "bdeca"))["kendall_tau_b"] == -1


def test_labelers_are_paired_by_name_and_not_by_place_in_a_list() -> None:
    rows = [
        Ranked(name, prompt, {"a": 1 + prompt % 2, "b": 2 - prompt % 2})
        for prompt, two in enumerate([("u1", "u2"), ("u1", "u3"), ("u2", "u3")])
        for name in two
    ]
    document = report_of(rows)
    assert document["strict"]["value"] == 1
    assert document["strict"]["comparable"] == 3
    assert [(c["a"], c["b"]) for c in document["matrix"]] == [
        ("u1", "u2"),
        ("u1", "u3"),
        ("u2", "u3"),
    ]


def test_nine_responses_give_36_comparisons() -> None:
    assert report_of(orders("abcdefghi", "ihgfedcba"))["strict"]["comparable"] == 36


def test_the_three_conventions_on_one_worked_example() -> None:
    # u1: a < b < c < d, u2: b < (a c) < d.
    # ab SO; ac TS; ad, bc, bd and cd SE.
    document = report_of(orders("abcd", "b(ac)d"))
    assert document["strict"] | {"ci": None} == {
        "agree": 4,
        "comparable": 5,
        "value": 0.8,
        "ci": None,
    }
    assert document["half_credit"]["credit"] == 4.5
    assert document["half_credit"]["value"] == 4.5 / 6
    assert document["three_way"]["value"] == 4 / 6
    # One of twelve pairs is tied: pE = 1/144 + (11/12)²/2 = 123/288.
    assert document["tie_rate"] == 1 / 12
    chance = 123 / 288
    assert document["kappa"] == pytest.approx((4 / 6 - chance) / (1 - chance))
    # (4 - 1) / √(6 · 5)
    assert document["kendall_tau_b"] == pytest.approx(3 / sqrt(30))


def test_kendall_w_with_a_tie_by_the_textbook_form() -> None:
    # Rank sums of (1, 2, 3, 4) and (2.5, 1, 2.5, 4) are 3.5, 3, 5.5, 8 about 5:
    # S = 2.25 + 4 + .25 + 9 = 15.5; T = 2³ - 2 = 6.
    # W = 12 · 15.5 / (4 · 60 - 2 · 6) = 186 / 228
    document = report_of(orders("abcd", "b(ac)d"))
    assert document["kendall_w"] == pytest.approx(186 / 228)


def test_alpha_of_four_units_worked_out() -> None:
    # Units (first, first), (first, second), (tie, tie), (second, second): n = 8,
    # n_c = 3, 2, 3. D = 2 unequal ordered pairs. 1 - 7·2 / (64 - 22) = 2/3.
    winners = [("a", "a"), ("a", "b"), ("tie", "tie"), ("b", "b")]
    rows = [
        pair(name, prompt, "a", "b", winner)
        for prompt, two in enumerate(winners)
        for name, winner in zip(("u1", "u2"), two, strict=True)
    ]
    document = report_of(rows)
    assert document["alpha"] == pytest.approx(2 / 3)
    assert document["n"]["alpha_units"] == 4


def test_three_judgements_of_a_pair_weigh_each_two_by_one_half() -> None:
    # (a, a, b) and (b, b): D = 4 ordered pairs / 2 = 2, n_c = 2, 3, n = 5.
    # 1 - 4·2 / (25 - 13) = 1/3.
    rows = [pair(f"u{i}", 0, "x", "y", w) for i, w in enumerate("aab")]
    rows += [pair(f"u{i}", 1, "x", "y", w) for i, w in enumerate("bb")]
    assert report_of(rows)["alpha"] == pytest.approx(1 / 3)


def test_rank_distance_is_the_smaller_of_the_two_differences() -> None:
    # u1: a < b < c; u2: a < (b c). ab: 1 and 1; ac: 2 and 1; bc tied.
    document = report_of(orders("abc", "a(bc)"))
    [row] = document["by_rank_distance"]
    assert (row["distance"], row["agree"], row["comparable"]) == (1, 2, 2)


def test_rank_distance_counts_tiers_and_not_raw_ranks() -> None:
    rows = [Ranked(name, 0, {"a": 1, "b": 50}) for name in ("u1", "u2")]
    assert [r["distance"] for r in report_of(rows)["by_rank_distance"]] == [1]


def test_a_repeat_counts_only_towards_self_consistency() -> None:
    work = [Ranked("u1", 0, ranks_of("abc")), Ranked("u2", 0, ranks_of("acb"))]
    repeat = Ranked("u1", 0, ranks_of("bac"), repeat=1, seconds=5, week=202601)
    before, after = report_of(work), report_of([*work, repeat])
    own = labeler(after, "u1")["self_consistency"]
    assert (own["agree"], own["comparable"], own["value"]) == (2, 3, 2 / 3)
    for document in (before, after):
        labeler(document, "u1").pop("self_consistency")
        document["undefined"] = {
            path: why
            for path, why in document["undefined"].items()
            if "self_consistency" not in path
        }
    assert after == before


def test_one_labeler_ranking_twice_is_no_agreement_even_unmarked() -> None:
    rows = [Ranked("u1", 0, ranks_of("abc")), Ranked("u1", 0, ranks_of("abc"))]
    document = report_of(rows)
    assert document["strict"]["comparable"] == 0
    assert labeler(document, "u1")["self_consistency"]["comparable"] == 3


def test_a_comparison_belongs_to_the_later_week_and_to_a_version_they_share() -> None:
    ab = ranks_of("ab")
    rows = [
        Ranked("u1", 0, ab, version=1, week=202552),
        Ranked("u2", 0, ab, version=1, week=202601),
        Ranked("u3", 0, ab, version=2, week=202601),
    ]
    document = report_of(rows)
    assert [(r["week"], r["comparable"]) for r in document["by_week"]] == [
        ("2025-W52", 0),
        ("2026-W01", 3),
    ]
    assert [(r["version"], r["comparable"]) for r in document["by_version"]] == [
        (1, 1),
        (2, 0),
    ]


def test_a_prompt_counts_once_in_each_of_its_tags() -> None:
    rows = orders("ab", "ab") + orders("abc", "acb", prompt=1)
    document = report_of(rows, tags={0: ["x", "y", "x"], 1: ["y"], 7: ["unseen"]})
    assert [(r["tag"], r["agree"], r["comparable"]) for r in document["by_tag"]] == [
        ("x", 1, 1),
        ("y", 3, 4),
    ]


def test_only_judgements_of_the_same_responses_are_compared() -> None:
    rows = [pair("u1", 0, "a", "b", "a"), pair("u2", 0, "a", "c", "b")]
    rows += [pair("u2", 0, "b", "a", "b")]  # the same pair, shown the other way round
    document = report_of(rows)
    assert (document["strict"]["agree"], document["strict"]["comparable"]) == (1, 1)
    assert document["prompts"] == 1


def test_median_seconds_leaves_out_unknown_times() -> None:
    rows = [
        Ranked("u1", prompt, {"a": 1, "b": 2}, seconds=seconds)
        for prompt, seconds in enumerate([10, nan, 40, 20])
    ]
    assert labeler(report_of(rows), "u1")["median_seconds"] == 20


def test_tied_sets_have_no_w_and_do_not_lower_the_mean() -> None:
    rows = orders("abc", "abc") + orders("(abc)", "(abc)", prompt=1)
    document = report_of(rows)
    assert document["kendall_w"] == 1
    assert document["n"]["w_prompts"] == 1
    assert document["n"]["tau_undefined"] == 1


@pytest.mark.parametrize("texts", list(permutations(["abc", "bca", "cab"])))
def test_a_three_cycle_is_a_split_and_not_an_order(texts: tuple[str, ...]) -> None:
    document = report_of(orders(*texts))
    assert document["kendall_w"] == 0
    assert document["strict"]["value"] == pytest.approx(1 / 3)


def test_the_accuracy_band_of_instructgpt() -> None:
    low, high = accuracy_band(0.726) or (nan, nan)
    assert (low, round(high, 3)) == (0.726, 0.836)


@pytest.mark.parametrize(
    ("agreement", "band"),
    [(1.0, (1.0, 1.0)), (0.5, (0.5, 0.5)), (0.499, None), (None, None)],
)
def test_the_accuracy_band_ends_at_one_half(
    agreement: float | None, band: tuple[float, float] | None
) -> None:
    assert accuracy_band(agreement) == band
