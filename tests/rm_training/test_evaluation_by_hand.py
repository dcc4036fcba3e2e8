"""Numbers of the suite that can be worked out on paper, and what holds for any data."""

import json
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rm_training.evaluation.accuracy import accuracy
from rm_training.evaluation.calibration import WRONG_WAY, fitted_temperature
from rm_training.evaluation.exhibits import exhibits, facts, headline
from rm_training.evaluation.fits import SEPARABLE
from rm_training.evaluation.intervals import Clusters
from rm_training.evaluation.judged import JudgedPrompt, Split, judged
from rm_training.evaluation.labelers import BELOW_HALF, NO_OVERLAP, labelers
from rm_training.evaluation.length import length_bias
from rm_training.evaluation.page import page_of
from rm_training.evaluation.report import report
from rm_training.evaluation.within import within_prompt
from rm_training.evaluation.words import figure, interval, percent, points, said
from tests.preferences import make_example
from tests.rm_training.judged_prompts import judged_prompt, world


def measured(part: Any, *prompts: JudgedPrompt) -> dict[str, Any]:
    found: dict[str, Any] = part(Split(prompts), Clusters(len(prompts)))
    return found


def value(number: dict[str, Any]) -> Any:
    return number["value"], number["n"]


def test_pairs_rankings_and_prompts_are_weighed_as_their_names_say() -> None:
    # K = 3, all three pairs right; K = 2, twice wrong, once half.
    first = judged_prompt([3, 2, 1], [1, 2, 3])
    second = judged_prompt([1, 0], [2, 1], [2, 1])
    third = judged_prompt([1, 1], [1, 2])
    found = measured(accuracy, first, second, third)
    assert value(found["pair_mean"]) == (pytest.approx(3.5 / 6), 6)
    assert value(found["prompt_mean"]) == (pytest.approx((1 + 0 + 0.5) / 3), 3)
    assert value(found["model_ties"]) == (pytest.approx(1 / 6), 6)


def test_ties_of_people_are_in_no_accuracy_and_counted_beside_it() -> None:
    found = measured(accuracy, judged_prompt([3, 2, 1], [1, 1, 2]))
    assert value(found["pair_mean"]) == (1.0, 2)
    assert value(found["human_ties"]) == (pytest.approx(1 / 3), 3)


def test_a_response_that_is_not_ranked_is_in_no_pair() -> None:
    found = measured(accuracy, judged_prompt([3, 9, 1], [1, 0, 2]))
    assert value(found["pair_mean"]) == (1.0, 1)
    assert [row["label"] for row in found["slices"]["k"]] == ["2"]


def test_rank_distance_is_one_of_dense_ranks() -> None:
    found = measured(accuracy, judged_prompt([1, 2, 0], [1, 7, 9]))
    rows = {row["label"]: value(row) for row in found["slices"]["rank_distance"]}
    assert rows == {"1": (0.5, 2), "2": (1.0, 1)}


def test_strength_is_how_much_higher_the_labeler_rated_the_better_response() -> None:
    prompt = replace(
        judged_prompt([4, 3, 2, 1], [1, 2, 3, 4], [1, 2, 4, 3]),
        ratings=((7, 6, 6, 2), (5, None, 1, None)),
    )
    found = measured(accuracy, prompt)["slices"]["strength"]
    # Of the first labeler 6 - 6; 7 - 6 twice; then 5, 4 and 4. Of the second 5 - 1.
    assert {row["label"]: value(row) for row in found} == {
        "≤ 0": (1.0, 1),
        "1": (1.0, 2),
        "≥ 3": (1.0, 4),
    }
    assert measured(accuracy, judged_prompt([1, 0], [1, 2]))["slices"]["strength"] == []


def test_ratings_are_one_a_response_of_each_ranking() -> None:
    prompt = judged_prompt([1, 0], [1, 2])
    for ratings in (((7,),), ((7, 1), (7, 1))):
        with pytest.raises(ValueError, match="ratings"):
            replace(prompt, ratings=ratings)


def test_an_older_report_without_a_slice_is_still_shown() -> None:
    split = report({"valid1": world(5, seed=1)})["splits"]["valid1"]
    del split["accuracy"]["slices"]["strength"]
    assert exhibits(split)[0].rows[0].label == "all pairs"


def test_slices_split_the_pairs() -> None:
    prompts = world(30, seed=1)
    found = measured(accuracy, *prompts)
    for name in ("k", "rank_distance", "turns", "length", "models"):
        assert sum(row["n"] for row in found["slices"][name]) == found["pair_mean"]["n"]
    assert {row["label"] for row in found["slices"]["tag"]} == {"code", "poem"}


def test_without_a_strict_pair_the_accuracy_is_undefined_in_words() -> None:
    number = measured(accuracy, judged_prompt([1, 0], [1, 1]))["pair_mean"]
    assert number["value"] is None
    assert said(number, percent) == "undefined (no labeler ordered a pair here)"


def test_one_prompt_has_no_interval() -> None:
    number = measured(accuracy, judged_prompt([1, 0], [1, 2]))["pair_mean"]
    assert (number["value"], number["ci"]) == (1.0, None)
    assert "one prompt" in number["why"]


def test_the_others_majority_is_the_human_baseline() -> None:
    # Three say a > b, one says b > a. For each of the three the others are 2 : 1 with
    # them; for the fourth 0 : 3 against. The model says a > b.
    four = judged_prompt([1, 0], [1, 2], [1, 2], [1, 2], [2, 1])
    found = measured(labelers, four)
    assert value(found["leave_one_out"]["people"]) == (0.75, 4)
    assert value(found["leave_one_out"]["model"]) == (0.75, 4)
    # SE = C(3, 2) = 3, SO = 3 · 1 = 3.
    assert value(found["agreement"]) == (0.5, 6)
    assert (found["ceiling"]["low"], found["ceiling"]["high"]) == (0.5, 0.5)
    assert value(found["majority"]) == (1.0, 1)


def test_a_split_vote_is_no_majority_and_half_for_who_is_left_out() -> None:
    found = measured(labelers, judged_prompt([1, 0], [1, 2], [2, 1], [1, 2], [2, 1]))
    # Each one's others are 1 : 2 against.
    assert value(found["leave_one_out"]["people"]) == (0.0, 4)
    assert found["majority"]["value"] is None
    three = measured(labelers, judged_prompt([1, 0], [1, 2], [2, 1], [1, 2]))
    # The two in the majority face a split, the third faces 0 : 2.
    assert value(three["leave_one_out"]["people"]) == (pytest.approx(1 / 3), 3)


def test_agreement_below_half_has_no_ceiling_and_says_why() -> None:
    found = measured(labelers, judged_prompt([1, 0], [1, 2], [2, 1]))
    assert value(found["agreement"]) == (0.0, 1)
    assert found["ceiling"] == {"low": None, "high": None, "why": BELOW_HALF}


def test_labelers_without_a_name_are_compared_with_nobody() -> None:
    unnamed = judged_prompt([1, 0], [1, 2], [1, 2], labelers=[None, None])
    found = measured(labelers, unnamed)
    assert found["labelers"] == 0
    assert found["agreement"]["why"] == NO_OVERLAP


def test_a_labeler_who_ranked_a_prompt_twice_agrees_with_nobody_by_that() -> None:
    twice = judged_prompt([1, 0], [1, 2], [2, 1], labelers=["a", "a"])
    found = measured(labelers, twice)
    assert found["agreement"]["value"] is None
    assert [(row["label"], *value(row)) for row in found["by_labeler"]] == [
        ("a", 1.0, 1)
    ]


def test_the_choice_of_the_best_is_judged_by_tiers() -> None:
    # Two share the highest reward: one in the best tier, one in the last of three.
    found = measured(within_prompt, judged_prompt([5, 5, 1], [1, 3, 2]))
    assert value(found["top_1"]) == (0.5, 1)
    assert value(found["top_1_chance"]) == (pytest.approx(1 / 3), 1)
    assert value(found["regret"]) == (0.5, 1)
    assert value(found["regret_chance"]) == (0.5, 1)


def test_length_is_judged_by_who_is_better() -> None:
    longer_wins = judged_prompt([1, 0], [1, 2], lengths=[300, 100])
    shorter_wins = judged_prompt([0, 1], [2, 1], lengths=[300, 100])
    alike = judged_prompt([0, 1], [1, 2], lengths=[100, 91])
    equal = judged_prompt([1, 0], [1, 2], lengths=[50, 50])
    found = measured(length_bias, longer_wins, shorter_wins, alike, equal)
    assert value(found["always_longer"]) == (pytest.approx(2.5 / 4), 4)
    assert value(found["people_prefer_longer"]) == (pytest.approx(2 / 3), 3)
    assert value(found["model_prefers_longer"]) == (pytest.approx(1 / 3), 3)
    assert value(found["alike"]) == (0.5, 2)
    assert value(found["winner_longer"]) == (0.5, 2)
    assert value(found["winner_shorter"]) == (1.0, 1)


def test_a_model_of_length_alone_is_at_chance_once_length_is_controlled() -> None:
    # People prefer the longer three times in four; the reward is noise beside length.
    prompts = [
        judged_prompt(
            [math.log(length) + noise, math.log(100) - noise],
            [1, 2] if number % 4 else [2, 1],
            lengths=[length, 100],
        )
        for number, (length, noise) in enumerate(
            (length, noise)
            for length in (200, 300, 400, 500)
            for noise in (-0.1, -0.05, 0.05, 0.1)
            for _ in range(4)
        )
    ]
    found = measured(length_bias, *prompts)
    assert found["model_prefers_longer"]["value"] == 1.0
    assert measured(accuracy, *prompts)["pair_mean"]["value"] == 0.75
    low, _ = found["controlled"]["ci"]
    assert low <= 0.55
    assert found["controlled"]["value"] < 0.65


def test_a_temperature_that_does_not_exist_says_why() -> None:
    right, wrong = judged_prompt([1, 0], [1, 2]), judged_prompt([2, 0], [2, 1])
    always = fitted_temperature(Split([right, right]), Clusters(2))
    assert (always["value"], always["why"]) == (None, SEPARABLE)
    backwards = fitted_temperature(Split([right, wrong, wrong]), Clusters(3))
    assert (backwards["value"], backwards["why"]) == (None, WRONG_WAY)
    # One right by 1, one wrong by 1, one right by 1: e^(1/T) = 2.
    third = judged_prompt([1, 0], [2, 1])
    known = fitted_temperature(Split([right, right, third]), Clusters(3))
    assert known["value"] == pytest.approx(1 / math.log(2))


def test_what_does_not_fit_the_model_is_in_no_pair() -> None:
    example = make_example(rankings=[[1, 2, 3], [3, 2, 1]])
    found = judged(example, [2.0, None, 1.0])
    assert found is not None
    assert found.rankings == ((1, 3), (3, 1))
    assert found.lengths == (len("good"), len("bad"))
    assert judged(example, [2.0, None, None]) is None


@pytest.mark.parametrize("reward", [math.nan, math.inf])
def test_a_reward_that_is_no_number_is_refused(reward: float) -> None:
    with pytest.raises(ValueError, match="not finite"):
        judged_prompt([reward, 0], [1, 2])


def test_ranks_that_are_not_one_a_response_are_refused() -> None:
    with pytest.raises(ValueError, match="one a response"):
        judged_prompt([1, 0], [1, 2, 3])
    with pytest.raises(ValueError, match="one a ranking"):
        judged_prompt([1, 0], [1, 2], labelers=["a", "b"])


def test_numbers_are_written_as_people_write_them() -> None:
    assert interval([0.868, 0.958], percent) == "86.8–95.8 %"
    assert interval([-0.1, 0.2], figure) == "−0.100 to 0.200"
    assert figure(0.00004) == "0.00004"
    assert points(-0.031) == "−3.1"


SLOW = [HealthCheck.too_slow]  # the machine, not the test
names = st.text(max_size=6)
rewards_ = st.floats(-1e3, 1e3) | st.sampled_from([0.0, 1.0])


@st.composite
def prompts(draw: st.DrawFn) -> JudgedPrompt:
    k = draw(st.integers(2, 5))
    rankings = draw(st.lists(st.tuples(*[st.integers(0, 3)] * k), max_size=4))
    return JudgedPrompt(
        rewards=draw(st.tuples(*[rewards_] * k)),
        lengths=draw(st.tuples(*[st.integers(0, 3000)] * k)),
        rankings=tuple(rankings),
        labelers=tuple(draw(st.none() | names) for _ in rankings),
        models=draw(st.tuples(*[st.none() | names] * k)),
        tags=tuple(draw(st.lists(names, max_size=2, unique=True))),
        turns=draw(st.integers(0, 4)),
    )


@settings(max_examples=15, deadline=None, suppress_health_check=SLOW)
@given(st.lists(prompts(), max_size=6), st.lists(prompts(), max_size=6))
def test_any_data_give_a_report_in_which_what_is_undefined_says_why(
    valid1: list[JudgedPrompt], valid2: list[JudgedPrompt]
) -> None:
    found = report({"valid1": valid1, "valid2": valid2})
    json.dumps(found, allow_nan=False)
    assert set(found["splits"]) == {
        name for name, of in (("valid1", valid1), ("valid2", valid2)) if of
    }
    for number in numbers_of(found):
        assert (number["value"] is None or number["ci"] is None) <= bool(number["why"])
        if number["ci"] is not None:
            assert number["ci"][0] <= number["ci"][1]
    for name, split in found["splits"].items():
        assert [exhibit.finding for exhibit in exhibits(split)]
        assert headline(found, name)
        assert facts(found, name)


@settings(max_examples=12, deadline=None, suppress_health_check=SLOW)
@given(st.lists(prompts(), min_size=1, max_size=5), st.randoms())
def test_order_changes_nothing_and_negated_rewards_turn_accuracy_around(
    some: list[JudgedPrompt], draw: Any
) -> None:
    found = measured(accuracy, *some)["pair_mean"]
    shuffled = draw.sample(some, len(some))
    again = measured(accuracy, *shuffled)["pair_mean"]
    assert value(again) == pytest.approx(value(found))
    negated = [replace(p, rewards=tuple(-r for r in p.rewards)) for p in some]
    turned = measured(accuracy, *negated)["pair_mean"]
    if found["value"] is not None:
        assert turned["value"] == pytest.approx(1 - found["value"])


def numbers_of(found: Any) -> list[dict[str, Any]]:
    if isinstance(found, dict):
        inner = [n for part in found.values() for n in numbers_of(part)]
        return [found, *inner] if "ci" in found else inner
    if isinstance(found, list):
        return [number for part in found for number in numbers_of(part)]
    return []


def test_hostile_names_stay_words_in_the_file() -> None:
    evil = '"><script>alert(1)</script>&$x^2$'
    prompt = replace(
        judged_prompt([1, 0, 3], [1, 2, 3], [2, 1, 3], labelers=[evil, "b"]),
        models=(evil, "m", evil),
        tags=(evil, "</style>"),
    )
    found = {
        **report({"valid2": [prompt]}),
        "model": evil,
        "data_sha256": evil,
        "dtype": "float32",
        "left_out": {"valid2": 2},
        "invariances": [
            {
                "check": evil,
                "largest": 0.5,
                "tolerance": 0.1,
                "passed": False,
                "responses": 3,
            }
        ],
    }
    page = page_of(found)
    assert "<script" not in page
    assert page.count("</style>") == 1
    assert "&lt;script&gt;" in page
    assert "FAIL" in page
    assert "Too long for the model and in no pair: 2 responses." in page
    assert "http" not in page.replace("http-equiv", "")
