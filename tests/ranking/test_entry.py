"""The test that gates entry: decided by the last answer, once, and by nobody else."""

import threading
from collections.abc import Callable
from uuid import uuid4

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from annotation.models import (
    Assignment,
    AssignmentState,
    Membership,
    Project,
    Prompt,
    PromptRejection,
    Purpose,
    Qualification,
)
from annotation.shown import as_shown
from ranking import entry
from ranking.entry import decide, scores_of, standings
from ranking.filters import Filters, gold_rankings, rankings_that_count
from ranking.gold import Entry, Score
from ranking.submit import Submission, submit
from tests.conftest import make_prompt
from tests.ranking.checks import GOLD, answer, hand_out, make_check
from tests.ranking.rows import revise, store_ranking

pytestmark = pytest.mark.django_db
SignIn = Callable[[Membership], Client]
RIGHT = GOLD
# r1 last: 2 of the 5 strict pairs (r2 and r3 above r4) are left.
HALF = {"r1": 4, "r2": 1, "r3": 2, "r4": 3}
WRONG = {"r1": 3, "r2": 2, "r3": 2, "r4": 1}


@pytest.fixture
def tested(project: Project) -> Project:
    """A project with a test of three prompts, and the line at .3."""
    for number in range(3):
        make_check(project, Purpose.QUALIFICATION, f"q{number}")
    Project.objects.update(qualification_threshold=0.3)
    project.refresh_from_db()
    return project


def take(labeler: Membership, *orders: dict[str, int]) -> None:
    """Answer so many prompts of the test."""
    for ranks in orders:
        given = hand_out(labeler)
        assert given is not None
        answer(given, ranks)


def where(labeler: Membership) -> str:
    return Membership.objects.get(pk=labeler.pk).qualification


@pytest.mark.parametrize(
    ("threshold", "orders", "outcome"),
    [
        # All right: Wilson with Kish's n = 3: [3 / (3 + 3.84), 1] = [.439, 1].
        (0.43, [RIGHT] * 3, "passed"),
        (0.45, [RIGHT] * 3, "pending"),
        (1.0, [RIGHT] * 3, "pending"),
        # All wrong: [0, .561].
        (0.57, [WRONG] * 3, "failed"),
        (0.55, [WRONG] * 3, "pending"),
        # Two right, one half: 12 of 15.
        (0.2, [RIGHT, HALF, RIGHT], "passed"),
        (0.8, [RIGHT, HALF, RIGHT], "pending"),
    ],
)
def test_the_last_answer_decides_by_the_whole_interval(
    tested: Project,
    alice: Membership,
    threshold: float,
    orders: list[dict[str, int]],
    outcome: str,
) -> None:
    Project.objects.update(qualification_threshold=threshold)
    take(alice, *orders[:-1])
    assert where(alice) == "pending"
    take(alice, orders[-1])
    assert where(alice) == outcome
    member = Membership.objects.get(pk=alice.pk)
    assert (member.qualification_decided_at is None) == (outcome == "pending")
    assert member.qualification_decided_by is None


def test_the_numbers_are_there_for_the_admin(
    tested: Project, alice: Membership, bob: Membership
) -> None:
    take(alice, RIGHT, HALF)
    with_answers = standings(tested, [alice.pk, bob.pk])
    hers, his = with_answers[alice.pk], with_answers[bob.pk]
    assert (hers.answered, hers.prompts, hers.complete) == (2, 3, False)
    assert (hers.result.agree, hers.result.comparable) == (7, 10)
    assert hers.result.interval is not None
    assert (his.answered, his.result.value, his.complete) == (0, None, False)


def test_a_skipped_prompt_leaves_the_test_to_the_admin(
    tested: Project, alice: Membership
) -> None:
    skipped = hand_out(alice)
    assert skipped is not None
    Assignment.objects.filter(pk=skipped.pk).update(state=AssignmentState.SKIPPED)
    take(alice, RIGHT, RIGHT)
    assert hand_out(alice) is None
    assert where(alice) == "pending"


def test_a_prompt_taken_out_is_no_part_of_the_test(
    tested: Project, alice: Membership
) -> None:
    take(alice, WRONG)
    done = Assignment.objects.get(labeler=alice)
    PromptRejection.objects.create(prompt=done.prompt, reason="bad")
    take(alice, RIGHT, RIGHT)
    # Two right: [2 / (2 + 3.84), 1] = [.342, 1], above the line at .3.
    assert where(alice) == "passed"


@pytest.mark.parametrize("page", ["labeler_home", "rank"])
def test_a_test_that_a_rejection_completes_is_decided_at_the_next_visit(
    tested: Project, alice: Membership, page: str, signed_in: SignIn
) -> None:
    take(alice, RIGHT, RIGHT)
    rest = Prompt.objects.exclude(assignment__labeler=alice).get()
    PromptRejection.objects.create(prompt=rest, reason="bad")
    assert where(alice) == "pending"
    signed_in(alice).get(reverse(page, args=[tested.slug]))
    assert where(alice) == "passed"


def test_a_correction_decides_nothing(tested: Project, alice: Membership) -> None:
    Project.objects.update(qualification_threshold=0.43)
    take(alice, RIGHT, RIGHT, HALF)
    assert where(alice) == "pending"
    last = Assignment.objects.filter(labeler=alice).latest("pk")
    answer(last, RIGHT)
    assert standings(tested, [alice.pk])[alice.pk].result.value == 1.0
    assert where(alice) == "pending"


@pytest.mark.parametrize("decision", [Qualification.PASSED, Qualification.FAILED])
def test_an_admin_s_decision_stays(
    tested: Project, alice: Membership, admin: Membership, decision: str
) -> None:
    take(alice, RIGHT, RIGHT)
    last = hand_out(alice)
    assert last is not None
    Membership.objects.filter(pk=alice.pk).update(
        qualification=decision,
        qualification_decided_at=Now(),
        qualification_decided_by=admin.user,
    )
    answer(last, WRONG if decision == "passed" else RIGHT)
    member = Membership.objects.get(pk=alice.pk)
    assert member.qualification == decision
    assert member.qualification_decided_by == admin.user
    assert decide(alice.pk) is None


def test_deciding_again_changes_nothing(tested: Project, alice: Membership) -> None:
    take(alice, RIGHT, RIGHT, RIGHT)
    before = Membership.objects.values().get(pk=alice.pk)
    assert decide(alice.pk) is None
    assert Membership.objects.values().get(pk=alice.pk) == before


def test_without_a_line_nothing_is_decided(tested: Project, alice: Membership) -> None:
    take(alice, RIGHT, RIGHT)
    last = hand_out(alice)
    assert last is not None
    Project.objects.update(qualification_threshold=None)
    answer(last, RIGHT)
    assert where(alice) == "pending"


def test_a_ranking_of_the_queue_costs_no_statement_more(
    project: Project,
    alice: Membership,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    ranking = store_ranking(make_prompt(project), alice, RIGHT)
    Membership.objects.update(
        qualification=Qualification.PASSED, qualification_decided_at=Now()
    )
    passed = Membership.objects.select_related("project").get(pk=alice.pk)
    with django_assert_num_queries(0):
        entry.wait_for_claims(passed)
        entry.answered(ranking)


def test_a_wrong_answer_that_is_refused_decides_nothing(
    tested: Project, alice: Membership
) -> None:
    take(alice, RIGHT, RIGHT)
    last = hand_out(alice)
    assert last is not None
    with pytest.raises(ValueError, match="misses"):
        submit(
            membership=alice,
            token=last.token,
            submission=Submission(uuid=uuid4(), ranks={"A": 1}),
        )
    assert where(alice) == "pending"
    assert decide(alice.pk) is None


def test_checks_count_in_gold_only_and_gold_counts_checks_only(
    project: Project, alice: Membership
) -> None:
    checks = [
        store_ranking(make_check(project, purpose, purpose), alice, HALF)
        for purpose in (Purpose.TRAINING, Purpose.QUALIFICATION, Purpose.GOLD)
    ]
    work = store_ranking(make_prompt(project, "work"), alice, HALF)
    out = make_check(project, Purpose.GOLD, "out")
    PromptRejection.objects.create(prompt=out, reason="bad")
    store_ranking(out, alice, RIGHT)
    repeat = make_check(project, Purpose.GOLD, "again")
    store_ranking(repeat, alice, RIGHT, assignment={"repeat": 1})
    everything = Filters()
    assert set(gold_rankings(project, everything)) == set(checks)
    assert set(rankings_that_count(project, everything)) == {work}
    found = list(scores_of(gold_rankings(project, everything)))
    assert {one.purpose for one in found} == {"training", "qualification", "gold"}
    assert {one.score for one in found} == {Score(2, 5)}


def test_what_is_corrected_after_the_right_order_was_seen_is_no_gold(
    project: Project, alice: Membership
) -> None:
    for purpose in (Purpose.TRAINING, Purpose.QUALIFICATION, Purpose.GOLD):
        first = store_ranking(make_check(project, purpose, purpose), alice, WRONG)
        revise(first, RIGHT)
    found = list(scores_of(gold_rankings(project, Filters())))
    assert [one.score for one in found] == [Score(0, 5)] * 3


# --- Two last answers at once -----------------------------------------------------


def submit_both_at_once(alice: Membership, held: list[Assignment]) -> None:
    """The last two answers, each of which sees the other only if one waits."""
    together = threading.Barrier(2, timeout=20)
    errors: list[BaseException] = []

    def run(assignment: Assignment) -> None:
        try:
            together.wait()
            shown = as_shown(assignment, assignment.prompt.responses.all())
            ranks = {letter: RIGHT[r.external_id] for letter, r in shown.items()}
            member = Membership.objects.get(pk=alice.pk)
            submission = Submission(uuid=uuid4(), ranks=ranks)
            submit(membership=member, token=assignment.token, submission=submission)
        except BaseException as error:  # noqa: BLE001  told to the test below
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=[one]) for one in held]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("locked", [True, False])
def test_of_two_last_answers_at_once_the_second_decides(
    tested: Project,
    alice: Membership,
    monkeypatch: pytest.MonkeyPatch,
    *,
    locked: bool,
) -> None:
    take(alice, RIGHT)
    held = []
    for state in (AssignmentState.CLAIMED, AssignmentState.PREFETCHED):
        given = hand_out(alice, state=state)
        assert given is not None
        held.append(given)
    if not locked:
        # The control: neither waits, both look before either commits.
        looked = threading.Barrier(2, timeout=20)
        monkeypatch.setattr(entry, "wait_for_claims", lambda membership: None)
        real = entry.decide

        def look_together(labeler: int) -> Entry | None:
            decided = real(labeler)
            looked.wait()
            return decided

        monkeypatch.setattr(entry, "decide", look_together)
    submit_both_at_once(alice, held)
    assert where(alice) == ("passed" if locked else "pending")


def test_the_door_that_opened_lets_work_through(
    tested: Project, alice: Membership
) -> None:
    take(alice, RIGHT, RIGHT, RIGHT)
    make_prompt(tested, "work")
    assert where(alice) == "passed"
    assert hand_out(alice) is None
