"""Submissions at once, on real connections and with real commits."""

from uuid import uuid4

import pytest
from django.db import IntegrityError, connection, transaction

from annotation import queue
from annotation.models import Assignment, Membership, Project, Role
from ranking import submit as submitting
from ranking.models import Placement, Ranking, RefusedSubmission
from ranking.submit import BusyError, ConflictError, Submission, Submitted, submit
from tests.conftest import make_member, make_prompt
from tests.racing import at_once, once, together, wait_until_somebody_waits
from tests.ranking.test_submit import ORDER, claimed, let_the_lease_run_out

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def _all_wait_for_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is the first to store a ranking waits until somebody waits for them."""

    def slowly(assignment: Assignment) -> queue.SlotAfter:
        first_waits()
        return complete(assignment)

    complete, first_waits = queue.complete, once(wait_until_somebody_waits)
    monkeypatch.setattr(queue, "complete", slowly)


@pytest.mark.usefixtures("_all_wait_for_the_first")
def test_thirty_two_posts_of_one_submission_make_one_ranking(
    project: Project, alice: Membership
) -> None:
    make_prompt(project)
    token, key = claimed(alice).token, uuid4()

    def post(_number: int) -> Submitted:
        submission = Submission(uuid=key, ranks=ORDER)
        return submit(membership=alice, token=token, submission=submission)

    answers = at_once(post, list(range(32)))
    assert sorted(answer.replayed for answer in answers) == [False] + [True] * 31
    assert len({answer.ranking.pk for answer in answers}) == 1
    assert Ranking.objects.count() == 1
    assert Placement.objects.count() == 4


@pytest.mark.usefixtures("_all_wait_for_the_first")
def test_of_many_different_rankings_at_once_one_is_stored(
    project: Project, alice: Membership
) -> None:
    make_prompt(project)
    token = claimed(alice).token

    def post(number: int) -> str:
        submission = Submission(uuid=uuid4(), ranks=ORDER | {"A": number})
        try:
            submit(membership=alice, token=token, submission=submission)
        except ConflictError:
            return "conflict"
        return "stored"

    answers = at_once(post, [1, 2, 3, 9])
    assert sorted(answers) == ["conflict"] * 3 + ["stored"]
    assert Ranking.objects.count() == 1


def test_without_the_lock_first_rankings_meet_the_constraint(
    project: Project, alice: Membership, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: with the lock off two submissions have found nothing before either
    is stored, and collide in the database."""
    make_prompt(project)
    token = claimed(alice).token

    def unlocked(*, membership: Membership, token: str) -> Assignment:
        found = Assignment.objects.select_related("prompt")
        return found.get(labeler=membership, token=token)

    def slowly(assignment: Assignment) -> queue.SlotAfter:
        both_have_looked()
        return complete(assignment)

    complete, both_have_looked = queue.complete, together(2)
    monkeypatch.setattr(queue, "lock_for_answer", unlocked)
    monkeypatch.setattr(queue, "complete", slowly)

    def post(number: int) -> str:
        submission = Submission(uuid=uuid4(), ranks=ORDER, note=str(number))
        try:
            submit(membership=alice, token=token, submission=submission)
        except IntegrityError as error:
            return str(error)
        return "stored"

    collided, stored = sorted(at_once(post, [1, 2]), key="stored".__eq__)
    assert "an_assignment_has_one_first_ranking" in collided
    assert stored == "stored"
    assert Ranking.objects.count() == 1


def test_of_three_holders_of_two_slots_two_count(
    project: Project, alice: Membership, bob: Membership
) -> None:
    """One held it too long and lost it; all three submit in the same moment."""
    make_prompt(project, slots=2)
    carol = make_member(project, "carol", Role.LABELER)
    held = {alice: claimed(alice), bob: claimed(bob)}
    let_the_lease_run_out(held[alice])
    held[carol] = claimed(carol)

    def post(labeler: Membership) -> str:
        submission = Submission(uuid=uuid4(), ranks=ORDER)
        token = held[labeler].token
        return submit(membership=labeler, token=token, submission=submission).status

    answers = dict(zip(held, at_once(post, list(held)), strict=True))
    assert answers[bob] == answers[carol] == "counted"
    assert answers[alice] in ("late", "surplus")


def test_nothing_is_half_stored_when_the_database_refuses_at_commit(
    project: Project, alice: Membership, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ranking that slipped past the checks is stopped by the trigger, whole."""
    make_prompt(project)
    held = claimed(alice)
    monkeypatch.setattr(submitting, "check_complete", lambda *_: None)
    with pytest.raises(Exception, match="incomplete"):
        submit(
            membership=alice,
            token=held.token,
            submission=Submission(uuid=uuid4(), ranks={"A": 1, "B": 2}),
        )
    held.refresh_from_db()
    assert held.state == "claimed"
    assert not Ranking.objects.exists()
    assert not Placement.objects.exists()


@pytest.mark.usefixtures("_all_wait_for_the_first")
@pytest.mark.parametrize("same_key", [True, False])
def test_of_many_bodies_at_once_one_is_stored_and_all_others_are_kept(
    project: Project, alice: Membership, *, same_key: bool
) -> None:
    """F20 and F21: nothing that somebody sent is gone."""
    make_prompt(project)
    token, key = claimed(alice).token, uuid4()

    def post(number: int) -> str:
        submission = Submission(
            uuid=key if same_key else uuid4(), ranks=ORDER, note=f"number {number}"
        )
        try:
            submit(membership=alice, token=token, submission=submission)
        except ConflictError as error:
            return f"conflict with {error.stored}"
        return "stored"

    answers = at_once(post, list(range(16)))
    assert sorted(answers) == [f"conflict with {ORDER}"] * 15 + ["stored"]
    notes = {kept.content["note"] for kept in RefusedSubmission.objects.all()}
    assert notes | {Ranking.objects.get().note} == {f"number {n}" for n in range(16)}
    assert len(notes) == 15


def test_a_lock_that_cannot_be_had_is_said_and_not_waited_for(
    project: Project, alice: Membership
) -> None:
    """The limit is the connection's; that of the thread gets a short one."""
    make_prompt(project)
    held = claimed(alice)

    def post(labeler: Membership) -> str:
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '50ms'")
        submission = Submission(uuid=uuid4(), ranks=ORDER)
        try:
            submit(membership=labeler, token=held.token, submission=submission)
        except BusyError as error:
            return str(error)
        return "stored"

    with transaction.atomic():
        Assignment.objects.select_for_update().get(pk=held.pk)
        assert at_once(post, [alice]) == ["The ranking could not be stored just now."]
    assert at_once(post, [alice]) == ["stored"]


def test_no_connection_waits_for_a_lock_or_sits_in_a_transaction_for_long() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_setting('lock_timeout'),"
            " current_setting('idle_in_transaction_session_timeout')"
        )
        assert cursor.fetchone() == ("3s", "30s")
