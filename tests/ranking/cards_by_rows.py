"""The numbers of the cards, and what the rankings themselves say, one by one."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db.models import Count, Max, Q

from annotation.models import Membership, Project
from ranking.answers import Answers
from ranking.dashboards import agreement_report
from ranking.filters import Filters
from ranking.gold import share
from ranking.models import Ranking
from ranking.quality_cards import MOST_LISTED, MOST_RANKINGS, Card, labeler_card
from ranking.quality_lines import Measure, measure_of
from ranking.quality_list import RECENT, labelers_list
from tests.ranking import answer_by_answer as slow
from tests.ranking.answers_by_rows import answers_of_rows, latest_of
from tests.ranking.judged import report_by_rows

MEASURES: Mapping[str, Callable[..., Any]] = {
    "agreement": slow.agreement,
    "self_consistency": slow.self_consistency,
    "hurried": slow.hurried,
    "seconds_per_100_words": slow.seconds_per_100_words,
    "median_pace": slow.median_pace,
    "position_bias": slow.position_bias,
    "length_bias": slow.length_bias,
    "tie_rate": slow.tie_rate,
    "fatigue": lambda rows: slow.fatigue(rows)[0],
    "fatigue_of_pace": lambda rows: slow.fatigue(rows)[1],
}


def measured(answers: Answers, name: str) -> Any:
    """A number as a card has it."""
    nothing = measure_of(share([]), missing="")
    card = Card(labeler=Membership(), answers=answers, gold=nothing)
    return getattr(card, name)


def assert_same(found: Any, expected: Any) -> None:
    """To the last digits: sums may be made in another order."""
    if not hasattr(expected, "__slots__"):
        assert found == pytest.approx(expected, abs=1e-9)
        return
    for name in expected.__slots__:
        one, other = getattr(found, name), getattr(expected, name)
        if isinstance(other, Measure):
            assert_same(one, other)
        elif isinstance(other, float | tuple):
            assert one == pytest.approx(other, abs=1e-9)
        else:
            assert one == other


def assert_cards_are_right(project: Project) -> None:
    """Report, list and cards say what the rankings say, whoever is withdrawn."""
    filters = Filters(include=frozenset({"late", "surplus"}))
    for chosen in (Filters(), filters):
        assert agreement_report(project, chosen) == report_by_rows(project, chosen)
        for row in labelers_list(project, chosen):
            mine = latest_of(project, row.card.labeler, chosen, most=MOST_LISTED)
            _assert_card_is(row.card, mine)
            _assert_activity_is(row)
    for person in Membership.objects.filter(project=project, role="labeler"):
        mine = latest_of(
            project, person, Filters(), most=MOST_RANKINGS, even_of=person.pk
        )
        _assert_card_is(labeler_card(person), mine)


def _assert_card_is(card: Card, latest: Any) -> None:
    expected = answers_of_rows(card.labeler.project, card.labeler, latest)
    assert card.rankings == len(expected.all)
    for name, by_hand in MEASURES.items():
        rows = expected.all if name == "self_consistency" else expected.work
        assert_same(getattr(card, name), by_hand(rows))


def _assert_activity_is(row: Any) -> None:
    week_ago = datetime.now(UTC) - RECENT
    theirs = Ranking.objects.current().filter(assignment__labeler=row.card.labeler)
    said = theirs.aggregate(
        rankings=Count("pk"),
        recent=Count("pk", filter=Q(submitted_at__gte=week_ago)),
        last_at=Max("submitted_at"),
    )
    assert {name: getattr(row.activity, name) for name in said} == said
