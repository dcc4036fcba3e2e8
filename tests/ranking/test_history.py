"""The latest rankings may be corrected for a while, by the database's clock."""

from datetime import timedelta

import pytest
from django.db import connection
from django.db.models.functions import Now

from annotation.models import Assignment, Membership, Project
from ranking.drafts import stored_content
from ranking.history import editable_until, latest_rankings, why_closed
from ranking.models import Ranking, RefusedSubmission
from ranking.submit import ConflictError
from tests.conftest import make_prompt
from tests.ranking.test_submit import (
    ORDER,
    claimed,
    let_the_lease_run_out,
    sent,
)

pytestmark = pytest.mark.django_db
OTHER = ORDER | {"A": 9}


def ranked(project: Project, labeler: Membership, number: int) -> Assignment:
    make_prompt(project, f"p{number}", slots=1)
    assignment = claimed(labeler)
    sent(labeler, assignment)
    return Assignment.objects.select_related("labeler__project").get(pk=assignment.pk)


def let_pass(ranking: Ranking, minutes: int) -> None:
    """The ranking was made so many minutes ago; its table refuses plain updates."""
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        Ranking.objects.filter(pk=ranking.pk).update(
            submitted_at=Now() - timedelta(minutes=minutes)
        )
        cursor.execute("SET session_replication_role = DEFAULT")


def test_a_ranking_may_be_corrected_for_an_hour(
    project: Project, alice: Membership
) -> None:
    assignment = ranked(project, alice, 1)
    submitted = Ranking.objects.get().submitted_at
    assert editable_until(assignment) == submitted + timedelta(minutes=60)
    assert why_closed(assignment) is None
    sent(alice, assignment, OTHER, replace=True)
    assert Ranking.objects.current().get().revises is not None


def test_after_the_hour_a_correction_is_refused_and_everything_kept(
    project: Project, alice: Membership
) -> None:
    assignment = ranked(project, alice, 1)
    let_pass(Ranking.objects.get(), 60)
    assert editable_until(assignment) is None
    with pytest.raises(
        ConflictError, match="for your last 5 rankings, for 60 minutes after each"
    ) as refused:
        sent(alice, assignment, OTHER, replace=True)
    assert not refused.value.may_replace
    assert refused.value.stored == ORDER
    assert Ranking.objects.count() == 1
    kept = RefusedSubmission.objects.get()
    assert kept.content["ranks"] == {"A": 4, "B": 1, "C": 2, "D": 3}
    assert kept.content["replace"] is True


def test_one_minute_before_it_is_taken(project: Project, alice: Membership) -> None:
    assignment = ranked(project, alice, 1)
    let_pass(Ranking.objects.get(), 59)
    assert not sent(alice, assignment, OTHER, replace=True).replayed
    assert Ranking.objects.count() == 2


def test_correcting_does_not_prolong_the_time(
    project: Project, alice: Membership
) -> None:
    assignment = ranked(project, alice, 1)
    let_pass(Ranking.objects.get(), 30)
    until = editable_until(assignment)
    sent(alice, assignment, OTHER, replace=True)
    assert editable_until(assignment) == until


def test_only_the_last_few_may_be_corrected(
    project: Project, alice: Membership
) -> None:
    Project.objects.update(editable_rankings=2)
    alice.project.refresh_from_db()
    first, second, third = (ranked(project, alice, number) for number in (1, 2, 3))
    assert editable_until(first) is None
    assert editable_until(second) is not None
    assert editable_until(third) is not None
    with pytest.raises(ConflictError, match="your last 2 rankings"):
        sent(alice, first, OTHER, replace=True)


@pytest.mark.parametrize("setting", ["editable_rankings", "editable_minutes"])
def test_a_project_may_allow_no_corrections(
    project: Project, alice: Membership, setting: str
) -> None:
    Project.objects.update(**{setting: 0})
    alice.project.refresh_from_db()
    assignment = ranked(project, alice, 1)
    assert "not changed any more" in str(why_closed(assignment))
    with pytest.raises(ConflictError, match="not changed any more"):
        sent(alice, assignment, OTHER, replace=True)


def test_others_rankings_do_not_push_mine_out(
    project: Project, alice: Membership, bob: Membership
) -> None:
    Project.objects.update(editable_rankings=1)
    mine = ranked(project, alice, 1)
    ranked(project, bob, 2)
    assert editable_until(mine) is not None


def test_a_first_ranking_is_taken_however_late_it_arrives(
    project: Project, alice: Membership
) -> None:
    """Made in time, kept in the outbox for days, behind many others."""
    Project.objects.update(editable_rankings=0, editable_minutes=0)
    alice.project.refresh_from_db()
    make_prompt(project, slots=1)
    assignment = claimed(alice)
    let_the_lease_run_out(assignment)
    Assignment.objects.filter(pk=assignment.pk).update(
        claimed_at=Now() - timedelta(days=3)
    )
    assert not sent(alice, assignment).replayed
    assert Ranking.objects.count() == 1


def test_the_latest_rankings_are_listed_without_texts(
    project: Project, alice: Membership, bob: Membership
) -> None:
    Project.objects.update(editable_rankings=2)
    alice.project.refresh_from_db()
    first, second, third = (ranked(project, alice, number) for number in (1, 2, 3))
    ranked(project, bob, 4)
    sent(alice, second, OTHER, replace=True)
    listed = latest_rankings(alice)
    assert [one.token for one in listed] == [third.token, second.token, first.token]
    assert [one.editable_until is not None for one in listed] == [True, True, False]
    revision = Ranking.objects.get(revises__isnull=False)
    assert listed[1].submitted_at == revision.submitted_at
    assert {one.status for one in listed} == {"counted"}


def test_a_stored_ranking_is_read_as_the_page_said_it(
    project: Project, alice: Membership
) -> None:
    assignment = ranked(project, alice, 1)
    assert stored_content(assignment) == {
        "ranks": ORDER,
        "ratings": {},
        "flags": {},
        "note": "",
    }
