"""What the queue hands out, to whom, and what becomes of it."""

from datetime import timedelta

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoAssertNumQueries, Settings

from annotation import queue, taking
from annotation.models import (
    Assignment,
    AssignmentState,
    Consent,
    Instructions,
    Membership,
    Project,
    Prompt,
    Qualification,
    Role,
    Terms,
)
from annotation.queue import SlotAfter
from annotation.shuffle import display_order
from tests.conftest import make_member, make_prompt

pytestmark = pytest.mark.django_db


def claimed(labeler: Membership) -> Assignment:
    """What a labeler is handed; fails when that is nothing."""
    assignment = queue.claim(labeler)
    assert assignment is not None
    return assignment


def let_the_lease_run_out(assignment: Assignment) -> None:
    """Time passes on the database's clock."""
    Assignment.objects.filter(pk=assignment.pk).update(
        lease_until=Now() - timedelta(seconds=1)
    )


# --- Claims -----------------------------------------------------------------------


def test_a_claim_holds_a_prompt_for_the_projects_lease(
    project: Project, alice: Membership
) -> None:
    prompt = make_prompt(project, k=5)
    held = claimed(alice)
    held.refresh_from_db()
    assert held.prompt == prompt
    assert (held.state, held.labeler) == (AssignmentState.CLAIMED, alice)
    assert held.claimed_at is not None
    assert held.lease_until is not None
    assert held.lease_until - held.claimed_at == timedelta(minutes=30)
    assert held.instructions == Instructions.objects.get(version=1)


def test_the_display_order_is_drawn_from_the_secret_and_stored(
    project: Project, alice: Membership, settings: Settings
) -> None:
    make_prompt(project, k=9)
    held = claimed(alice)
    held.refresh_from_db()
    assert held.display_order == display_order(
        secret=settings.SECRET_KEY, label=held.token, count=9
    )


def test_the_newest_instructions_are_the_ones_in_force(
    project: Project, alice: Membership
) -> None:
    newest = Instructions.objects.create(project=project, version=2, text="Be fairer.")
    make_prompt(project)
    assert claimed(alice).instructions == newest


def test_a_project_without_instructions_serves_all_the_same(
    project: Project, alice: Membership
) -> None:
    Assignment.objects.all().delete()
    other = Project.objects.create(slug="other", title="Other")
    make_prompt(other)
    assert claimed(make_member(other, "carol", Role.LABELER)).instructions is None


def test_a_labeler_holds_one_prompt_until_it_is_answered(
    project: Project, alice: Membership
) -> None:
    make_prompt(project, "p1")
    make_prompt(project, "p2")
    first = claimed(alice)
    Assignment.objects.filter(pk=first.pk).update(lease_until=Now())
    again = claimed(alice)
    assert again == first
    assert again.token == first.token
    assert again.lease_until is not None
    assert first.lease_until is not None
    assert again.lease_until >= first.lease_until


def test_a_prompt_never_comes_twice_to_a_labeler(
    project: Project, alice: Membership
) -> None:
    make_prompt(project, slots=3)
    queue.complete(claimed(alice))
    assert queue.claim(alice) is None


def test_the_slots_of_a_prompt_go_to_different_labelers(
    project: Project, alice: Membership, bob: Membership
) -> None:
    prompt = make_prompt(project, slots=2)
    assert claimed(alice).prompt == claimed(bob).prompt == prompt
    carol = make_member(project, "carol", Role.LABELER)
    assert queue.claim(carol) is None


def test_the_queue_goes_by_its_places_not_by_the_order_of_import(
    project: Project, alice: Membership
) -> None:
    late, early = make_prompt(project, "p1"), make_prompt(project, "p2")
    late.assignment_set.update(seq=9)
    early.assignment_set.update(seq=3)
    assert claimed(alice).prompt == early


def test_prompts_of_another_project_are_not_handed_out(
    project: Project, stranger: Membership, alice: Membership
) -> None:
    make_prompt(stranger.project)
    assert queue.claim(alice) is None


@pytest.mark.parametrize("role", [Role.RESEARCHER, Role.ADMIN])
def test_only_labelers_are_handed_work(project: Project, role: Role) -> None:
    make_prompt(project)
    with pytest.raises(queue.NothingIsServed, match="Only labelers rank; dora"):
        queue.claim(make_member(project, "dora", role))


def test_an_imported_labeler_is_handed_nothing(project: Project) -> None:
    ghost = Membership.objects.create(project=project, name="g", role=Role.LABELER)
    with pytest.raises(queue.NothingIsServed, match="Only labelers rank"):
        queue.claim(ghost)


def test_an_archive_serves_nothing(project: Project, alice: Membership) -> None:
    make_prompt(project)
    Project.objects.update(archive=True)
    with pytest.raises(queue.NothingIsServed, match="Tides is an archive"):
        queue.claim(alice)


def test_a_role_that_was_taken_away_counts_at_once(
    project: Project, alice: Membership
) -> None:
    """The membership of an old page is not believed: the row is read under the lock."""
    make_prompt(project)
    Membership.objects.filter(pk=alice.pk).update(role=Role.RESEARCHER)
    with pytest.raises(queue.NothingIsServed):
        queue.claim(alice)


# --- Leases -----------------------------------------------------------------------


def test_an_abandoned_prompt_goes_to_whoever_comes_next(
    project: Project, alice: Membership, bob: Membership
) -> None:
    make_prompt(project, slots=1)
    abandoned = claimed(alice)
    assert queue.claim(bob) is None
    let_the_lease_run_out(abandoned)
    taken = claimed(bob)
    abandoned.refresh_from_db()
    assert (abandoned.state, abandoned.labeler) == (AssignmentState.EXPIRED, alice)
    assert abandoned.closed_at is not None
    assert (taken.slot, taken.labeler) == (abandoned.slot, bob)
    assert taken.token != abandoned.token
    assert Assignment.objects.filter(slot=0).count() == 2


def test_who_comes_back_late_finds_what_nobody_took(
    project: Project, alice: Membership
) -> None:
    make_prompt(project, slots=1)
    abandoned = claimed(alice)
    let_the_lease_run_out(abandoned)
    assert queue.has_work_for(alice)
    assert claimed(alice) == abandoned
    abandoned.refresh_from_db()
    assert abandoned.lease_until is not None
    assert abandoned.lease_until > Assignment.objects.annotate(now=Now()).get().now


def test_who_lost_a_prompt_is_not_handed_it_again(
    project: Project, alice: Membership, bob: Membership
) -> None:
    make_prompt(project, slots=1)
    let_the_lease_run_out(claimed(alice))
    let_the_lease_run_out(claimed(bob))
    assert queue.claim(alice) is None


def test_renewing_starts_the_lease_anew(project: Project, alice: Membership) -> None:
    make_prompt(project)
    held = claimed(alice)
    let_the_lease_run_out(held)
    assert queue.renew(held)
    assert Assignment.objects.filter(pk=held.pk, lease_until__gt=Now()).exists()


def test_a_lost_claim_cannot_be_renewed(
    project: Project, alice: Membership, bob: Membership
) -> None:
    make_prompt(project, slots=1)
    lost = claimed(alice)
    let_the_lease_run_out(lost)
    claimed(bob)
    assert not queue.renew(lost)
    assert lost.state == AssignmentState.EXPIRED


def test_a_prompt_that_was_given_back_comes_after_what_nobody_has_seen(
    project: Project, alice: Membership
) -> None:
    make_prompt(project, "p1", slots=1)
    held = claimed(alice)
    make_prompt(project, "p2", slots=1)
    assert queue.release(held)
    given_back = Assignment.objects.get(prompt=held.prompt)
    assert given_back.state == AssignmentState.OPEN
    assert given_back.labeler is None
    assert given_back.token != held.token
    assert claimed(alice).prompt.external_id == "p2"


def test_only_what_is_held_can_be_given_back(
    project: Project, alice: Membership
) -> None:
    make_prompt(project)
    held = claimed(alice)
    queue.complete(held)
    assert not queue.release(held)
    held.refresh_from_db()
    assert (held.state, held.labeler) == (AssignmentState.COMPLETED, alice)


# --- The cursor -------------------------------------------------------------------


def cursor_of(labeler: Membership) -> tuple[int, int]:
    labeler.refresh_from_db()
    return labeler.cursor_seq, labeler.cursor_slot


def let_minutes_pass(labeler: Membership, minutes: int) -> None:
    """Since the labeler last looked from the start."""
    Membership.objects.filter(pk=labeler.pk).update(
        cursor_reset_at=Now() - timedelta(minutes=minutes)
    )


def test_the_cursor_stands_at_what_was_handed_out_last(
    project: Project, alice: Membership
) -> None:
    for number in range(3):
        make_prompt(project, f"p{number}")
        held = claimed(alice)
        assert cursor_of(alice) == (held.seq, held.slot)
        queue.complete(held)


def test_who_finds_nothing_looks_only_at_what_comes_after(
    project: Project, alice: Membership
) -> None:
    """Her own prompt's other slots are the whole queue: the cursor goes to its end."""
    make_prompt(project, slots=4)
    queue.complete(claimed(alice))
    assert queue.claim(alice) is None
    last = Assignment.objects.filter(state="open").order_by("seq", "slot").last()
    assert last is not None
    assert cursor_of(alice) == (last.seq, last.slot)
    assert queue.claim(alice) is None
    assert cursor_of(alice) == (last.seq, last.slot)
    newer = make_prompt(project, "p2")
    assert claimed(alice).prompt == newer


def put_behind(labeler: Membership) -> Assignment:
    """An open row that a labeler has passed, as if a claim had locked it just then."""
    seq, _ = cursor_of(labeler)
    prompt = make_prompt(labeler.project, "passed", slots=1)
    prompt.assignment_set.update(seq=seq - 1)
    return prompt.assignment_set.get()


def test_what_was_passed_by_is_found_ten_minutes_later(
    project: Project, alice: Membership
) -> None:
    make_prompt(project)
    queue.complete(claimed(alice))
    passed = put_behind(alice)
    let_minutes_pass(alice, 9)
    assert queue.claim(alice) is None
    assert not queue.has_work_for(alice)
    let_minutes_pass(alice, 11)
    assert queue.has_work_for(alice)
    assert claimed(alice) == passed


def test_looking_again_is_remembered(project: Project, alice: Membership) -> None:
    make_prompt(project)
    queue.complete(claimed(alice))
    let_minutes_pass(alice, 11)
    assert queue.claim(alice) is None
    put_behind(alice)
    assert queue.claim(alice) is None


def test_a_new_version_of_the_queue_starts_the_cursor_anew(
    project: Project, alice: Membership
) -> None:
    make_prompt(project)
    queue.complete(claimed(alice))
    passed = put_behind(alice)
    Project.objects.update(queue_version=7)
    assert claimed(alice) == passed
    alice.refresh_from_db()
    assert alice.cursor_version == 7


def test_a_long_row_of_prompts_that_are_not_hers_may_hold_one_that_is(
    project: Project, alice: Membership, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Her look ahead ends after two slots, so the answer is a careful yes."""
    make_prompt(project, slots=3)
    queue.complete(claimed(alice))
    assert not queue.has_work_for(alice)
    monkeypatch.setattr(taking, "ROWS_PEEKED_AT", 2)
    assert queue.has_work_for(alice)
    assert queue.claim(alice) is None
    assert not queue.has_work_for(alice)


def test_looking_whether_there_is_work_changes_nothing(
    project: Project, alice: Membership
) -> None:
    make_prompt(project)
    with CaptureQueriesContext(connection) as asked:
        assert queue.has_work_for(alice)
    verbs = {query["sql"].split()[0] for query in asked.captured_queries}
    assert verbs == {"SELECT", "WITH"}
    assert "UPDATE" not in " ".join(query["sql"] for query in asked.captured_queries)


def test_a_row_from_before_orders_were_drawn_ahead_gets_one(
    project: Project, alice: Membership, settings: Settings
) -> None:
    make_prompt(project, k=7)
    Assignment.objects.update(display_order=None)
    held = Assignment.objects.get(pk=claimed(alice).pk)
    assert held.display_order == display_order(
        secret=settings.SECRET_KEY, label=held.token, count=7
    )


# --- Loaded ahead -----------------------------------------------------------------


def prefetched(labeler: Membership) -> Assignment:
    """What is loaded ahead for a labeler; fails when that is nothing."""
    assignment = queue.prefetch(labeler)
    assert assignment is not None
    return assignment


@pytest.fixture
def three(project: Project) -> list[Prompt]:
    return [make_prompt(project, f"p{number}", slots=1) for number in range(1, 4)]


def seconds_left(assignment: Assignment) -> float:
    row = Assignment.objects.annotate(now=Now()).get(pk=assignment.pk)
    assert row.lease_until is not None
    return (row.lease_until - row.now).total_seconds()


def test_a_prompt_is_loaded_ahead_for_two_minutes(
    three: list[Prompt], alice: Membership
) -> None:
    held, ahead = claimed(alice), prefetched(alice)
    assert (held.state, ahead.state) == ("claimed", "prefetched")
    assert [held.prompt, ahead.prompt] == three[:2]
    assert ahead.claimed_at is not None
    assert ahead.lease_until == ahead.claimed_at + timedelta(minutes=2)


def test_loading_ahead_again_gives_the_same_and_no_more_time(
    three: list[Prompt], alice: Membership
) -> None:
    claimed(alice)
    first = prefetched(alice)
    again = prefetched(alice)
    assert (again.pk, again.lease_until) == (first.pk, first.lease_until)


def test_a_lapsed_prompt_that_nobody_took_is_loaded_again(
    three: list[Prompt], alice: Membership
) -> None:
    claimed(alice)
    first = prefetched(alice)
    let_the_lease_run_out(first)
    assert prefetched(alice) == first
    assert 0 < seconds_left(first) <= 120


def test_what_was_loaded_ahead_and_not_shown_goes_to_others(
    three: list[Prompt], alice: Membership, bob: Membership
) -> None:
    """Once there is nothing else for them."""
    claimed(alice)
    ahead = prefetched(alice)
    let_the_lease_run_out(ahead)
    queue.complete(claimed(bob))
    assert claimed(bob).prompt == ahead.prompt
    ahead.refresh_from_db()
    assert (ahead.state, ahead.labeler) == (AssignmentState.EXPIRED, alice)
    assert not queue.renew(ahead)
    assert queue.prefetch(alice) is None


def test_a_claim_hands_out_what_was_loaded_ahead(
    three: list[Prompt], alice: Membership
) -> None:
    held, ahead = claimed(alice), prefetched(alice)
    queue.complete(held)
    next_one = claimed(alice)
    assert (next_one.pk, next_one.state) == (ahead.pk, "claimed")
    assert seconds_left(next_one) > 120


def test_showing_what_was_loaded_ahead_claims_it(
    three: list[Prompt], alice: Membership
) -> None:
    held, ahead = claimed(alice), prefetched(alice)
    queue.complete(held)
    assert queue.renew(ahead)
    assert ahead.state == "claimed"
    shown_at = ahead.shown_at
    assert shown_at is not None
    assert seconds_left(ahead) > 120
    assert queue.renew(ahead)
    assert ahead.shown_at == shown_at


def test_showing_it_beside_a_claim_keeps_both(
    three: list[Prompt], alice: Membership
) -> None:
    claimed(alice)
    ahead = prefetched(alice)
    assert queue.renew(ahead)
    assert ahead.state == "prefetched"
    assert seconds_left(ahead) > 120


def test_what_was_loaded_ahead_can_be_answered_and_given_back(
    three: list[Prompt], alice: Membership
) -> None:
    claimed(alice)
    assert queue.complete(prefetched(alice)) is SlotAfter.FILLED
    ahead = prefetched(alice)
    assert queue.release(ahead)
    assert Assignment.objects.get(prompt=ahead.prompt).state == "open"


def test_a_prompt_that_was_taken_out_unseen_is_not_shown(
    three: list[Prompt], alice: Membership
) -> None:
    claimed(alice)
    ahead = prefetched(alice)
    queue.reject_prompt(ahead.prompt, reason="bad")
    assert not queue.renew(ahead)
    assert prefetched(alice).prompt == three[2]
    assert not Assignment.objects.filter(prompt=ahead.prompt).exists()


def test_a_prompt_that_was_taken_out_while_on_the_page_may_be_finished(
    three: list[Prompt], alice: Membership
) -> None:
    held, ahead = claimed(alice), prefetched(alice)
    queue.renew(ahead)
    for assignment in (held, ahead):
        queue.reject_prompt(assignment.prompt, reason="bad")
        assert queue.renew(assignment)
        assert queue.complete(assignment) is SlotAfter.FILLED


def test_nothing_is_loaded_ahead_for_who_is_handed_nothing(
    three: list[Prompt], alice: Membership
) -> None:
    claimed(alice)
    Membership.objects.update(paused_at=Now())
    assert queue.prefetch(alice) is None


# --- Who is handed nothing --------------------------------------------------------


def test_a_paused_labeler_is_told_so(project: Project, alice: Membership) -> None:
    make_prompt(project)
    Membership.objects.filter(pk=alice.pk).update(paused_at=Now())
    with pytest.raises(queue.NothingIsServed, match=r"paused.*is kept"):
        queue.claim(alice)


def test_who_failed_the_test_is_told_so(project: Project, alice: Membership) -> None:
    make_prompt(project)
    Membership.objects.filter(pk=alice.pk).update(
        qualification=Qualification.FAILED, qualification_decided_at=Now()
    )
    with pytest.raises(queue.NothingIsServed, match=r"did not qualify.*is kept"):
        queue.claim(alice)


def test_nobody_ranks_before_agreeing_to_the_newest_terms(
    project: Project, alice: Membership, stranger: Membership
) -> None:
    make_prompt(project)
    Terms.objects.create(project=stranger.project, version=9, text="Elsewhere.")
    old = Terms.objects.create(project=project, version=1, text="Be nice.")
    Consent.objects.create(membership=alice, terms=old)
    assert queue.claim(alice) is not None
    new = Terms.objects.create(project=project, version=2, text="Be nicer.")
    with pytest.raises(queue.TermsAwaitConsent, match="agree to them"):
        queue.claim(alice)
    Consent.objects.create(membership=alice, terms=new)
    assert queue.claim(alice) is not None


# --- Work that is made for one labeler --------------------------------------------


def test_work_of_their_own_comes_first_and_takes_no_slot(
    project: Project, alice: Membership, monkeypatch: pytest.MonkeyPatch
) -> None:
    gold = make_prompt(project, "gold", k=5)
    waiting = make_prompt(project, "p1", slots=1)
    queue.complete(claimed(alice))
    offers = iter([(gold, 1), None])
    monkeypatch.setattr(taking, "next_direct", lambda labeler: next(offers))
    direct = claimed(alice)
    assert (direct.prompt, direct.repeat, direct.source) == (gold, 1, "direct")
    assert sorted(direct.display_order or []) == [0, 1, 2, 3, 4]
    assert direct.instructions is not None
    assert seconds_left(direct) > 120
    assert Assignment.objects.filter(prompt=gold, state="open").count() == 1
    assert queue.complete(direct) is SlotAfter.FILLED
    assert claimed(alice).prompt == waiting


def test_nobody_takes_over_work_that_is_not_of_the_queue(
    project: Project,
    alice: Membership,
    bob: Membership,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gold = make_prompt(project, "gold")
    Assignment.objects.all().delete()
    monkeypatch.setattr(taking, "next_direct", lambda labeler: (gold, 0))
    direct = claimed(alice)
    let_the_lease_run_out(direct)
    monkeypatch.setattr(taking, "next_direct", lambda labeler: None)
    Membership.objects.update(
        qualification=Qualification.PASSED, qualification_decided_at=Now()
    )
    assert queue.claim(bob) is None
    assert claimed(alice) == direct
    assert queue.release(direct)
    assert not Assignment.objects.exists()


def test_who_waits_for_the_result_of_their_test_is_told_so(
    project: Project, alice: Membership
) -> None:
    make_prompt(project)
    Project.objects.update(qualification_threshold=0.8)
    alice.project.refresh_from_db()
    with pytest.raises(queue.NothingIsServed, match="is being looked at"):
        queue.claim(alice)


# --- Closing ----------------------------------------------------------------------


def test_an_answer_closes_its_slot(project: Project, alice: Membership) -> None:
    make_prompt(project, slots=1)
    held = claimed(alice)
    assert queue.complete(held) is SlotAfter.FILLED
    held.refresh_from_db()
    assert held.state == AssignmentState.COMPLETED
    assert held.closed_at is not None
    assert not queue.has_work_for(make_member(project, "carol", Role.LABELER))


def test_an_answer_after_the_lease_counts_while_nobody_took_the_slot(
    project: Project, alice: Membership
) -> None:
    make_prompt(project, slots=1)
    held = claimed(alice)
    let_the_lease_run_out(held)
    assert queue.complete(held) is SlotAfter.FILLED


def test_a_late_answer_does_not_disturb_who_has_the_slot_now(
    project: Project, alice: Membership, bob: Membership
) -> None:
    make_prompt(project, slots=1)
    late = claimed(alice)
    let_the_lease_run_out(late)
    taken = claimed(bob)
    late.refresh_from_db()
    assert queue.complete(late) is SlotAfter.TAKEN
    assert queue.complete(taken) is SlotAfter.FILLED
    assert queue.complete(late) is SlotAfter.FULL
    late.refresh_from_db()
    assert late.state == AssignmentState.EXPIRED


def test_a_late_answer_fills_a_slot_that_lies_open_again(
    project: Project, alice: Membership, bob: Membership
) -> None:
    make_prompt(project, slots=1)
    late = claimed(alice)
    let_the_lease_run_out(late)
    queue.release(claimed(bob))
    late.refresh_from_db()
    assert queue.complete(late) is SlotAfter.FILLED
    assert list(Assignment.objects.values_list("state", flat=True)) == ["completed"]


def test_a_token_is_of_use_to_its_labeler_only(
    project: Project, alice: Membership, bob: Membership
) -> None:
    make_prompt(project)
    token = claimed(alice).token
    assert queue.lock_for_answer(membership=alice, token=token).token == token
    with pytest.raises(Assignment.DoesNotExist):
        queue.lock_for_answer(membership=bob, token=token)


def test_a_claim_takes_two_statements(
    project: Project,
    alice: Membership,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    """One that asks and one that takes; at her first prompt, two that let her in."""
    for number in range(2):
        make_prompt(project, f"p{number}")
    with django_assert_num_queries(4):
        first = claimed(alice)
    queue.complete(first)
    with django_assert_num_queries(2):
        claimed(alice)


def test_slots_keep_their_place_when_somebody_else_takes_them(
    project: Project, alice: Membership, bob: Membership
) -> None:
    make_prompt(project, slots=1)
    place = Assignment.objects.get().seq
    let_the_lease_run_out(claimed(alice))
    assert claimed(bob).seq == place


# --- What was loaded ahead and not seen yet ---------------------------------------


def test_open_slots_are_taken_before_what_waits_for_somebody_at_work(
    three: list[Prompt], alice: Membership, bob: Membership
) -> None:
    claimed(alice)
    ahead = prefetched(alice)
    let_the_lease_run_out(ahead)
    assert claimed(bob).prompt == three[2]
    assert queue.renew(ahead)


def test_an_abandoned_claim_is_taken_before_open_slots(
    three: list[Prompt], alice: Membership, bob: Membership
) -> None:
    abandoned = claimed(alice)
    let_the_lease_run_out(abandoned)
    assert claimed(bob).prompt == abandoned.prompt


def test_who_is_at_work_keeps_what_is_loaded_ahead(
    three: list[Prompt], alice: Membership
) -> None:
    held, ahead = claimed(alice), prefetched(alice)
    let_the_lease_run_out(ahead)
    assert queue.renew(held)
    assert 100 < seconds_left(ahead) <= 120
    ahead.refresh_from_db()
    assert (ahead.state, ahead.shown_at) == ("prefetched", None)
    assert queue.renew(ahead)  # on the page already, in another tab: a full lease
    assert queue.renew(held)
    assert seconds_left(ahead) > 120


def test_hardly_anything_that_was_loaded_ahead_is_lost(project: Project) -> None:
    """Three labelers, thirty turns of more than two minutes, each without a sign."""
    team = [make_member(project, f"m{n}", Role.LABELER) for n in range(3)]
    for number in range(60):
        make_prompt(project, f"p{number}", slots=1)
    held = {labeler: claimed(labeler) for labeler in team}
    ahead = {labeler: prefetched(labeler) for labeler in team}
    for labeler in team * 10:
        for loaded in ahead.values():
            let_the_lease_run_out(loaded)
        queue.complete(held[labeler])
        assert queue.renew(ahead[labeler])
        held[labeler], ahead[labeler] = ahead[labeler], prefetched(labeler)
    assert not Assignment.objects.filter(state="expired").exists()


def test_two_labelers_finish_all_slots_of_two(
    project: Project, alice: Membership, bob: Membership
) -> None:
    """What each loses to the other before seeing it comes to them again."""
    for number in range(2):
        make_prompt(project, f"p{number}", slots=2)
    held, ahead = claimed(alice), prefetched(alice)
    taken = claimed(bob)
    queue.complete(taken)
    queue.complete(claimed(bob))
    let_the_lease_run_out(ahead)
    queue.complete(held)
    queue.complete(claimed(alice))
    assert set(Assignment.objects.values_list("state", flat=True)) == {"completed"}


def unseen_and_lost(alice: Membership, bob: Membership) -> Assignment:
    """What was loaded ahead for alice, as it is after bob took it over."""
    claimed(alice)
    ahead = prefetched(alice)
    let_the_lease_run_out(ahead)
    assert claimed(bob).prompt == ahead.prompt
    ahead.refresh_from_db()
    assert (ahead.state, ahead.shown_at) == ("expired", None)
    return ahead


@pytest.fixture
def two(project: Project) -> list[Prompt]:
    return [make_prompt(project, f"p{number}", slots=1) for number in (1, 2)]


def test_what_was_lost_unseen_comes_again_and_is_answered_once(
    two: list[Prompt], alice: Membership, bob: Membership
) -> None:
    old = unseen_and_lost(alice, bob)
    queue.complete(queue.held_by(alice).get())
    queue.release(queue.held_by(bob).get())
    again = claimed(alice)
    assert (again.prompt, again.token != old.token) == (old.prompt, True)
    assert queue.complete(old) is SlotAfter.TAKEN
    assert queue.complete(again) is SlotAfter.FILLED
    assert queue.complete(old) is SlotAfter.FULL
    mine = Assignment.objects.filter(labeler=alice, prompt=old.prompt)
    assert sorted(mine.values_list("state", flat=True)) == ["completed", "expired"]


def test_an_answer_to_what_was_lost_unseen_says_that_it_was_seen(
    two: list[Prompt], alice: Membership, bob: Membership
) -> None:
    """An offline page had it: the late answer is kept, and she is done with it."""
    old = unseen_and_lost(alice, bob)
    assert queue.complete(old) is SlotAfter.TAKEN
    queue.complete(queue.held_by(alice).get())
    queue.release(queue.held_by(bob).get())
    assert queue.claim(alice) is None


def test_skipping_what_came_again_by_its_old_page_changes_nothing_held(
    two: list[Prompt], alice: Membership, bob: Membership
) -> None:
    old = unseen_and_lost(alice, bob)
    queue.complete(queue.held_by(alice).get())
    queue.release(queue.held_by(bob).get())
    again = claimed(alice)
    queue.skip(membership=alice, token=old.token, reason="cannot_judge")
    assert queue.claim(alice) == again


def test_who_gives_an_unseen_prompt_back_finds_its_other_slot_again(
    project: Project, alice: Membership
) -> None:
    """She passed it when p2 was loaded ahead for her."""
    first = make_prompt(project, "p1", slots=2)
    make_prompt(project, "p2", slots=1)
    held, ahead = claimed(alice), prefetched(alice)
    assert (held.prompt == first, ahead.prompt == first) == (True, False)
    passed = Assignment.objects.get(prompt=first, state="open")
    assert queue.release(held)
    queue.complete(claimed(alice))
    assert claimed(alice) == passed


# --- Late answers, and what is given back or taken back ---------------------------


def test_a_late_answer_fills_another_slot_that_lies_open(
    project: Project, alice: Membership, bob: Membership
) -> None:
    make_prompt(project, slots=2)
    late = claimed(alice)
    let_the_lease_run_out(late)
    taken = claimed(bob)
    assert taken.slot == late.slot
    queue.complete(taken)
    late.refresh_from_db()
    assert queue.complete(late) is SlotAfter.FILLED
    rows = Assignment.objects.order_by("slot").values_list("slot", "state")
    assert list(rows) == [(0, "completed"), (1, "completed")]


def test_what_was_seen_and_given_back_can_still_be_answered(
    project: Project, alice: Membership
) -> None:
    make_prompt(project, slots=1)
    held = claimed(alice)
    queue.renew(held)
    assert queue.release(held)
    held.refresh_from_db()
    assert (held.state, held.labeler) == (AssignmentState.EXPIRED, alice)
    assert Assignment.objects.filter(state="open").count() == 1
    assert queue.claim(alice) is None
    assert queue.complete(held) is SlotAfter.FILLED
    assert list(Assignment.objects.values_list("state", flat=True)) == ["completed"]


def test_gold_does_not_outlast_the_queue(
    project: Project, alice: Membership, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_prompt(project, slots=1)
    queue.complete(claimed(alice))
    gold = make_prompt(project, "gold", slots=1)
    Assignment.objects.filter(prompt=gold).delete()
    monkeypatch.setattr(taking, "next_direct", lambda labeler: (gold, 0))
    assert queue.claim(alice) is None
    make_prompt(project, "p2", slots=1)
    assert claimed(alice).prompt == gold


def test_loading_ahead_of_the_last_training_lets_nobody_in(
    project: Project, alice: Membership
) -> None:
    training = make_prompt(project, "t", slots=1)
    Assignment.objects.all().delete()
    Prompt.objects.update(purpose="training", gold={"r1": 1, "r2": 2, "r3": 3, "r4": 4})
    make_prompt(project, "p", slots=1)
    held = claimed(alice)
    assert held.prompt == training
    assert queue.prefetch(alice) is None
    alice.refresh_from_db()
    assert alice.qualification == Qualification.PENDING
    queue.complete(held)
    assert claimed(alice).prompt.external_id == "p"


def test_lapsed_slots_that_nobody_wants_are_passed_by(
    project: Project, alice: Membership, bob: Membership
) -> None:
    carol = make_member(project, "carol", Role.LABELER)
    unwanted = make_prompt(project, "p1", slots=1)
    extra = Assignment.objects.get()
    let_the_lease_run_out(claimed(alice))
    ranked = Assignment.objects.create(
        project=project, prompt=unwanted, slot=1, labeler=carol, state="completed"
    )
    wanted = make_prompt(project, "p2", slots=1)
    Assignment.objects.filter(prompt=wanted).delete()
    Assignment.objects.create(
        project=project,
        prompt=wanted,
        slot=0,
        labeler=carol,
        state="claimed",
        display_order=[0, 1, 2, 3],
        lease_until=Now() - timedelta(milliseconds=1),
    )
    assert claimed(bob).prompt == wanted
    assert Assignment.objects.get(pk=extra.pk).state == "expired"
    assert Assignment.objects.get(pk=ranked.pk).state == "completed"


def test_a_held_row_without_an_order_gets_one(
    project: Project, alice: Membership
) -> None:
    make_prompt(project, k=7, slots=1)
    held = claimed(alice)
    Assignment.objects.update(display_order=None)
    again = claimed(alice)
    assert again.token == held.token
    assert sorted(again.display_order or []) == list(range(7))
    Assignment.objects.update(display_order=None)
    queue.release(again)
    assert sorted(Assignment.objects.get().display_order or []) == list(range(7))
