"""Labelers are paused and let go on, and admins have the last word on the test."""

from collections.abc import Callable

import pytest
from django.db import transaction
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from annotation import standing
from annotation.models import (
    Assignment,
    AssignmentState,
    Membership,
    Project,
    Qualification,
    Role,
)
from annotation.queue import (
    NothingIsServed,
    SlotAfter,
    claim,
    complete,
    lock_for_answer,
    prefetch,
)
from tests.conftest import make_member, make_prompt

# Claims and pauses begin and end transactions of their own.
pytestmark = pytest.mark.django_db(transaction=True)

SignIn = Callable[[Membership], Client]


def of(labeler: Membership, verb: str = "") -> str:
    return f"/p/tides/members/{labeler.pk}/{verb}"


def test_a_paused_labeler_holds_nothing_and_is_handed_nothing(
    project: Project, alice: Membership, bob: Membership
) -> None:
    for name in ("p1", "p2"):
        make_prompt(project, name, slots=1)
    assert claim(alice) is not None
    assert prefetch(alice) is not None
    assert claim(bob) is None
    assert standing.pause(alice) == 2
    held = [AssignmentState.CLAIMED, AssignmentState.PREFETCHED]
    assert not Assignment.objects.filter(state__in=held).exists()
    with pytest.raises(NothingIsServed, match="paused"):
        claim(alice)
    assert claim(bob) is not None


def test_a_ranking_under_way_outlives_the_pause(
    project: Project, alice: Membership
) -> None:
    make_prompt(project, "p1", slots=1)
    held = claim(alice)
    assert held is not None
    assert standing.pause(alice) == 1
    with transaction.atomic():
        mine = lock_for_answer(membership=alice, token=held.token)
        assert mine.state == AssignmentState.EXPIRED
        assert complete(mine) is SlotAfter.FILLED
    assert list(Assignment.objects.values_list("state", flat=True)) == ["completed"]


def test_work_of_their_own_stays_with_a_paused_labeler(
    project: Project, alice: Membership
) -> None:
    make_prompt(project, "p1", slots=1)
    held = claim(alice)
    assert held is not None
    Assignment.objects.update(source="direct")
    assert standing.pause(alice) == 0
    held.refresh_from_db()
    assert held.state == AssignmentState.CLAIMED


def test_pausing_twice_keeps_the_first_moment(alice: Membership) -> None:
    standing.pause(alice)
    alice.refresh_from_db()
    first = alice.paused_at
    standing.pause(alice)
    alice.refresh_from_db()
    assert alice.paused_at == first is not None


def test_whoever_goes_on_is_handed_work_again(
    project: Project, alice: Membership, admin: Membership, signed_in: SignIn
) -> None:
    make_prompt(project)
    client = signed_in(admin)
    answer = client.post(of(alice, "pause/"))
    assert answer["Location"] == of(alice)
    assert "Paused since" in client.get(of(alice)).content.decode()
    assert ">paused</span>" in client.get("/p/tides/members/").content.decode()
    client.post(of(alice, "resume/"))
    assert claim(alice) is not None
    assert "Paused since" not in client.get(of(alice)).content.decode()


def test_an_admin_says_whether_somebody_qualified(
    project: Project, alice: Membership, admin: Membership, signed_in: SignIn
) -> None:
    make_prompt(project)
    client = signed_in(admin)
    client.post(of(alice, "qualification/"), {"decision": "failed"})
    alice.refresh_from_db()
    assert alice.qualification == Qualification.FAILED
    assert alice.qualification_decided_at is not None
    assert alice.qualification_decided_by == admin.user
    with pytest.raises(NothingIsServed, match="did not qualify"):
        claim(alice)
    page = client.get(of(alice)).content.decode()
    assert "decided by admin@example.org" in page
    client.post(of(alice, "qualification/"), {"decision": "passed"})
    assert claim(alice) is not None


def test_a_decision_can_be_left_to_the_test_again(
    alice: Membership, admin: Membership, signed_in: SignIn
) -> None:
    client = signed_in(admin)
    for decision in ("passed", "pending"):
        client.post(of(alice, "qualification/"), {"decision": decision})
    alice.refresh_from_db()
    assert alice.qualification == Qualification.PENDING
    assert alice.qualification_decided_at is None
    assert alice.qualification_decided_by is None
    assert "not decided yet" in client.get(of(alice)).content.decode()


@pytest.mark.parametrize("decision", ["", "maybe", "PASSED", "passed\0"])
def test_a_decision_that_is_none_is_refused(
    alice: Membership, admin: Membership, signed_in: SignIn, decision: str
) -> None:
    answer = signed_in(admin).post(of(alice, "qualification/"), {"decision": decision})
    assert answer.status_code == 422
    assert b"errorlist" in answer.content
    alice.refresh_from_db()
    assert alice.qualification == Qualification.PENDING


@pytest.mark.parametrize("verb", ["", "pause/", "resume/", "qualification/"])
def test_only_labelers_of_ones_own_project_can_be_decided_about(
    alice: Membership,
    admin: Membership,
    stranger: Membership,
    signed_in: SignIn,
    verb: str,
) -> None:
    sent = {"decision": "failed"}
    researcher = make_member(alice.project, "researcher", Role.RESEARCHER)

    def status(who: Membership, path: str) -> int:
        client = signed_in(who)
        return (client.post(path, sent) if verb else client.get(path)).status_code

    assert status(admin, of(researcher, verb)) == 404
    assert status(admin, of(admin, verb)) == 404
    theirs = f"/p/elsewhere/members/{alice.pk}/{verb}"
    assert status(stranger, theirs) == 404
    alice.refresh_from_db()
    assert (alice.paused_at, alice.qualification) == (None, Qualification.PENDING)


def test_the_page_of_a_labeler_has_a_fixed_cost(
    alice: Membership,
    admin: Membership,
    signed_in: SignIn,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    assert admin.user is not None
    passed = Qualification.PASSED
    standing.decide_qualification(alice, decision=passed, user=admin.user)
    client = signed_in(admin)
    with django_assert_num_queries(4):
        client.get(of(alice))
