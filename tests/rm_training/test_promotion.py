"""Whether a new model may replace the one in use: worked out, enumerated, drawn."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rm_training import promotion
from rm_training.metrics import PairCounts
from rm_training.promotion import Comparison, compare, decide, points


def right(wins: int, of: int, ties: int = 0) -> PairCounts:
    return PairCounts(wins=wins, ties=ties, losses=of - wins - ties)


def made(low: float, *, prompts: int = 50) -> Comparison:
    return Comparison(
        new=0.7,
        old=0.7,
        difference=0.0,
        interval=(low, low + 0.02),
        prompts=prompts,
        pairs=300,
    )


def test_accuracies_are_of_all_pairs_and_the_difference_is_between_them() -> None:
    new = [right(5, 6), right(2, 3), right(1, 1)]
    old = [right(4, 6), right(2, 3, ties=1), right(0, 1)]
    found = compare(new, old)
    assert (found.prompts, found.pairs) == (3, 10)
    assert found.new == pytest.approx(8 / 10)
    assert found.old == pytest.approx(6.5 / 10)  # a tie is half right
    assert found.difference == pytest.approx(1.5 / 10)


def test_a_prompt_without_a_strict_pair_is_no_prompt() -> None:
    tied = PairCounts(human_ties=6)
    with_it = compare([right(3, 6), tied], [right(2, 6), tied])
    assert with_it == compare([right(3, 6)], [right(2, 6)])
    assert with_it.prompts == 1
    assert with_it.interval is None  # one prompt says nothing of another


def test_nothing_to_compare_has_no_numbers() -> None:
    nothing = compare([], [])
    assert (nothing.new, nothing.old, nothing.difference) == (None, None, None)
    assert (nothing.interval, nothing.prompts, nothing.pairs) == (None, 0, 0)


def test_models_that_ordered_other_pairs_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="same pairs"):
        compare([right(1, 2)], [right(1, 3)])


def test_the_interval_is_that_of_every_draw_there_can_be() -> None:
    """Three prompts have 27 draws, each as likely as the others."""
    new = [right(6, 6), right(1, 3), right(1, 1)]
    old = [right(3, 6), right(2, 3), right(1, 1)]
    gained, pairs = [3, -1, 0], [6, 3, 1]
    every = sorted(
        sum(gained[i] for i in draw) / sum(pairs[i] for i in draw)
        for draw in itertools.product(range(3), repeat=3)
    )
    # The quantile function of 27 equal masses, at 2.5 % and 97.5 %.
    low, high = every[math.ceil(0.025 * 27) - 1], every[math.ceil(0.975 * 27) - 1]
    found = compare(new, old)
    assert found.interval is not None
    assert found.interval == pytest.approx((low, high))


def test_the_interval_agrees_with_drawing_prompts_one_by_one() -> None:
    rng = np.random.default_rng(7)
    pairs = rng.integers(1, 36, 60)
    new = [right(int(rng.integers(0, n + 1)), int(n)) for n in pairs]
    old = [right(int(rng.integers(0, n + 1)), int(n)) for n in pairs]
    drawn = []
    for _ in range(20_000):
        some = rng.integers(0, 60, 60)
        won = sum(new[i].wins - old[i].wins for i in some)
        drawn.append(won / sum(new[i].n for i in some))
    low, high = np.quantile(drawn, [0.025, 0.975])
    found = compare(new, old)
    assert found.interval is not None
    assert found.interval[0] == pytest.approx(low, abs=0.006)
    assert found.interval[1] == pytest.approx(high, abs=0.006)


def test_prompts_are_drawn_and_not_pairs() -> None:
    """20 prompts whose pairs are all won or all lost: as 20 coins, not as 720."""
    new = [right(36 * (i % 2), 36) for i in range(20)]
    old = [right(18, 36) for _ in range(20)]
    found = compare(new, old)
    assert found.interval is not None
    half = (found.interval[1] - found.interval[0]) / 2
    assert half == pytest.approx(1.96 * 0.5 / math.sqrt(20), rel=0.1)


def test_blocks_of_draws_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    new = [right(i % 5, 5) for i in range(40)]
    old = [right(i % 3, 5) for i in range(40)]
    whole = compare(new, old)
    monkeypatch.setattr(promotion, "_WEIGHTS_AT_ONCE", 999)
    assert compare(new, old) == whole


counts = st.lists(
    st.tuples(st.integers(0, 6), st.integers(0, 6), st.integers(0, 6)),
    min_size=2,
    max_size=6,
)


@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(counts)
def test_changing_places_turns_the_difference_round(
    drawn: list[tuple[int, int, int]],
) -> None:
    both = [(right(min(a, n), n), right(min(b, n), n)) for n, a, b in drawn]
    one = compare([a for a, _ in both], [b for _, b in both])
    other = compare([b for _, b in both], [a for a, _ in both])
    if one.difference is None or other.difference is None:
        assert one.pairs == other.pairs == 0
        return
    assert one.difference == -other.difference
    assert (one.new, one.old) == (other.old, other.new)
    if one.interval and other.interval:
        assert one.interval[0] == pytest.approx(-other.interval[1])


def test_what_is_stored_is_read_back() -> None:
    found = compare([right(5, 6), right(2, 3)], [right(4, 6), right(3, 3)])
    assert Comparison.from_dict({**found.to_dict(), "model": 3}) == found
    assert Comparison.from_dict(compare([], []).to_dict()) == compare([], [])


@pytest.mark.parametrize(
    ("low", "margin", "promoted"),
    [
        (-0.0099, 1.0, True),
        (-0.01, 1.0, False),  # above, not at
        (-0.0101, 1.0, False),
        (0.001, 0.0, True),
        (0.0, 0.0, False),
        (-0.049, 5.0, True),
        (0.5, None, False),
    ],
)
def test_the_lower_end_must_be_above_minus_the_margin(
    low: float, margin: float | None, *, promoted: bool
) -> None:
    verdict = decide(made(low), margin=margin)
    assert verdict.promote is promoted
    assert verdict.why


def test_few_prompts_decide_nothing() -> None:
    few = decide(made(0.1, prompts=9), margin=1.0)
    assert (few.promote, few.why) == (
        False,
        "9 held-out prompts are too few to decide by: 10 are needed",
    )
    assert decide(made(0.1, prompts=10), margin=1.0).promote
    assert not decide(compare([], []), margin=1.0).promote


def test_points_are_written_with_their_sign() -> None:
    shown = [points(share) for share in (0.0123, -0.0123, 0.0, -0.000001)]
    assert shown == ["+1.23 points", "−1.23 points", "±0.00 points", "±0.00 points"]
