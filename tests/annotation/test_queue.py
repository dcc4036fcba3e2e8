"""What the queue hands out, to whom, and what becomes of it."""

import random
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoAssertNumQueries, Settings

from annotation import queue
from annotation.models import (
    Assignment,
    AssignmentState,
    Instructions,
    Membership,
    Project,
    Prompt,
    Purpose,
    Role,
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


# --- Slots ------------------------------------------------------------------------


def slots_of(prompt: Prompt) -> list[int]:
    return sorted(prompt.assignment_set.values_list("slot", flat=True))


def test_a_prompt_with_responses_gets_as_many_slots_as_its_overlap(
    project: Project,
) -> None:
    prompt = make_prompt(project, slots=3)
    Assignment.objects.all().delete()
    queue.open_slots([prompt])
    assert slots_of(prompt) == [0, 1, 2]


def test_opening_slots_again_changes_nothing(
    project: Project, alice: Membership
) -> None:
    prompt = make_prompt(project, slots=3)
    held = claimed(alice)
    queue.open_slots([prompt])
    assert slots_of(prompt) == [0, 1, 2]
    held.refresh_from_db()
    assert held.state == AssignmentState.CLAIMED


def test_places_in_the_queue_are_random(project: Project) -> None:
    prompts = [make_prompt(project, f"p{n}") for n in range(6)]
    Assignment.objects.all().delete()
    queue.open_slots(prompts)
    places = list(Assignment.objects.order_by("pk").values_list("seq", flat=True))
    assert len(set(places)) == 12
    assert places != sorted(places)


@pytest.mark.parametrize(
    "purpose", [Purpose.TRAINING, Purpose.QUALIFICATION, Purpose.GOLD]
)
def test_only_work_is_queued(project: Project, purpose: Purpose) -> None:
    prompt = make_prompt(project)
    Assignment.objects.all().delete()
    Prompt.objects.update(purpose=purpose)
    queue.open_slots([prompt])
    assert slots_of(prompt) == []


def test_a_prompt_without_responses_gets_no_slots(project: Project) -> None:
    prompt = make_prompt(project, k=0)
    Assignment.objects.all().delete()
    queue.open_slots([prompt])
    assert slots_of(prompt) == []


def test_an_archive_gets_no_slots(project: Project) -> None:
    prompt = make_prompt(project)
    Assignment.objects.all().delete()
    Project.objects.update(archive=True)
    queue.open_slots([prompt])
    assert slots_of(prompt) == []


def new_prompts(project: Project, count: int) -> list[Prompt]:
    return [
        Prompt(project=project, external_id=f"n{random.random()}", messages=[])
        for _ in range(count)
    ]


def test_the_overlap_is_an_exact_share_also_across_batches(project: Project) -> None:
    """20 % of 7, then of 7 + 8, then of 15 + 5 prompts: 1, 3 and 4."""
    project.overlap, project.overlap_fraction = 3, 0.2
    for batch, expected in ((7, 1), (8, 3), (5, 4)):
        prompts = new_prompts(project, batch)
        queue.choose_overlap(project=project, prompts=prompts, rng=random.Random(1))
        Prompt.objects.bulk_create(prompts)
        overlaps = list(Prompt.objects.values_list("overlap", flat=True))
        assert overlaps.count(3) == expected
        assert set(overlaps) == {1, 3}


def test_choosing_the_overlap_reads_two_counts_however_long_the_project(
    project: Project,
) -> None:
    """A cursor that fetched every row would see 50 of them."""
    project.overlap, project.overlap_fraction = 3, 0.2
    stored = new_prompts(project, 50)
    queue.choose_overlap(project=project, prompts=stored)
    Prompt.objects.bulk_create(stored)
    prompts = new_prompts(project, 10)
    with CaptureQueriesContext(connection) as asked:
        queue.choose_overlap(project=project, prompts=prompts)
    [query] = asked.captured_queries
    with connection.cursor() as cursor:
        cursor.execute(query["sql"])
        assert cursor.fetchall() == [(50, 10)]
    assert [prompt.overlap for prompt in prompts].count(3) == 2


def test_any_prompt_of_a_batch_may_get_the_overlap(project: Project) -> None:
    project.overlap, project.overlap_fraction = 3, 0.5
    chosen = set()
    for seed in range(20):
        prompts = new_prompts(project, 4)
        queue.choose_overlap(project=project, prompts=prompts, rng=random.Random(seed))
        assert sorted(prompt.overlap for prompt in prompts) == [1, 1, 3, 3]
        chosen |= {n for n, prompt in enumerate(prompts) if prompt.overlap == 3}
    assert chosen == {0, 1, 2, 3}


def test_gold_prompts_take_no_part_in_the_overlap(project: Project) -> None:
    project.overlap, project.overlap_fraction = 3, 1.0
    work, gold = new_prompts(project, 2)
    gold.purpose = Purpose.GOLD
    queue.choose_overlap(project=project, prompts=[work, gold])
    assert (work.overlap, gold.overlap) == (3, 1)


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
    """One that asks and one that takes; at her first prompt, one that lets her in."""
    for number in range(2):
        make_prompt(project, f"p{number}")
    with django_assert_num_queries(3):
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
