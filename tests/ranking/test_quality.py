"""A labeler's numbers: worked by hand, and found again where they were put in."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranking.bootstrap import PromptCounts, bootstrap_totals, percentile_interval
from ranking.quality import (
    NO_SECONDS,
    NOBODY_ELSE,
    Rate,
    agreement,
    habits,
    hurried,
    length_bias,
    median_pace,
    position_bias,
    seconds_per_100_words,
    self_consistency,
    tie_rate,
)
from ranking.quality_intervals import (
    MOST_KEPT_DRAWS,
    MOST_SHARED_DRAWS,
    TOO_FEW,
    resampled,
)
from ranking.quality_lines import (
    AGREEMENT,
    ONE_PROMPT,
    Line,
    Measure,
    Verdict,
)
from ranking.quality_sittings import (
    fatigue_of_agreement,
    fatigue_of_pace,
    sittings,
    windows,
)
from tests.ranking.answer_by_answer import Answer, of

STRICT = [1, 2, 3, 4]
REVERSED = [4, 3, 2, 1]
BAND = Line(least=-0.1, most=0.1)


def measure(value: float | None, low: float, high: float, line: Line | None) -> Measure:
    return Measure(value=value, interval=(low, high), prompts=20, line=line)


# --- Verdicts ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "low", "high", "line", "verdict"),
    [
        (0.5, 0.4, 0.59, AGREEMENT, Verdict.FLAGGED),
        (0.5, 0.4, 0.6, AGREEMENT, Verdict.UNDECIDED),
        (0.7, 0.4, 0.8, AGREEMENT, Verdict.UNDECIDED),
        (0.7, 0.6, 0.8, AGREEMENT, Verdict.FINE),
        (0.2, 0.11, 0.3, BAND, Verdict.FLAGGED),
        (-0.2, -0.3, -0.11, BAND, Verdict.FLAGGED),
        (-0.2, -0.3, -0.1, BAND, Verdict.UNDECIDED),
        (0.05, -0.2, 0.3, BAND, Verdict.UNDECIDED),
        (0.05, -0.05, 0.2, BAND, Verdict.UNDECIDED),
        (0.05, -0.1, 0.1, BAND, Verdict.FINE),
        (0.5, 0.4, 0.6, None, Verdict.NO_LINE),
        (None, 0.4, 0.5, AGREEMENT, Verdict.NOT_ENOUGH),
    ],
)
def test_only_a_whole_interval_on_one_side_of_the_line_decides(
    value: float | None, low: float, high: float, line: Line | None, verdict: Verdict
) -> None:
    assert measure(value, low, high, line).verdict is verdict


def test_without_an_interval_there_is_not_enough_data() -> None:
    alone = Measure(value=0.1, interval=None, prompts=1, line=AGREEMENT)
    assert alone.verdict is Verdict.NOT_ENOUGH


# --- Two rankings -----------------------------------------------------------------


def test_each_of_the_others_is_compared_in_turn() -> None:
    answer = Answer(
        prompt=1,
        at=0,
        ranks=[1, 2, 3],
        others=[[2, 3, 1], [1, 1, 2]],
        again=[[3, 2, 1]],
    )
    # ab the same, ac and bc turned round; then ac and bc the same.
    first, again = of([answer]), 1
    assert (first.agree[0], first.comparable[0]) == (3, 5)
    assert (first.again_agree[0], first.again_comparable[0]) == (0, 3)
    assert first.comparable[again] == first.again_comparable[again] == 0


def test_agreement_by_hand() -> None:
    rows = [
        Answer(prompt=1, at=0, ranks=[1, 2], others=[[1, 2]]),
        Answer(prompt=2, at=0, ranks=[1, 2], others=[[2, 1], [1, 2]]),
        Answer(prompt=3, at=0, ranks=[1, 1], others=[[2, 1]]),
    ]
    found = agreement(of(rows))
    assert found.value == pytest.approx(2 / 3)
    assert found.prompts == 2
    assert found.verdict is Verdict.UNDECIDED  # two prompts settle nothing


def test_what_is_missing_is_said_in_words() -> None:
    alone = [Answer(prompt=1, at=0, ranks=STRICT)]
    assert agreement(of(alone)).why == NOBODY_ELSE
    assert hurried(of(alone)).why == NO_SECONDS
    assert seconds_per_100_words(of(alone)).why == NO_SECONDS
    one = [
        Answer(prompt=1, at=0, ranks=STRICT, others=[STRICT], display_order=range(4))
    ]
    assert agreement(of(one)).why == ONE_PROMPT
    assert position_bias(of(one)).why == TOO_FEW
    for measured in (agreement, self_consistency, hurried, position_bias):
        found = measured(of([]))
        assert found.value is None
        assert found.why


# --- Biases -----------------------------------------------------------------------


def test_whoever_ranks_as_shown_has_a_slope_of_one() -> None:
    shown = [2, 0, 3, 1]
    ranks = [2, 4, 1, 3]  # the first shown, response 2, is ranked first, and so on
    as_shown = [
        Answer(prompt=n, at=n, ranks=ranks, display_order=shown) for n in range(10)
    ]
    found = position_bias(of(as_shown))
    assert found.value == pytest.approx(1)
    assert found.interval == pytest.approx((1, 1))
    assert found.verdict is Verdict.FLAGGED
    upside_down = [
        Answer(prompt=n, at=n, ranks=ranks, display_order=shown[::-1])
        for n in range(10)
    ]
    assert position_bias(of(upside_down)).value == pytest.approx(-1)


def test_longer_wins_beside_the_others_of_the_same_prompts() -> None:
    shared = [
        Answer(
            prompt=n,
            at=n,
            ranks=[1, 2],
            lengths=[900, 100],
            others=[[2, 1], [1, 2], [1, 2], [1, 1]],
        )
        for n in range(10)
    ]
    alone = Answer(prompt=99, at=99, ranks=[2, 1], lengths=[900, 100])
    same_length = Answer(
        prompt=98, at=98, ranks=[2, 1], lengths=[5, 5], others=[[1, 2]]
    )
    found = length_bias(of([*shared, alone, same_length]))
    assert found.own.value == pytest.approx(10 / 11)
    assert found.own_there == 1.0
    assert found.others == pytest.approx(2 / 3)
    assert found.difference.value == pytest.approx(1 / 3)
    assert found.difference.prompts == 10
    assert found.difference.verdict is Verdict.FLAGGED


def test_ties_beside_the_others_of_the_same_prompts() -> None:
    # Of 3 pairs: 1 own; others 3 and 0, so 1.5 on the mean.
    rows = [
        Answer(prompt=n, at=n, ranks=[1, 1, 2], others=[[1, 1, 1], [1, 2, 3]])
        for n in range(10)
    ]
    found = tie_rate(of(rows))
    assert found.own.value == pytest.approx(1 / 3)
    assert found.others == pytest.approx(1 / 2)
    assert found.difference.value == pytest.approx(-1 / 6)
    assert found.difference.verdict is Verdict.FLAGGED
    assert tie_rate(of(rows[:9])).difference.verdict is Verdict.NOT_ENOUGH


# --- Time -------------------------------------------------------------------------


def test_seconds_for_a_hundred_words_are_sums_then_one_division() -> None:
    rows = [
        Answer(prompt=n, at=n, ranks=STRICT, seconds=30 + 60 * (n % 2), words=200)
        for n in range(10)
    ]
    found = seconds_per_100_words(of(rows))
    assert found.value == pytest.approx(30)
    assert found.interval is not None
    assert 15 <= found.interval[0] < 30 < found.interval[1] <= 45
    assert found.verdict is Verdict.NO_LINE


def test_a_ranking_that_took_no_time_counts_in_the_median_pace() -> None:
    """Submitted the moment it was shown: 0, 0 and 30 seconds for 100 words."""
    rows = [
        Answer(prompt=n, at=n, ranks=STRICT, seconds=seconds, words=100)
        for n, seconds in enumerate([0.0, 0.0, 30.0])
    ]
    assert median_pace(of(rows)) == 0
    untimed = Answer(prompt=3, at=3, ranks=STRICT, words=100)
    assert median_pace(of([*rows, untimed])) == 0
    assert median_pace(of([untimed])) is None


def test_hurried_rankings_are_a_share_with_an_interval() -> None:
    # 100 words take nobody less than 6 seconds.
    rows = [
        Answer(prompt=n, at=n, ranks=STRICT, seconds=5.9 if n < 8 else 6.0, words=100)
        for n in range(10)
    ]
    found = hurried(of(rows))
    assert found.value == pytest.approx(0.8)
    assert found.verdict is Verdict.FLAGGED
    assert hurried(of(rows[-2:])).value == 0


def test_habits_are_counts() -> None:
    rows = [
        Answer(prompt=1, at=0, ranks=[1, 1]),
        Answer(prompt=2, at=0, ranks=[1, 2], display_order=[0, 1]),
        Answer(prompt=3, at=0, ranks=[1, 2], seconds=1.0),
    ]
    found = habits(of(rows), Rate(1, 2))
    assert found.all_tied == Rate(1, 3)
    assert found.never_tied == Rate(2, 3)
    assert found.untouched == Rate(1, 1)
    assert found.unread == Rate(1, 2)
    assert found.hurried == Rate(0, 1)
    assert habits(of([]), Rate(0, 0)).unread.value is None


# --- Sittings ---------------------------------------------------------------------


def test_half_an_hour_without_a_ranking_ends_a_sitting() -> None:
    times = np.array([0.0, 1799, 3599, 5398, 7200])
    assert sittings(times).tolist() == [0, 0, 1, 1, 2]
    assert sittings(times[:0]).tolist() == []


def sitting(number: int, agreed: list[list[int]]) -> list[Answer]:
    """One ranking a minute; what the one other labeler said of each prompt."""
    return [
        Answer(
            prompt=100 * number + n,
            at=100_000 * number + 60 * n,
            ranks=STRICT,
            others=[other],
            seconds=60 - n,
            words=100,
        )
        for n, other in enumerate(agreed)
    ]


def test_agreement_that_falls_within_each_sitting_is_fatigue() -> None:
    # From 6 of 6 pairs to none over four rankings: 1, 1, 0, 0 has slope -0.4.
    tired = [
        answer
        for number in range(10)
        for answer in sitting(number, [STRICT, STRICT, REVERSED, REVERSED])
    ]
    found = fatigue_of_agreement(of(tired))
    assert found.value == pytest.approx(-4)
    assert found.prompts == 10
    assert found.verdict is Verdict.FLAGGED
    slower = fatigue_of_pace(of(tired))
    assert slower.value == pytest.approx(-10)
    assert slower.verdict is Verdict.NO_LINE


def test_long_sittings_that_are_worse_throughout_are_no_fatigue() -> None:
    rows = [
        answer
        for number in range(10)
        for answer in sitting(number, [STRICT, STRICT])
        + sitting(number + 50, [REVERSED] * 6)
    ]
    found = fatigue_of_agreement(of(rows))
    assert found.value == pytest.approx(0)
    assert found.verdict is Verdict.FINE


def test_single_rankings_say_nothing_of_fatigue() -> None:
    rows = [answer for number in range(20) for answer in sitting(number, [STRICT])]
    found = fatigue_of_agreement(of(rows))
    assert found.value is None
    assert found.verdict is Verdict.NOT_ENOUGH


def test_windows_reach_to_the_latest_ranking() -> None:
    rows = [
        Answer(prompt=n, at=n, ranks=[1, 2], others=[[1, 2] if n < 60 else [2, 1]])
        for n in range(110)
    ]
    lonely = Answer(prompt=999, at=999, ranks=[1, 2])
    found = list(windows(of([lonely, *reversed(rows)])))
    assert [(w.first_at, w.last_at) for w in found] == [(10, 59), (35, 84), (60, 109)]
    assert [w.agreement.value for w in found] == [1.0, 0.5, 0.0]
    [only] = windows(of(rows[:7]))
    assert (only.first_at, only.last_at) == (0, 6)
    assert list(windows(of([lonely]))) == []


# --- Known truth ------------------------------------------------------------------


@pytest.mark.parametrize("truth", [0.0, 0.3])
def test_a_position_bias_that_was_put_in_is_found_again(truth: float) -> None:
    rng = np.random.default_rng(8)
    rows = []
    for number in range(400):
        order = rng.permutation(6)
        # As shown (slope 1) so many times, else at random (slope 0).
        as_shown = np.argsort(order) + 1
        ranks = as_shown if rng.random() < truth else rng.permutation(6) + 1
        rows.append(
            Answer(
                prompt=number,
                at=number,
                ranks=ranks.tolist(),
                display_order=order.tolist(),
            )
        )
    found = position_bias(of(rows))
    assert found.value is not None
    assert found.interval is not None
    assert found.interval[0] < truth < found.interval[1]
    assert found.verdict is (Verdict.FLAGGED if truth else Verdict.FINE)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.permutations([0, 1, 2, 3]), min_size=10, max_size=14),
    st.permutations([0, 1, 2, 3]),
)
def test_names_of_responses_change_nothing(
    orders: list[list[int]], renamed: list[int]
) -> None:
    def rows(names: list[int]) -> list[Answer]:
        return [
            Answer(
                prompt=n,
                at=n,
                ranks=[order[i] + 1 for i in names],
                others=[[i + 1 for i in names]],
                lengths=[100 * i for i in names],
                display_order=[names.index(i) for i in (3, 1, 0, 2)],
            )
            for n, order in enumerate(orders)
        ]

    before, after = rows([0, 1, 2, 3]), rows(renamed)
    assert agreement(of(before)) == agreement(of(after))
    assert length_bias(of(before)) == length_bias(of(after))
    assert tie_rate(of(before)) == tie_rate(of(after))
    assert position_bias(of(before)).value == pytest.approx(
        position_bias(of(after)).value
    )


@pytest.mark.parametrize(
    "prompts",
    [10, MOST_KEPT_DRAWS, MOST_KEPT_DRAWS + 1, MOST_SHARED_DRAWS + 1],
)
def test_draws_that_are_kept_are_those_of_the_bootstrap(prompts: int) -> None:
    rng = np.random.default_rng(7)
    of = rng.integers(1, 9, prompts)
    counts = np.array([rng.integers(0, of + 1), of], np.float64)
    question = {"": PromptCounts(np.arange(prompts), counts)}
    agree, compared = bootstrap_totals(question, n_prompts=prompts)[""]
    for _ in range(2):  # drawn, then kept
        found = resampled(counts, lambda c: c[0] / c[1], missing="")
        assert found.interval == pytest.approx(
            tuple(percentile_interval(agree / compared) or ())
        )
