"""After a training prompt: the project's order beside one's own, and nowhere else."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from annotation.models import Membership, Project, Purpose
from ranking.feedback import compare, feedback_of, order_line
from ranking.models import Ranking
from tests.conftest import make_prompt
from tests.ranking.checks import GOLD, answer, hand_out, make_check
from tests.ranking.rows import store_ranking

pytestmark = pytest.mark.django_db
SignIn = Callable[[Membership], Client]
# Shown as [2, 0, 3, 1]: A is r3, B is r1, C is r4, D is r2.
HERS = {"r1": 1, "r2": 2, "r3": 1, "r4": 1}


def trained(project: Project, alice: Membership, **fields: Any) -> Ranking:
    make_check(project, Purpose.TRAINING, **fields)
    given = hand_out(alice)
    assert given is not None
    return answer(given, HERS)


def test_each_strict_pair_of_the_gold_order_is_told() -> None:
    gold, yours = {"A": 2, "B": 1, "C": 3, "D": 2}, {"A": 1, "B": 1, "C": 1, "D": 2}
    told = [(pair.better, pair.worse, pair.yours) for pair in compare(yours, gold)]
    assert told == [
        ("B", "A", "tied"),
        ("B", "D", "same"),
        ("B", "C", "tied"),
        ("A", "C", "tied"),
        ("D", "C", "reversed"),
    ]
    assert order_line(gold) == "B > A = D > C"


def test_the_orders_stand_side_by_side_in_the_letters_of_the_page(
    project: Project, alice: Membership
) -> None:
    note = {"feedback": "**r1** answers. <script>alert(1)</script>"}
    feedback = feedback_of(trained(project, alice, metadata=note))
    assert feedback is not None
    assert feedback.gold == {"A": 2, "B": 1, "C": 3, "D": 2}
    assert feedback.yours == {"A": 1, "B": 1, "C": 1, "D": 2}
    assert (feedback.agree, len(feedback.pairs)) == (1, 5)
    assert "<strong>r1</strong>" in feedback.html
    assert "<script" not in feedback.html
    told = feedback.as_json()
    assert (told["agree"], told["comparable"]) == (1, 5)
    assert told["pairs"][0] == {"better": "B", "worse": "A", "yours": "tied"}


def test_whoever_did_not_see_it_finds_it_among_their_latest_rankings(
    project: Project, alice: Membership, signed_in: SignIn
) -> None:
    """A ranking that the outbox sent later leads to no feedback by itself."""
    training = trained(project, alice)
    work = store_ranking(make_prompt(project), alice, HERS)
    browser = signed_in(alice)
    home = browser.get("/p/tides/work/").content.decode()
    linked = [
        ranking
        for ranking in (training, work)
        if f"/rank/{ranking.assignment.token}/feedback/" in home
    ]
    assert linked == [training]
    address = f"/p/tides/rank/{training.assignment.token}/feedback/"
    assert browser.get(address).status_code == 200


@pytest.mark.parametrize("note", [None, 7, ["x"], {"a": 1}])
def test_a_note_that_is_no_text_is_left_out(
    project: Project, alice: Membership, note: object
) -> None:
    feedback = feedback_of(trained(project, alice, metadata={"feedback": note}))
    assert feedback is not None
    assert feedback.html == ""


@pytest.mark.parametrize("purpose", [Purpose.QUALIFICATION, Purpose.GOLD])
def test_no_other_prompt_gives_feedback(
    project: Project,
    alice: Membership,
    signed_in: SignIn,
    purpose: Purpose,
) -> None:
    prompt = make_check(project, purpose, metadata={"feedback": "secret"})
    direct = {"source": "direct", "display_order": [0, 1, 2, 3]}
    ranking = store_ranking(prompt, alice, GOLD, assignment=direct)
    assert feedback_of(ranking) is None
    address = f"/p/tides/rank/{ranking.assignment.token}/feedback/"
    assert signed_in(alice).get(address).status_code == 404


def test_a_training_prompt_that_came_by_another_way_gives_none(
    project: Project, alice: Membership, signed_in: SignIn
) -> None:
    ranking = store_ranking(make_check(project, Purpose.TRAINING), alice, GOLD)
    assert feedback_of(ranking) is None


def test_work_costs_no_query(
    project: Project, alice: Membership, django_assert_num_queries: Any
) -> None:
    ranking = store_ranking(make_prompt(project), alice, GOLD)
    with django_assert_num_queries(0):
        assert feedback_of(ranking) is None


def test_the_page_comes_after_the_ranking_and_not_before(
    project: Project, alice: Membership, bob: Membership, signed_in: SignIn
) -> None:
    make_check(project, Purpose.TRAINING, metadata={"feedback": "Because of the moon."})
    given = hand_out(alice)
    assert given is not None
    her = signed_in(alice)
    address = f"/p/tides/rank/{given.token}/feedback/"
    assert her.get(address).status_code == 404
    ranks = {"tier_A": 1, "tier_B": 1, "tier_C": 1, "tier_D": 2}
    key = "6f1c1b9e-6f0f-4a43-a5de-0d3c5f0a9a11"
    sent = her.post(f"/p/tides/rank/{given.token}/", ranks | {"submission_uuid": key})
    assert sent["Location"] == address
    page = her.get(address)
    text = page.content.decode()
    assert "B &gt; A = D &gt; C" in text
    assert "1 of 5 pairs" in text
    assert "Because of the moon." in text
    assert "secret-model" not in text
    assert 'r1"' not in text
    assert page["Cache-Control"].startswith("max-age=0")
    assert signed_in(bob).get(address).status_code == 404


def test_the_page_takes_few_queries(
    project: Project,
    alice: Membership,
    signed_in: SignIn,
    django_assert_max_num_queries: Any,
) -> None:
    token = trained(project, alice).assignment.token
    her = signed_in(alice)
    with django_assert_max_num_queries(8):
        assert her.get(f"/p/tides/rank/{token}/feedback/").status_code == 200


def test_a_corrected_answer_is_told_of_as_it_is_now(
    project: Project, alice: Membership, signed_in: SignIn
) -> None:
    first = trained(project, alice)
    answer(first.assignment, GOLD)
    text = signed_in(alice).get(f"/p/tides/rank/{first.assignment.token}/feedback/")
    assert "5 of 5 pairs" in text.content.decode()
