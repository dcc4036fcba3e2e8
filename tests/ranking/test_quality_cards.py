"""A labeler's card: the numbers of the report, in a fixed number of queries."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from annotation.models import (
    Assignment,
    AssignmentSource,
    Membership,
    Project,
    Purpose,
    Role,
)
from ranking.dashboards import agreement_report
from ranking.filters import Filters
from ranking.quality_cards import WholeCard, labeler_card
from ranking.quality_lines import AGREEMENT, Verdict
from ranking.quality_sittings import windows
from ranking.summaries import lock_and_summarize
from tests.conftest import make_member, make_prompt
from tests.ranking.checks import GOLD, make_check
from tests.ranking.rows import revise, store_ranking

pytestmark = pytest.mark.django_db

STRICT = {"r1": 1, "r2": 2, "r3": 3, "r4": 4}
SWAPPED = STRICT | {"r1": 2, "r2": 1}
TIED = dict.fromkeys(STRICT, 1)
NINE = datetime(2026, 11, 2, 9, tzinfo=UTC)


def card_of(labeler: Membership, **options: Any) -> WholeCard:
    return labeler_card(
        Membership.objects.select_related("project").get(pk=labeler.pk), **options
    )


@pytest.fixture
def worked(project: Project, alice: Membership, bob: Membership) -> Project:
    """Twelve prompts of both; alice has one again, one corrected, and gold."""
    shown = {"display_order": [1, 0, 2, 3]}
    for number in range(12):
        prompt = make_prompt(project, f"p{number:02}")
        store_ranking(
            prompt,
            alice,
            SWAPPED if number % 3 else STRICT,
            assignment=shown,
            active_seconds=20 + number,
            submitted_at=NINE + timedelta(minutes=5 * number),
        )
        store_ranking(prompt, bob, STRICT if number else TIED)
    again = {"repeat": 1, "source": AssignmentSource.DIRECT, **shown}
    store_ranking(prompt, alice, STRICT, assignment=again)
    revised = store_ranking(make_prompt(project, "q"), alice, TIED, active_seconds=0.1)
    revise(revised, STRICT, active_seconds=30.0)
    store_ranking(make_check(project, Purpose.GOLD, "g1"), alice, GOLD)
    store_ranking(make_check(project, Purpose.GOLD, "g2"), alice, TIED)
    make_check(project, Purpose.QUALIFICATION, "t1")
    return project


def test_the_card_says_what_the_report_says(worked: Project, alice: Membership) -> None:
    report = agreement_report(worked, Filters(pool="random"))
    [hers] = [row for row in report["labelers_detail"] if row["labeler"] == "alice"]
    card = card_of(alice)
    assert hers["vs_others"]["comparable"] == 66  # a tie of bob's leaves 11 prompts
    assert card.agreement.value == pytest.approx(hers["vs_others"]["value"])
    assert card.agreement.value == pytest.approx((66 - 8) / 66)
    assert card.self_consistency.value == pytest.approx(
        hers["self_consistency"]["value"]
    )
    assert card.position_bias.value == pytest.approx(hers["position_bias"]["slope"])
    assert card.gold.value == pytest.approx(hers["gold"]["value"])
    assert card.gold.value == 0.5
    assert card.tie_rate.own.value == pytest.approx(hers["tie_rate"])


def test_the_rest_of_the_card_by_hand(worked: Project, alice: Membership) -> None:
    card = card_of(alice)
    assert card.rankings == 14
    assert card.hurried.prompts == 13
    assert card.hurried.value == 0  # .1 s and 30 s for its correction
    assert card.tie_rate.own_there == 0
    assert card.tie_rate.others == pytest.approx(1 / 12)
    assert card.habits.untouched.of == 13
    [window] = windows(card.work)
    assert window.agreement.prompts == 11
    assert window.first_at == (NINE + timedelta(minutes=5)).timestamp()
    assert list(card.flagged()) == [
        name for name, m in card.measures().items() if m.verdict is Verdict.FLAGGED
    ]
    assert list(card.undecided()) == [
        name for name, m in card.measures().items() if m.verdict is Verdict.UNDECIDED
    ]


def test_it_takes_six_queries_whatever_there_is(
    worked: Project, alice: Membership, django_assert_num_queries: Any
) -> None:
    member = Membership.objects.select_related("project").get(pk=alice.pk)
    with django_assert_num_queries(6):
        labeler_card(member)
    carol = make_member(worked, "carol", Role.LABELER)
    for number in range(5):
        prompt = make_prompt(worked, f"more{number}")
        store_ranking(prompt, carol, STRICT)
        store_ranking(prompt, alice, STRICT)
    with django_assert_num_queries(6):
        labeler_card(member)


def test_targeted_prompts_never_measure_agreement(
    worked: Project, alice: Membership
) -> None:
    before = card_of(alice)
    assert before.agreement.prompts == 11
    Assignment.objects.filter(prompt__external_id="p03").update(pool="targeted")
    lock_and_summarize(worked.prompt_set.values_list("pk", flat=True))
    after = card_of(alice)
    assert after.agreement.prompts == 10
    assert after.rankings == before.rankings


def test_since_leaves_out_what_they_did_before(
    worked: Project, alice: Membership
) -> None:
    half = NINE + timedelta(minutes=30)
    assert card_of(alice, since=half).agreement.prompts == 6


def test_somebody_new_has_not_enough_data(project: Project, alice: Membership) -> None:
    card = card_of(alice)
    assert card.rankings == 0
    verdicts = {measure.verdict for measure in card.measures().values()}
    assert verdicts == {Verdict.NOT_ENOUGH}
    assert all(measure.why for measure in card.measures().values())


def test_the_line_for_gold_is_what_the_project_asks_for(
    worked: Project, alice: Membership
) -> None:
    assert card_of(alice).gold.line == AGREEMENT
    Project.objects.update(qualification_threshold=0.9)
    line = card_of(alice).gold.line
    assert line is not None
    assert line.least == 0.9


def test_only_the_latest_rankings_are_looked_at(
    worked: Project, alice: Membership, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ranking.quality_cards.MOST_RANKINGS", 5)
    assert card_of(alice).rankings == 5
