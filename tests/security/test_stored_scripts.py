"""S1 and S2: texts of people and models run nothing and load nothing, on every page.

A few of the payloads at each commit; `make chaos` has them all, for every role. The
content policy
would stop most of what got into a page as HTML, so what counts is more than the canary:
no element, handler or link may come of a text, and the console, where a browser says
what it stopped, must stay empty (tests/e2e/conftest.py).
"""

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from annotation.models import Membership, Project
from tests.e2e.aids import make_texts
from tests.e2e.conftest import Visit, visit
from tests.e2e.rank_steps import started
from tests.security.pages_of_texts import (
    NOT_PAGES,
    PROJECT_PAGES,
    THING_PAGES,
    look_through,
)
from tests.security.payloads import PAYLOADS, SMOKE
from tests.security.planted import plant, what_came_alive
from tests.security.planted_everywhere import plant_everywhere
from tests.test_access_matrix import ROWS

__all__ = ["visit"]
pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


# Around each payload, so that the texts are alike enough to be compared word by word.
WORDS = "Of two such texts most words are the same ones, so they are compared. "
# Past the page's own script, and past its button, whose id hides the form's method.
SEND = "HTMLFormElement.prototype.submit.call(document.querySelector('#ranking'))"


def rank_through(page: Page, prompts: int, slug: str) -> None:
    """Look at each prompt's page, then hand it in: all tied."""
    page.on("dialog", lambda dialog: pytest.fail(f"a dialog: {dialog.message}"))
    for number in range(prompts):
        page.wait_for_url("**/rank/*/")
        page.locator("#ranking").wait_for()
        assert what_came_alive(page) == []
        shown = page.locator("main").inner_text()
        assert "__xss" in shown, "the payloads are shown as text"
        page.keyboard.press("1")
        page.evaluate(
            "document.querySelectorAll('select[name^=tier_]').forEach("
            "one => { one.value = '1' })"
        )
        if number + 1 < prompts:
            with page.expect_navigation():
                page.evaluate(SEND)


def test_there_are_sixty_payloads_and_more() -> None:
    assert len(set(PAYLOADS)) >= 60


def test_a_payload_that_runs_is_noticed(page: Page) -> None:
    """The control: a page that trusts its texts."""
    page.set_content(
        "<main><div class=text><img src=x onerror='window.__xss=1'></main>"
    )
    page.wait_for_function("window.__xss === 1")
    assert what_came_alive(page) == ["something ran", "<img>", "img onerror"]


def test_nothing_runs_on_the_ranking_page(
    project: Project, alice: Membership, visit: Any
) -> None:
    prompts = plant(project, SMOKE)
    window = visit(alice)
    page = window.open(f"/p/{project.slug}/rank/")
    page.locator("main form button[type=submit]").first.click()
    rank_through(page, prompts, project.slug)


@pytest.fixture
def everybody(
    alice: Membership, researcher: Membership, admin: Membership
) -> list[Membership]:
    """One of each role, the labeler first."""
    return [alice, researcher, admin]


def test_every_page_is_looked_at_or_is_none() -> None:
    named = set(PROJECT_PAGES) | set(THING_PAGES) | NOT_PAGES
    assert named == {name for name, row in ROWS.items() if "GET" in row.answers}


@pytest.mark.timeout(600)
def test_nothing_runs_on_any_page(
    project: Project, everybody: list[Membership], visit: Any
) -> None:
    """Every page of the project that its admin reads, who reads most."""
    alice, *_, admin = everybody
    planted = plant_everywhere(project, alice, SMOKE[:2])
    look_through(visit(admin), admin, planted)


def compare_all(window: Visit, count: int) -> None:
    """Each response beside its neighbour, plain and with the differences marked."""
    page = started(window).page
    for number in range(count):
        page.locator(".versus").nth(number).click()
        expect(page.locator("#compare")).to_be_visible()
        expect(page.locator("#diff")).to_be_enabled()
        for marked in (False, True):
            page.locator("#diff").set_checked(marked)
            if marked:  # once the server has answered
                expect(page.locator("#compare .pair :is(del, ins)")).not_to_have_count(
                    0
                )
            assert what_came_alive(page) == []
            # What differs is the text as it was written; rendered, a formula may set
            # these letters as its own, and in both of a pair.
            shown = page.locator("#compare .pair").inner_text()
            assert ("__xss" if marked else WORDS.strip()) in shown
        page.locator("#diff").set_checked(False)
        page.keyboard.press("Escape")


def test_nothing_runs_in_the_word_differences(
    project: Project, alice: Membership, visit: Any
) -> None:
    """Two texts that share their words, and each a payload between them."""
    make_texts(project, [WORDS + payload + " " + WORDS for payload in SMOKE])
    compare_all(visit(alice), len(SMOKE))
