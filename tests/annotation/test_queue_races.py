"""Many people at the queue at once, on real connections, with the control beside it.

The moment between choosing a row and taking it is made longer, so that the races are
run and not merely possible.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.db import connection, transaction

from annotation import queue
from annotation.models import Assignment, AssignmentState, Membership, Project, Role
from annotation.shuffle import display_order
from tests.annotation.test_queue import claimed, let_the_lease_run_out
from tests.conftest import make_member, make_prompt

pytestmark = pytest.mark.django_db(transaction=True)
CLAIMERS = 64


def at_once(action: Callable[[Any], object], whos: list[Any]) -> list[Any]:
    """`action` for everybody, each in a thread and a connection of their own."""
    ready = Barrier(len(whos))

    def act(who: Any) -> object:
        try:
            connection.ensure_connection()
            ready.wait(timeout=60)
            return action(who)
        finally:
            connection.close()

    with ThreadPoolExecutor(len(whos)) as threads:
        return list(threads.map(act, whos))


@pytest.fixture
def crowd(project: Project) -> list[Membership]:
    return [make_member(project, f"m{n}", Role.LABELER) for n in range(CLAIMERS)]


@pytest.fixture
def _dawdling(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everybody takes 20 ms between choosing a row and taking it."""

    def slowly(**arguments: Any) -> list[int]:
        time.sleep(0.02)
        return display_order(**arguments)

    monkeypatch.setattr("annotation.queue.display_order", slowly)


def tokens(claims: list[Assignment | None]) -> list[str]:
    return [claim.token for claim in claims if claim is not None]


@pytest.mark.usefixtures("_dawdling")
def test_of_sixty_four_claimers_one_gets_the_one_slot(
    project: Project, crowd: list[Membership]
) -> None:
    make_prompt(project, slots=1)
    claims = at_once(queue.claim, crowd)
    assert len(tokens(claims)) == 1
    assert Assignment.objects.filter(state=AssignmentState.CLAIMED).count() == 1


@pytest.mark.usefixtures("_dawdling")
def test_sixty_four_claimers_get_sixty_four_different_slots(
    project: Project, crowd: list[Membership]
) -> None:
    for number in range(CLAIMERS // 2):
        make_prompt(project, f"p{number}", slots=2)
    claims = at_once(queue.claim, crowd)
    assert len(set(tokens(claims))) == CLAIMERS
    held = Assignment.objects.filter(state=AssignmentState.CLAIMED)
    assert held.values("labeler").distinct().count() == CLAIMERS


@pytest.mark.usefixtures("_dawdling")
def test_without_the_lock_the_same_slot_goes_to_many(
    project: Project, crowd: list[Membership], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: it must go wrong, or the two tests above prove nothing."""
    monkeypatch.setattr(queue, "LOCKED", "")
    make_prompt(project, slots=1)
    claims = at_once(queue.claim, crowd)
    assert len(tokens(claims)) > 1
    assert len(set(tokens(claims))) == 1


@pytest.mark.usefixtures("_dawdling")
def test_a_double_click_is_one_claim(project: Project, alice: Membership) -> None:
    for number in range(8):
        make_prompt(project, f"p{number}")
    claims = at_once(queue.claim, [alice] * 8)
    assert len(tokens(claims)) == 8
    assert len(set(tokens(claims))) == 1
    assert Assignment.objects.filter(labeler=alice).count() == 1


@pytest.mark.usefixtures("_dawdling")
def test_one_of_many_takes_over_an_abandoned_slot(
    project: Project, alice: Membership, crowd: list[Membership]
) -> None:
    make_prompt(project, slots=1)
    let_the_lease_run_out(claimed(alice))
    claims = at_once(queue.claim, crowd[:16])
    assert len(tokens(claims)) == 1
    states = sorted(Assignment.objects.values_list("state", flat=True))
    assert states == ["claimed", "expired"]


def test_a_claim_waits_for_nobody(project: Project, crowd: list[Membership]) -> None:
    """While one transaction holds the first row, the next claimer gets the second."""
    first, second = make_prompt(project, "p1", slots=1), make_prompt(project, "p2")
    second.assignment_set.update(seq=1)
    from_the_first = first.assignment_set.get()

    with transaction.atomic():
        Assignment.objects.select_for_update().get(pk=from_the_first.pk)
        (taken,) = at_once(queue.claim, crowd[:1])
    assert taken.prompt == second
