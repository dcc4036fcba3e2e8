"""A ranking in the making: on the server within two seconds, on every device."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Route, expect

from annotation.models import Membership, Project
from ranking.models import Draft
from tests.conftest import make_prompt
from tests.e2e.conftest import Visit, Visitor
from tests.e2e.rank_steps import (
    SUBMIT,
    alert,
    press,
    says,
    started,
    stored,
    submitted,
    tiers,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]

DRAFT = "**/api/v1/assignments/*/draft"


@pytest.fixture
def devices(project: Project, alice: Membership, visit: Visitor) -> tuple[Visit, Visit]:
    """alice at the same prompt on two devices."""
    make_prompt(project, k=4)
    first, second = started(visit(alice)), visit(alice)
    second.page.goto(first.page.url)
    expect(second.page.locator("html.scripted")).to_be_attached()
    return first, second


def saved(page: Page, act: Callable[[], None]) -> int:
    """Do something, and wait for the server's answer to the draft; its status."""
    with page.expect_response(DRAFT) as answer:
        act()
    return answer.value.status


def save_and_lose_the_answer(page: Page) -> None:
    """The server stores A as the best, and the page never hears of it."""
    page.route(DRAFT, lambda route: (route.fetch(), route.abort())[1], times=1)
    with page.expect_event("requestfailed"):
        press(page, "1")
    assert Draft.objects.get().rev == 1


def is_stored(page: Page, rev: int) -> None:
    """Wait until the server has this revision, which may need no answer to anybody."""
    for _ in range(100):
        if Draft.objects.filter(rev=rev).exists():
            return
        page.wait_for_timeout(50)
    pytest.fail(f"no draft came to revision {rev}")


def test_what_was_begun_on_one_device_goes_on_on_another(
    devices: tuple[Visit, Visit],
) -> None:
    first, second = devices[0].page, devices[1].page
    assert saved(first, lambda: press(first, "213")) == 200
    expect(first.locator("#saved")).to_contain_text("3 of 4 ranked · saved ")
    assert Draft.objects.get().content["ranks"] == {"A": 2, "B": 1, "C": 3}
    second.reload()
    expect(second.locator("#status")).to_contain_text("restored, 3 of 4 ranked.")
    assert tiers(second) == "2130"


@pytest.mark.parametrize(
    ("choice", "kept"), [("Keep this one", "2200"), ("Take the other one", "1300")]
)
def test_of_two_drafts_both_are_shown_and_one_is_chosen(
    devices: tuple[Visit, Visit], choice: str, kept: str
) -> None:
    first, second = devices[0].page, devices[1].page
    assert saved(first, lambda: press(first, "13")) == 200
    assert saved(second, lambda: press(second, "22")) == 409
    alert(second, "There: A > B. Here: A=B.")
    button = second.get_by_role("button", name=choice)
    assert saved(second, button.click) == 200
    assert tiers(second) == kept
    ranks = Draft.objects.get().content["ranks"]
    assert ranks == {"A": int(kept[0]), "B": int(kept[1])}
    devices[1].said.clear()  # the browser reports the status 409


def test_a_draft_whose_answer_was_lost_is_no_conflict(
    devices: tuple[Visit, Visit],
) -> None:
    page = devices[0].page
    save_and_lose_the_answer(page)
    assert saved(page, lambda: press(page, "2")) == 409
    with page.expect_response(DRAFT) as answer:
        pass
    assert answer.value.status == 200
    says(page, "Saved again.")
    expect(page.locator("#alert")).to_be_empty()
    assert Draft.objects.get().content["ranks"] == {"A": 1, "B": 2}
    devices[0].said.clear()


def test_the_same_work_here_and_on_the_server_is_no_conflict(
    devices: tuple[Visit, Visit],
) -> None:
    """The page was loaded again before it heard that its draft was stored."""
    page = devices[0].page
    save_and_lose_the_answer(page)
    page.reload()
    is_stored(page, rev=2)
    assert Draft.objects.get().content["ranks"] == {"A": 1}
    expect(page.locator("#alert")).to_be_empty()
    devices[0].said.clear()


def test_leaving_the_page_saves_what_the_pause_held_back(
    devices: tuple[Visit, Visit],
) -> None:
    page = devices[0].page
    press(page, "1")
    page.goto(devices[0].site + "/p/tides/")
    is_stored(page, rev=1)
    assert Draft.objects.get().content["ranks"] == {"A": 1}


def test_no_draft_is_sent_while_the_ranking_is_on_its_way(
    project: Project, alice: Membership, visit: Visitor
) -> None:
    """It would find the ranking stored, and tell of a conflict that there is not."""
    make_prompt(project, k=4)
    window = visit(alice)
    window.page.clock.install()
    page = started(window).page
    held: list[Route] = []
    drafts: list[Route] = []
    page.route(SUBMIT, lambda route: held.append(route))
    page.route(DRAFT, lambda route: drafts.append(route))
    press(page, "1234 Enter")
    says(page, "Submitting…")
    press(page, "2")
    page.clock.run_for(2_000)
    assert len(held) == 1
    assert not drafts
    held[0].fallback()
    submitted(page)
    assert not drafts
    assert stored() == "1234"
