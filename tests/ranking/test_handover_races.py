"""A slot changes hands at the very moment its old holder claims or answers."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar
from uuid import uuid4

import pytest
from django.db import connection, transaction

from annotation import queue
from annotation.models import (
    Assignment,
    AssignmentState,
    Membership,
    Project,
    Role,
)
from ranking.models import RankingStatus
from ranking.submit import Submission, Submitted, submit
from tests.annotation.test_queue import claimed, let_the_lease_run_out
from tests.conftest import make_member, make_prompt

pytestmark = pytest.mark.django_db(transaction=True)

WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted"
SECONDS = 20
T = TypeVar("T")


def meanwhile(change: Callable[[], object], action: Callable[[], T]) -> T:
    """Runs `action` between `change` and its commit; it has come to wait by then."""

    def act() -> T:
        try:
            return action()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as threads:
        with transaction.atomic():
            change()
            waiting = threads.submit(act)
            wait_until_somebody_waits()
        return waiting.result(timeout=SECONDS)


def wait_until_somebody_waits() -> None:
    deadline = time.monotonic() + SECONDS
    with connection.cursor() as cursor:
        while True:
            cursor.execute(WAITING)
            if cursor.fetchone()[0]:
                return
            assert time.monotonic() < deadline, "nobody waits for the lock"
            time.sleep(0.01)


def ranked_by(labeler: Membership, token: str) -> Submitted:
    ranks: dict[str, Any] = {"A": 1, "B": 2, "C": 3, "D": 4}
    submission = Submission(uuid=uuid4(), ranks=ranks)
    return submit(membership=labeler, token=token, submission=submission)


def test_who_loses_a_lapsed_prompt_while_claiming_gets_another(
    project: Project, alice: Membership, bob: Membership
) -> None:
    make_prompt(project, "p1", slots=1)
    let_the_lease_run_out(claimed(alice))
    second = make_prompt(project, "p2", slots=1)
    got = meanwhile(lambda: claimed(bob), lambda: queue.claim(alice))
    assert got is not None
    assert (got.state, got.prompt) == (AssignmentState.CLAIMED, second)


def test_a_late_answer_is_kept_while_the_slot_changes_hands_once_more(
    project: Project, alice: Membership, bob: Membership
) -> None:
    carol = make_member(project, "carol", Role.LABELER)
    make_prompt(project, slots=1)
    late = claimed(alice)
    let_the_lease_run_out(late)
    let_the_lease_run_out(claimed(bob))
    answered = meanwhile(lambda: claimed(carol), lambda: ranked_by(alice, late.token))
    assert answered.status == RankingStatus.LATE


def test_who_gives_back_what_somebody_takes_over_gave_nothing(
    project: Project, alice: Membership, bob: Membership
) -> None:
    make_prompt(project, slots=1)
    lapsed = claimed(alice)
    let_the_lease_run_out(lapsed)
    assert not meanwhile(lambda: claimed(bob), lambda: queue.release(lapsed))
    states = sorted(Assignment.objects.values_list("state", flat=True))
    assert states == ["claimed", "expired"]


def test_who_takes_over_what_is_given_back_finds_it_open_afterwards(
    project: Project, alice: Membership, bob: Membership
) -> None:
    """A claim does not wait for the lapsed row; the next one has the open slot."""
    make_prompt(project, slots=1)
    lapsed = claimed(alice)
    let_the_lease_run_out(lapsed)
    with transaction.atomic():
        queue.release(lapsed)
        with ThreadPoolExecutor(1) as threads:
            assert threads.submit(closing(queue.claim), bob).result(SECONDS) is None
    assert claimed(bob).prompt == lapsed.prompt
    assert Assignment.objects.count() == 1


def closing(action: Callable[..., T]) -> Callable[..., T]:
    """The same, on a connection that is closed afterwards."""

    def act(*arguments: Any) -> T:
        try:
            return action(*arguments)
        finally:
            connection.close()

    return act


def test_a_skip_waits_for_the_ranking_that_came_first(
    project: Project, alice: Membership
) -> None:
    make_prompt(project, slots=1)
    held = claimed(alice)

    def skip() -> object:
        return queue.skip(membership=alice, token=held.token, reason="all_bad")

    def rank() -> None:
        locked = queue.lock_for_answer(membership=alice, token=held.token)
        queue.complete(locked)

    with pytest.raises(queue.RankedAlreadyError, match="the ranking is kept"):
        meanwhile(rank, skip)
    assert list(Assignment.objects.values_list("state", flat=True)) == ["completed"]


def test_a_ranking_that_waited_for_a_skip_fills_the_slot_that_lies_open(
    project: Project, alice: Membership
) -> None:
    make_prompt(project, slots=1)
    held = claimed(alice)
    answered = meanwhile(
        lambda: queue.skip(membership=alice, token=held.token, reason="all_bad"),
        lambda: ranked_by(alice, held.token),
    )
    assert answered.status == RankingStatus.COUNTED
    assert list(Assignment.objects.values_list("state", flat=True)) == ["completed"]
