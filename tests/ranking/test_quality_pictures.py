"""What the pictures of a card show: means, bands and words by hand."""

from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.figure import Figure

from ranking.drawing import DARK, svg
from ranking.gold import student_quantile
from ranking.quality_charts import agreement_chart, pace_chart, position_chart
from ranking.quality_lines import Line, Measure
from ranking.quality_pictures import (
    agreement_finding,
    commonest_k,
    dots,
    pace_bands,
    pace_finding,
    place_means,
    position_finding,
    timed,
)
from ranking.quality_sittings import windows
from ranking.quality_words import POINTS, SHARE, SLOPE, line_words, verdict_words
from tests.ranking.answer_by_answer import Answer, of


def answer(prompt: int = 0, **fields: object) -> Answer:
    defaults = {"ranks": [1, 2, 3], "at": 1_000.0 * prompt, "words": 100.0}
    return Answer(prompt=prompt, **{**defaults, **fields})  # type: ignore[arg-type]


def drawn(figure: Figure, label: str = "_child") -> list[tuple[float, float]]:
    """The points of the only line whose label begins so."""
    [axes] = figure.axes
    [line] = [one for one in axes.get_lines() if str(one.get_label()).startswith(label)]
    return [(float(x), float(y)) for x, y in np.asarray(line.get_xydata())]


def written(figure: Figure) -> list[str]:
    [axes] = figure.axes
    return [text.get_text() for text in axes.texts]


# --- Place on the page ------------------------------------------------------------


def test_places_are_ranked_by_hand() -> None:
    # Shown third, first, second. Ranked 1, 2, 3 by id: places 3, 1, 2, so mid-ranks
    # 1, 0, ½. All tied: ½ each. Means: ¾, ¼, ½.
    shown = [2, 0, 1]
    rows = [
        answer(display_order=shown),
        answer(1, ranks=[1, 1, 1], display_order=shown),
        answer(2, display_order=None),
    ]
    means = place_means(of(rows))
    assert [(one.k, one.place, one.mean) for one in means] == [
        (3, 1, 0.75),
        (3, 2, 0.25),
        (3, 3, 0.5),
    ]
    assert all(one.prompts == 2 and one.interval is None for one in means)


def test_an_interval_of_a_place_is_students() -> None:
    # Twice ranked as shown, eight times the other way round: 0 twice, 1 eight times.
    answers = [
        answer(n, ranks=[1, 2] if n < 2 else [2, 1], display_order=[0, 1])
        for n in range(10)
    ]
    first, last = place_means(of(answers))
    assert (first.mean, last.mean) == pytest.approx((0.8, 0.2))
    deviation = ((2 * 0.8**2 + 8 * 0.2**2) / 9) ** 0.5
    half = student_quantile(9) * deviation / 10**0.5
    assert first.interval == pytest.approx((0.8 - half, 1.0))


def test_the_picture_is_of_the_commonest_number_of_responses() -> None:
    two = [answer(n, ranks=[1, 2], display_order=[1, 0]) for n in range(3)]
    three = [answer(n, display_order=[0, 1, 2]) for n in range(2)]
    means = place_means(of(two + three))
    assert [one.k for one in means] == [2, 2, 3, 3, 3]
    assert [one.k for one in commonest_k(means)] == [2, 2]
    assert drawn(position_chart(means)) == [(1, 1.0), (2, 0.0)]
    assert position_finding(commonest_k(means)) == (
        "On 3 prompts with 2 responses, what stood first came to a mean rank of 1.00"
        " and what stood last to 0.00, from 0, always best, to 1, always last."
    )


# --- Time against words -----------------------------------------------------------


def test_bands_hold_equally_many_rankings_from_few_words_to_many() -> None:
    answers = [
        answer(n, words=100.0 * n, seconds=seconds)
        for n, seconds in enumerate((20, 60, 90, 80, 200), start=1)
    ]
    answers += [answer(9, seconds=None), answer(10, words=0.0, seconds=5)]
    assert len(timed(of(answers))) == 5
    bands = pace_bands(of(answers))
    assert [(b.least_words, b.most_words, b.rankings) for b in bands] == [
        (100, 100, 1),
        (200, 200, 1),
        (300, 300, 1),
        (400, 500, 2),
    ]
    # 80 s for 400 words and 200 s for 500: 20 and 40 for 100.
    assert (bands[-1].seconds, bands[-1].seconds_per_100_words) == (140, 30)
    assert pace_bands(of([])) == pace_bands(of([answer(seconds=None)])) == []


def test_the_pace_is_said_and_drawn() -> None:
    # At 100 words, 6 s are the least that reading takes.
    answers = [answer(n, seconds=s) for n, s in enumerate((5.9, 6.0, 30.0))]
    assert pace_finding(of(answers)) == (
        "The median is 6.0 s for 100 words over 3 timed rankings; 1 was faster than"
        " anybody reads."
    )
    [axes] = pace_chart(dots(of(answers))).axes
    assert np.asarray(axes.collections[0].get_offsets()).tolist() == [
        [100, 5.9],
        [100, 6.0],
        [100, 30.0],
    ]


# --- Agreement over time ----------------------------------------------------------


def test_agreement_is_said_and_drawn_at_the_end_of_each_window() -> None:
    # 75 prompts: windows 0 to 49 and 25 to 74. The first 25 are turned round.
    answers = [
        answer(n, ranks=[1, 2], others=[[2, 1] if n < 25 else [1, 2]])
        for n in range(75)
    ]
    over_time = list(windows(of(answers)))
    points = drawn(agreement_chart(over_time))
    assert [y for _, y in points] == [0.5, 1.0]
    assert agreement_finding(over_time).startswith(
        "Agreement with others is 100.0 % over the latest 50 prompts that can be"
        " compared (95 % interval "
    )
    assert agreement_finding(over_time).endswith("it was 50.0 % over the first 50.")
    assert agreement_finding(over_time[:0]) == (
        "No agreement yet: nobody else ranked a prompt that this labeler ranked."
    )


def test_one_prompt_has_no_interval_and_is_drawn_as_a_dot() -> None:
    [window] = windows(of([answer(others=[[1, 2, 3]])]))
    assert "interval" not in agreement_finding([window])
    assert "1 prompt that" in agreement_finding([window])
    assert len(drawn(agreement_chart([window]))) == 1


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("narrow", [False, True])
def test_nothing_to_draw_is_said_in_the_picture(*, dark: bool, narrow: bool) -> None:
    empty = {
        "Nothing to compare yet": agreement_chart([], dark=dark, narrow=narrow),
        "No time was recorded": pace_chart([], dark=dark, narrow=narrow),
        "The order shown is not known": position_chart([], dark=dark, narrow=narrow),
    }
    for words, figure in empty.items():
        assert written(figure) == [words]
        width, _ = figure.get_size_inches()
        assert bool(width < 5) == narrow


def test_the_same_data_gives_the_same_bytes_in_the_colours_of_the_page() -> None:
    answers = [answer(n, seconds=20.0 + n, others=[[1, 2, 3]]) for n in range(60)]
    first, second = (
        svg(agreement_chart(list(windows(of(answers))), dark=True)) for _ in range(2)
    )
    assert first == second
    assert ElementTree.fromstring(first).tag.endswith("svg")
    assert DARK.strong.encode() in first


# --- Verdicts in words ------------------------------------------------------------


def measured(value: float | None, low: float, high: float, line: Line) -> Measure:
    return Measure(value=value, interval=(low, high), prompts=20, line=line)


LEAST = Line(least=0.6, meaning="half of the way")
BAND = Line(least=-0.1, most=0.1, meaning="a tenth")


@pytest.mark.parametrize(
    ("measure", "words"),
    [
        (measured(0.5, 0.4, 0.55, LEAST), "below the line of 60.0 % (half of the way)"),
        (measured(0.7, 0.6, 0.8, LEAST), "fine"),
        (
            measured(0.7, 0.5, 0.8, LEAST),
            "the data do not decide yet: the interval reaches over the line",
        ),
        (
            measured(0.5, 0.4, 0.7, LEAST),
            "the data do not decide yet: the interval reaches over the line",
        ),
        (
            Measure(value=None, interval=None, prompts=0, line=LEAST, why="no gold"),
            "not enough data: no gold",
        ),
        (Measure(value=0.5, interval=(0.4, 0.6), prompts=9), ""),
    ],
)
def test_a_verdict_is_said_in_words(measure: Measure, words: str) -> None:
    assert verdict_words(measure, SHARE) == words


def test_a_line_with_two_ends_says_which_one_was_crossed() -> None:
    above, below = measured(0.3, 0.2, 0.4, BAND), measured(-0.3, -0.4, -0.2, BAND)
    assert verdict_words(above, POINTS) == "above the line of +10.0 points (a tenth)"
    assert verdict_words(below, SLOPE) == "below the line of −0.100 (a tenth)"
    assert line_words(BAND, POINTS) == "−10.0 to +10.0 points"
    assert line_words(LEAST, SHARE) == "at least 60.0 %"
    assert line_words(Line(most=0.1), SHARE) == "at most 10.0 %"
    assert line_words(None, SHARE) == ""
