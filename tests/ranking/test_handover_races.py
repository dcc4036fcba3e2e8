"""A slot changes hands at the very moment its old holder claims or answers."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.db.models import QuerySet

from annotation import leases, queue, taking
from annotation.models import (
    Assignment,
    AssignmentState,
    Membership,
    Project,
    Role,
)
from annotation.queue_statements import KEEP, UNSEEN
from ranking import entry
from ranking.drafts import DraftConflictError, save_draft
from ranking.models import Draft, Ranking, RankingStatus
from ranking.submit import Submission, Submitted, submit
from tests.annotation.test_queue import claimed, let_the_lease_run_out
from tests.conftest import make_member, make_prompt
from tests.racing import SECONDS, closing, meanwhile, started

pytestmark = pytest.mark.django_db(transaction=True)


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


def test_a_late_answer_leaves_an_open_slot_to_whom_a_claim_is_giving_it(
    project: Project, alice: Membership, bob: Membership
) -> None:
    """It finds the slot open, waits for the claim, and must look again."""
    carol = make_member(project, "carol", Role.LABELER)
    make_prompt(project, slots=1)
    late = claimed(alice)
    let_the_lease_run_out(late)
    his = claimed(bob)
    queue.renew(his)
    queue.release(his)
    answered = meanwhile(lambda: claimed(carol), lambda: ranked_by(alice, late.token))
    assert answered.status == RankingStatus.LATE
    assert queue.held_by(carol).exists()


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


# --- What is taken back, kept, or answered by an old page -------------------------


@pytest.fixture
def _locks_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are looked at and not locked."""
    monkeypatch.setattr(QuerySet, "select_for_update", lambda rows, **_: rows)


def taken_back_while_being_ranked(alice: Membership, held: Assignment) -> bool:
    def rank() -> None:
        queue.complete(queue.lock_for_answer(membership=alice, token=held.token))

    return meanwhile(rank, lambda: queue.take_back(held))


def test_what_is_ranked_at_this_moment_is_not_taken_back(
    project: Project, alice: Membership
) -> None:
    make_prompt(project, slots=1)
    assert not taken_back_while_being_ranked(alice, claimed(alice))
    assert list(Assignment.objects.values_list("state", flat=True)) == ["completed"]


@pytest.mark.usefixtures("_locks_off")
def test_without_the_lock_a_ranking_loses_its_slot(
    project: Project, alice: Membership
) -> None:
    """The control: it was held when `take_back` looked."""
    make_prompt(project, slots=1)
    assert taken_back_while_being_ranked(alice, claimed(alice))
    states = sorted(Assignment.objects.values_list("state", flat=True))
    assert states == ["expired", "open"]


@pytest.fixture
def at_work(project: Project, alice: Membership) -> tuple[Assignment, Assignment]:
    """What alice ranks, and what was loaded ahead for her, whose two minutes are over:
    all that there is."""
    for number in (1, 2):
        make_prompt(project, f"p{number}", slots=1)
    held, ahead = claimed(alice), queue.prefetch(alice)
    assert ahead is not None
    let_the_lease_run_out(ahead)
    return held, ahead


def test_what_somebody_at_work_keeps_waiting_is_passed_by(
    at_work: tuple[Assignment, Assignment], bob: Membership
) -> None:
    held, ahead = at_work
    with transaction.atomic():
        assert queue.renew(held)
        with ThreadPoolExecutor(1) as threads:
            claim = started(threads, lambda: queue.claim(bob))
            assert claim.result(timeout=SECONDS) is None
    ahead.refresh_from_db()
    assert ahead.state == "prefetched"


def test_without_the_lock_what_was_kept_a_moment_ago_is_taken_over(
    at_work: tuple[Assignment, Assignment],
    bob: Membership,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The control: the claim saw the lease as it was."""
    held, ahead = at_work
    monkeypatch.setattr(taking, "LOCK_UNSEEN", UNSEEN)
    taken = meanwhile(lambda: queue.renew(held), lambda: queue.claim(bob))
    assert taken is not None
    assert taken.prompt == ahead.prompt


def renewed_during_a_takeover(
    held: Assignment, ahead: Assignment, bob: Membership
) -> tuple[bool, bool]:
    """Whether the claim was renewed, and whether the lapsed row's lease was."""
    before = Assignment.objects.get(pk=ahead.pk).lease_until
    renewed = meanwhile(lambda: claimed(bob), lambda: queue.renew(held))
    ahead.refresh_from_db()
    assert ahead.state == "expired"
    return renewed, ahead.lease_until != before


def test_who_is_at_work_does_not_keep_what_is_being_taken_over(
    at_work: tuple[Assignment, Assignment], bob: Membership
) -> None:
    assert renewed_during_a_takeover(*at_work, bob) == (True, False)


def test_without_looking_again_a_lost_row_would_be_kept(
    at_work: tuple[Assignment, Assignment],
    bob: Membership,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The control: found by a subquery, the state is not looked at after the wait."""
    again = "AND ahead.state = 'prefetched' AND ahead.id <> kept.id"
    found = "AND ahead.id IN (SELECT id FROM annotation_assignment WHERE state ="
    assert again in KEEP
    once_only = KEEP.replace(
        again, f"{found} 'prefetched' AND labeler_id = %(labeler)s)"
    )
    monkeypatch.setattr(leases, "KEEP", once_only)
    assert renewed_during_a_takeover(*at_work, bob) == (True, True)


@pytest.fixture
def lost_unseen(
    at_work: tuple[Assignment, Assignment], alice: Membership, bob: Membership
) -> Assignment:
    """What bob took over from alice before she saw it, and gave back: it lies open."""
    held, ahead = at_work
    his = claimed(bob)
    queue.complete(held)
    queue.release(his)
    ahead.refresh_from_db()
    assert (ahead.state, ahead.shown_at) == ("expired", None)
    return ahead


def test_an_old_page_answers_while_its_prompt_is_handed_out_to_her_again(
    lost_unseen: Assignment, alice: Membership
) -> None:
    """`mark_seen` waits for the claim, which has the prompt then."""
    answered = meanwhile(
        lambda: claimed(alice), lambda: ranked_by(alice, lost_unseen.token)
    )
    assert answered.status == RankingStatus.LATE
    again = queue.held_by(alice).get()
    assert again.prompt == lost_unseen.prompt
    assert ranked_by(alice, again.token).status == RankingStatus.COUNTED


@pytest.fixture
def _unconstrained() -> Iterator[None]:
    """A prompt may come to a labeler any number of times."""
    [once] = [
        constraint
        for constraint in Assignment._meta.constraints
        if constraint.name == "a_prompt_comes_once_to_a_labeler"
    ]
    with connection.schema_editor() as editor:
        editor.remove_constraint(Assignment, once)
    yield
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE annotation_assignment CASCADE")
    with connection.schema_editor() as editor:
        editor.add_constraint(Assignment, once)


@pytest.mark.usefixtures("_unconstrained")
def test_without_the_constraint_one_prompt_is_hers_twice(
    lost_unseen: Assignment, alice: Membership
) -> None:
    """The control: nobody makes the old page wait for the claim itself, only for the
    open row; both rows count as seen by her."""
    meanwhile(lambda: claimed(alice), lambda: ranked_by(alice, lost_unseen.token))
    seen = Assignment.objects.filter(labeler=alice, prompt=lost_unseen.prompt)
    assert seen.exclude(state="expired", shown_at=None).count() == 2


# --- Drafts -----------------------------------------------------------------------

BEGUN = {"ranks": {"A": 1}, "ratings": {}, "flags": {}, "note": ""}


def saved_while_being_submitted(
    alice: Membership, token: str, monkeypatch: pytest.MonkeyPatch
) -> list[dict[str, Any]]:
    """The drafts that are there once another tab's first save, which comes between
    the end of a submission's work and its commit, is through as well."""
    saving: list[Future[object]] = []

    def save() -> object:
        row = Assignment.objects.select_related("prompt").get(token=token)
        try:
            return save_draft(row, rev=0, content=BEGUN)
        except DraftConflictError as error:
            return error.content

    def answered(_: Ranking) -> None:
        saving.append(started(threads, save))

    monkeypatch.setattr(entry, "answered", answered)
    with ThreadPoolExecutor(1) as threads:
        ranked_by(alice, token)
        saving[0].result(timeout=SECONDS)
    return list(Draft.objects.values_list("content", flat=True))


@pytest.mark.parametrize("late", [False, True])
def test_a_first_save_waits_for_the_submission_and_hides_nothing(
    project: Project,
    alice: Membership,
    bob: Membership,
    monkeypatch: pytest.MonkeyPatch,
    *,
    late: bool,
) -> None:
    """Of a late ranking the row does not change at all, so nothing of it tells."""
    make_prompt(project, slots=1)
    held = claimed(alice)
    if late:
        queue.renew(held)
        let_the_lease_run_out(held)
        claimed(bob)
    assert saved_while_being_submitted(alice, held.token, monkeypatch) == []


@pytest.mark.usefixtures("_locks_off")
def test_without_the_lock_a_draft_hides_the_ranking(
    project: Project, alice: Membership, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control."""
    make_prompt(project, slots=1)
    held = claimed(alice)
    queue.renew(held)
    assert saved_while_being_submitted(alice, held.token, monkeypatch) == [BEGUN]
