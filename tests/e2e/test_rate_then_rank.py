"""Rating each response first, and what happens when that contradicts the ranking."""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from annotation.models import Membership, Project
from tests.e2e.aids import make_texts
from tests.e2e.conftest import PHONE, Visitor
from tests.e2e.looks import faults, shoot
from tests.e2e.rank_steps import alert, focus, press, says, started, tiers
from tests.e2e.test_rank_page_for_everybody import SMALL

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]

FOUR = ["The Moon.", "The Sun.", "The wind.", "Nobody knows."]
WINDOWS: dict[str, dict[str, Any]] = {
    "desktop": {},
    "dark": {"color_scheme": "dark"},
    "phone": {"viewport": PHONE, "has_touch": True},
}


@pytest.fixture
def rated_first(project: Project) -> Project:
    project.rate_first = True
    project.flags = ["hallucination"]
    project.save()
    make_texts(project, FOUR)
    return project


@pytest.fixture
def page(rated_first: Project, alice: Membership, visit: Visitor) -> Page:
    return started(visit(alice, reduced_motion="reduce")).page


# On the server, not on this device alone.
SAVED = re.compile(r"· saved \d\d:\d\d$")


def rated(page: Page) -> str:
    """The ratings by letter, 0 for none."""
    return str(
        page.evaluate(
            "['A', 'B', 'C', 'D'].map(letter => document.getElementById('ranking')"
            ".elements['rating_' + letter].value || 0).join('')"
        )
    )


def sent(page: Page) -> Any:
    with page.expect_request("**/submit") as request:
        press(page, "Control+Enter")
    return request.value.post_data_json


def test_a_digit_rates_and_goes_on_to_the_next(page: Page) -> None:
    press(page, "5")
    says(page, "Response A rated 5. 3 unrated.")
    press(page, "7D2")
    assert rated(page) == "5702"
    press(page, "3")
    expect(page.get_by_role("button", name="Continue to the ranking")).to_be_focused()
    assert (rated(page), tiers(page)) == ("5732", "0000")


def test_a_rating_that_does_not_exist_changes_nothing(page: Page) -> None:
    press(page, "4 A8")
    assert rated(page) == "4000"


def test_ranking_keys_wait_for_the_ranking(page: Page) -> None:
    press(page, "4 , . u 0")
    assert (rated(page), tiers(page)) == ("4000", "0000")
    expect(page.locator("#board")).to_be_hidden()


def test_every_response_is_rated_before_the_ranking(page: Page) -> None:
    press(page, "12 Control+Enter")
    expect(page.locator("#board")).to_be_hidden()
    assert page.evaluate("document.activeElement.name") == "rating_C"


def test_the_ratings_are_left_and_come_back(page: Page) -> None:
    press(page, "1234 Enter")
    says(page, "Step 2 of 2: rank the responses.")
    assert focus(page) == "tA"
    expect(page.locator(".rating").first).to_be_hidden()
    press(page, "1")
    page.get_by_role("button", name="Back to the ratings").click()
    says(page, "Step 1 of 2: rate the responses.")
    press(page, "A7")
    assert (rated(page), tiers(page)) == ("7234", "1000")


def test_a_contradiction_is_asked_about_once_and_does_not_block(page: Page) -> None:
    press(page, "7654 Enter 2134")
    press(page, "Control+Enter")
    alert(page, "You rated A above B but ranked it below. Submit anyway?")
    with page.expect_request("**/submit") as request:
        page.get_by_role("button", name="Submit anyway").click()
    body: Any = request.value.post_data_json
    assert body["ratings"] == {"A": 7, "B": 6, "C": 5, "D": 4}
    assert body["telemetry"]["n_asked"] == 1


def test_the_second_submission_is_not_asked_about(page: Page) -> None:
    press(page, "7654 Enter 2134 Control+Enter")
    alert(page, "Submit anyway?")
    assert sent(page)["ranks"] == {"A": 2, "B": 1, "C": 3, "D": 4}


@pytest.mark.parametrize("ranks", ["1234", "1111", "1123"])
def test_agreement_and_ties_are_not_asked_about(page: Page, ranks: str) -> None:
    press(page, f"7654 Enter {ranks}")
    assert "n_asked" not in sent(page)["telemetry"]


def test_ratings_survive_a_reload(page: Page) -> None:
    press(page, "765")
    expect(page.locator("#saved")).to_have_text(SAVED)
    page.reload()
    expect(page.locator("main.rates")).to_be_visible()
    assert rated(page) == "7650"
    press(page, "4 Enter 12")
    expect(page.locator("#saved")).to_have_text(SAVED)
    page.reload()
    expect(page.locator("#board")).to_be_visible()
    assert (rated(page), tiers(page)) == ("7654", "1200")


def test_without_script_both_are_in_one_form(
    rated_first: Project, alice: Membership, visit: Visitor
) -> None:
    page = visit(alice, java_script_enabled=False).open("/p/tides/rank/")
    page.get_by_role("button", name="Start ranking").click()
    ratings = page.get_by_role("group", name="Overall quality of response A")
    expect(ratings.get_by_role("radio")).to_have_count(7)
    expect(page.get_by_role("list", name="Flags of response A")).to_be_visible()
    expect(page.get_by_label("Tier of response A")).to_be_visible()
    expect(page.get_by_text("Continue to the ranking")).to_be_hidden()


@pytest.mark.parametrize("window", WINDOWS)
def test_the_rating_step_is_for_everybody(
    rated_first: Project, alice: Membership, visit: Visitor, window: str
) -> None:
    page = started(visit(alice, reduced_motion="reduce", **WINDOWS[window])).page
    press(page, "52")
    shoot(page, f"rate-{window}")
    assert faults(page) == []
    assert page.evaluate(SMALL) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
