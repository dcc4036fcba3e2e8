"""S1, a few of the payloads at each commit; `make chaos` has them all."""

from typing import Any

import pytest
from playwright.sync_api import Page

from annotation.models import Membership, Project
from tests.e2e.conftest import visit
from tests.security.payloads import PAYLOADS, SMOKE
from tests.security.planted import plant, what_came_alive

__all__ = ["visit"]
pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


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
