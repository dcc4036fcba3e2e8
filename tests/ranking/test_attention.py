"""Signs of attention: counts by hand, and a page for admins only."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from annotation.models import AssignmentSource, Membership, Project, Purpose, Role
from ranking.attention import Attention, Rate, attention, is_untouched, same_again
from ranking.gold import Score
from tests.conftest import make_member, make_prompt
from tests.ranking.checks import GOLD, make_check
from tests.ranking.rows import revise, store_ranking

STRICT = {"r1": 1, "r2": 2, "r3": 3, "r4": 4}
TIED = dict.fromkeys(STRICT, 1)


def signals(project: Project, **options: Any) -> dict[str, Attention]:
    return {row.labeler.name: row for row in attention(project, **options)}


@pytest.mark.parametrize(
    ("ranks", "order", "untouched"),
    [
        ([2, 3, 1], [2, 0, 1], True),
        ([1, 2, 3], [0, 1, 2], True),
        ([1, 2, 3], [2, 1, 0], False),
        ([1, 1, 2], [0, 1, 2], False),
        ([1, 1, 1], [0, 1, 2], False),
    ],
)
def test_a_ranking_just_as_shown_is_known(
    ranks: list[int], order: list[int], *, untouched: bool
) -> None:
    assert is_untouched(ranks, order) is untouched


def test_pairs_that_are_strict_both_times_are_compared() -> None:
    # ab, ac, bc: ab the same, ac turned round, bc tied once.
    assert same_again([1, 2, 3], [2, 3, 1]) == Score(1, 3)
    assert same_again([1, 2, 2], [1, 2, 3]) == Score(2, 2)
    assert same_again([1, 1, 1], [1, 2, 3]) == Score(0, 0)


@given(st.lists(st.integers(1, 9), min_size=2, max_size=9))
def test_whoever_says_the_same_again_agrees_on_every_strict_pair(
    ranks: list[int],
) -> None:
    same = same_again(ranks, ranks)
    assert same.agree == same.comparable


@pytest.mark.django_db
def test_the_counts_are_right(
    project: Project, alice: Membership, bob: Membership
) -> None:
    shown = {"display_order": [0, 1, 2, 3]}
    first = make_prompt(project, "p1")
    store_ranking(
        first,
        alice,
        STRICT,
        assignment=shown,
        active_seconds=1.0,
        telemetry={"unread": ["B"]},
    )
    store_ranking(
        make_prompt(project, "p2"),
        alice,
        TIED,
        assignment=shown,
        active_seconds=60,
        telemetry={"unread": []},
    )
    store_ranking(
        make_prompt(project, "p3"), alice, {"r1": 1, "r2": 1, "r3": 2, "r4": 3}
    )
    repeat = {
        "repeat": 1,
        "source": AssignmentSource.DIRECT,
        "display_order": [3, 2, 1, 0],
    }
    store_ranking(first, alice, STRICT | {"r3": 4, "r4": 3}, assignment=repeat)
    # A superseded one counts for nothing.
    old = store_ranking(make_prompt(project, "p4"), alice, TIED)
    revise(old, STRICT)
    store_ranking(make_check(project, Purpose.GOLD, "g1"), alice, GOLD)
    store_ranking(make_check(project, Purpose.GOLD, "g2"), alice, TIED)
    store_ranking(make_check(project, Purpose.TRAINING, "t1"), alice, TIED)
    hers = signals(project)["alice"]
    assert hers.all_tied == Rate(1, 5)
    assert hers.never_tied == Rate(3, 5)
    assert hers.untouched == Rate(1, 3)
    assert hers.unread == Rate(1, 2)
    assert hers.hurried == Rate(1, 2)
    # r3 and r4 changed places: 5 of 6 on one prompt, so no interval.
    consistent = hers.self_consistency
    assert (consistent.agree, consistent.comparable, consistent.interval) == (
        5,
        6,
        None,
    )
    assert (hers.gold.agree, hers.gold.comparable) == (5, 10)
    assert hers.gold.interval is not None
    his = signals(project)["bob"]
    assert his.all_tied.value is None
    assert his.gold.value is None


@pytest.mark.django_db
def test_less_time_than_a_fast_reader_needs_is_hurried(
    project: Project, alice: Membership
) -> None:
    # 44 characters of messages and 4 · 15 of answers, at 6 a word: 17.3 words, which
    # nobody reads in less than 17.3 · .06 = 1.04 s.
    for number, seconds in enumerate((1.03, 1.05), start=1):
        prompt = make_prompt(project, f"p{number}")
        store_ranking(prompt, alice, STRICT, active_seconds=seconds)
    assert signals(project)["alice"].hurried == Rate(1, 2)


@pytest.mark.django_db
def test_a_quick_correction_makes_no_careful_reader_hurried(
    project: Project, alice: Membership
) -> None:
    # At least 1.04 s for the 17.3 words: .6 + .6 are enough, .3 + .6 are not.
    careful = store_ranking(
        make_prompt(project, "p1"),
        alice,
        STRICT,
        active_seconds=0.6,
        telemetry={"unread": ["A"]},
    )
    revise(careful, TIED, active_seconds=0.6, telemetry={"unread": ["B", "C", "D"]})
    hasty = store_ranking(
        make_prompt(project, "p2"),
        alice,
        STRICT,
        active_seconds=0.3,
        telemetry={"unread": ["A", "B"]},
    )
    revise(hasty, TIED, active_seconds=0.6, telemetry={"unread": ["A"]})
    hers = signals(project)["alice"]
    assert hers.hurried == Rate(1, 2)
    assert hers.unread == Rate(1, 2)


@pytest.mark.django_db
def test_only_what_came_since_counts(project: Project, alice: Membership) -> None:
    noon = datetime(2026, 11, 20, 12, tzinfo=UTC)
    store_ranking(make_prompt(project), alice, TIED, submitted_at=noon)
    late = signals(project, since=datetime(2026, 11, 21, tzinfo=UTC))["alice"]
    assert late.all_tied.of == 0
    assert signals(project, since=noon)["alice"].all_tied == Rate(1, 1)


@pytest.mark.django_db
def test_the_page_shows_them_in_a_fixed_number_of_queries(
    project: Project,
    alice: Membership,
    admin: Membership,
    signed_in: Callable[[Membership], Client],
    django_assert_num_queries: Any,
) -> None:
    bob = make_member(project, "bob", Role.LABELER)
    Project.objects.update(qualification_threshold=0.7)
    make_check(project, Purpose.QUALIFICATION, "q1")
    for number, labeler in enumerate((alice, bob)):
        store_ranking(make_prompt(project, f"p{number}"), labeler, TIED)
        store_ranking(make_check(project, Purpose.GOLD, f"g{number}"), labeler, GOLD)
    browser = signed_in(admin)
    # session with user, membership, seven of the signals
    with django_assert_num_queries(9):
        page = browser.get("/p/tides/signals/")
    text = page.content.decode()
    assert "0 of 1 prompt," in text
    assert "line 70.0 %" in text
    assert text.count("1 of 1") == 2
    for number in range(6):
        store_ranking(make_prompt(project, f"more{number}"), bob, STRICT)
    with django_assert_num_queries(9):
        browser.get("/p/tides/signals/")
