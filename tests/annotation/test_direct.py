"""Which direct work comes next: training, the test, then gold and repeats."""

import random
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models.functions import Now
from pytest_django import DjangoAssertNumQueries

from annotation.direct import LATEST_NOT_REPEATED, next_direct
from annotation.models import (
    Assignment,
    AssignmentSource,
    AssignmentState,
    Membership,
    Project,
    Prompt,
    PromptRejection,
    Purpose,
    Qualification,
)
from tests.conftest import make_prompt
from tests.ranking.checks import hand_out, make_check

pytestmark = pytest.mark.django_db


class Always(random.Random):
    """Draws this number for the share; everything else as usual."""

    def __init__(self, drawn: float) -> None:
        super().__init__(1)
        self.drawn = drawn

    def random(self) -> float:
        return self.drawn

    def getrandbits(self, k: int) -> int:
        return super().getrandbits(k)


def fresh(labeler: Membership) -> Membership:
    return Membership.objects.select_related("project").get(pk=labeler.pk)


def offered(labeler: Membership, drawn: float = 0.0) -> tuple[str, int] | None:
    """Outside id and repeat of what comes next."""
    found = next_direct(fresh(labeler), rng=Always(drawn))
    return found and (found[0].external_id, found[1])


def setup_project(project: Project, **fields: Any) -> None:
    Project.objects.filter(pk=project.pk).update(**fields)


def passed(labeler: Membership) -> None:
    Membership.objects.filter(pk=labeler.pk).update(
        qualification=Qualification.PASSED, qualification_decided_at=Now()
    )


def ranked(
    labeler: Membership, prompt: Prompt, minutes_ago: int, **fields: Any
) -> Assignment:
    """A slot of the queue that this labeler completed so long ago."""
    done = Assignment.objects.create(
        project=labeler.project,
        prompt=prompt,
        labeler=labeler,
        **{"slot": 50, "state": AssignmentState.COMPLETED} | fields,
    )
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE annotation_assignment SET closed_at = now() - %s * interval '1 min'"
            " WHERE id = %s",
            [minutes_ago, done.pk],
        )
    return done


# --- Before somebody is let in ----------------------------------------------------


def test_without_training_and_test_a_newcomer_is_let_in_at_once(
    alice: Membership, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    member = fresh(alice)
    with django_assert_num_queries(2):
        assert next_direct(member) is None
    assert member.qualification == Qualification.PASSED
    stored = fresh(alice)
    assert stored.qualification == Qualification.PASSED
    assert stored.qualification_decided_at is not None
    assert stored.qualification_decided_by is None
    with django_assert_num_queries(0):
        assert next_direct(stored) is None


def test_training_comes_in_the_order_of_its_import_each_once_then_the_door_opens(
    project: Project, alice: Membership, bob: Membership
) -> None:
    for name in ("t2", "t1", "t3"):
        make_check(project, Purpose.TRAINING, name)
    make_check(project, Purpose.QUALIFICATION, "q1")
    make_check(project, Purpose.GOLD, "g1")
    came = []
    while (given := hand_out(alice)) is not None:
        came.append(given.prompt.external_id)
        given.state = AssignmentState.COMPLETED
        given.save()
        assert fresh(alice).qualification == Qualification.PENDING
    assert came == ["t2", "t1", "t3"]
    assert fresh(alice).qualification == Qualification.PASSED
    assert offered(bob) == ("t2", 0)


def test_the_test_follows_the_training_and_its_end_lets_nobody_in_by_itself(
    project: Project, alice: Membership
) -> None:
    setup_project(project, qualification_threshold=0.7)
    make_check(project, Purpose.QUALIFICATION, "q1")
    make_check(project, Purpose.QUALIFICATION, "q2")
    make_check(project, Purpose.TRAINING, "t1")
    came = []
    while (given := hand_out(alice)) is not None:
        came.append(given.prompt.external_id)
        given.state = AssignmentState.COMPLETED
        given.save()
    assert came == ["t1", "q1", "q2"]
    assert fresh(alice).qualification == Qualification.PENDING
    setup_project(project, qualification_threshold=None)
    assert offered(alice) is None
    assert fresh(alice).qualification == Qualification.PASSED


def test_a_threshold_without_a_test_lets_nobody_in(
    project: Project, alice: Membership
) -> None:
    setup_project(project, qualification_threshold=0.7)
    assert offered(alice) is None
    assert fresh(alice).qualification == Qualification.PENDING


@pytest.mark.parametrize("state", ["skipped", "expired"])
def test_what_came_once_does_not_come_again(
    project: Project, alice: Membership, state: str
) -> None:
    prompt = make_check(project, Purpose.TRAINING, "t1")
    make_check(project, Purpose.TRAINING, "t2")
    given = hand_out(alice)
    assert given is not None
    assert given.prompt == prompt
    Assignment.objects.filter(pk=given.pk).update(state=state)
    assert offered(alice) == ("t2", 0)


def test_prompts_that_cannot_be_judged_are_left_out(
    project: Project, alice: Membership
) -> None:
    make_check(project, Purpose.TRAINING, "no gold", gold=None)
    out = make_check(project, Purpose.TRAINING, "taken out")
    PromptRejection.objects.create(prompt=out, reason="bad")
    Prompt.objects.create(
        project=project,
        external_id="no responses",
        messages=[],
        line_sha256="0" * 64,
        purpose=Purpose.TRAINING,
        gold={},
    )
    elsewhere = Project.objects.create(slug="other", title="Other")
    make_check(elsewhere, Purpose.TRAINING, "of another project")
    make_check(project, Purpose.TRAINING, "good")
    assert offered(alice) == ("good", 0)


def test_an_admin_who_refuses_at_the_same_moment_is_not_overruled(
    alice: Membership,
) -> None:
    member = fresh(alice)
    Membership.objects.filter(pk=alice.pk).update(
        qualification=Qualification.FAILED, qualification_decided_at=Now()
    )
    assert next_direct(member) is None
    assert member.qualification == Qualification.FAILED
    assert fresh(alice).qualification == Qualification.FAILED


def test_somebody_who_failed_gets_nothing(
    project: Project, alice: Membership, django_assert_num_queries: Any
) -> None:
    make_check(project, Purpose.TRAINING)
    make_check(project, Purpose.GOLD, "g1")
    setup_project(project, gold_fraction=0.5)
    Membership.objects.filter(pk=alice.pk).update(
        qualification=Qualification.FAILED, qualification_decided_at=Now()
    )
    member = fresh(alice)
    with django_assert_num_queries(0):
        assert next_direct(member, rng=Always(0.0)) is None


# --- Afterwards -------------------------------------------------------------------


def test_the_shares_decide_between_gold_a_repeat_and_the_queue(
    project: Project, alice: Membership, django_assert_num_queries: Any
) -> None:
    setup_project(project, gold_fraction=0.25, repeat_fraction=0.5)
    passed(alice)
    make_check(project, Purpose.GOLD, "g1")
    for number in range(LATEST_NOT_REPEATED + 1):
        ranked(alice, make_prompt(project, f"p{number}"), 60 + 100 - number)
    assert offered(alice, 0.0) == ("g1", 0)
    assert offered(alice, 0.249) == ("g1", 0)
    assert offered(alice, 0.25) == ("p0", 1)
    assert offered(alice, 0.749) == ("p0", 1)
    member = fresh(alice)
    with django_assert_num_queries(0):
        assert next_direct(member, rng=Always(0.75)) is None


def test_over_many_claims_the_shares_are_met(
    project: Project, alice: Membership
) -> None:
    setup_project(project, gold_fraction=0.2)
    passed(alice)
    make_check(project, Purpose.GOLD, "g1")
    member, rng = fresh(alice), random.Random(5)
    golden = sum(next_direct(member, rng=rng) is not None for _ in range(2_000))
    assert 340 <= golden <= 460  # 400 ± 3.4 standard deviations of 17.9


def test_each_gold_prompt_comes_once_in_an_order_of_the_labeler_s_own(
    project: Project, alice: Membership, bob: Membership
) -> None:
    setup_project(project, gold_fraction=0.5)
    names = {make_check(project, Purpose.GOLD, f"g{n}").external_id for n in range(8)}
    orders = []
    for labeler, seed in ((alice, 1), (bob, 2)):
        passed(labeler)
        rng, came = Always(0.0), []
        rng.seed(seed)
        while (given := hand_out(labeler, rng=rng)) is not None:
            came.append(given.prompt.external_id)
            Assignment.objects.filter(pk=given.pk).update(state="completed")
        assert set(came) == names
        assert len(came) == 8
        orders.append(came)
    assert orders[0] != orders[1]


def test_a_repeat_is_a_work_prompt_of_their_own_that_counted_and_lies_back(
    project: Project, alice: Membership, bob: Membership
) -> None:
    setup_project(project, repeat_fraction=0.5)
    passed(alice)
    assert offered(alice) is None
    good = make_prompt(project, "good")
    ranked(alice, good, 500)
    ranked(bob, make_prompt(project, "bob's"), 500)
    ranked(alice, make_prompt(project, "late"), 500, state=AssignmentState.EXPIRED)
    ranked(alice, make_prompt(project, "skipped"), 500, state=AssignmentState.SKIPPED)
    direct = {"source": AssignmentSource.DIRECT}
    ranked(alice, make_check(project, Purpose.GOLD, "gold"), 500, **direct)
    out = make_prompt(project, "out")
    PromptRejection.objects.create(prompt=out, reason="bad")
    ranked(alice, out, 500)
    for number in range(LATEST_NOT_REPEATED):
        ranked(alice, make_prompt(project, f"later{number}"), 100 - number)
    assert {offered(alice) for _ in range(20)} == {("good", 1)}
    given = hand_out(alice, rng=Always(0.0))
    assert given is not None
    assert (given.prompt, given.repeat) == (good, 1)
    # While it is held it does not come again, nor when it was just done.
    assert offered(alice) is None
    Assignment.objects.filter(pk=given.pk).update(state="completed", closed_at=Now())
    assert offered(alice) != ("good", 2)


def test_what_was_ranked_within_minutes_or_among_the_latest_does_not_come_again(
    project: Project, alice: Membership
) -> None:
    setup_project(project, repeat_fraction=0.5)
    passed(alice)
    for number in range(LATEST_NOT_REPEATED):
        ranked(alice, make_prompt(project, f"old{number}"), 5_000 - number)
    assert offered(alice) is None  # all among the latest ten
    for number in range(LATEST_NOT_REPEATED):
        ranked(alice, make_prompt(project, f"new{number}"), 20)
    fifteen = [offered(alice) for _ in range(15)]
    assert all(found and found[0].startswith("old") for found in fifteen)


def test_a_repeat_takes_the_next_free_number(
    project: Project, alice: Membership
) -> None:
    setup_project(project, repeat_fraction=0.5)
    passed(alice)
    prompt = make_prompt(project, "p")
    ranked(alice, prompt, 9_000)
    direct = {"source": AssignmentSource.DIRECT}
    ranked(alice, prompt, 8_000, repeat=1, **direct)
    ranked(alice, prompt, 8_000, repeat=2, state=AssignmentState.SKIPPED, **direct)
    for number in range(LATEST_NOT_REPEATED):
        ranked(alice, make_prompt(project, f"x{number}"), 40)
    assert offered(alice) == ("p", 3)


def test_every_old_prompt_may_be_the_one_that_is_repeated(
    project: Project, alice: Membership
) -> None:
    setup_project(project, repeat_fraction=0.5)
    passed(alice)
    for number in range(LATEST_NOT_REPEATED + 4):
        ranked(alice, make_prompt(project, f"p{number}"), 900 - number)
    member = fresh(alice)
    rng = Always(0.0)
    came = {
        found[0].external_id
        for _ in range(60)
        if (found := next_direct(member, rng=rng))
    }
    assert came == {"p0", "p1", "p2", "p3"}


def test_direct_work_is_found_by_index_however_many_prompts_there_are(
    project: Project, alice: Membership, django_assert_max_num_queries: Any
) -> None:
    setup_project(project, gold_fraction=0.5, repeat_fraction=0.5)
    passed(alice)
    make_check(project, Purpose.GOLD, "g1")
    Prompt.objects.bulk_create(
        Prompt(project=project, external_id=f"w{n}", messages=[], line_sha256="0" * 64)
        for n in range(6_000)
    )
    works = list(Prompt.objects.filter(purpose=Purpose.WORK).values_list("pk"))
    Assignment.objects.bulk_create(
        Assignment(
            project=project,
            prompt_id=pk,
            slot=0,
            labeler=alice,
            state=AssignmentState.COMPLETED,
            closed_at=alice.created_at - timedelta(minutes=60 + place),
        )
        for place, (pk,) in enumerate(works)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE annotation_prompt, annotation_assignment")
    for drawn in (0.0, 0.6):
        with django_assert_max_num_queries(6) as queries:
            assert offered(alice, drawn) is not None
        for query in queries.captured_queries[1:]:
            assert rows_read(query["sql"]) < 200, query["sql"]


def rows_read(sql: str) -> int:
    """The most rows that a step of the statement's plan reads."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}")
        [[plan]] = cursor.fetchall()

    def most(node: dict[str, Any]) -> int:
        read = int(node["Actual Rows"] + node.get("Rows Removed by Filter", 0))
        return max([read, *map(most, node.get("Plans", []))])

    return most(plan[0]["Plan"])
