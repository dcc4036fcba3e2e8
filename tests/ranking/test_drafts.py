"""A ranking in the making is kept on the server, and no page overwrites another's."""

import random
from threading import Barrier
from typing import Any

import pytest
from django.db.models import F
from django.db.models.functions import Now

from annotation import queue
from annotation.models import Assignment, Membership, Project, Purpose
from ranking.drafts import DraftConflictError, save_draft
from ranking.models import Draft, RankingStatus
from tests.annotation.test_queue import seconds_left
from tests.conftest import make_prompt
from tests.racing import at_once
from tests.ranking.checks import hand_out, make_check
from tests.ranking.test_submit import ORDER, claimed, sent

pytestmark = pytest.mark.django_db
TABS = 16


def draft(**ranks: int) -> dict[str, Any]:
    return {"ranks": ranks, "ratings": {}, "flags": {}, "note": ""}


@pytest.fixture
def assignment(project: Project, alice: Membership) -> Assignment:
    make_prompt(project, slots=1)
    return claimed(alice)


def test_every_save_has_a_new_revision_and_the_databases_time(
    assignment: Assignment,
) -> None:
    first = save_draft(assignment, rev=0, content=draft(A=1))
    second = save_draft(assignment, rev=first.rev, content=draft(A=1, B=2))
    assert (first.rev, second.rev) == (1, 2)
    kept = Draft.objects.annotate(now=Now()).get()
    assert (kept.rev, kept.content) == (2, draft(A=1, B=2))
    assert kept.saved_at == second.saved_at >= first.saved_at
    assert kept.saved_at <= kept.now


@pytest.mark.parametrize("rev", [0, 1, 7])
def test_a_page_that_does_not_know_the_newest_draft_is_told_and_shown_it(
    assignment: Assignment, rev: int
) -> None:
    save_draft(assignment, rev=0, content=draft(A=1))
    save_draft(assignment, rev=1, content=draft(A=2))
    with pytest.raises(DraftConflictError) as refused:
        save_draft(assignment, rev=rev, content=draft(A=9))
    assert (refused.value.rev, refused.value.content) == (2, draft(A=2))
    assert Draft.objects.get().content == draft(A=2)


def test_who_was_told_can_save_over_what_they_were_shown(
    assignment: Assignment,
) -> None:
    save_draft(assignment, rev=0, content=draft(A=1))
    with pytest.raises(DraftConflictError) as refused:
        save_draft(assignment, rev=0, content=draft(A=9))
    assert save_draft(assignment, rev=refused.value.rev, content=draft(A=9)).rev == 2


def test_the_draft_goes_when_the_ranking_is_stored(
    alice: Membership, assignment: Assignment
) -> None:
    save_draft(assignment, rev=0, content=draft(A=1))
    sent(alice, assignment)
    assert not Draft.objects.exists()


def test_a_refused_ranking_leaves_the_draft(
    alice: Membership, assignment: Assignment
) -> None:
    save_draft(assignment, rev=0, content=draft(A=1))
    with pytest.raises(ValueError, match="misses responses"):
        sent(alice, assignment, {"A": 1})
    assert Draft.objects.exists()


def test_a_tab_that_saves_after_another_one_submitted_sees_what_is_stored(
    alice: Membership, assignment: Assignment
) -> None:
    """Its draft does not come back from the dead."""
    project = assignment.project
    project.flags = ["harmful"]
    project.save(update_fields=["flags"])
    alice.project.flags = ["harmful"]
    save_draft(assignment, rev=0, content=draft(A=1))
    said: dict[str, Any] = {
        "ratings": {"A": 3, "B": 7},
        "flags": {"B": ["harmful"]},
        "note": "Hm.",
    }
    sent(alice, assignment, ORDER, **said)
    with pytest.raises(DraftConflictError) as refused:
        save_draft(assignment, rev=1, content=draft(A=2))
    assert refused.value.rev == 0
    assert refused.value.content == {"ranks": ORDER, **said}
    assert not Draft.objects.exists()


def test_a_first_save_that_comes_after_the_ranking_does_not_hide_it(
    alice: Membership, assignment: Assignment
) -> None:
    sent(alice, assignment)
    with pytest.raises(DraftConflictError) as refused:
        save_draft(assignment, rev=0, content=draft(A=2, B=1))
    stored = refused.value.content
    assert refused.value.rev == 0
    assert stored is not None
    assert stored["ranks"] == ORDER
    assert not Draft.objects.exists()


def test_a_correction_has_a_draft_of_its_own(
    alice: Membership, assignment: Assignment
) -> None:
    sent(alice, assignment)
    first = save_draft(assignment, rev=0, content=draft(A=2), replace=True)
    assert first.rev == 1
    assert save_draft(assignment, rev=1, content=draft(A=3), replace=True).rev == 2


def test_without_a_draft_and_a_ranking_there_is_nothing_to_show(
    assignment: Assignment,
) -> None:
    """Such as after the prompt was given back and came again."""
    with pytest.raises(DraftConflictError) as refused:
        save_draft(assignment, rev=3, content=draft(A=1))
    assert (refused.value.rev, refused.value.content) == (0, None)


# --- Giving back ------------------------------------------------------------------


def test_what_has_a_draft_is_given_back_with_it(
    alice: Membership, assignment: Assignment
) -> None:
    """A page may save before its first sign of life, or never give one."""
    save_draft(assignment, rev=0, content=draft(A=1))
    assignment.refresh_from_db()
    assert assignment.shown_at is not None
    assert queue.release(assignment)
    assert Draft.objects.get().content == draft(A=1)
    assert Assignment.objects.get(token=assignment.token).state == "expired"
    assert queue.claim(alice) is None
    assert sent(alice, assignment).status == RankingStatus.COUNTED


def test_a_draft_for_what_is_gone_has_nothing_to_be_kept_with(
    assignment: Assignment,
) -> None:
    assert queue.release(assignment)
    with pytest.raises(DraftConflictError) as refused:
        save_draft(assignment, rev=0, content=draft(A=1))
    assert refused.value.content is None


@pytest.mark.parametrize("purpose", ["training", "qualification"])
def test_training_and_tests_wait_with_their_draft_for_whom_they_were_given(
    project: Project, alice: Membership, purpose: Purpose
) -> None:
    for name in ("c1", "c2"):
        make_check(project, purpose, name)
    project.qualification_threshold = 0.5
    project.save()
    held = claimed(alice)
    save_draft(held, rev=0, content=draft(A=1))
    assert queue.release(held)
    held.refresh_from_db()
    assert (held.state, seconds_left(held) <= 0) == ("claimed", True)
    assert queue.has_work_for(alice)
    again = claimed(alice)
    assert again == held
    assert Draft.objects.get(assignment=again).content == draft(A=1)


class Lowest(random.Random):
    """Chance that always falls on gold."""

    def random(self) -> float:
        return 0.0


@pytest.mark.parametrize("seen", [True, False])
def test_gold_that_was_given_back_comes_again_only_if_it_was_not_seen(
    project: Project, alice: Membership, *, seen: bool
) -> None:
    """As any other prompt, or it would be known for what it is."""
    gold = make_check(project, Purpose.GOLD, "g1")
    given = hand_out(alice)
    assert given is None  # which lets her in: nothing tests her
    project.gold_fraction = 0.5
    project.save()
    held = hand_out(alice, rng=Lowest())
    assert held is not None
    if seen:
        save_draft(held, rev=0, content=draft(A=1))
    assert queue.release(held)
    came_again = hand_out(alice, rng=Lowest())
    assert Draft.objects.count() == int(seen)
    if seen:
        assert came_again is None
        assert sent(alice, held).status == RankingStatus.COUNTED
    else:
        assert came_again is not None
        assert came_again.prompt == gold


# --- At once ----------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("rev", [0, 1])
def test_of_many_tabs_that_know_the_same_revision_one_saves(
    assignment: Assignment, rev: int
) -> None:
    """The others are told, and nothing of the one that saved is lost."""
    if rev:
        save_draft(assignment, rev=0, content=draft())

    def save(tab: int) -> int | None:
        try:
            return save_draft(assignment, rev=rev, content=draft(A=tab)).rev
        except DraftConflictError:
            return None

    tabs = list(range(1, TABS + 1))
    saved = dict(zip(tabs, at_once(save, tabs), strict=True))
    winners = [tab for tab in tabs if saved[tab] is not None]
    assert len(winners) == 1
    kept = Draft.objects.get()
    assert (kept.rev, kept.content) == (rev + 1, draft(A=winners[0]))


@pytest.mark.django_db(transaction=True)
def test_without_the_condition_saves_are_lost(assignment: Assignment) -> None:
    """The control: looked at first and written then, all believe that they saved."""
    save_draft(assignment, rev=0, content=draft())

    def look_then_write(tab: int) -> bool:
        if Draft.objects.get().rev != 1:
            return False
        all_have_looked.wait(timeout=60)
        Draft.objects.update(rev=F("rev") + 1, content=draft(A=tab))
        return True

    all_have_looked = Barrier(TABS)
    assert at_once(look_then_write, list(range(TABS))).count(True) > 1
