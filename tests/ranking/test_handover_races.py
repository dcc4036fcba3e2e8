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


def while_taken_over_by(labeler: Membership, action: Callable[[], T]) -> T:
    """Runs `action` between the moment in which `labeler` takes the next row and the
    commit of that; the action has come to wait for the row by then."""

    def act() -> T:
        try:
            return action()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as threads:
        with transaction.atomic():
            asking = queue._asking(labeler)
            free = Assignment.objects.raw(queue.NEXT_FOR + queue.LOCKED, asking)
            queue._take(next(iter(free)), labeler)
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


def test_who_loses_a_lapsed_prompt_while_claiming_gets_another(
    project: Project, alice: Membership, bob: Membership
) -> None:
    make_prompt(project, "p1", slots=1)
    let_the_lease_run_out(claimed(alice))
    second = make_prompt(project, "p2", slots=1)
    Assignment.objects.filter(prompt=second).update(seq=2**40)
    got = while_taken_over_by(bob, lambda: queue.claim(alice))
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

    def answer() -> Submitted:
        ranks: dict[str, Any] = {"A": 1, "B": 2, "C": 3, "D": 4}
        submission = Submission(uuid=uuid4(), ranks=ranks)
        return submit(membership=alice, token=late.token, submission=submission)

    assert while_taken_over_by(carol, answer).status == RankingStatus.LATE
