"""What becomes of a prompt that somebody will not rank."""

import pytest
from django.db import transaction

from annotation import queue
from annotation.models import (
    Assignment,
    AssignmentState,
    Membership,
    ProblemReport,
    Project,
    Prompt,
    PromptRejection,
    Role,
    Skip,
    SkipReason,
)
from annotation.queue import SlotAfter
from tests.annotation.test_queue import claimed, let_the_lease_run_out
from tests.conftest import make_member, make_prompt

pytestmark = pytest.mark.django_db


@pytest.fixture
def carol(project: Project) -> Membership:
    return make_member(project, "carol", Role.LABELER)


def skipped(held: Assignment, reason: str = "cannot_judge", text: str = "") -> Skip:
    assert held.labeler is not None
    return queue.skip(
        membership=held.labeler, token=held.token, reason=reason, text=text
    )


def states(prompt: Prompt) -> list[str]:
    return sorted(prompt.assignment_set.values_list("state", flat=True))


def rejected(prompt: Prompt) -> bool:
    return PromptRejection.objects.filter(prompt=prompt).exists()


# --- Skipping ---------------------------------------------------------------------


@pytest.mark.parametrize("reason", ["all_bad", "cannot_judge", "other"])
def test_a_skipped_slot_is_open_for_others_only(
    project: Project, alice: Membership, bob: Membership, reason: str
) -> None:
    prompt = make_prompt(project, slots=1)
    held = claimed(alice)
    skip = skipped(held, reason, " It is in French. ")
    held.refresh_from_db()
    assert (held.state, held.labeler) == (AssignmentState.SKIPPED, alice)
    assert held.closed_at is not None
    assert (skip.assignment, skip.reason, skip.text) == (
        held,
        reason,
        "It is in French.",
    )
    assert queue.claim(alice) is None
    assert claimed(bob).prompt == prompt


def test_a_skipped_slot_comes_after_the_work_that_waits(
    project: Project, alice: Membership, bob: Membership
) -> None:
    make_prompt(project, "p1", slots=1)
    make_prompt(project, "p2", slots=1)
    skipped(claimed(alice))
    assert [claimed(bob).prompt.external_id] == ["p2"]


def test_the_time_spent_on_a_skipped_prompt_is_kept(
    project: Project, alice: Membership
) -> None:
    make_prompt(project)
    queue.skip(
        membership=alice,
        token=claimed(alice).token,
        reason=SkipReason.ALL_BAD,
        active_seconds=12.5,
    )
    assert Skip.objects.get().active_seconds == 12.5


def test_skipping_twice_is_skipping_once(project: Project, alice: Membership) -> None:
    prompt = make_prompt(project, slots=1)
    held = claimed(alice)
    first = skipped(held, "all_bad")
    again = skipped(held, "other", "Another word.")
    assert (again, again.reason) == (first, "all_bad")
    assert states(prompt) == ["open", "skipped"]


def test_another_reason_needs_words(project: Project, alice: Membership) -> None:
    prompt = make_prompt(project, slots=1)
    held = claimed(alice)
    with pytest.raises(queue.ReasonMissingError, match="say in a few words why"):
        skipped(held, "other", "  ")
    assert states(prompt) == ["claimed"]


def test_a_ranked_prompt_cannot_be_skipped(project: Project, alice: Membership) -> None:
    prompt = make_prompt(project, slots=1)
    held = claimed(alice)
    queue.complete(held)
    with pytest.raises(queue.RankedAlreadyError, match="the ranking is kept"):
        skipped(held)
    assert states(prompt) == ["completed"]
    assert not Skip.objects.exists()


def test_only_their_own_prompt_can_be_skipped(
    project: Project, alice: Membership, bob: Membership
) -> None:
    make_prompt(project)
    token = claimed(alice).token
    with pytest.raises(Assignment.DoesNotExist):
        queue.skip(membership=bob, token=token, reason="all_bad")


def test_who_lost_the_slot_skips_without_giving_it_back(
    project: Project, alice: Membership, bob: Membership
) -> None:
    prompt = make_prompt(project, slots=1)
    lost = claimed(alice)
    let_the_lease_run_out(lost)
    claimed(bob)
    skipped(lost)
    assert states(prompt) == ["claimed", "skipped"]


def test_an_answer_after_a_skip_fills_the_slot_while_it_lies_open(
    project: Project, alice: Membership
) -> None:
    prompt = make_prompt(project, slots=1)
    held = claimed(alice)
    skipped(held)
    held.refresh_from_db()
    assert queue.complete(held) is SlotAfter.FILLED
    assert states(prompt) == ["completed"]


def test_what_was_loaded_ahead_can_be_skipped(
    project: Project, alice: Membership
) -> None:
    make_prompt(project, "p1", slots=1)
    second = make_prompt(project, "p2", slots=1)
    claimed(alice)
    ahead = queue.prefetch(alice)
    assert ahead is not None
    skipped(ahead)
    assert states(second) == ["open", "skipped"]


# --- Bad prompts ------------------------------------------------------------------


def test_two_labelers_take_a_bad_prompt_out(
    project: Project, alice: Membership, bob: Membership, carol: Membership
) -> None:
    """Three slots: one is being ranked, two come back with votes, and are gone."""
    prompt = make_prompt(project, slots=3)
    carols = claimed(carol)
    skipped(claimed(alice), "bad_prompt")
    assert not rejected(prompt)
    assert states(prompt) == ["claimed", "open", "open", "skipped"]
    skipped(claimed(bob), "bad_prompt")
    rejection = PromptRejection.objects.get()
    assert (rejection.prompt, rejection.rejected_by) == (prompt, None)
    assert rejection.reason == "2 labelers called the prompt bad."
    assert states(prompt) == ["claimed", "skipped", "skipped"]
    assert queue.complete(carols) is SlotAfter.FILLED


def test_a_project_may_believe_the_first_vote(
    project: Project, alice: Membership
) -> None:
    Project.objects.update(bad_prompt_votes=1)
    prompt = make_prompt(project)
    skipped(claimed(alice), "bad_prompt")
    assert PromptRejection.objects.get().reason == "1 labeler called the prompt bad."
    assert states(prompt) == ["skipped"]


def test_one_labeler_has_one_vote_however_often_the_prompt_came(
    project: Project, alice: Membership
) -> None:
    prompt = make_prompt(project, slots=2)
    skipped(claimed(alice), "bad_prompt")
    repeat = Assignment.objects.create(
        project=project,
        prompt=prompt,
        slot=0,
        repeat=1,
        source="direct",
        labeler=alice,
        state="claimed",
        lease_until="2100-01-01T00:00Z",
    )
    skipped(repeat, "bad_prompt")
    assert Skip.objects.count() == 2
    assert not rejected(prompt)


def test_other_reasons_are_no_votes(
    project: Project, alice: Membership, bob: Membership
) -> None:
    prompt = make_prompt(project)
    skipped(claimed(alice), "bad_prompt")
    skipped(claimed(bob), "all_bad")
    assert not rejected(prompt)


# --- Taking out and putting back --------------------------------------------------


def test_nothing_of_a_prompt_that_was_taken_out_comes_back(
    project: Project, alice: Membership, bob: Membership, carol: Membership
) -> None:
    prompt = make_prompt(project, slots=4)
    given_back, lapsed = claimed(alice), claimed(bob)
    passed_on = claimed(carol)
    queue.reject_prompt(prompt, reason="A test of the importer.")
    assert queue.release(given_back)
    skipped(passed_on)
    let_the_lease_run_out(lapsed)
    queue.open_slots([prompt])
    dora = make_member(project, "dora", Role.LABELER)
    assert not queue.has_work_for(dora)
    assert queue.claim(dora) is None
    assert states(prompt) == ["claimed", "skipped"]


def test_who_takes_a_prompt_out_is_named_once(
    project: Project, admin: Membership
) -> None:
    prompt = make_prompt(project)
    first = queue.reject_prompt(prompt, reason="x" * 400, user=admin.user)
    assert (first.rejected_by, len(first.reason)) == (admin.user, 300)
    assert queue.reject_prompt(prompt, reason="Again.") == first
    assert PromptRejection.objects.get().reason == "x" * 300


def test_a_prompt_that_is_put_back_gets_the_slots_that_it_lacks(
    project: Project, alice: Membership, bob: Membership, carol: Membership
) -> None:
    prompt = make_prompt(project, slots=3)
    queue.complete(claimed(alice))
    skipped(claimed(bob))
    queue.reject_prompt(prompt, reason="bad")
    assert states(prompt) == ["completed", "skipped"]
    assert queue.restore_prompt(prompt)
    assert states(prompt) == ["completed", "open", "open", "skipped"]
    assert claimed(carol).prompt == prompt
    assert not queue.restore_prompt(prompt)


@pytest.mark.django_db(transaction=True)
def test_after_an_admin_put_it_back_the_old_votes_do_not_count(
    project: Project, alice: Membership, bob: Membership, carol: Membership
) -> None:
    """Transactions of their own: their times differ."""
    prompt = make_prompt(project, slots=4)
    skipped(claimed(alice), "bad_prompt")
    skipped(claimed(bob), "bad_prompt")
    assert queue.restore_prompt(prompt)
    skipped(claimed(carol), "bad_prompt")
    assert not rejected(prompt)
    skipped(claimed(make_member(project, "dora", Role.LABELER)), "bad_prompt")
    assert rejected(prompt)


# --- Giving back ------------------------------------------------------------------


def test_a_given_back_row_that_a_report_points_to_stays_as_expired(
    project: Project, alice: Membership, bob: Membership
) -> None:
    prompt = make_prompt(project, slots=1)
    held = claimed(alice)
    ProblemReport.objects.create(
        project=project, reporter=alice, assignment=held, text="It flickers."
    )
    assert queue.release(held)
    assert states(prompt) == ["expired", "open"]
    assert queue.claim(alice) is None
    assert claimed(bob).prompt == prompt


def test_given_back_slots_keep_their_pool(project: Project, alice: Membership) -> None:
    make_prompt(project, slots=1)
    Assignment.objects.update(pool="targeted")
    with transaction.atomic():
        queue.release(claimed(alice))
    assert Assignment.objects.get().pool == "targeted"
