"""The line of the qualification test: what it takes, and what is refused."""

from collections.abc import Callable

import pytest
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from annotation.models import Membership, Project, Purpose
from annotation.skips import reject_prompt
from ranking.gold import Score, fewest_prompts, interval, reach
from tests.ranking.checks import make_check

SignIn = Callable[[Membership], Client]
PAGE = "/p/tides/qualification/"
Z2 = 1.959964**2


def test_what_a_test_proves_without_a_mistake() -> None:
    """As many observations as prompts, or a fourth of the pairs, shrunk by Student.

    Three prompts of 5 pairs: 15 / 4 · (1.96 / 4.30)² is 0.78, so 3 it is. Twenty of 36
    pairs: 720 / 4 · (1.96 / 2.093)² is 157.8.
    """
    assert reach([5, 5, 5]) == pytest.approx(3 / (3 + Z2), abs=1e-6)
    assert reach([36] * 20) == pytest.approx(157.8 / (157.8 + Z2), abs=1e-4)
    assert reach([6]) is None
    assert reach([0, 6]) is None
    assert reach([]) is None


@given(st.sampled_from([1, 3, 6, 15, 36]), st.floats(0.35, 0.97))
def test_the_fewest_prompts_suffice_and_one_less_does_not(
    pairs: int, threshold: float
) -> None:
    fewest = fewest_prompts(threshold, pairs)
    assert fewest is not None
    assert (reach([pairs] * fewest) or 0) >= threshold
    assert fewest == 2 or (reach([pairs] * (fewest - 1)) or 0) < threshold


def test_nothing_is_long_enough_for_certainty() -> None:
    assert fewest_prompts(1.0, 36) is None


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9)), min_size=2))
def test_nobody_proves_more_than_without_a_mistake(
    answers: list[tuple[int, int]],
) -> None:
    scores = [Score(min(right, of), of) for right, of in answers]
    found = interval(scores)
    highest = reach(of for _, of in answers)
    assert found is not None
    assert highest is not None
    assert found[0] <= highest + 1e-9


def make_test(project: Project, prompts: int) -> None:
    for number in range(prompts):
        make_check(project, Purpose.QUALIFICATION, f"q{number}")


def stored() -> float | None:
    return Project.objects.get(slug="tides").qualification_threshold


@pytest.mark.django_db
def test_a_line_that_can_be_passed_is_stored_and_shown(
    project: Project, admin: Membership, signed_in: SignIn
) -> None:
    make_test(project, 3)
    browser = signed_in(admin)
    answer = browser.post(PAGE, {"qualification_threshold": "0.43"})
    assert answer["Location"] == PAGE
    assert stored() == 0.43
    page = browser.get(PAGE).content.decode()
    assert "43.0 %" in page  # the line
    assert "43.9 %" in page  # what three prompts prove
    assert "15 strict pairs" in page
    browser.post(PAGE, {"qualification_threshold": ""})
    assert stored() is None


@pytest.mark.django_db
@pytest.mark.parametrize(
    "case",
    [
        (0, "0.5", "Import them first"),
        (1, "0.1", "one prompt proves nothing"),
        # 3 / (3 + 1.96²) is 43.9 %. 15 prompts of 5 pairs: 75 / 4 · (1.96 / 2.145)² is
        # 15.65 observations and 80.3 %; 14 are 14.4 and 78.9 %.
        (3, "0.8", "3 prompts without a mistake prove 43.9 % and no more"),
        (3, "0.8", "Set at most 0.43, or import more: it takes some 15 prompts"),
        (3, "1", "Set at most 0.43."),
        (3, "1.01", "less than or equal to 1"),
        (3, "-0.1", "greater than or equal to 0"),
        (3, "nan", "Enter a number"),
        (3, "half", "Enter a number"),
    ],
)
def test_a_line_that_nobody_can_pass_is_refused(
    project: Project,
    admin: Membership,
    signed_in: SignIn,
    case: tuple[int, str, str],
) -> None:
    prompts, line, said = case
    make_test(project, prompts)
    answer = signed_in(admin).post(PAGE, {"qualification_threshold": line})
    assert answer.status_code == 422
    page = answer.content.decode()
    assert said in page
    assert f'value="{line}"' in page
    assert stored() is None


@pytest.mark.django_db
def test_a_test_that_became_too_short_is_told(
    project: Project, admin: Membership, signed_in: SignIn
) -> None:
    make_test(project, 3)
    browser = signed_in(admin)
    browser.post(PAGE, {"qualification_threshold": "0.43"})
    told = "Until then you decide about each labeler yourself"
    assert told not in browser.get(PAGE).content.decode()
    reject_prompt(
        project.prompt_set.filter(purpose=Purpose.QUALIFICATION)[0], reason="x"
    )
    assert told in browser.get(PAGE).content.decode()
