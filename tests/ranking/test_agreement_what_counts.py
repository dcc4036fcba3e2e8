"""The table "What counts" of agreement.md, row by row, through the whole report.

alice and bob have ranked one prompt alike: six pairs compared, all equal. Each test
adds a ranking that says the opposite, and looks for what changes.
"""

import io
import json
from typing import Any

import pytest
from django.db.models.functions import Now

from annotation.models import (
    AssignmentSource,
    Membership,
    Project,
    Prompt,
    PromptRejection,
    Purpose,
    Response,
    Role,
)
from ranking.dashboards import agreement_report
from ranking.filters import Filters
from ranking.imports import import_rankings
from ranking.models import Ranking, RankingStatus
from tests.conftest import make_member, make_prompt
from tests.ranking.rows import revise, store_ranking

pytestmark = pytest.mark.django_db

ORDER = {"r1": 1, "r2": 2, "r3": 3, "r4": 4}
REVERSED = {"r1": 4, "r2": 3, "r3": 2, "r4": 1}


@pytest.fixture
def prompt(project: Project, alice: Membership, bob: Membership) -> Prompt:
    """Ranked alike by alice and bob."""
    prompt = make_prompt(project)
    for labeler in (alice, bob):
        store_ranking(prompt, labeler, ORDER)
    return prompt


@pytest.fixture
def carol(project: Project) -> Membership:
    return make_member(project, "carol", Role.LABELER)


def headline(project: Project, **filters: Any) -> tuple[int, int, int]:
    """Rankings that count, pairs that agree, pairs compared."""
    found = agreement_report(project, Filters(**{"pool": "random"} | filters))
    return found["rankings"], found["strict"]["agree"], found["strict"]["comparable"]


ALIKE = (2, 6, 6)
# Against each of the two, six pairs more, all opposite.
WITH_THE_OPPOSITE = (3, 6, 18)


def test_current_work_from_the_random_sample_counts(
    project: Project, prompt: Prompt, carol: Membership
) -> None:
    assert headline(project) == ALIKE
    store_ranking(prompt, carol, REVERSED)
    assert headline(project) == WITH_THE_OPPOSITE


def test_an_imported_ranking_counts(project: Project, prompt: Prompt) -> None:
    line = {"prompt_id": "p1", "labeler": "zoe", "ranks": REVERSED}
    import_rankings(project, io.BytesIO(json.dumps(line).encode()))
    assert headline(project) == WITH_THE_OPPOSITE


def test_the_targeted_pool_counts_only_where_it_is_asked_for(
    project: Project, prompt: Prompt, carol: Membership
) -> None:
    store_ranking(prompt, carol, REVERSED, assignment={"pool": "targeted"})
    assert headline(project) == ALIKE
    assert headline(project, pool="targeted") == (1, 0, 0)
    assert headline(project, pool="all") == WITH_THE_OPPOSITE


@pytest.mark.parametrize("status", [RankingStatus.LATE, RankingStatus.SURPLUS])
def test_late_and_surplus_rankings_count_only_where_they_are_included(
    project: Project, prompt: Prompt, carol: Membership, status: RankingStatus
) -> None:
    store_ranking(prompt, carol, REVERSED, status=status)
    other = {RankingStatus.LATE, RankingStatus.SURPLUS} - {status}
    assert headline(project) == ALIKE
    assert headline(project, include=frozenset(other)) == ALIKE
    assert headline(project, include=frozenset({status.value})) == WITH_THE_OPPOSITE


def test_a_repeat_counts_in_self_consistency_alone(
    project: Project, prompt: Prompt, alice: Membership
) -> None:
    again = {"repeat": 1, "source": AssignmentSource.DIRECT}
    store_ranking(prompt, alice, REVERSED, assignment=again)
    assert headline(project) == ALIKE
    report = agreement_report(project, Filters(pool="random"))
    own = [(r["labeler"], r["self_consistency"]) for r in report["labelers_detail"]]
    compared = [(name, o["agree"], o["comparable"]) for name, o in own]
    assert compared == [("alice", 0, 6), ("bob", 0, 0)]
    assert report["pairs"] == 12


@pytest.mark.parametrize(
    "purpose", [Purpose.GOLD, Purpose.TRAINING, Purpose.QUALIFICATION]
)
def test_prompts_with_a_known_order_count_in_gold_alone(
    project: Project,
    prompt: Prompt,
    alice: Membership,
    bob: Membership,
    purpose: Purpose,
) -> None:
    check = make_prompt(project, "check")
    Prompt.objects.filter(pk=check.pk).update(purpose=purpose, gold=ORDER)
    store_ranking(check, alice, ORDER)
    store_ranking(check, bob, REVERSED)
    assert headline(project) == ALIKE
    report = agreement_report(project, Filters(pool="random"))
    gold = [r["gold"] for r in report["labelers_detail"]]
    assert [(g["agree"], g["comparable"]) for g in gold] == [(6, 6), (0, 6)]


def test_a_paused_labeler_counts(
    project: Project, prompt: Prompt, carol: Membership
) -> None:
    store_ranking(prompt, carol, REVERSED)
    Membership.objects.filter(pk=carol.pk).update(paused_at=Now())
    assert headline(project) == WITH_THE_OPPOSITE


def test_a_prompt_that_was_taken_out_does_not_count(
    project: Project, prompt: Prompt, alice: Membership
) -> None:
    out = make_prompt(project, "out")
    store_ranking(out, alice, REVERSED)
    rejection = PromptRejection.objects.create(prompt=out, reason="Not a question.")
    assert headline(project) == ALIKE
    rejection.delete()
    assert headline(project) == (3, 6, 6)


def test_of_several_revisions_the_current_one_counts(
    project: Project, prompt: Prompt, bob: Membership
) -> None:
    first = Ranking.objects.get(assignment__labeler=bob)
    second = revise(first, REVERSED)
    assert headline(project) == (2, 0, 6)
    revise(second, ORDER)
    assert headline(project) == ALIKE


def test_two_projects_never_meet(
    project: Project, prompt: Prompt, stranger: Membership
) -> None:
    store_ranking(make_prompt(stranger.project), stranger, REVERSED)
    assert headline(project) == ALIKE
    assert headline(stranger.project) == (1, 0, 0)


def test_ids_of_responses_and_not_the_order_of_their_making_orient_a_pair(
    project: Project, alice: Membership, bob: Membership
) -> None:
    """Made last, first by id: lengths and places on the page go with the right one."""
    prompt = make_prompt(project, k=3)
    Response.objects.create(prompt=prompt, external_id="r0", text="The longest of all.")
    ranks = {"r0": 1, "r1": 2, "r2": 3, "r3": 4}
    store_ranking(prompt, alice, ranks, assignment={"display_order": [0, 1, 2, 3]})
    store_ranking(prompt, bob, ranks, assignment={"display_order": [3, 2, 1, 0]})
    report = agreement_report(project, Filters(pool="random"))
    for row, slope in zip(report["labelers_detail"], (1, -1), strict=True):
        assert row["position_bias"]["slope"] == slope
        length = row["length_bias"]  # the other three are of one length
        assert (length["longer_wins"], length["comparable"]) == (3, 3)
