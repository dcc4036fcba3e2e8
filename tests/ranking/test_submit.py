"""A ranking is stored whole, once, and never silently replaced."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.db.models.functions import Now
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytest_django import DjangoAssertNumQueries

from annotation import queue
from annotation.models import Assignment, AssignmentState, Membership, Project
from annotation.shown import as_shown
from ranking.models import Placement, Ranking, RankingStatus, RefusedSubmission
from ranking.submit import ConflictError, Submission, Submitted, submit
from ranking.weak_order import IncompleteRanking
from tests.conftest import make_prompt

pytestmark = pytest.mark.django_db

ORDER = {"A": 2, "B": 1, "C": 2, "D": 3}


def claimed(labeler: Membership) -> Assignment:
    assignment = queue.claim(labeler)
    assert assignment is not None
    return assignment


def sent(
    labeler: Membership,
    assignment: Assignment,
    ranks: dict[str, int] = ORDER,
    **more: Any,
) -> Submitted:
    """Submit as the page does; `uuid`, `replace` and `telemetry` where it matters."""
    submission = Submission(ranks=ranks, **{"uuid": uuid4(), **more})
    return submit(membership=labeler, token=assignment.token, submission=submission)


def stored(ranking: Ranking) -> dict[str, int]:
    """Response id → rank, as the database has it."""
    placements = Placement.objects.filter(ranking=ranking)
    return dict(placements.values_list("response__external_id", "rank"))


def let_the_lease_run_out(assignment: Assignment) -> None:
    Assignment.objects.filter(pk=assignment.pk).update(
        lease_until=Now() - timedelta(hours=1)
    )


@pytest.fixture
def assignment(project: Project, alice: Membership) -> Assignment:
    make_prompt(project, slots=1)
    return claimed(alice)


# --- What is stored ---------------------------------------------------------------


def test_letters_become_responses_through_the_stored_order(
    alice: Membership, assignment: Assignment
) -> None:
    Assignment.objects.update(display_order=[2, 0, 3, 1])
    done = sent(alice, assignment)
    assert stored(done.ranking) == {"r3": 2, "r1": 1, "r4": 2, "r2": 3}


def test_a_ranking_closes_its_assignment_and_counts(
    project: Project, alice: Membership, assignment: Assignment
) -> None:
    done = sent(alice, assignment, telemetry={"active_ms": 42500, "n_moves": 4})
    ranking = Ranking.objects.get()
    assert (done.ranking, done.status, done.replayed) == (
        ranking,
        RankingStatus.COUNTED,
        False,
    )
    assert ranking.project == project
    assert ranking.assignment == assignment
    assert ranking.assignment.state == AssignmentState.COMPLETED
    assert ranking.instructions == assignment.instructions
    assert ranking.active_seconds == 42.5
    assert ranking.telemetry == {"active_ms": 42500, "n_moves": 4}
    assert ranking.revises is None


def test_the_instructions_are_those_that_were_shown(
    project: Project, alice: Membership, assignment: Assignment
) -> None:
    project.instructions_set.create(version=2, text="New.")
    ranking = sent(alice, assignment).ranking
    assert ranking.instructions is not None
    assert ranking.instructions.version == 1


def test_a_page_without_a_clock_stores_no_time(
    alice: Membership, assignment: Assignment
) -> None:
    assert sent(alice, assignment).ranking.active_seconds is None


def test_gaps_between_tiers_are_closed(
    alice: Membership, assignment: Assignment
) -> None:
    done = sent(alice, assignment, {"A": 9, "B": 4, "C": 4, "D": 7})
    assert sorted(stored(done.ranking).values()) == [1, 1, 2, 3]


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(st.integers(1, 9), min_size=9, max_size=9))
def test_any_weak_order_is_stored_as_that_order(
    project: Project, alice: Membership, tiers: list[int]
) -> None:
    prompt = make_prompt(project, str(uuid4()), k=9, slots=1)
    assignment = claimed(alice)
    ranks = dict(zip("ABCDEFGHI", tiers, strict=True))
    done = sent(alice, assignment, ranks)
    shown = as_shown(assignment, prompt.responses.all())
    got = {letter: stored(done.ranking)[shown[letter].external_id] for letter in ranks}
    for one in ranks:
        for other in ranks:
            assert (ranks[one] < ranks[other]) == (got[one] < got[other])
    assert set(got.values()) == set(range(1, len(set(tiers)) + 1))


# --- What is refused --------------------------------------------------------------


@pytest.mark.parametrize(
    ("ranks", "message"),
    [
        ({"A": 1, "B": 1, "C": 2}, "the ranking misses response D"),
        ({}, "the ranking misses responses A, B, C and D"),
        (ORDER | {"E": 1}, "names E, which is not a response of this prompt"),
        (ORDER | {"r1": 1, "E": 2}, "names E and r1, which are not responses"),
    ],
)
def test_a_ranking_that_misses_a_response_or_names_a_stranger_stores_nothing(
    alice: Membership, assignment: Assignment, ranks: dict[str, int], message: str
) -> None:
    with pytest.raises(IncompleteRanking, match=message):
        sent(alice, assignment, ranks)
    assert not Ranking.objects.exists()
    assert not Placement.objects.exists()
    assignment.refresh_from_db()
    assert assignment.state == AssignmentState.CLAIMED


def test_nobody_ranks_with_somebody_elses_token(
    bob: Membership, assignment: Assignment
) -> None:
    with pytest.raises(Assignment.DoesNotExist):
        sent(bob, assignment)
    assert not Ranking.objects.exists()


def test_an_unknown_token_is_nobodys(alice: Membership, project: Project) -> None:
    with pytest.raises(Assignment.DoesNotExist):
        sent(alice, Assignment(token="nonsense"))


# --- Again ------------------------------------------------------------------------


def test_the_same_submission_again_gives_the_stored_row(
    alice: Membership, assignment: Assignment
) -> None:
    key = uuid4()
    first = sent(alice, assignment, uuid=key, telemetry={"active_ms": 1})
    again = sent(alice, assignment, uuid=key, telemetry={"active_ms": 2})
    assert (again.ranking, again.status, again.replayed) == (
        first.ranking,
        RankingStatus.COUNTED,
        True,
    )
    assert Ranking.objects.count() == 1


def test_the_same_key_with_another_order_is_a_conflict(
    alice: Membership, assignment: Assignment
) -> None:
    key = uuid4()
    first = sent(alice, assignment, uuid=key)
    with pytest.raises(ConflictError, match="used for another ranking"):
        sent(alice, assignment, ORDER | {"A": 9}, uuid=key, replace=True)
    assert Ranking.objects.get() == first.ranking


def test_a_key_belongs_to_one_assignment(
    project: Project, alice: Membership, assignment: Assignment
) -> None:
    key = uuid4()
    sent(alice, assignment, uuid=key)
    make_prompt(project, "p2")
    with pytest.raises(ConflictError, match="used for another ranking"):
        sent(alice, claimed(alice), uuid=key)


def test_a_second_tab_with_another_order_does_not_replace_the_first(
    alice: Membership, assignment: Assignment
) -> None:
    first = sent(alice, assignment)
    with pytest.raises(ConflictError, match="already submitted another ranking"):
        sent(alice, assignment, ORDER | {"A": 9})
    assert Ranking.objects.get() == first.ranking


def test_a_second_tab_with_the_same_order_is_a_replay(
    alice: Membership, assignment: Assignment
) -> None:
    first = sent(alice, assignment)
    again = sent(alice, assignment, {"A": 5, "B": 3, "C": 5, "D": 9})
    assert (again.ranking, again.replayed) == (first.ranking, True)


def test_who_means_to_replace_makes_a_revision_and_the_old_row_stays(
    alice: Membership, assignment: Assignment
) -> None:
    first = sent(alice, assignment).ranking
    second = sent(alice, assignment, ORDER | {"A": 9}, replace=True).ranking
    third = sent(alice, assignment, ORDER | {"A": 1}, replace=True).ranking
    assert (second.revises, third.revises) == (first, second)
    assert list(Ranking.objects.current()) == [third]
    assert Ranking.objects.count() == 3
    assert third.status == RankingStatus.COUNTED


def test_the_body_is_what_was_said_of_the_responses_too() -> None:
    """What changes the meaning makes another body; gaps and clocks do not."""
    said: dict[str, Any] = {
        "uuid": UUID(int=1),
        "ranks": ORDER,
        "ratings": {"A": 3},
        "flags": {"B": ["harmful", "wrong"]},
        "note": "Hm.",
    }
    body = Submission(**said).body_sha256("token")
    for name, other in {
        "ranks": ORDER | {"A": 1},
        "ratings": {"A": 4},
        "flags": {"B": ["harmful"]},
        "note": "Hm!",
    }.items():
        assert Submission(**said | {name: other}).body_sha256("token") != body
    assert Submission(**said).body_sha256("another") != body
    for name, same in {
        "uuid": UUID(int=2),
        "ranks": {"A": 5, "B": 3, "C": 5, "D": 9},
        "flags": {"B": ["wrong", "harmful", "wrong"], "C": []},
        "telemetry": {"active_ms": 1},
        "render_mode": "raw",
        "replace": True,
    }.items():
        assert Submission(**said | {name: same}).body_sha256("token") == body


def test_both_bodies_of_one_key_are_kept_and_the_refused_one_once(
    alice: Membership, assignment: Assignment
) -> None:
    key = uuid4()
    sent(alice, assignment, uuid=key)
    other = ORDER | {"A": 9}
    for _ in range(3):
        with pytest.raises(ConflictError, match="used for another") as refused:
            sent(alice, assignment, other, uuid=key, telemetry={"n_moves": 1})
        assert refused.value.stored == ORDER
    kept = RefusedSubmission.objects.get()
    assert (kept.assignment, kept.submission_uuid) == (assignment, key)
    assert kept.content == {
        "ranks": {"A": 4, "B": 1, "C": 2, "D": 3},
        "ratings": {},
        "flags": {},
        "note": "",
        "replace": False,
        "telemetry": {"n_moves": 1},
    }


def test_a_replay_is_one_whatever_the_project_asks_for_by_now(
    alice: Membership, assignment: Assignment
) -> None:
    key = uuid4()
    sent(alice, assignment, uuid=key)
    Project.objects.update(rate_first=True)
    alice.project.refresh_from_db()
    assert sent(alice, assignment, uuid=key).replayed


# --- Late -------------------------------------------------------------------------


def test_an_answer_after_the_lease_counts_while_nobody_took_the_prompt(
    alice: Membership, assignment: Assignment
) -> None:
    let_the_lease_run_out(assignment)
    assert sent(alice, assignment).status == RankingStatus.COUNTED


def test_an_answer_after_somebody_took_over_is_kept_as_late(
    alice: Membership, bob: Membership, assignment: Assignment
) -> None:
    let_the_lease_run_out(assignment)
    taken = claimed(bob)
    assert sent(alice, assignment).status == RankingStatus.LATE
    assert sent(bob, taken).status == RankingStatus.COUNTED


def test_an_answer_after_somebody_elses_is_kept_as_surplus(
    alice: Membership, bob: Membership, assignment: Assignment
) -> None:
    let_the_lease_run_out(assignment)
    assert sent(bob, claimed(bob)).status == RankingStatus.COUNTED
    assert sent(alice, assignment).status == RankingStatus.SURPLUS
    assert Ranking.objects.count() == 2


# --- Cost -------------------------------------------------------------------------


def test_a_submission_takes_eight_statements(
    alice: Membership,
    assignment: Assignment,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    """BEGIN, assignment, rankings, responses, UPDATE, INSERT, summary, COMMIT."""
    with django_assert_num_queries(8):
        sent(alice, assignment, uuid=UUID(int=7))


def test_response_texts_are_not_read_to_store_a_ranking(
    alice: Membership,
    assignment: Assignment,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    with django_assert_num_queries(8, connection=connection) as captured:
        sent(alice, assignment)
    statements = [query["sql"] for query in captured.captured_queries]
    assert not [sql for sql in statements if '"annotation_response"."text"' in sql]
