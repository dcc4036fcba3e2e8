"""The data that a figure was given, and the words beside it."""

import math
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.axes import Axes

from rm_training.charts import CHANCE_LOSS, DARK, LIGHT, svg, training_figure
from rm_training.curves import Curves, HeldOut, finding, read_curves, thinned


def heldout(step: int, accuracy: float | None, loss: float | None = 0.6) -> HeldOut:
    return HeldOut(step=step, accuracy=accuracy, loss=loss, pairs=40, prompts=5)


CURVES = Curves(
    loss=[(1, 0.71), (2, 0.64), (3, 0.66), (4, 0.52)],
    accuracy=[(1, 0.5), (2, 0.625), (4, 0.75)],
    heldout=[heldout(2, 0.55), heldout(4, 0.675)],
)


def panels(curves: Curves) -> list[Axes]:
    return training_figure(curves).axes


def line(axes: Axes, label: str) -> list[tuple[float, float]]:
    (drawn,) = [drawn for drawn in axes.get_lines() if drawn.get_label() == label]
    return [(float(x), float(y)) for x, y in np.asarray(drawn.get_xydata())]


def labels(axes: Axes) -> list[str]:
    return [str(drawn.get_label()) for drawn in axes.get_lines()]


def test_both_panels_draw_every_step_and_every_evaluation() -> None:
    loss, accuracy = panels(CURVES)
    assert line(loss, "training, each step") == list(CURVES.loss)
    assert line(loss, "held-out") == [(2, 0.6), (4, 0.6)]
    assert line(accuracy, "training, each step") == list(CURVES.accuracy)
    assert line(accuracy, "held-out") == [(2, 0.55), (4, 0.675)]


def test_chance_is_ln_2_and_one_half() -> None:
    loss, accuracy = panels(CURVES)
    assert math.isclose(CHANCE_LOSS, math.log(2))
    assert [y for _, y in line(loss, "chance, ln 2")] == [math.log(2)] * 2
    assert [y for _, y in line(accuracy, "chance")] == [0.5, 0.5]


def test_the_best_evaluation_is_marked_in_both_panels() -> None:
    for axes in panels(CURVES):
        assert [x for x, _ in line(axes, "best, step 4")] == [4, 4]


def test_a_run_without_a_step_says_so_in_its_figure() -> None:
    for axes in panels(Curves()):
        assert labels(axes)[1:] == []  # the line of chance alone
        assert [text.get_text() for text in axes.texts] == [
            "No step has been measured yet"
        ]


def test_a_single_step_is_a_visible_dot() -> None:
    loss, _ = panels(Curves(loss=[(1, 0.7)]))
    (drawn,) = [d for d in loss.get_lines() if d.get_label() == "training, each step"]
    assert drawn.get_marker() == "o"


def test_an_undefined_accuracy_is_left_out_and_not_drawn_as_zero() -> None:
    _, accuracy = panels(
        Curves(loss=[(1, 0.7)], heldout=[heldout(1, None), heldout(2, 0.5)])
    )
    assert line(accuracy, "held-out") == [(2, 0.5)]


def test_equal_values_still_have_a_panel_with_height() -> None:
    loss, _ = panels(Curves(loss=[(1, 0.5), (2, 0.5)]))
    low, high = loss.get_ylim()
    assert low < 0.5 < high


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("narrow", [False, True])
def test_the_same_data_gives_the_same_bytes_of_a_picture(
    *, dark: bool, narrow: bool
) -> None:
    first, second = (
        svg(training_figure(CURVES, dark=dark, narrow=narrow)) for _ in range(2)
    )
    assert first == second
    assert ElementTree.fromstring(first).tag.endswith("svg")
    assert (DARK if dark else LIGHT).first.encode() in first
    assert b"<script" not in first


def test_titles_can_be_read_on_dark_paper() -> None:
    for axes in training_figure(CURVES, dark=True).axes:
        assert axes.get_title(loc="left")
        assert axes._left_title.get_color() == DARK.ink  # type: ignore[attr-defined]


def test_a_narrow_figure_is_taller_than_wide() -> None:
    width, height = training_figure(CURVES, narrow=True).get_size_inches()
    assert height > width


# --- Curves from rows ---------------------------------------------------------------


def test_rows_become_curves() -> None:
    counts = {"accuracy": 0.75, "n": 8}
    evaluation = {
        "step": 2,
        "split": "valid1",
        "prompts": 3,
        "loss": 0.61,
        "counts": {"accuracy": 0.5, "n": 12},
    }
    rows = [
        (1, {"loss": 0.7, "counts": {"accuracy": None, "n": 0}}),
        (2, {"loss": 0.6, "counts": counts, "valid1": evaluation}),
    ]
    assert read_curves(rows) == Curves(
        loss=[(1, 0.7), (2, 0.6)],
        accuracy=[(2, 0.75)],
        heldout=[HeldOut(step=2, accuracy=0.5, loss=0.61, pairs=12, prompts=3)],
    )


def test_the_best_has_the_highest_accuracy_then_the_lowest_loss_then_comes_first() -> (
    None
):
    assert Curves().best is None
    rows = [heldout(1, 0.6, 0.5), heldout(2, 0.7, 0.6), heldout(3, 0.7, 0.5)]
    assert Curves(heldout=rows).best == rows[2]
    assert Curves(heldout=[*rows, heldout(4, 0.7, 0.5)]).best == rows[2]
    assert Curves(heldout=[heldout(1, None), heldout(2, 0.1)]).best == heldout(2, 0.1)


@given(
    st.lists(st.floats(-5, 5), min_size=1, max_size=300),
    st.integers(min_value=1, max_value=20),
)
def test_thinning_keeps_the_ends_of_the_range_and_stays_short(
    values: list[float], columns: int
) -> None:
    points = list(enumerate(values, start=1))
    kept = thinned(points, columns=columns)
    assert set(kept) <= set(points)
    assert kept == sorted(kept)
    assert len(kept) <= max(2 * columns, 1)
    assert min(y for _, y in kept) == min(values)
    assert max(y for _, y in kept) == max(values)


def test_a_short_line_is_not_thinned() -> None:
    points = [(step, 0.5) for step in range(1, 11)]
    assert thinned(points, columns=5) == points


@pytest.mark.parametrize(
    ("curves", "words"),
    [
        (Curves(), "No step has been measured yet."),
        (
            Curves(loss=[(1, 0.7)]),
            "One step so far, with training loss 0.700. No held-out accuracy.",
        ),
        (
            CURVES,
            "Training loss fell from 0.710 at step 1 to 0.520 at step 4. Held-out "
            "accuracy is 67.5 % of 40 pairs at step 4.",
        ),
        (
            Curves(
                loss=[(1, 0.5), (9, 0.9)], heldout=[heldout(3, 0.75), heldout(9, 0.5)]
            ),
            "Training loss rose from 0.500 at step 1 to 0.900 at step 9. Held-out "
            "accuracy is 50.0 % of 40 pairs at step 9; it was best, 75.0 %, at step 3.",
        ),
        (
            Curves(loss=[(1, 0.5), (2, 0.5001)], heldout=[heldout(2, None)]),
            "Training loss stayed at 0.500 from step 1 to step 2. "
            "No held-out accuracy.",
        ),
    ],
)
def test_the_finding_is_said_in_words(curves: Curves, words: str) -> None:
    assert finding(curves) == words
