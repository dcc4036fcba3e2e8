"""Labelers see letters; the stored order says which response each of them is."""

import pytest

from annotation import queue
from annotation.models import Assignment, Membership, Project, Response
from annotation.shown import as_shown, in_id_order
from tests.conftest import make_prompt


def test_responses_are_sorted_by_id_code_point_by_code_point() -> None:
    names = ["r10", "r9", "R2", "é", "a-b", "ab"]
    responses = in_id_order([Response(external_id=name) for name in names])
    ids = [response.external_id for response in responses]
    assert ids == ["R2", "a-b", "ab", "r10", "r9", "é"]


def test_letters_follow_the_stored_order() -> None:
    responses = [Response(external_id=name) for name in ("x", "z", "y")]
    shown = as_shown(Assignment(display_order=[2, 0, 1]), responses)
    ids = {letter: response.external_id for letter, response in shown.items()}
    assert ids == {"A": "z", "B": "x", "C": "y"}


@pytest.mark.django_db
def test_every_response_of_a_claimed_prompt_is_shown_once(
    project: Project, alice: Membership
) -> None:
    prompt = make_prompt(project, k=9)
    held = queue.claim(alice)
    assert held is not None
    shown = as_shown(held, prompt.responses.all())
    assert list(shown) == list("ABCDEFGHI")
    assert set(shown.values()) == set(prompt.responses.all())
