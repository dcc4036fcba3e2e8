"""What a labeler's word weighs on a prompt, and the strengths that follow."""

from collections.abc import Callable

import numpy as np
import pytest
from django.test import Client

from annotation.models import Membership, Project, Prompt, Role
from ranking.consensus_labelers import UNKNOWN, reliability, reliability_of_counts
from ranking.consensus_weighted import Weighted, weighted_consensus
from ranking.prompt_consensus import consensus_of
from ranking.summaries import lock_and_summarize
from tests.conftest import make_member, make_prompt
from tests.ranking.rows import store_ranking
from tests.ranking.test_consensus_labelers import compared

RIGHT = {"r1": 1, "r2": 2, "r3": 3, "r4": 4}
WRONG = {"r1": 4, "r2": 3, "r3": 2, "r4": 1}
SCATTERED = ({"r1": 2, "r2": 4, "r3": 1, "r4": 3}, {"r1": 3, "r2": 1, "r3": 4, "r4": 2})


def test_from_counts_it_is_the_reliability_of_the_comparisons() -> None:
    """Three labelers, 200 pairs; they err by chance, one hardly, one often."""
    chance = np.array([[0.02], [0.2], [0.4]])
    errs = np.random.default_rng(3).random((3, 200)) < chance
    ranks = np.array([[2, 1] if wrong else [1, 2] for wrong in errs.ravel()])
    prompt, labeler = np.tile(np.arange(200), 3), np.repeat(np.arange(3), 200)
    between, prompts = compared(ranks, prompt, labeler, 3)
    whole = reliability(between, labelers=3, n_prompts=prompts).values
    differ = (errs[:, None] ^ errs[None]).sum(axis=2)
    agree = np.where(np.eye(3), 0, 200 - differ)
    assert reliability_of_counts(agree, differ) == pytest.approx(whole)
    assert whole[0] > whole[1] > whole[2]


def test_whom_nobody_compares_with_is_unknown_by_counts_too() -> None:
    agree = np.array([[0, 9, 0], [9, 0, 0], [0, 0, 0]])
    found = reliability_of_counts(agree, np.zeros_like(agree))
    assert np.isnan(found).tolist() == [False, False, True]


# --- From the database ------------------------------------------------------------


@pytest.fixture
def carol(project: Project) -> Membership:
    return make_member(project, "carol", Role.LABELER)


@pytest.fixture
def judged(
    project: Project, alice: Membership, bob: Membership, carol: Membership
) -> Prompt:
    """alice and bob say the same on thirty prompts, carol anything; on the last one
    carol says the opposite of alice, and bob did not rank it."""
    for number in range(30):
        prompt = make_prompt(project, f"p{number}")
        for labeler in (alice, bob):
            store_ranking(prompt, labeler, RIGHT)
        store_ranking(prompt, carol, SCATTERED[number % 2])
    last = make_prompt(project, "last")
    store_ranking(last, alice, RIGHT)
    store_ranking(last, carol, WRONG)
    lock_and_summarize(project.prompt_set.values_list("pk", flat=True))
    return last


def weighted_of(prompt: Prompt) -> Weighted:
    found = weighted_consensus(prompt.project, consensus_of(prompt))
    assert found is not None
    return found


@pytest.mark.django_db
def test_who_agrees_elsewhere_outweighs_who_does_not(
    judged: Prompt, alice: Membership, carol: Membership
) -> None:
    """One against one is a split; by weight it is alice's order."""
    unweighted = consensus_of(judged)
    assert unweighted is not None
    assert len(unweighted.undecided) == 6
    found = weighted_of(judged)
    assert [weight.labeler for weight in found.weights] == [alice, carol]
    hers, carols = found.weights
    # Six strict pairs on each of thirty prompts with each of the others, six here.
    assert (hers.comparable, carols.comparable) == (366, 366)
    assert hers.reliability > 0.9
    assert carols.counts < 0.1
    assert [one.response for one in found.responses] == ["r1", "r2", "r3", "r4"]
    assert [one.rank for one in found.responses] == [1, 2, 3, 4]
    assert sum(one.strength for one in found.responses) == pytest.approx(0, abs=1e-9)


@pytest.mark.django_db
def test_a_split_among_equals_stays_a_split_by_weight(
    project: Project, alice: Membership, bob: Membership
) -> None:
    prompt = make_prompt(project)
    store_ranking(prompt, alice, RIGHT)
    store_ranking(prompt, bob, WRONG)
    lock_and_summarize([prompt.pk])
    found = weighted_of(prompt)
    assert {one.rank for one in found.responses} == {1}
    assert found.weights[0].reliability == found.weights[1].reliability


@pytest.mark.django_db
def test_without_a_second_labeler_nothing_is_weighed(
    project: Project, alice: Membership
) -> None:
    prompt = make_prompt(project)
    assert weighted_consensus(project, consensus_of(prompt)) is None
    store_ranking(prompt, alice, RIGHT)
    lock_and_summarize([prompt.pk])
    assert weighted_consensus(project, consensus_of(prompt)) is None


@pytest.mark.django_db
def test_somebody_compared_with_nobody_counts_as_the_prior_says(
    project: Project, alice: Membership, bob: Membership
) -> None:
    """bob tied everything here and ranked nothing else."""
    prompt = make_prompt(project)
    store_ranking(prompt, alice, RIGHT)
    store_ranking(prompt, bob, dict.fromkeys(RIGHT, 1))
    lock_and_summarize([prompt.pk])
    found = weighted_of(prompt)
    for weight in found.weights:
        assert (weight.reliability, weight.is_known) == (UNKNOWN, False)
        assert weight.counts == 0.5
    assert [one.rank for one in found.responses] == [1, 2, 3, 4]


@pytest.mark.django_db
def test_the_page_says_what_a_weight_is(
    judged: Prompt,
    alice: Membership,
    researcher: Membership,
    admin: Membership,
    signed_in: Callable[[Membership], Client],
) -> None:
    address = f"/p/tides/prompts/{judged.pk}/consensus/"
    page = signed_in(admin).get(address).content.decode()
    assert "Weighted by labeler" in page
    assert "from 366 pairs that others ordered too" in page
    theirs = signed_in(researcher).get(address).content.decode()
    assert f"{judged.project.pseudonym(alice.pk)} counts" in theirs
    assert "alice" not in theirs
