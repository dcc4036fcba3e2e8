"""A labeler's home: what waits, what they did, and how they compare, in their words."""

import re
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from annotation import queue, standing
from annotation.models import (
    Assignment,
    Membership,
    Project,
    Prompt,
    Purpose,
    Qualification,
    Role,
    Terms,
)
from annotation.queue import UNDECIDED, claim, skip
from annotation.reports import answer_report, report_problem
from annotation.terms import agree, write_terms
from ranking.dashboards import agreement_report, own_agreement
from ranking.filters import Filters
from ranking.labeler_pages import FEWEST_PROMPTS, done_by, shown_agreement, what_waits
from ranking.submit import Submission, submit
from tests.conftest import make_member, make_prompt
from tests.ranking.checks import GOLD, answer, make_check
from tests.ranking.rows import revise, store_ranking

pytestmark = pytest.mark.django_db

SignIn = Callable[[Membership], Client]
HOME = "/p/tides/work/"
STRICT = {"r1": 1, "r2": 2, "r3": 3, "r4": 4}
SWAPPED = {"r1": 2, "r2": 1, "r3": 3, "r4": 4}  # 5 of 6 pairs as in STRICT
TIED = {"r1": 1, "r2": 1, "r3": 1, "r4": 1}
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


def page_of(labeler: Membership, signed_in: SignIn) -> str:
    return signed_in(labeler).get(HOME).content.decode()


def rank_next(labeler: Membership) -> Assignment:
    """Claim a prompt and submit a ranking of it."""
    claimed = claim(labeler)
    assert claimed is not None
    ranks = {"A": 1, "B": 2, "C": 3, "D": 4}
    submission = Submission(
        uuid=uuid.uuid4(), ranks=ranks, telemetry={"active_ms": 61_000}
    )
    submit(membership=labeler, token=claimed.token, submission=submission)
    return claimed


# --- What waits -------------------------------------------------------------------


def test_a_prompt_waits_or_nothing_does(
    project: Project, alice: Membership, signed_in: SignIn
) -> None:
    assert what_waits(alice) == {"waits": "done"}
    assert "Nothing waits for you now" in page_of(alice, signed_in)
    make_prompt(project)
    assert what_waits(alice) == {"waits": "work"}
    page = page_of(alice, signed_in)
    assert "A prompt is waiting for you" in page
    assert 'class="button" href="/p/tides/rank/"' in page


def test_terms_come_before_the_first_prompt(
    project: Project, alice: Membership, signed_in: SignIn
) -> None:
    make_prompt(project)
    write_terms(project, text="Keep it private.", user=None)
    page = page_of(alice, signed_in)
    assert "First the terms" in page
    assert 'class="button" href="/p/tides/terms/"' in page
    assert 'class="button" href="/p/tides/rank/"' not in page
    agree(alice, version=Terms.objects.get().version)
    assert what_waits(alice) == {"waits": "work"}


def test_a_paused_labeler_is_told_so_and_keeps_their_numbers(
    project: Project, alice: Membership, signed_in: SignIn
) -> None:
    make_prompt(project)
    rank_next(alice)
    standing.pause(alice)
    page = page_of(alice, signed_in)
    assert "No prompt is handed to you" in page
    assert "is paused" in page
    assert 'class="button" href="/p/tides/rank/"' not in page
    assert done_by(alice).ranked == 1


def test_whoever_failed_the_test_is_told_so(
    project: Project, alice: Membership, admin: Membership, signed_in: SignIn
) -> None:
    make_prompt(project)
    assert admin.user is not None
    standing.decide_qualification(alice, decision=Qualification.FAILED, user=admin.user)
    assert "You did not qualify" in page_of(alice, signed_in)


@pytest.mark.parametrize(
    ("purpose", "threshold", "waits"),
    [
        ("training", None, "checks"),
        ("qualification", 0.8, "checks"),
        ("qualification", None, "work"),  # nobody is held to that test
        ("gold", None, "work"),
    ],
)
def test_training_and_the_test_come_first(
    project: Project, alice: Membership, purpose: str, threshold: float, waits: str
) -> None:
    make_prompt(project)
    make_prompt(project, "check", slots=1)
    right = {"r1": 1, "r2": 2, "r3": 3, "r4": 4}
    Prompt.objects.filter(external_id="check").update(purpose=purpose, gold=right)
    project.qualification_threshold = threshold
    project.save(update_fields=["qualification_threshold"])
    alice.refresh_from_db()
    assert what_waits(alice) == {"waits": waits}
    Membership.objects.filter(pk=alice.pk).update(
        qualification="passed", qualification_decided_at=LONG_AGO
    )
    alice.refresh_from_db()
    assert what_waits(alice) == {"waits": "work"}


def test_who_has_done_the_test_waits_for_its_outcome_and_is_told_so(
    project: Project, alice: Membership, signed_in: SignIn
) -> None:
    """One of one right is [.207, 1] by Wilson: no proof of .9, nor against it."""
    make_prompt(project)
    make_check(project, Purpose.QUALIFICATION)
    project.qualification_threshold = 0.9
    project.save(update_fields=["qualification_threshold"])
    alice.refresh_from_db()
    assert what_waits(alice) == {"waits": "checks"}
    held = queue.claim(alice)
    assert held is not None
    assert what_waits(alice) == {"waits": "checks"}
    answer(held, GOLD)
    assert what_waits(alice) == {"waits": "nothing", "why": UNDECIDED}
    assert "is being looked at" in page_of(alice, signed_in)
    assert not queue.has_work_for(alice)


def test_after_the_last_training_there_is_work(
    project: Project, alice: Membership
) -> None:
    make_prompt(project)
    make_check(project, Purpose.TRAINING)
    held = queue.claim(alice)
    assert held is not None
    assert what_waits(alice) == {"waits": "checks"}
    answer(held, GOLD)
    assert what_waits(alice) == {"waits": "work"}
    assert queue.claim(alice) is not None


# --- What I did -------------------------------------------------------------------


def test_late_and_surplus_rankings_and_skips_are_named(
    project: Project, alice: Membership, bob: Membership, signed_in: SignIn
) -> None:
    for number, status in enumerate(("counted", "counted", "late", "surplus")):
        prompt = make_prompt(project, f"p{number}", slots=1)
        first = store_ranking(prompt, alice, STRICT, status=status)
    revise(first, SWAPPED, status="surplus")  # a correction is no other prompt
    imported = make_prompt(project, "imported", slots=1)
    store_ranking(imported, alice, STRICT, assignment={"source": "imported"})
    store_ranking(make_prompt(project, "bobs"), bob, STRICT)
    claimed = claim(alice)
    assert claimed is not None
    skip(membership=alice, token=claimed.token, reason="all_bad")
    done = done_by(alice)
    assert (done.ranked, done.late, done.surplus, done.skipped) == (4, 1, 1, 1)
    page = page_of(alice, signed_in)
    assert "1 late, 1 surplus" in page
    assert '<span class="state">late</span>' in page
    assert '<span class="state">surplus</span>' in page


def test_a_ranking_can_be_edited_from_here_while_it_may(
    project: Project, alice: Membership, signed_in: SignIn
) -> None:
    make_prompt(project)
    ranked = rank_next(alice)
    link = f'<a href="/p/tides/rank/{ranked.token}/">Edit</a>'
    assert link in page_of(alice, signed_in)
    Project.objects.filter(pk=project.pk).update(editable_minutes=0)
    assert link not in page_of(alice, signed_in)


def test_hours_of_today_and_of_the_month_are_there(
    project: Project, alice: Membership, signed_in: SignIn
) -> None:
    make_prompt(project)
    rank_next(alice)
    page = " ".join(page_of(alice, signed_in).split())
    assert "<dt>Active time today</dt> <dd>0:01:01" in page
    assert "<dt>Active time this month</dt> <dd>0:01:01" in page


def test_answers_of_admins_show_up(
    alice: Membership, bob: Membership, admin: Membership, signed_in: SignIn
) -> None:
    report = report_problem(alice, text="It froze.")
    report_problem(bob, text="A matter of bob's.")
    assert admin.user is not None
    answer_report(report, answer="Mended.", close=True, user=admin.user)
    page = page_of(alice, signed_in)
    assert "It froze." in page
    assert "Mended." in page
    assert "matter of bob" not in page


# --- My own agreement -------------------------------------------------------------


def show_agreement(project: Project) -> None:
    Project.objects.filter(pk=project.pk).update(labelers_see_agreement=True)


def rank_both(
    first: Membership, second: Membership, number: int, ranks: dict[str, int]
) -> None:
    """Both rank prompts `c0`, `c1`, …: the first STRICT, the second `ranks`."""
    start = Prompt.objects.count()
    for k in range(start, start + number):
        prompt = make_prompt(first.project, f"c{k}", slots=2)
        for labeler, theirs in ((first, STRICT), (second, ranks)):
            store_ranking(prompt, labeler, theirs, submitted_at=LONG_AGO)


def test_it_is_shown_only_if_the_project_says_so(
    project: Project, alice: Membership, bob: Membership, signed_in: SignIn
) -> None:
    rank_both(alice, bob, FEWEST_PROMPTS, STRICT)
    assert "How often you and others agree" not in page_of(alice, signed_in)
    show_agreement(project)
    assert "How often you and others agree" in page_of(alice, signed_in)


def test_the_share_comes_with_its_interval_and_its_n(
    project: Project, alice: Membership, bob: Membership, signed_in: SignIn
) -> None:
    show_agreement(project)
    rank_both(alice, bob, 8, STRICT)
    rank_both(alice, bob, 4, SWAPPED)
    found = own_agreement(alice)
    # 8 prompts agree on 6 of 6 pairs, 4 on 5 of 6: 68 of 72
    assert (found["agree"], found["comparable"], found["prompts"]) == (68, 72, 12)
    low, high = found["ci"]
    assert 5 / 6 <= low < 68 / 72 < high <= 1
    page = page_of(alice, signed_in)
    assert "94.4 %" in page
    assert f"95 % interval {low * 100:.1f} % to {high * 100:.1f} %" in page
    assert "72 pairs in 12 prompts" in page
    assert "bob" not in page


def test_it_is_what_the_report_of_the_admins_says(
    project: Project, alice: Membership, bob: Membership
) -> None:
    carol = make_member(project, "carol", Role.LABELER)
    rank_both(alice, bob, 5, SWAPPED)
    rank_both(alice, carol, 6, TIED)
    rank_both(carol, bob, 7, SWAPPED)
    report = agreement_report(project, Filters(pool="random"))
    for labeler in (alice, bob, carol):
        [row] = [
            row for row in report["labelers_detail"] if row["labeler"] == labeler.name
        ]
        own = own_agreement(labeler)
        for name in ("agree", "comparable", "value"):
            assert own[name] == row["vs_others"][name]


@pytest.mark.parametrize("prompts", [0, 1, FEWEST_PROMPTS - 1])
def test_few_prompts_are_no_number(
    project: Project, alice: Membership, bob: Membership, prompts: int
) -> None:
    show_agreement(project)
    rank_both(alice, bob, prompts, STRICT)
    alice.refresh_from_db()
    shown = shown_agreement(alice)
    assert shown is not None
    assert set(shown) == {"why"}
    assert f"{prompts} of your prompts" in shown["why"]


def test_ties_alone_are_no_number(
    project: Project, alice: Membership, bob: Membership, signed_in: SignIn
) -> None:
    show_agreement(project)
    rank_both(alice, bob, FEWEST_PROMPTS, TIED)
    assert own_agreement(alice)["value"] is None
    assert "Not enough data yet" in page_of(alice, signed_in)


def test_a_wide_interval_is_not_enough_data(
    project: Project, alice: Membership, bob: Membership, signed_in: SignIn
) -> None:
    show_agreement(project)
    reverse = {"r1": 4, "r2": 3, "r3": 2, "r4": 1}
    rank_both(alice, bob, 6, STRICT)
    rank_both(alice, bob, 6, reverse)
    found = own_agreement(alice)
    assert found["value"] == 0.5
    assert found["ci"][1] - found["ci"][0] > 0.3
    page = page_of(alice, signed_in)
    assert "Not enough data yet" in page
    assert "50.0 %" not in page


def test_a_ranking_enters_only_when_it_can_no_longer_be_changed(
    project: Project, alice: Membership, bob: Membership
) -> None:
    """Or one could turn a pair around, look, and know what the others said."""
    prompt = make_prompt(project, slots=2)
    fresh = store_ranking(prompt, alice, STRICT)
    store_ranking(prompt, bob, STRICT)
    assert own_agreement(alice)["prompts"] == 0
    assert own_agreement(bob)["prompts"] == 0
    Project.objects.filter(pk=project.pk).update(editable_minutes=0)
    alice.refresh_from_db()
    assert own_agreement(alice)["prompts"] == 1
    revise(fresh, SWAPPED, submitted_at=datetime.now(UTC) + timedelta(minutes=5))
    assert own_agreement(alice)["prompts"] == 0


# --- Blind, and cheap -------------------------------------------------------------


def test_nothing_of_models_and_nobody_else_is_on_it(
    project: Project, alice: Membership, bob: Membership, signed_in: SignIn
) -> None:
    show_agreement(project)
    rank_both(alice, bob, FEWEST_PROMPTS, STRICT)
    make_prompt(project, "unseen-id")
    page = page_of(alice, signed_in)
    page = re.sub('name="csrfmiddlewaretoken" value="[^"]+"', "", page)  # any letters
    for secret in ("secret-model", "bob", "unseen-id", "r1", "gold"):
        assert secret not in page


def test_it_costs_the_same_however_much_somebody_did(
    project: Project,
    alice: Membership,
    bob: Membership,
    signed_in: SignIn,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    show_agreement(project)
    rank_both(alice, bob, 12, STRICT)
    report_problem(alice, text="It froze.")
    make_prompt(project)
    client = signed_in(alice)
    with django_assert_num_queries(15):
        client.get(HOME)
