"""Withdrawing a labeler: what leaves, what stays, and answers that come meanwhile."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError
from django.test import Client

from annotation import queue, standing, withdrawn_slots
from annotation.changes import changes_of
from annotation.models import (
    Assignment,
    AssignmentState,
    Membership,
    Project,
    Prompt,
    Role,
)
from annotation.queue import NothingIsServed
from ranking import submit as submitting
from ranking.dashboards import agreement_report
from ranking.datasets import freeze
from ranking.filters import Filters, rankings_that_count
from ranking.holdings import datasets_with_labeler
from ranking.models import Ranking, RankingStatus, Withdrawal
from ranking.quality_cards import labeler_card
from ranking.submit import Submission, Submitted, submit
from ranking.withdrawal import (
    AlreadyWithdrawnError,
    NotWithdrawnError,
    reinstate,
    withdraw,
    withdrawn_from,
)
from rm_training.models import RewardModel, TrainingRun
from tests.annotation.test_queue import claimed
from tests.conftest import make_member, make_prompt
from tests.racing import meanwhile

pytestmark = pytest.mark.django_db

ORDER = {"A": 1, "B": 2, "C": 3, "D": 4}


def ranked_by(labeler: Membership, token: str, **fields: Any) -> Submitted:
    submission = Submission(uuid=uuid4(), ranks={**ORDER, **fields}, replace=True)
    return submit(membership=labeler, token=token, submission=submission)


def works(labeler: Membership, times: int = 1) -> list[Ranking]:
    return [ranked_by(labeler, claimed(labeler).token).ranking for _ in range(times)]


def take_out(labeler: Membership, admin: Membership) -> int:
    assert admin.user is not None
    return withdraw(labeler, reason="Ranked at random.", user=admin.user)


def put_back(labeler: Membership, admin: Membership) -> int:
    assert admin.user is not None
    return reinstate(labeler, user=admin.user)


def slots_of(prompt: Prompt) -> list[tuple[int, str]]:
    rows = Assignment.objects.filter(prompt=prompt).exclude(state="expired")
    return sorted(rows.values_list("slot", "state"))


def counting(project: Project) -> set[str]:
    rows = rankings_that_count(project, Filters())
    return set(rows.values_list("assignment__labeler__name", flat=True))


def test_their_slots_go_back_to_the_queue_and_never_to_them(
    project: Project, alice: Membership, bob: Membership, admin: Membership
) -> None:
    prompts = [make_prompt(project, f"p{number}") for number in range(3)]
    works(alice, 2)
    works(bob, 1)
    claimed(alice)
    assert take_out(alice, admin) == 3
    for prompt in prompts:
        assert [slot for slot, _ in slots_of(prompt)] == [0, 1]
    alice.refresh_from_db()
    assert alice.paused_at is not None
    with pytest.raises(NothingIsServed):
        queue.claim(alice)
    carol = make_member(project, "carol", Role.LABELER)
    works(bob, 2)
    works(carol, 3)
    assert queue.claim(bob) is None
    assert queue.claim(carol) is None


def test_a_slot_beyond_the_overlap_or_of_a_rejected_prompt_stays_closed(
    project: Project, alice: Membership, admin: Membership
) -> None:
    lowered, rejected = make_prompt(project, "p1", slots=1), make_prompt(project, "p2")
    works(alice, 2)
    Prompt.objects.filter(pk=lowered.pk).update(overlap=0)
    queue.reject_prompt(rejected, reason="No question.")
    assert take_out(alice, admin) == 0


def test_what_they_ranked_counts_nowhere_and_is_all_there(
    project: Project, alice: Membership, bob: Membership, admin: Membership
) -> None:
    make_prompt(project)
    works(alice)
    works(bob)
    before = freeze(project)
    take_out(alice, admin)
    assert counting(project) == {"bob"}
    assert agreement_report(project, Filters())["rankings"] == 1
    after = freeze(project)
    assert (before.counts["rankings"], after.counts["rankings"]) == (2, 1)
    assert before.rankings.count() == 2
    assert Ranking.objects.count() == 2
    [held] = datasets_with_labeler(alice)
    assert (held.dataset, held.rankings) == (before, 1)
    assert (withdrawn_from(before), withdrawn_from(after)) == (1, 0)
    assert labeler_card(alice).rankings == 1


def test_reinstated_they_count_again_and_fill_what_nobody_filled(
    project: Project, alice: Membership, bob: Membership, admin: Membership
) -> None:
    left, taken = (
        make_prompt(project, "p1", slots=1),
        make_prompt(project, "p2", slots=1),
    )
    works(alice, 2)
    take_out(alice, admin)
    work = claimed(bob)
    ranked_by(bob, work.token)
    other = left if work.prompt_id == taken.pk else taken
    assert put_back(alice, admin) == 1
    assert counting(project) == {"alice", "bob"}
    assert rankings_that_count(project, Filters()).count() == 3
    assert slots_of(other) == [(0, "completed")]
    assert slots_of(work.prompt) == [(0, "completed")]
    assert queue.claim(bob) is None
    alice.refresh_from_db()
    assert alice.paused_at is not None
    standing.resume(alice)


def test_reinstated_they_take_a_free_slot_without_an_open_row(
    project: Project, alice: Membership, admin: Membership
) -> None:
    prompt = make_prompt(project, slots=2)
    works(alice)
    take_out(alice, admin)
    Assignment.objects.filter(prompt=prompt, state="open").delete()
    assert put_back(alice, admin) == 1
    assert slots_of(prompt) == [(0, "completed")]


def test_twice_is_refused_and_so_is_the_end_of_nothing(
    project: Project, alice: Membership, admin: Membership
) -> None:
    with pytest.raises(NotWithdrawnError):
        put_back(alice, admin)
    take_out(alice, admin)
    with pytest.raises(AlreadyWithdrawnError):
        take_out(alice, admin)
    put_back(alice, admin)
    take_out(alice, admin)
    assert Withdrawal.objects.count() == 2


def test_while_withdrawn_nobody_lets_them_go_on(
    project: Project, alice: Membership, admin: Membership
) -> None:
    take_out(alice, admin)
    with pytest.raises(standing.StillWithdrawnError, match="Reinstate them first"):
        standing.resume(alice)
    alice.refresh_from_db()
    assert alice.paused_at is not None


def test_the_history_says_who_withdrew_what_and_who_ended_it_but_not_why(
    project: Project,
    alice: Membership,
    admin: Membership,
    signed_in: Callable[[Membership], Client],
) -> None:
    browser, address = signed_in(admin), f"/p/tides/members/{alice.pk}/"
    browser.post(f"{address}withdraw/", {"reason": "Alice Smith guesses."})
    put_back(alice, admin)  # as a command does: the row itself says for whom
    ended, begun = changes_of(project, kind="withdrawal")[0]
    assert (begun.subject, begun.deed) == ("Rankings of alice", "withdrawn")
    assert (ended.subject, ended.deed) == ("Rankings of alice", "counted again")
    assert begun.by == ended.by == "admin@example.org"
    assert begun.differences == []
    assert [one.label for one in ended.differences] == ["Counted again since"]
    page = browser.get("/p/tides/changes/?kind=withdrawal").content.decode()
    assert "Rankings of alice" in page
    assert "guesses" not in page


def test_a_withdrawal_is_never_deleted(
    project: Project, alice: Membership, admin: Membership
) -> None:
    take_out(alice, admin)
    with pytest.raises(IntegrityError, match="append-only"):
        Withdrawal.objects.all().delete()


def test_an_answer_that_comes_later_is_kept_and_takes_no_slot(
    project: Project, alice: Membership, admin: Membership
) -> None:
    prompt = make_prompt(project)
    token = claimed(alice).token
    take_out(alice, admin)
    assert ranked_by(alice, token).status == RankingStatus.SURPLUS
    assert slots_of(prompt) == [(0, "open"), (1, "open")]


def test_a_prompt_that_a_claim_left_them_goes_to_others_with_their_answer(
    project: Project, alice: Membership, admin: Membership
) -> None:
    prompt = make_prompt(project, slots=1)
    take_out(alice, admin)
    # As a claim leaves it that was under way when the withdrawal came.
    row = Assignment.objects.get(prompt=prompt)
    fields = {"state": AssignmentState.CLAIMED, "labeler": alice}
    times = dict.fromkeys(("claimed_at", "shown_at", "lease_until"), prompt.created_at)
    Assignment.objects.filter(pk=row.pk).update(**fields, **times)
    assert ranked_by(alice, row.token).status == RankingStatus.SURPLUS
    assert slots_of(prompt) == [(0, "open")]


def test_a_correction_is_worth_what_it_corrects(
    project: Project, alice: Membership, admin: Membership
) -> None:
    prompt = make_prompt(project, slots=1)
    [first] = works(alice)
    take_out(alice, admin)
    again = ranked_by(alice, first.assignment.token, A=9)
    assert again.status == RankingStatus.COUNTED
    assert slots_of(prompt) == [(0, "open")]
    assert counting(project) == set()
    assert put_back(alice, admin) == 1
    assert rankings_that_count(project, Filters()).get() == again.ranking


# --- Races ------------------------------------------------------------------------


def race(
    project: Project, alice: Membership, admin: Membership
) -> tuple[Prompt, Submitted]:
    """The withdrawal begins while an answer is under way, and ends after it."""
    prompt = make_prompt(project, slots=1)
    token = claimed(alice).token
    answered: list[Submitted] = []

    def answer() -> None:
        answered.append(_attempted(alice, token))

    meanwhile(answer, lambda: take_out(alice, admin))
    return prompt, answered[0]


def _attempted(labeler: Membership, token: str) -> Submitted:
    """`submit` within a transaction of the caller's."""
    submission = Submission(uuid=uuid4(), ranks=ORDER)
    assignment = queue.lock_for_answer(membership=labeler, token=token)
    assignment.labeler = labeler
    stored = submitting._store(assignment, submission)
    assert isinstance(stored, Submitted)
    return stored


@pytest.mark.django_db(transaction=True)
def test_an_answer_under_way_is_awaited_and_its_slot_returned(
    project: Project, alice: Membership, admin: Membership
) -> None:
    prompt, answered = race(project, alice, admin)
    assert answered.status == RankingStatus.COUNTED
    assert slots_of(prompt) == [(0, "open")]
    assert counting(project) == set()


@pytest.mark.django_db(transaction=True)
def test_without_the_lock_the_slot_of_an_answer_under_way_is_lost(
    project: Project,
    alice: Membership,
    admin: Membership,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The control: looked at without a lock, the answer is not there yet."""

    def unlocked(labeler: Membership) -> list[Assignment]:
        rows = list(Assignment.objects.filter(labeler=labeler, state="completed"))
        list(Assignment.objects.filter(labeler=labeler).select_for_update())
        return rows

    monkeypatch.setattr(withdrawn_slots, "_lock_rows", unlocked)
    prompt, _ = race(project, alice, admin)
    assert slots_of(prompt) == [(0, "completed")]


@pytest.mark.django_db(transaction=True)
def test_an_answer_that_waits_for_the_withdrawal_sees_it(
    project: Project, alice: Membership, admin: Membership
) -> None:
    prompt = make_prompt(project, slots=1)
    token = claimed(alice).token
    answered = meanwhile(
        lambda: take_out(alice, admin), lambda: ranked_by(alice, token)
    )
    assert answered.status == RankingStatus.SURPLUS
    assert slots_of(prompt) == [(0, "open")]


@pytest.mark.django_db(transaction=True)
def test_who_lets_them_go_on_at_that_moment_comes_too_late(
    project: Project, alice: Membership, admin: Membership
) -> None:
    standing.pause(alice)
    with pytest.raises(standing.StillWithdrawnError):
        meanwhile(lambda: take_out(alice, admin), lambda: standing.resume(alice))
    assert Membership.objects.get(pk=alice.pk).paused_at is not None


# --- Pages ------------------------------------------------------------------------


def test_the_page_names_what_it_touches_before_anybody_confirms(
    project: Project,
    alice: Membership,
    admin: Membership,
    signed_in: Callable[[Membership], Client],
    django_assert_num_queries: Any,
) -> None:
    make_prompt(project)
    works(alice)
    dataset = freeze(project)
    run = TrainingRun.objects.create(
        project=project, dataset=dataset, base_model="base", config={}
    )
    RewardModel.objects.create(
        project=project,
        run=run,
        folder="tides/1",
        manifest_sha256="0" * 64,
        metrics={},
        in_use=True,
    )
    browser = signed_in(admin)
    address = f"/p/tides/members/{alice.pk}"
    assert f"{address}/withdrawal/" in browser.get(f"{address}/").content.decode()
    with django_assert_num_queries(6):  # session with user, membership, four of its own
        page = browser.get(f"{address}/withdrawal/").content.decode()
    assert dataset.name in page
    assert f"Model of run {run.pk}" in page
    assert "in use" in page
    assert browser.post(f"{address}/withdraw/", {"reason": " "}).status_code == 422
    assert not Withdrawal.objects.exists()
    sent = browser.post(f"{address}/withdraw/", {"reason": "Random."}, follow=True)
    assert "1 prompt is in the queue again" in sent.content.decode()
    assert Withdrawal.objects.get().withdrawn_by == admin.user
    marked = browser.get(f"/p/tides/datasets/{dataset.name}/").content.decode()
    assert "1 ranking of this dataset is of labelers" in marked
    refused = browser.post(f"{address}/resume/", follow=True).content.decode()
    assert "Reinstate them first" in refused
    twice = browser.post(f"{address}/withdraw/", {"reason": "x"}, follow=True)
    assert "withdrawn already" in twice.content.decode()
    back = browser.post(f"{address}/reinstate/", follow=True).content.decode()
    assert "count again" in back
    assert Withdrawal.objects.in_force().count() == 0
    again = browser.post(f"{address}/reinstate/", follow=True).content.decode()
    assert "are not withdrawn" in again


def test_admins_and_researchers_have_nothing_to_withdraw(
    researcher: Membership,
    admin: Membership,
    signed_in: Callable[[Membership], Client],
) -> None:
    page = signed_in(admin).get(f"/p/tides/members/{researcher.pk}/withdrawal/")
    assert page.status_code == 404
