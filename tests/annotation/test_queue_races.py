"""Many people at the queue at once, on real connections, with the control beside it.

Whoever claims here looks at the queue as it was, waits at a gate until all have looked,
and holds a row for a moment: the races are run, and not merely possible.
"""

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from annotation import importing, prompt_rows, queue, skips, taking
from annotation.imports import import_prompts
from annotation.leases import expire
from annotation.models import (
    Assignment,
    AssignmentState,
    Membership,
    Project,
    Prompt,
    PromptRejection,
    Role,
    Skip,
)
from annotation.queue_statements import ABANDONED, SKIP_LOCKED, TAKE
from tests.annotation.test_queue import claimed, let_the_lease_run_out
from tests.conftest import make_member, make_prompt
from tests.racing import AT_THE_GATE, at_once, gate, together

pytestmark = pytest.mark.django_db(transaction=True)
CLAIMERS = 64
TAKING = "RETURNING queued.*"
MEMBER_LOCK = " FOR NO KEY UPDATE OF member"


@pytest.fixture
def crowd(project: Project) -> list[Membership]:
    return [make_member(project, f"m{n}", Role.LABELER) for n in range(CLAIMERS)]


@pytest.fixture
def _gated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everybody has looked at the queue before anybody takes a row."""
    slow = TAKE.replace("AND NOT EXISTS (", f"AND {AT_THE_GATE} AND NOT EXISTS (", 1)
    slow = slow.replace(TAKING, f"{TAKING}, pg_sleep(0.005)")
    assert AT_THE_GATE in slow
    assert "pg_sleep" in slow
    monkeypatch.setattr(taking, "TAKE", slow)


def claim_at_once(labelers: list[Membership]) -> list[Assignment | None]:
    with gate(len(labelers)):
        return at_once(queue.claim, labelers)


def without(piece: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take a lock out of the statement that hands out slots."""
    statement: str = vars(taking)["TAKE"]
    assert piece in statement
    monkeypatch.setattr(taking, "TAKE", statement.replace(piece, ""))


def tokens(claims: list[Assignment | None]) -> list[str]:
    return [claim.token for claim in claims if claim is not None]


# --- Different labelers -----------------------------------------------------------


@pytest.mark.usefixtures("_gated")
def test_of_sixty_four_claimers_one_gets_the_one_slot(
    project: Project, crowd: list[Membership]
) -> None:
    make_prompt(project, slots=1)
    claims = claim_at_once(crowd)
    assert len(tokens(claims)) == 1
    assert Assignment.objects.filter(state=AssignmentState.CLAIMED).count() == 1


@pytest.mark.usefixtures("_gated")
def test_sixty_four_claimers_get_sixty_four_different_slots(
    project: Project, crowd: list[Membership]
) -> None:
    for number in range(CLAIMERS // 2):
        make_prompt(project, f"p{number}", slots=2)
    claims = claim_at_once(crowd)
    assert len(set(tokens(claims))) == CLAIMERS
    held = Assignment.objects.filter(state=AssignmentState.CLAIMED)
    assert held.values("labeler").distinct().count() == CLAIMERS


@pytest.mark.usefixtures("_gated")
def test_without_the_lock_the_same_slot_goes_to_many(
    project: Project, crowd: list[Membership], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: it must go wrong, or the two tests above prove nothing."""
    without(SKIP_LOCKED, monkeypatch)
    make_prompt(project, slots=1)
    claims = claim_at_once(crowd)
    assert len(tokens(claims)) == CLAIMERS
    assert len(set(tokens(claims))) == 1


@pytest.mark.usefixtures("_gated")
def test_without_the_lock_sixty_four_slots_are_not_enough(
    project: Project, crowd: list[Membership], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control once more."""
    without(SKIP_LOCKED, monkeypatch)
    for number in range(CLAIMERS // 2):
        make_prompt(project, f"p{number}", slots=2)
    claims = claim_at_once(crowd)
    assert len(tokens(claims)) == CLAIMERS
    assert len(set(tokens(claims))) == 1


def test_one_of_many_takes_over_an_abandoned_slot(
    project: Project, alice: Membership, crowd: list[Membership]
) -> None:
    make_prompt(project, slots=1)
    let_the_lease_run_out(claimed(alice))
    claims = at_once(queue.claim, crowd[:16])
    assert len(tokens(claims)) == 1
    states = sorted(Assignment.objects.values_list("state", flat=True))
    assert states == ["claimed", "expired"]


def test_without_the_lock_two_take_over_one_slot_and_collide(
    project: Project,
    alice: Membership,
    crowd: list[Membership],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The control: both have found it before either takes it, and do not look again."""
    make_prompt(project, slots=1)
    let_the_lease_run_out(claimed(alice))
    both_found = together(2)

    def slowly(lapsed: Assignment) -> None:
        both_found()
        expire(lapsed)

    monkeypatch.setattr(taking, "LOCK_ABANDONED", ABANDONED)
    monkeypatch.setattr(taking, "expire", slowly)
    monkeypatch.setattr(taking, "is_wanted", lambda _: True)

    def claim(labeler: Membership) -> str:
        try:
            queue.claim(labeler)
        except IntegrityError as error:
            return str(error)
        return ""

    assert "a_slot_is_held_once" in "".join(at_once(claim, crowd[:2]))


def test_a_claim_waits_for_nobody(project: Project, crowd: list[Membership]) -> None:
    """While one transaction holds the first row, the next claimer gets the second."""
    first, second = make_prompt(project, "p1", slots=1), make_prompt(project, "p2")
    from_the_first = first.assignment_set.get()

    with transaction.atomic():
        Assignment.objects.select_for_update().get(pk=from_the_first.pk)
        (taken,) = at_once(queue.claim, crowd[:1])
    assert taken.prompt == second


# --- One labeler in many tabs -----------------------------------------------------


def eight_prompts(project: Project) -> None:
    for number in range(8):
        make_prompt(project, f"p{number}")


@pytest.mark.usefixtures("_gated")
def test_eight_sessions_of_one_account_hold_one_prompt(
    project: Project, alice: Membership
) -> None:
    eight_prompts(project)
    claims = claim_at_once([alice] * 8)
    assert len(tokens(claims)) == 8
    assert len(set(tokens(claims))) == 1
    assert Assignment.objects.filter(labeler=alice).count() == 1


@pytest.mark.usefixtures("_gated")
def test_the_constraints_alone_keep_one_account_to_one_prompt(
    project: Project, alice: Membership, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The membership's lock off: claims are refused by the database and ask again."""
    without(MEMBER_LOCK, monkeypatch)
    eight_prompts(project)
    claims = claim_at_once([alice] * 8)
    assert len(set(tokens(claims))) == 1
    assert Assignment.objects.filter(labeler=alice).count() == 1


@pytest.fixture
def _unconstrained() -> Iterator[None]:
    """The constraints that keep one labeler's claims apart are gone."""
    apart = [
        constraint
        for constraint in Assignment._meta.constraints
        if constraint.name
        in ("a_labeler_holds_one_prompt_at_a_time", "a_prompt_comes_once_to_a_labeler")
    ]
    assert len(apart) == 2
    with connection.schema_editor() as editor:
        for constraint in apart:
            editor.remove_constraint(Assignment, constraint)
    yield
    Assignment.objects.all().delete()
    with connection.schema_editor() as editor:
        for constraint in apart:
            editor.add_constraint(Assignment, constraint)


@pytest.mark.usefixtures("_gated", "_unconstrained")
def test_without_lock_and_constraints_one_account_holds_many(
    project: Project, alice: Membership, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control of the two tests above."""
    without(MEMBER_LOCK, monkeypatch)
    eight_prompts(project)
    claims = claim_at_once([alice] * 8)
    assert len(set(tokens(claims))) == 8
    assert queue.held_by(alice).count() == 8


@pytest.mark.usefixtures("_gated")
def test_loading_ahead_and_claiming_at_once_hold_one_prompt_each(
    project: Project, alice: Membership
) -> None:
    eight_prompts(project)
    asked = [queue.claim, queue.prefetch] * 4
    with gate(len(asked)):
        held = at_once(lambda ask: ask(alice), asked)
    assert len(set(tokens(held[::2]))) == 1
    states = list(Assignment.objects.exclude(labeler=None).values("state", "prompt"))
    assert [row["state"] for row in states].count("claimed") == 1
    assert [row["state"] for row in states].count("prefetched") <= 1
    assert len({row["prompt"] for row in states}) == len(states)


# --- Votes and overlap ------------------------------------------------------------


def vote(held: Assignment) -> Skip:
    assert held.labeler is not None
    return queue.skip(membership=held.labeler, token=held.token, reason="bad_prompt")


def test_two_votes_at_once_take_a_prompt_out(
    project: Project, alice: Membership, bob: Membership
) -> None:
    make_prompt(project, slots=2)
    at_once(vote, [claimed(alice), claimed(bob)])
    assert PromptRejection.objects.count() == 1
    assert not Assignment.objects.filter(state=AssignmentState.OPEN).exists()


def test_without_the_prompts_lock_two_votes_miss_each_other(
    project: Project,
    alice: Membership,
    bob: Membership,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The control: each counts before the other has committed."""
    make_prompt(project, slots=2)
    both_counted = together(2)

    def unlocked(*, membership: Membership, token: str) -> Assignment:
        mine = Assignment.objects.select_related("prompt")
        return mine.get(labeler=membership, token=token)

    def late(*_: Any) -> None:
        both_counted()

    monkeypatch.setattr(skips, "lock_for_answer", unlocked)
    monkeypatch.setattr(skips, "give_back", late)
    at_once(vote, [claimed(alice), claimed(bob)])
    assert Skip.objects.count() == 2
    assert not PromptRejection.objects.exists()


def bring(file: tuple[Project, str, int]) -> None:
    project, name, count = file
    lines = (
        {
            "id": f"{name}{number}",
            "prompt": "Why?",
            "responses": [{"id": f"r{r}", "text": f"{r}"} for r in range(4)],
        }
        for number in range(count)
    )
    text = "".join(json.dumps(line) + "\n" for line in lines)
    import_prompts(project, io.BytesIO(text.encode()))


@pytest.fixture
def thirds(project: Project) -> Project:
    """A project that has three labelers for 20 % of its prompts."""
    project.overlap, project.overlap_fraction = 3, 0.2
    project.save()
    return project


def test_imports_at_once_keep_the_share_exact(thirds: Project) -> None:
    """20 % of 7 and 8 and 10 prompts: 5 of 25, so 5 · 3 + 20 · 1 slots."""
    at_once(bring, [(thirds, "a", 7), (thirds, "b", 8), (thirds, "c", 10)])
    overlaps = list(Prompt.objects.values_list("overlap", flat=True))
    assert (overlaps.count(3), overlaps.count(1)) == (5, 20)
    assert Assignment.objects.count() == 35


def test_without_their_lock_imports_at_once_miss_the_share(
    thirds: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: both count an empty project, 1.4 → 1 and 1.4 → 1, not 2.8 → 3."""
    both_counted = together(2)

    def counted(**arguments: Any) -> None:
        queue.choose_overlap(**arguments)
        both_counted()

    monkeypatch.setattr(importing, "lock_overlap", lambda _project: None)
    monkeypatch.setattr(prompt_rows, "choose_overlap", counted)
    at_once(bring, [(thirds, "a", 7), (thirds, "b", 7)])
    assert Prompt.objects.filter(overlap=3).count() == 2
