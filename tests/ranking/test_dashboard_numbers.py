"""The dashboards' intervals, forecast, order of disagreement and figures, by hand."""

from datetime import date, timedelta
from math import sqrt
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ranking.bootstrap import PromptCounts
from ranking.charts import draw
from ranking.cluster_intervals import linearised, share_intervals, student
from ranking.dashboard_numbers import Cell, Estimate, by_place
from ranking.disagreement import design_effect, wilson
from ranking.forecast import DAYS, DONE, NOTHING_DONE, TOO_EARLY, forecast
from ranking.pictures import PUBLISHED, Picture
from ranking.tallies import JUDGED, read_tallies

MONDAY = date(2026, 11, 23)


def counts(parts: list[float], wholes: list[float]) -> PromptCounts:
    return PromptCounts(np.arange(len(parts)), np.array([parts, wholes], np.float64))


# --- Intervals --------------------------------------------------------------------


def test_the_quick_interval_by_hand() -> None:
    """Two of 4, 4 of 4: R = 6/8, e = 2 - 3 and 4 - 3, Σ e² = 2; the error is
    √(2/1 · 2) / 8 = 1/4, and Student's t with one degree of freedom is wide enough to
    reach both ends."""
    assert linearised(counts([2, 4], [4, 4])) == [0.0, 1.0]
    many = counts([2, 4] * 50, [4, 4] * 50)
    error = sqrt(100 / 99 * 100) / 400
    half = stats.t.ppf(0.975, 99) * error
    assert linearised(many) == pytest.approx([0.75 - half, 0.75 + half], abs=1e-6)


@pytest.mark.parametrize("freedom", [9, 29, 99, 10_000])
def test_students_distribution_is_scipys(freedom: int) -> None:
    assert student(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), abs=0.001)


def test_the_quick_interval_is_the_bootstraps() -> None:
    """On a thousand prompts both are at hand: ends within a twentieth of the width."""
    rng = np.random.default_rng(4)
    wholes = rng.integers(20, 108, 1_000).astype(np.float64)
    parts = rng.binomial(wholes.astype(int), rng.beta(6, 2, 1_000)).astype(np.float64)
    some = counts(parts.tolist(), wholes.tolist())
    drawn = share_intervals({"x": some}, n_prompts=1_000)["x"]
    quick = share_intervals({"x": some}, n_prompts=1_001)["x"]
    assert drawn is not None
    assert quick is not None
    assert drawn != quick
    assert quick == pytest.approx(drawn, abs=(drawn[1] - drawn[0]) / 20)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=60))
def test_an_interval_holds_its_share(rows: list[tuple[int, int]]) -> None:
    some = counts([a for a, _ in rows], [a + b for a, b in rows])
    occurring = sum(a + b > 0 for a, b in rows)
    for n_prompts in (len(rows), 5_000):
        interval = share_intervals({"x": some}, n_prompts=n_prompts)["x"]
        assert (interval is None) == (occurring < 2)
        if interval is not None:
            assert 0 <= interval[0] <= interval[1] <= 1


def test_what_is_undefined_says_why() -> None:
    none = Estimate(label="x", part=0, whole=0, prompts=0, interval=None)
    one = Estimate(label="x", part=3, whole=6, prompts=1, interval=None)
    assert (none.value, none.why) == (None, "no two labelers ordered the same pair yet")
    assert (one.value, one.why) == (0.5, "an interval needs two prompts")


def test_a_cell_is_grey_below_twenty_comparisons() -> None:
    assert Cell(agree=10, comparable=19).few
    assert not Cell(agree=10, comparable=20).few


# --- Forecast ---------------------------------------------------------------------


def test_an_even_pace_has_one_end() -> None:
    """Ten a day, forty left: done four days after today, in every draw."""
    end = MONDAY + timedelta(days=4)
    found = forecast(40, [10] * DAYS, today=MONDAY)
    assert (found.day, found.first, found.last) == (end, end, end)


def test_nobody_works_at_weekends() -> None:
    """On a Thursday ten are left: Friday does five, and Monday the rest."""
    week = [0, 5, 5, 5, 5, 5, 0]  # from a Sunday on
    thursday = MONDAY + timedelta(days=3)
    done = (week * 5)[4 : 4 + DAYS]  # from a Thursday four weeks ago to a Wednesday
    found = forecast(10, done, today=thursday)
    assert found.day == MONDAY + timedelta(days=7)


def test_an_uneven_pace_has_a_wide_interval_around_its_middle() -> None:
    found = forecast(400, [0, 40] * (DAYS // 2), today=MONDAY)
    assert found.first is not None
    assert found.day is not None
    assert found.last is not None
    assert found.first < found.day < found.last
    assert abs((found.day - MONDAY).days - 20) <= 3


def test_a_forecast_that_cannot_be_made_says_why() -> None:
    assert forecast(0, [5] * DAYS, today=MONDAY).why == DONE
    assert forecast(5, [5] * 6, today=MONDAY).why == TOO_EARLY
    assert forecast(5, [0] * DAYS, today=MONDAY).why == NOTHING_DONE


def test_what_takes_longer_than_three_years_has_no_day() -> None:
    found = forecast(1_000_000, [1] * DAYS, today=MONDAY)
    assert (found.day, found.first, found.last, found.why) == (None, None, None, "")


# --- Disagreement -----------------------------------------------------------------


def test_design_effects_are_the_squares_of_the_published_factors() -> None:
    effect = design_effect(np.array([4.0, 6.0, 9.0]))
    assert np.sqrt(effect) == pytest.approx([1.18, 1.34, 1.55], abs=0.005)


def test_wilsons_interval_is_scipys() -> None:
    low, high = wilson(np.array([0.3]), np.array([20.0]))
    known = stats.binomtest(6, 20).proportion_ci(method="wilson")
    assert (low[0], high[0]) == pytest.approx((known.low, known.high))


def test_sure_disagreement_comes_before_what_may_be_chance() -> None:
    """Six of six by one pair of people, beside 60 of 72: the second is surer."""
    low, _ = wilson(np.array([1.0, 60 / 72]), np.array([6 / 1.4, 72 / 1.4]))
    assert low[1] > low[0]


# --- Figures ----------------------------------------------------------------------


def picture(form: str, rows: list[Estimate], **more: Any) -> Picture:
    words: dict[str, Any] = {
        "name": "x",
        "title": "X",
        "axis": "Week",
        "measure": "Agreement",
    }
    return Picture(**words, form=form, rows=rows, **more)


ROWS = [
    Estimate(label="one", part=7, whole=10, prompts=5, interval=[0.6, 0.8]),
    Estimate(label="none", part=0, whole=0, prompts=0, interval=None),
    Estimate(label="two", part=9, whole=10, prompts=5, interval=[0.8, 0.95]),
]


def test_a_line_is_given_the_values_and_the_published_lines() -> None:
    [axes] = draw(picture("line", ROWS, lines=PUBLISHED)).axes
    drawn = {str(one.get_label()): one.get_ydata() for one in axes.get_lines()}
    assert list(np.asarray(drawn["Agreement"])) == [0.7, 0.9]
    published = sorted(
        float(np.asarray(values)[0])
        for label, values in drawn.items()
        if label.startswith("InstructGPT")
    )
    assert published == [0.726, 0.773]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["one", "two"]


def test_dots_have_their_intervals() -> None:
    [axes] = draw(picture("dots", ROWS)).axes
    segments = [
        np.asarray(segment)[:, 0].tolist()
        for group in axes.collections
        for segment in group.get_segments()  # type: ignore[attr-defined]
    ]
    assert segments == [[0.6, 0.8], [0.8, 0.95]]


def test_a_picture_without_data_says_so() -> None:
    [axes] = draw(picture("line", [])).axes
    assert [text.get_text() for text in axes.texts] == ["Nothing to show yet"]
    assert picture("line", []).finding == "No figure: nothing has been counted yet."


def test_a_finding_names_the_lowest_and_the_highest() -> None:
    assert picture("line", ROWS).finding == (
        "Agreement, from 70.0 % (60.0–80.0) at one to 90.0 % (80.0–95.0) at two."
    )


@pytest.mark.parametrize("label", ["$x^", "中文", "a" * 99])
def test_a_name_of_any_letters_is_drawn(label: str) -> None:
    row = Estimate(label=label, part=1, whole=2, prompts=2, interval=[0.1, 0.9])
    figure = draw(picture("dots", [row]))
    figure.canvas.draw()
    [drawn] = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    assert len(drawn) <= 24


# --- Places -----------------------------------------------------------------------


def test_ranks_by_place_are_normalised_mid_ranks() -> None:
    """Ranks 1, 1, 2, 3 are mid-ranks 1½, 1½, 3, 4, which on a scale from 0 to 1 are
    1/6, 1/6, 2/3, 1; they were shown as third, first, fourth, second."""
    judged = np.zeros(1, JUDGED)
    judged["ranks"][0, :4] = [1, 1, 2, 3]
    judged["shown"][0, :4] = [3, 1, 4, 2]
    found = read_tallies(
        np.array([7], ">i8").tobytes(),
        np.array([4], ">i2").tobytes(),
        np.array([1], ">i4").tobytes(),
        judged.tobytes(),
        b"",
    )
    assert [row.value for row in by_place(found)] == pytest.approx(
        [2 / 3, 1 / 6, 1, 1 / 6]
    )
