"""The ranking page in a real browser: keys, pointer, draft, and without JavaScript."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from annotation.models import Assignment, Membership, Project
from annotation.shown import as_shown
from ranking.models import Placement, Ranking
from tests.conftest import make_prompt
from tests.e2e.conftest import Visit, Visitor

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]


@pytest.fixture
def nine(project: Project, alice: Membership, visit: Visitor) -> Visit:
    make_prompt(project, k=9)
    return started(visit(alice))


def started(window: Visit) -> Visit:
    """The window after its labeler asked for a prompt."""
    window.open("/p/tides/rank/").get_by_role("button", name="Start ranking").click()
    expect(window.page.locator("html.scripted #ranking")).to_be_visible()
    return window


def tiers(page: Page) -> str:
    """What the selects say, one character each, 0 for unranked."""
    values = page.locator("#ranking select").evaluate_all(
        "all => all.map(s => s.value)"
    )
    return "".join(value or "0" for value in values)


def stored() -> str:
    """The ranks of the one current ranking in the order of the page's letters."""
    ranking = Ranking.objects.current().get()
    shown = as_shown(ranking.assignment, ranking.assignment.prompt.responses.all())
    ranks = dict(ranking.placements.values_list("response", "rank"))
    return "".join(str(ranks[response.pk]) for response in shown.values())


def submitted(page: Page) -> None:
    expect(page.get_by_role("heading", name="Nothing left to rank")).to_be_visible()
    expect(page.get_by_text("Ranking submitted.")).to_be_visible()


# --- Ten keys ---------------------------------------------------------------------


def test_nine_responses_with_ties_take_ten_keys(nine: Visit) -> None:
    for key in "331425617":
        nine.page.keyboard.press(key)
    nine.page.keyboard.press("Enter")
    submitted(nine.page)
    assert stored() == "331425617"
