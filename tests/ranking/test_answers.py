"""The columns that everything is said of a labeler from, beside the long way."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranking import quality, quality_pictures, quality_sittings
from ranking.answers import Answers
from ranking.quality import Rate
from tests.ranking import answer_by_answer as slow
from tests.ranking.answer_by_answer import Answer, of
from tests.ranking.cards_by_rows import MEASURES, assert_same, measured


def _dense(ranks: list[int]) -> list[int]:
    """As they are stored: without gaps."""
    return [1 + sorted(set(ranks)).index(rank) for rank in ranks]


@st.composite
def answered(draw: st.DrawFn, prompt: int = 0) -> Answer:
    """One prompt of one to nine responses; what is unknown is unknown at times."""
    k = draw(st.integers(1, 9))
    ranks = st.lists(st.integers(1, 9), min_size=k, max_size=k).map(_dense)
    lengths = st.lists(st.integers(0, 4), min_size=k, max_size=k)
    return Answer(
        prompt=prompt,
        at=float(draw(st.integers(0, 9_000))),
        ranks=draw(ranks),
        others=draw(st.lists(ranks, max_size=3)),
        again=draw(st.lists(ranks, max_size=2)),
        display_order=draw(st.none() | st.permutations(range(k))),
        lengths=draw(lengths),
        words=draw(st.integers(10, 40)) / slow.SIX,
        seconds=draw(st.none() | st.floats(0, 5)),
    )


@st.composite
def everything(draw: st.DrawFn) -> list[Answer]:
    """So many prompts that there are intervals, and fewer."""
    return [draw(answered(prompt)) for prompt in range(draw(st.integers(0, 14)))]


@settings(max_examples=60, deadline=None)
@given(rows=everything())
def test_every_number_is_what_it_is_answer_by_answer(rows: list[Answer]) -> None:
    answers = of(rows)
    for name, by_hand in MEASURES.items():
        assert_same(measured(answers, name), by_hand(rows))


@settings(max_examples=40, deadline=None)
@given(rows=everything())
def test_habits_windows_and_places_are_too(rows: list[Answer]) -> None:
    answers = of(rows).work
    habits, expected = quality.habits(answers, Rate(0, 0)), slow.habits(rows)
    for name in ("all_tied", "never_tied", "untouched", "hurried"):
        assert getattr(habits, name) == getattr(expected, name)
    windows = list(quality_sittings.windows(answers))
    assert windows == pytest.approx(list(slow.windows(rows)))
    by_place = slow.mid_ranks_by_place(rows)
    means = quality_pictures.place_means(answers)
    assert [(one.k, one.place) for one in means] == sorted(by_place)
    for one in means:
        expected_ranks = by_place[one.k, one.place]
        assert one.mean == pytest.approx(np.mean(expected_ranks))
        assert one.prompts == len(expected_ranks)


def test_a_slice_of_answers_is_answers() -> None:
    rows = [Answer(prompt=n, at=n, ranks=[1, 2], others=[[1, 2]]) for n in range(4)]
    some: Answers = of(rows).only(np.array([2, 0]))
    assert some.prompt.tolist() == [2, 0]
    assert len(some) == 2
