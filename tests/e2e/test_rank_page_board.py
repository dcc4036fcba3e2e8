"""The ranking page by mouse, by tap and by finger, and its reading aids."""

import pytest
from playwright.sync_api import Page, expect

from annotation.models import Membership, Project
from tests.conftest import make_prompt
from tests.e2e.conftest import PHONE, Visit, Visitor
from tests.e2e.rank_steps import (
    chip,
    drag,
    eventually,
    focus,
    press,
    says,
    started,
    tiers,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]


def test_chips_are_dragged_into_tiers_between_them_and_back(nine: Visit) -> None:
    page = nine.page
    drag(page, "C", "li[data-tier='1'] .row")
    assert tiers(page) == "001000000"
    drag(page, "A", "li[data-tier='2'] .row")
    drag(page, "B", "[data-gap='2']")
    assert tiers(page) == "321000000"
    drag(page, "C", "#pool")
    assert tiers(page) == "320000000"


def test_a_drag_ends_without_effect_on_escape_or_beside_the_board(
    nine: Visit,
) -> None:
    page = nine.page
    drag(page, "C", "li[data-tier='1'] .row", drop=False)
    press(page, "Escape")
    page.mouse.up()
    says(page, "Move cancelled. Response C stays unranked.")
    drag(page, "C", "#rB h3")
    assert tiers(page) == "000000000"
    chip(page, "C").click()  # and the next click is a click again
    expect(chip(page, "C")).to_have_attribute("aria-pressed", "true")


def test_a_drag_that_the_system_takes_away_ends_without_effect(nine: Visit) -> None:
    """As when a finger's movement turns into a gesture of the browser's own."""
    page = nine.page
    press(page, "12")
    drag(page, "B", "li[data-tier='1'] .row", drop=False)
    chip(page, "B").dispatch_event("pointercancel")
    says(page, "Move cancelled. Response B stays in tier 2.")
    page.mouse.up()
    assert tiers(page) == "120000000"
    expect(chip(page, "B")).not_to_have_class("chip dragged")


def test_chip_then_tier_places_it_and_the_focus_stays_with_it(nine: Visit) -> None:
    page = nine.page
    chip(page, "D").click()
    says(page, "Response D picked up. Choose a tier.")
    page.get_by_role("button", name="Place in tier 1").click()
    assert (tiers(page), focus(page)) == ("000100000", "D")
    chip(page, "E").click()
    page.get_by_role("button", name="New tier above tier 1").click()
    assert (tiers(page), focus(page)) == ("000210000", "E")
    press(page, "0")
    assert (tiers(page), focus(page)) == ("000200000", "E")
    chip(page, "E").click()
    press(page, "Escape")
    says(page, "Response E put down, still unranked.")


Point = tuple[float, float]


def swipe(page: Page, start: Point, end: Point) -> None:
    """A finger put down, moved in six steps and lifted."""
    raw = page.context.new_cdp_session(page)

    def touch(kind: str, *points: Point) -> None:
        at = [{"x": x, "y": y} for x, y in points]
        raw.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": at})

    touch("touchStart", start)
    for step in range(1, 7):
        x, y = (a + (b - a) * step / 6 for a, b in zip(start, end, strict=True))
        touch("touchMove", (x, y))
    touch("touchEnd")


def test_a_finger_scrolls_the_texts_and_moves_no_response(
    project: Project, alice: Membership, visit: Visitor
) -> None:
    make_prompt(project, k=9)
    page = started(visit(alice, viewport=PHONE, has_touch=True, is_mobile=True)).page
    box = page.locator("#rC h3").bounding_box()
    assert box is not None
    swipe(page, (200, box["y"]), (200, box["y"] - 300))
    eventually(page, "scrollY > 100")
    assert tiers(page) == "000000000"


def test_a_finger_drags_a_chip_and_taps_work_too(
    project: Project, alice: Membership, visit: Visitor
) -> None:
    make_prompt(project, k=4)
    page = started(visit(alice, viewport=PHONE, has_touch=True, is_mobile=True)).page
    page.locator("#open-board").tap()
    chip(page, "B").tap()
    page.get_by_role("button", name="Place in tier 1").tap()
    assert tiers(page) == "0100"
    start, end = (
        chip(page, "C").bounding_box(),
        page.locator("li[data-tier='2'] .row").bounding_box(),
    )
    assert start
    assert end
    swipe(page, (start["x"] + 20, start["y"] + 20), (start["x"] + 80, end["y"] + 20))
    expect(page.locator("#tC")).to_have_value("2")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


# --- Reading ----------------------------------------------------------------------


def test_the_prompt_stays_at_hand_when_it_has_scrolled_away(nine: Visit) -> None:
    page = nine.page
    bar = page.locator("#prompt-bar")
    expect(bar).to_be_hidden()
    press(page, "i")
    expect(bar).to_contain_text("Question p1?")
    bar.locator("summary").click()
    expect(page.get_by_role("region", name="The prompt again")).to_be_visible()


def test_texts_fold_one_by_one_and_all_together(nine: Visit) -> None:
    page = nine.page
    button = page.get_by_role("button", name="Text of response B")
    press(page, "bx")
    expect(button).to_have_attribute("aria-expanded", "false")
    button.click()
    expect(button).to_have_attribute("aria-expanded", "true")
    page.locator("#tB").focus()
    press(page, "Shift+X Shift+X Shift+X")
    expect(page.locator(".fold[aria-expanded=false]")).to_have_count(9)
