"""The dashboards where there is little to show, or nothing."""

from collections.abc import Callable

import pytest
from django.test import Client

from annotation.models import Membership
from ranking.summaries import lock_and_summarize
from ranking.templatetags.numbers import hundredths
from tests.conftest import make_prompt
from tests.ranking.rows import store_ranking

pytestmark = pytest.mark.django_db
SignedIn = Callable[[Membership], Client]


@pytest.mark.parametrize("page", ["", "agreement/", "habits/", "disagreement/"])
def test_an_empty_project_says_so_in_words(
    admin: Membership, signed_in: SignedIn, page: str
) -> None:
    make_prompt(admin.project)
    answer = signed_in(admin).get(f"/p/tides/dashboard/{page}")
    assert answer.status_code == 200
    text = answer.content.decode()
    assert "nan" not in text.lower().split()
    assert "None" not in text


def test_a_filter_that_is_not_understood_is_refused(
    admin: Membership, signed_in: SignedIn
) -> None:
    answer = signed_in(admin).get("/p/tides/dashboard/?since=x")
    assert answer.status_code == 400
    assert "is not a date" in answer.content.decode()


@pytest.mark.parametrize("page", ["dashboard/agreement/", "agreement/"])
def test_without_overlap_the_page_says_what_is_missing(
    admin: Membership, alice: Membership, signed_in: SignedIn, page: str
) -> None:
    prompt = make_prompt(admin.project)
    store_ranking(prompt, alice, {"r1": 1, "r2": 2, "r3": 2, "r4": 3})
    lock_and_summarize([prompt.pk])
    text = signed_in(admin).get(f"/p/tides/{page}").content.decode()
    assert "nothing to compare" in text
    assert "No figure" not in text
    assert "/p/tides/settings/" in text


@pytest.mark.parametrize(
    ("value", "written"),
    [(-0.0004, "0.00"), (-0.07, "−0.07"), (1.6967, "1.70"), (None, "–")],
)
def test_what_rounds_to_nothing_has_no_sign(value: float | None, written: str) -> None:
    assert hundredths(value) == written
