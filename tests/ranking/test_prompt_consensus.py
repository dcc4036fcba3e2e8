"""What everybody said of one prompt, and what they say together."""

from collections.abc import Callable
from math import log
from typing import Any

import numpy as np
import pytest
from django.test import Client

from annotation.models import Membership, Project, Prompt, Purpose, Response, Role
from annotation.queue import reject_prompt
from annotation.shown import in_id_order
from ranking.prompt_consensus import (
    Consensus,
    consensus,
    consensus_of,
    rankings_of,
)
from ranking.withdrawal import withdraw
from tests.conftest import make_member, make_prompt
from tests.ranking.checks import GOLD, make_check
from tests.ranking.rows import revise, store_ranking

STRICT = {"r1": 1, "r2": 2, "r3": 3, "r4": 4}


def of(*ranks: list[int]) -> Consensus:
    """Of rankings by as many labelers; responses are called a, b, …"""
    responses = [Response(external_id="abcdefghi"[i]) for i in range(len(ranks[0]))]
    return consensus(responses, np.array(ranks))


def of_all(prompt: Prompt) -> Consensus:
    """Of what is stored."""
    found = consensus_of(rankings_of(prompt), in_id_order(prompt.responses.all()))
    assert found is not None
    return found


def places(found: Consensus) -> dict[str, str]:
    return {one.response.external_id: one.place for one in found.placed}


def test_a_majority_orders_everything() -> None:
    found = of([1, 2, 3], [1, 2, 3], [2, 1, 3])
    assert found.order == "a > b > c"
    assert found.undecided == found.tied == []
    assert places(found) == {"a": "1", "b": "2", "c": "3"}
    # a beats both, both, and c only: 1, 1, ½.
    assert [one.borda for one in found.placed] == pytest.approx([5 / 6, 4 / 6, 0])


def test_a_split_stays_a_split() -> None:
    found = of([1, 2, 3], [2, 1, 3])
    assert found.undecided == [("a", "b")]
    assert found.order == ""
    assert places(found) == {"a": "1 to 2", "b": "1 to 2", "c": "3"}
    a, b, _ = found.placed
    assert a.strength == pytest.approx(b.strength)


def test_what_all_tie_is_tied() -> None:
    found = of([1, 1, 2], [1, 1, 2])
    assert found.tied == [("a", "b")]
    assert found.order == "a = b > c"
    assert places(found) == {"a": "1, tied", "b": "1, tied", "c": "3"}


def test_strengths_have_an_interval_from_two_labelers_on() -> None:
    assert [one.interval for one in of([1, 2]).placed] == [None, None]
    # Two pairs, both a > b: d = 2θ solves 2·s(-d) = 2·.1·θ, and its curvature is
    # 2·s(d)·s(-d) between the two and 2·.1 on each.
    a, b = of([1, 2], [1, 2]).placed
    d = a.strength - b.strength
    chance = 1 / (1 + np.exp(-d))
    assert 2 * (1 - chance) == pytest.approx(0.2 * a.strength)
    weight = 2 * chance * (1 - chance)
    curved = np.array([[weight + 0.2, -weight], [-weight, weight + 0.2]])
    half = 1.959964 * np.linalg.inv(curved)[0, 0] ** 0.5
    assert a.interval == pytest.approx((a.strength - half, a.strength + half))
    assert log(chance / (1 - chance)) == pytest.approx(d)


def test_ranks_stand_in_the_order_of_the_rankings() -> None:
    found = of([3, 1, 2], [1, 2, 3])
    by_name = {one.response.external_id: one for one in found.placed}
    assert by_name["a"].ranks == (3, 1)
    assert by_name["b"].ranks == (1, 2)
    assert by_name["c"].ranks == (2, 3)
    assert [by_name[name].mean for name in "abc"] == [2, 1.5, 2.5]
    assert [by_name[name].spread for name in "abc"] == [2, 1, 1]


# --- From the database ------------------------------------------------------------


@pytest.fixture
def split(project: Project, alice: Membership, bob: Membership) -> Prompt:
    """alice and bob differ on r1 and r2."""
    prompt = make_prompt(project)
    first = store_ranking(prompt, alice, {"r1": 4, "r2": 3, "r3": 2, "r4": 1})
    revise(first, STRICT)
    store_ranking(prompt, bob, STRICT | {"r1": 2, "r2": 1})
    return prompt


@pytest.mark.django_db
def test_current_rankings_that_count_are_taken(
    split: Prompt, alice: Membership, bob: Membership, admin: Membership
) -> None:
    assert admin.user is not None
    labelers = [one.assignment.labeler_id for one in rankings_of(split)]
    assert labelers == [alice.pk, bob.pk]
    assert of_all(split).undecided == [("r1", "r2")]
    withdraw(alice, reason="Random.", user=admin.user)
    assert of_all(split).order == "r2 > r1 > r3 > r4"


@pytest.mark.django_db
def test_researchers_read_pseudonyms_and_no_names(
    split: Prompt,
    alice: Membership,
    researcher: Membership,
    admin: Membership,
    signed_in: Callable[[Membership], Client],
) -> None:
    address = f"/p/tides/prompts/{split.pk}/consensus/"
    theirs = signed_in(researcher).get(address).content.decode()
    assert split.project.pseudonym(alice.pk) in theirs
    assert "alice" not in theirs
    assert "/labelers/" not in theirs
    assert "A split." in theirs
    assert "<code>r1</code> and <code>r2</code>" in theirs
    # Who ranked what comes first, then what they say together.
    assert theirs.index('id="ranked"') < theirs.index('id="together"')
    assert f'/prompts/{split.pk}/"' not in theirs  # not theirs to enter
    admins = signed_in(admin).get(address).content.decode()
    assert f'<a href="/p/tides/labelers/{alice.pk}/">alice</a>' in admins


@pytest.mark.django_db
def test_the_page_says_why_there_is_nothing(
    project: Project,
    alice: Membership,
    admin: Membership,
    signed_in: Callable[[Membership], Client],
) -> None:
    browser = signed_in(admin)

    def said(prompt: Prompt) -> str:
        return browser.get(f"/p/tides/prompts/{prompt.pk}/consensus/").content.decode()

    gold = make_check(project, Purpose.GOLD, "g1")
    store_ranking(gold, alice, GOLD)
    assert "counts only towards its known order" in said(gold)
    prompt = make_prompt(project)
    assert "Nobody has ranked it yet" in said(prompt)
    store_ranking(prompt, alice, STRICT)
    assert "One labeler ranked it." in said(prompt)
    reject_prompt(prompt, reason="Broken.", user=admin.user)
    assert "The prompt is taken out" in said(prompt)


@pytest.mark.django_db
def test_the_page_takes_a_fixed_number_of_queries(
    split: Prompt,
    admin: Membership,
    signed_in: Callable[[Membership], Client],
    django_assert_num_queries: Any,
) -> None:
    browser, address = signed_in(admin), f"/p/tides/prompts/{split.pk}/consensus/"
    with django_assert_num_queries(8):  # session with user, membership, six of its own
        browser.get(address)
    store_ranking(split, make_member(split.project, "carol", Role.LABELER), STRICT)
    with django_assert_num_queries(8):
        browser.get(address)


@pytest.mark.django_db
def test_the_prompt_page_fetches_what_everybody_said(
    split: Prompt, admin: Membership, signed_in: Callable[[Membership], Client]
) -> None:
    page = signed_in(admin).get(f"/p/tides/prompts/{split.pk}/").content.decode()
    address = f"/p/tides/prompts/{split.pk}/consensus/"
    assert f'hx-get="{address}"' in page
    assert f'<a href="{address}">' in page  # without scripts
