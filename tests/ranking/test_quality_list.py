"""The list of labelers: counts by hand, order, filters, a fixed number of queries."""

import csv
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db.models.functions import Now
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from annotation.models import (
    AssignmentSource,
    Membership,
    Project,
    Prompt,
    Purpose,
    Role,
)
from ranking import quality_cards
from ranking.filters import Filters
from ranking.gold import Score
from ranking.quality import Habits, Rate
from ranking.quality_cards import Card, labeler_card
from ranking.quality_list import Row, in_order, labelers_list
from ranking.quality_rows import Activity
from ranking.withdrawal import withdraw
from tests.conftest import make_member, make_prompt
from tests.ranking.answer_by_answer import is_untouched, same_again
from tests.ranking.checks import GOLD, make_check
from tests.ranking.rows import revise, store_ranking

STRICT = {"r1": 1, "r2": 2, "r3": 3, "r4": 4}
TIED = dict.fromkeys(STRICT, 1)


def habits_of(labeler: Membership) -> Habits:
    member = Membership.objects.select_related("project").get(pk=labeler.pk)
    return labeler_card(member).habits


def listed(project: Project, **filters: Any) -> dict[str, Card]:
    return {row.name: row.card for row in labelers_list(project, Filters(**filters))}


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
    hers, habits = listed(project)["alice"], habits_of(alice)
    assert habits.all_tied == Rate(1, 5)
    assert habits.never_tied == Rate(3, 5)
    assert habits.untouched == Rate(1, 3)
    assert habits.unread == Rate(1, 2)
    assert habits.hurried == Rate(1, 2)
    # r3 and r4 changed places: 5 of 6 on one prompt, so no interval.
    assert hers.self_consistency.value == 5 / 6
    assert hers.self_consistency.interval is None
    assert hers.gold.value == 5 / 10
    assert hers.gold.interval is not None
    his = listed(project)["bob"]
    assert habits_of(bob).all_tied.value is None
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
    assert habits_of(alice).hurried == Rate(1, 2)


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
    assert habits_of(alice).hurried == Rate(1, 2)
    assert habits_of(alice).unread == Rate(1, 2)


@pytest.mark.django_db
def test_only_what_came_since_counts(project: Project, alice: Membership) -> None:
    noon = datetime(2026, 11, 20, 12, tzinfo=UTC)
    store_ranking(make_prompt(project), alice, TIED, submitted_at=noon)
    late = listed(project, since=datetime(2026, 11, 21, tzinfo=UTC))["alice"]
    assert late.rankings == 0
    assert listed(project, since=noon)["alice"].tie_rate.own.value == 1


@pytest.fixture
def crowd(project: Project, alice: Membership, bob: Membership) -> Project:
    """alice ranked two prompts, bob one of them the same way and one not at all as
    she did; an imported labeler, and carol who has done nothing."""
    first, second = make_prompt(project, "p1"), make_prompt(project, "p2")
    long_ago = datetime(2026, 1, 1, tzinfo=UTC)
    store_ranking(first, alice, STRICT, active_seconds=10, submitted_at=long_ago)
    store_ranking(second, alice, STRICT, active_seconds=30)
    store_ranking(first, bob, STRICT, active_seconds=20)
    store_ranking(second, bob, {"r1": 4, "r2": 3, "r3": 2, "r4": 1})
    archived = Membership.objects.create(project=project, name="=old", role="labeler")
    store_ranking(first, archived, TIED, assignment={"source": "imported"})
    make_member(project, "carol", Role.LABELER)
    return project


def names(rows: list[Row]) -> list[str]:
    return [row.name for row in rows]


def test_rows_say_what_everybody_did(crowd: Project) -> None:
    rows = {row.name: row for row in labelers_list(crowd, Filters())}
    alice, bob = rows["alice"], rows["bob"]
    assert (alice.activity.rankings, alice.activity.recent) == (2, 1)
    assert alice.card.agreement.value == 6 / 12
    # Medians of 10 and 30 s: two prompts of as many words.
    words = float(alice.card.answers.words[0])
    assert alice.card.median_pace == pytest.approx(100 * 20 / words)
    assert bob.card.tie_rate.own.value == 0
    # On p1 alice and the archive say 0 and 1 of 6: ½ of 6 for one; on p2 alice 0.
    assert bob.card.tie_rate.others == 3 / 12
    # Two prompts, half of all pairs: that is on neither side for sure.
    assert "agreement with others" in alice.undecided
    assert rows["carol"].undecided == ()
    assert rows["carol"].activity == Activity()
    assert rows["carol"].card.agreement.value is None


def test_states_name_what_keeps_somebody_from_work(
    crowd: Project, alice: Membership, bob: Membership, admin: Membership
) -> None:
    assert admin.user is not None
    Membership.objects.filter(pk=bob.pk).update(paused_at=Now())
    withdraw(alice, reason="Random.", user=admin.user)
    states = {row.name: row.state for row in labelers_list(crowd, Filters())}
    assert states == {
        "=old": "imported",
        "alice": "withdrawn",
        "bob": "paused",
        "carol": "active",
    }
    crowd.qualification_threshold = 0.7
    crowd.save()
    tested = {row.name: row for row in labelers_list(crowd, Filters())}
    assert tested["carol"].state == "in test"
    assert tested["alice"].card.rankings == 0
    assert tested["alice"].activity.rankings == 2


def test_what_the_data_do_not_decide_is_said_on_list_card_and_file(
    crowd: Project,
    alice: Membership,
    admin: Membership,
    signed_in: Callable[[Membership], Client],
) -> None:
    browser = signed_in(admin)
    listed = browser.get("/p/tides/labelers/").content.decode()
    assert "not decided yet: agreement with others" in listed
    card = browser.get(f"/p/tides/labelers/{alice.pk}/").content.decode()
    assert "the data do not decide yet: the interval reaches over the line" in card
    file = browser.get("/p/tides/labelers/labelers.csv").content.decode()
    lines = {line["labeler"]: line for line in csv.DictReader(file.splitlines())}
    assert lines["alice"]["undecided"].startswith("agreement with others")
    assert lines["carol"]["undecided"] == ""


def test_rows_come_in_the_order_asked_for(crowd: Project) -> None:
    rows = labelers_list(crowd, Filters())
    assert names(in_order(rows, "name")) == ["=old", "alice", "bob", "carol"]
    assert names(in_order(rows, "-name")) == ["carol", "bob", "alice", "=old"]
    assert names(in_order(rows, "nonsense")) == names(in_order(rows, "name"))
    # alice and bob 2 each, the archive 1, carol 0.
    assert names(in_order(rows, "-rankings")) == ["alice", "bob", "=old", "carol"]
    # Where it is undefined comes last, whichever way round.
    assert names(in_order(rows, "pace"))[2:] == ["=old", "carol"]
    assert names(in_order(rows, "-pace"))[2:] == ["=old", "carol"]
    assert names(in_order(rows, "ties"))[2:] == ["=old", "carol"]
    assert names(in_order(rows, "-ties"))[0] == "=old"


def test_filters_leave_out_own_rankings_and_keep_the_others_beside_them(
    crowd: Project,
) -> None:
    late = listed(crowd, since=datetime(2026, 6, 1, tzinfo=UTC))
    assert late["alice"].rankings == 1
    # Of bob's two, p1 stands beside what alice said of it in January.
    assert late["bob"].agreement.value == 6 / 12
    assert listed(crowd, k=frozenset({5}))["bob"].rankings == 0
    Prompt.objects.filter(external_id="p2").update(tags=["hard"])
    hard = listed(crowd, tags=frozenset({"hard"}))
    assert hard["bob"].agreement.value == 0


def test_only_the_latest_of_each_are_listed(
    crowd: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quality_cards, "MOST_LISTED", 1)
    cards = listed(crowd)
    assert cards["alice"].rankings == cards["bob"].rankings == 1
    assert cards["alice"].agreement.value == 0  # p2, the later one


def test_the_page_takes_a_fixed_number_of_queries(
    crowd: Project,
    admin: Membership,
    signed_in: Callable[[Membership], Client],
    django_assert_num_queries: Any,
) -> None:
    Project.objects.update(qualification_threshold=0.7)
    make_check(crowd, Purpose.QUALIFICATION, "q1")
    browser = signed_in(admin)
    with django_assert_num_queries(7) as made:
        page = browser.get("/p/tides/labelers/?sort=-agreement&k=4").content.decode()
    assert len(made) <= 15
    assert 'aria-sort="descending"><a href="?sort=agreement&amp;k=4"' in page
    for number in range(6):
        labeler = make_member(crowd, f"more{number}", Role.LABELER)
        store_ranking(make_prompt(crowd, f"m{number}"), labeler, STRICT)
        store_ranking(make_check(crowd, Purpose.GOLD, f"g{number}"), labeler, GOLD)
    with django_assert_num_queries(7):
        assert "more5" in browser.get("/p/tides/labelers/").content.decode()


def test_the_file_has_the_same_rows_and_no_formula(
    crowd: Project, admin: Membership, signed_in: Callable[[Membership], Client]
) -> None:
    answer = signed_in(admin).get("/p/tides/labelers/labelers.csv?sort=-rankings")
    lines = list(csv.DictReader(answer.content.decode().splitlines()))
    assert [line["labeler"] for line in lines] == ["alice", "bob", "'=old", "carol"]
    assert lines[0]["agreement"] == "0.5"
    assert lines[0]["agreement_prompts"] == "2"
    assert lines[3]["agreement"] == lines[3]["last_active"] == ""


def test_a_filter_that_is_not_understood_is_said(
    crowd: Project, admin: Membership, signed_in: Callable[[Membership], Client]
) -> None:
    browser = signed_in(admin)
    for address in ("/p/tides/labelers/?k=x", "/p/tides/labelers/labelers.csv?k=x"):
        refused = browser.get(address)
        assert refused.status_code == 400
        assert "not a whole number" in refused.content.decode()


def test_a_project_without_labelers_says_so(
    project: Project, admin: Membership, signed_in: Callable[[Membership], Client]
) -> None:
    page = signed_in(admin).get("/p/tides/labelers/").content.decode()
    assert "Nobody ranks here yet" in page
