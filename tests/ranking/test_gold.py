"""Following a known order: worked numbers, and an interval for a short test."""

from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t as student

from ranking.bootstrap import percentile_interval
from ranking.gold import (
    Entry,
    Score,
    effective_observations,
    interval,
    score,
    share,
    student_quantile,
    verdict,
    wilson,
)

RANKS = st.lists(st.integers(1, 9), min_size=2, max_size=9)
SCORES = st.lists(
    st.integers(1, 36).flatmap(
        lambda n: st.integers(0, n).map(lambda agree: Score(agree, n))
    ),
    min_size=2,
    max_size=12,
)


def keyed(ranks: list[int]) -> dict[int, int]:
    return dict(enumerate(ranks))


@pytest.mark.parametrize(
    ("ranks", "gold", "agree", "comparable"),
    [
        # Pairs ab, ac, ad, bc, bd, cd; bc is tied in the gold and asks nothing.
        ([1, 2, 2, 3], [1, 2, 2, 3], 5, 5),
        ([1, 3, 2, 4], [1, 2, 2, 3], 5, 5),
        # ab is tied: a tie is not the same.
        ([1, 1, 2, 3], [1, 2, 2, 3], 4, 5),
        # cd the other way round.
        ([1, 2, 4, 3], [1, 2, 3, 4], 5, 6),
        ([4, 3, 2, 1], [1, 2, 3, 4], 0, 6),
        ([1, 1, 1, 1], [1, 2, 3, 4], 0, 6),
        ([1, 2, 3, 4], [1, 1, 1, 1], 0, 0),
        # Gaps and offsets mean nothing.
        ([7, 9], [-3, 40], 1, 1),
    ],
)
def test_strict_pairs_of_the_gold_order_are_counted(
    ranks: list[int], gold: list[int], agree: int, comparable: int
) -> None:
    assert score(keyed(ranks), keyed(gold)) == Score(agree, comparable)


def test_another_set_of_responses_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="not of the same responses"):
        score({"a": 1, "b": 2}, {"a": 1})


@given(RANKS)
def test_whoever_gives_the_gold_order_itself_is_right_on_every_strict_pair(
    ranks: list[int],
) -> None:
    result = score(keyed(ranks), keyed(ranks))
    assert result.agree == result.comparable
    backwards = score({key: -rank for key, rank in enumerate(ranks)}, keyed(ranks))
    assert backwards == Score(0, result.comparable)


@given(RANKS, st.randoms(use_true_random=False))
def test_names_and_their_order_change_nothing(ranks: list[int], rng: object) -> None:
    gold = dict(enumerate(sorted(ranks)))
    mixed = list(gold.items())
    rng.shuffle(mixed)  # type: ignore[attr-defined]
    assert score(dict(mixed), gold) == score(gold, gold)


def test_pairs_are_pooled_before_they_are_divided() -> None:
    result = share([Score(5, 6), Score(1, 2), Score(0, 0)])
    assert (result.agree, result.comparable, result.prompts) == (6, 8, 2)
    assert result.value == 6 / 8  # the mean of the two shares would be 2/3


def test_nothing_to_compare_is_undefined_and_one_prompt_has_no_interval() -> None:
    nothing = share([Score(0, 0)])
    assert (nothing.value, nothing.interval, nothing.prompts) == (None, None, 0)
    one = share([Score(30, 36), Score(0, 0)])
    assert (one.value, one.interval) == (30 / 36, None)


def test_wilson_s_interval_is_the_published_formula() -> None:
    # p = 8/10: the ends solve (p - x)² = z²·x(1 - x)/n.
    z = 1.959963984540054
    for end in wilson(0.8, 10):
        assert abs(0.8 - end) == pytest.approx(z * sqrt(end * (1 - end) / 10))
    # All of n right: n / (n + z²).
    assert wilson(1.0, 10) == pytest.approx((10 / (10 + z**2), 1))


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 9, 30, 999])
def test_student_s_quantile_is_scipy_s(degrees: int) -> None:
    assert student_quantile(degrees) == pytest.approx(student.ppf(0.975, degrees))


def test_the_effective_number_by_hand() -> None:
    # Two K = 9 prompts, 27 and 33 of 36: p = 60/72, Σ(a - pn)² = 9 + 9,
    # v = 2/1 · 18/72² = 1/144, p(1 - p)/v = 20. At most 72/4 = 18 are believed; with
    # one degree of freedom t = 12.706, and 18 · (1.960/12.706)² = .43 is less than
    # Kish's 72²/(2 · 36²) = 2.
    assert effective_observations([Score(27, 36), Score(33, 36)]) == 2
    # Ten prompts of 36 pairs, 9 and 27 right by turns: p = ½, Σ = 10 · 81,
    # v = 10/9 · 810/360² = 1/144, p(1 - p)/v = 36; t = 2.262 with 9 degrees.
    scores = [Score(9, 36), Score(27, 36)] * 5
    z, t = 1.959963984540054, student.ppf(0.975, 9)
    assert effective_observations(scores) == pytest.approx(36 * (z / t) ** 2)


def test_two_perfect_prompts_do_not_make_anybody_certain() -> None:
    perfect = [Score(36, 36), Score(36, 36)]
    # A bootstrap would have no width: every draw is two perfect prompts.
    assert percentile_interval(np.ones(1_000)) == [1.0, 1.0]
    assert interval(perfect) == pytest.approx(wilson(1.0, 2))
    assert verdict(share(perfect), 0.7) is Entry.UNDECIDED
    assert verdict(share(perfect * 5), 0.7) is Entry.PASSED


@given(SCORES)
def test_the_interval_holds_the_value_within_0_and_1(scores: list[Score]) -> None:
    result = share(scores)
    assert result.interval is not None
    assert result.value is not None
    low, high = result.interval
    assert 0 <= low <= result.value + 1e-9
    assert result.value - 1e-9 <= high <= 1
    assert low < high


@given(SCORES)
def test_wrong_for_right_mirrors_the_interval(scores: list[Score]) -> None:
    turned = [Score(one.comparable - one.agree, one.comparable) for one in scores]
    ends, mirrored = interval(scores), interval(turned)
    assert ends is not None
    assert mirrored == pytest.approx((1 - ends[1], 1 - ends[0]))


@given(SCORES)
def test_the_interval_is_never_narrower_than_that_of_independent_pairs(
    scores: list[Score],
) -> None:
    pairs = sum(one.comparable for one in scores)
    assert effective_observations(scores) <= pairs + 1e-9
    assert effective_observations(scores) >= 1


def test_the_interval_holds_the_truth_at_least_as_often_as_it_says() -> None:
    # Six prompts of K = 6 whose difficulty differs; the truth is their common mean.
    # The percentile bootstrap over so few prompts holds it in some 85 % of tests.
    rng = np.random.default_rng(3)
    n, mean, tests = 15, 0.8, 400
    held = held_by_bootstrap = 0
    for _ in range(tests):
        agree = rng.binomial(n, rng.beta(mean * 5, (1 - mean) * 5, size=6))
        low, high = interval([Score(int(a), n) for a in agree]) or (1, 0)
        held += low <= mean <= high
        draws = rng.choice(agree / n, (400, 6)).mean(axis=1)
        low, high = percentile_interval(draws) or (1, 0)
        held_by_bootstrap += low <= mean <= high
    assert held / tests >= 0.95
    assert held_by_bootstrap / tests < 0.92


@pytest.mark.parametrize(
    ("threshold", "entry"),
    [(0.5, Entry.PASSED), (0.8, Entry.UNDECIDED), (0.99, Entry.FAILED)],
)
def test_a_test_is_passed_or_failed_by_its_whole_interval(
    threshold: float, entry: Entry
) -> None:
    result = share([Score(28, 36), Score(29, 36), Score(30, 36), Score(31, 36)])
    assert result.interval is not None
    assert result.interval[0] < 0.8 < result.interval[1]
    assert verdict(result, threshold) is entry


def test_the_ends_of_the_interval_decide_exactly() -> None:
    result = share([Score(28, 36), Score(31, 36), Score(30, 36)])
    assert result.interval is not None
    low, high = result.interval
    assert verdict(result, low) is Entry.PASSED
    assert verdict(result, np.nextafter(low, 1)) is Entry.UNDECIDED
    assert verdict(result, high) is Entry.UNDECIDED
    assert verdict(result, np.nextafter(high, 1)) is Entry.FAILED
