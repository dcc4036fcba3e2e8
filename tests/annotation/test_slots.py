"""How many slots a prompt has, where in the queue they lie, and who is called back."""

import random
from collections import Counter

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from annotation import queue
from annotation.models import (
    Assignment,
    AssignmentState,
    Membership,
    Project,
    Prompt,
    Purpose,
    Role,
)
from annotation.overlap import OVERLAP_LOCK
from annotation.shuffle import display_order
from annotation.slots import place
from tests.annotation.test_queue import claimed, let_the_lease_run_out
from tests.conftest import make_member, make_prompt

pytestmark = pytest.mark.django_db


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


# --- Places -----------------------------------------------------------------------


def test_a_place_is_priority_then_arrival_then_chance() -> None:
    first = place(priority=50, arrival=2**28 - 1)
    second = place(priority=0, arrival=1)
    third = place(priority=0, arrival=2)
    last = place(priority=-50, arrival=1)
    assert 0 <= first < second < third < last < 2**63
    assert second >> 28 == (50 << 28) + 1
    assert {place(priority=0, arrival=1) & (2**28 - 1) for _ in range(3)} != {0}


def test_a_slot_has_its_token_and_order_before_anybody_asks(
    project: Project, settings: Settings
) -> None:
    make_prompt(project, k=9, slots=2)
    for row in Assignment.objects.all():
        assert row.display_order == display_order(
            secret=settings.SECRET_KEY, label=row.token, count=9
        )


def test_urgent_prompts_come_first_although_they_came_last(
    project: Project, alice: Membership
) -> None:
    make_prompt(project, "p1")
    queue.complete(claimed(alice))
    make_prompt(project, "p2")
    urgent = make_prompt(project, "p3")
    with transaction.atomic():
        queue.change_priority(urgent, 1)
    assert [claimed(alice).prompt, urgent.priority] == [urgent, 1]


def test_an_urgent_prompt_reaches_who_has_gone_past_its_place(
    project: Project, alice: Membership
) -> None:
    """Her cursor stands at priority 0 when a slot of priority 3 comes back."""
    urgent = make_prompt(project, "p1", slots=1)
    queue.change_priority(urgent, 3)
    bob = make_member(project, "bob", Role.LABELER)
    his = claimed(bob)
    make_prompt(project, "p2")
    make_prompt(project, "p3")
    queue.complete(claimed(alice))
    before = queue_version(project)
    queue.release(his)
    assert queue_version(project) == before + 1
    assert claimed(alice).prompt == urgent


def queue_version(project: Project) -> int:
    return Project.objects.values_list("queue_version", flat=True).get(pk=project.pk)


def test_what_comes_back_ahead_of_everybody_calls_nobody_back(
    project: Project, alice: Membership, bob: Membership
) -> None:
    make_prompt(project, "p1", slots=1)
    make_prompt(project, "p2", slots=1)
    held = claimed(alice)
    claimed(bob)
    before = queue_version(project)
    queue.release(held)
    assert queue_version(project) == before


# --- Changing the overlap ---------------------------------------------------------


def overlaps(project: Project) -> Counter[int]:
    return Counter(
        Prompt.objects.filter(project=project).values_list("overlap", flat=True)
    )


def slot_counts(project: Project) -> Counter[int]:
    """Number of slots of a prompt → number of such prompts."""
    prompts = Prompt.objects.filter(project=project)
    return Counter(len(slots_of(prompt)) for prompt in prompts)


def test_a_higher_overlap_opens_slots_for_an_exact_share(project: Project) -> None:
    """Three for 20 % of 10 prompts: 2 · 3 + 8 · 1 slots."""
    for number in range(10):
        make_prompt(project, f"p{number}", slots=1)
    queue.change_overlap(project, overlap=3, fraction=0.2, rng=random.Random(1))
    assert overlaps(project) == slot_counts(project) == {3: 2, 1: 8}
    project.refresh_from_db()
    assert (project.overlap, project.overlap_fraction) == (3, 0.2)


def test_a_lower_share_closes_slots_and_keeps_the_others(project: Project) -> None:
    for number in range(10):
        make_prompt(project, f"p{number}", slots=3)
    queue.change_overlap(project, overlap=2, fraction=0.5, rng=random.Random(1))
    assert overlaps(project) == slot_counts(project) == {2: 5, 1: 5}
    kept = set(Prompt.objects.filter(overlap=2).values_list("pk", flat=True))
    queue.change_overlap(project, overlap=4, fraction=0.7, rng=random.Random(2))
    assert overlaps(project) == slot_counts(project) == {4: 7, 1: 3}
    now = set(Prompt.objects.filter(overlap=4).values_list("pk", flat=True))
    assert kept < now  # who had an overlap has it still


def test_a_lower_overlap_takes_nothing_from_who_holds_or_has_done_it(
    project: Project, alice: Membership, bob: Membership
) -> None:
    prompt = make_prompt(project, slots=3)
    queue.complete(claimed(alice))
    held = claimed(bob)
    queue.change_overlap(project, overlap=1, fraction=1.0)
    states = sorted(prompt.assignment_set.values_list("state", flat=True))
    assert states == ["claimed", "completed"]
    assert queue.release(held)  # one is enough by now: the slot does not come back
    assert list(prompt.assignment_set.values_list("state", flat=True)) == ["completed"]


def test_a_lapsed_slot_beyond_the_overlap_is_not_taken_over(
    project: Project, alice: Membership, bob: Membership
) -> None:
    make_prompt(project, slots=2)
    queue.complete(claimed(alice))
    let_the_lease_run_out(claimed(bob))
    queue.change_overlap(project, overlap=1, fraction=1.0)
    assert queue.claim(make_member(project, "carol", Role.LABELER)) is None
    states = sorted(Assignment.objects.values_list("state", flat=True))
    assert states == ["completed", "expired"]


def test_the_overlap_goes_up_again_only_by_what_is_missing(
    project: Project, alice: Membership
) -> None:
    """Slot 0, 1 or 2 is done, and one more is asked for: two slots, not three."""
    prompt = make_prompt(project, slots=3)
    queue.complete(claimed(alice))
    queue.change_overlap(project, overlap=1, fraction=1.0)
    queue.change_overlap(project, overlap=2, fraction=1.0)
    states = sorted(prompt.assignment_set.values_list("state", flat=True))
    assert states == ["completed", "open"]


def test_a_new_slot_reaches_who_has_passed_its_prompt(
    project: Project, alice: Membership, bob: Membership
) -> None:
    prompt = make_prompt(project, slots=1)
    queue.complete(claimed(alice))
    assert queue.claim(bob) is None
    queue.change_overlap(project, overlap=2, fraction=1.0)
    assert claimed(bob).prompt == prompt


def test_an_answer_that_comes_after_its_slot_was_closed_is_surplus(
    project: Project, alice: Membership, bob: Membership
) -> None:
    make_prompt(project, slots=2)
    late = claimed(alice)
    queue.complete(claimed(bob))
    let_the_lease_run_out(late)
    queue.release(claimed(make_member(project, "carol", Role.LABELER)))
    queue.change_overlap(project, overlap=1, fraction=1.0)
    late.refresh_from_db()
    assert queue.complete(late) is queue.SlotAfter.FULL


def test_gold_and_rejected_prompts_get_no_slots_from_a_change(project: Project) -> None:
    gold, bad = make_prompt(project, "gold"), make_prompt(project, "bad")
    Assignment.objects.filter(prompt=gold).delete()
    Prompt.objects.filter(pk=gold.pk).update(purpose=Purpose.GOLD)
    queue.reject_prompt(bad, reason="bad")
    queue.change_overlap(project, overlap=5, fraction=1.0)
    assert not Assignment.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_during_an_import_the_overlap_cannot_be_changed(project: Project) -> None:
    make_prompt(project)
    other = connection.copy()
    key = [OVERLAP_LOCK, project.pk]
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s, %s)", key)
            with pytest.raises(queue.OverlapIsBusyError, match="is as it was"):
                queue.change_overlap(project, overlap=3, fraction=1.0)
            cursor.execute("SELECT pg_advisory_unlock(%s, %s)", key)
    finally:
        other.close()
    queue.change_overlap(project, overlap=3, fraction=1.0)
    assert slot_counts(project) == {3: 1}
