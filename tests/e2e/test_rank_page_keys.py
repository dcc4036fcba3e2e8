"""The ranking page by keyboard: every key, every trap, the order line."""

from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.files.base import ContentFile
from playwright.sync_api import Page, expect

from annotation.models import Membership, Project
from annotation.static_files import as_served
from tests.conftest import make_prompt
from tests.e2e.conftest import Visit, Visitor
from tests.e2e.rank_steps import (
    drag,
    focus,
    press,
    says,
    started,
    stored,
    submitted,
    tiers,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]


@pytest.mark.parametrize("ranks", ["2131", "1111", "331425617", "123456789"])
def test_a_ranking_takes_one_key_a_response_and_enter(
    project: Project, alice: Membership, visit: Visitor, ranks: str
) -> None:
    """Nine responses, ties included: ten keys."""
    make_prompt(project, k=len(ranks))
    page = started(visit(alice)).page
    press(page, ranks)
    assert focus(page) == "submit"
    page.keyboard.press("Enter")
    submitted(page)
    assert stored() == ranks


def test_the_script_as_it_is_served_does_the_same(
    project: Project, alice: Membership, visit: Visitor
) -> None:
    """Joined and minified, as `collectstatic` leaves it; elsewhere it is the source."""
    make_prompt(project, k=9)
    window = visit(alice)
    source = Path(settings.BASE_DIR / "static/js/rank/main.js")
    script = as_served("js/rank/main.js", ContentFile(source.read_bytes())).read()
    kind = "text/javascript"
    window.page.route(
        "**/js/rank/main.js",
        lambda route: route.fulfill(body=script, content_type=kind),
    )
    modules: list[str] = []
    window.page.on("request", lambda request: modules.append(request.url))
    page = started(window).page
    scripts = {url.rpartition("/")[2] for url in modules if url.endswith(".js")}
    assert scripts <= {"main.js", "compare.js"}  # the second is asked for ahead
    press(page, "331425617")
    drag(page, "C", "[data-gap='2']")
    press(page, "u Control+Enter")
    submitted(page)
    assert stored() == "331425617"


def test_digits_go_on_to_the_next_unranked_response(nine: Visit) -> None:
    page = nine.page
    assert focus(page) == "tA"
    press(page, "1")
    assert focus(page) == "tB"
    press(page, "H2")
    assert focus(page) == "tI"
    press(page, "3")
    assert focus(page) == "tB"
    assert tiers(page) == "100000023"


def test_shift_and_a_digit_make_a_new_tier(nine: Visit) -> None:
    page = nine.page
    press(page, "1 2 Shift+2")
    assert tiers(page) == "132000000"
    says(page, "New tier 2. Response C alone in tier 2 of 3. 6 unranked.")


def test_undo_and_redo_go_all_the_way(nine: Visit) -> None:
    page = nine.page
    press(page, "1 2 Shift+2 u Control+z")
    assert tiers(page) == "100000000"
    assert focus(page) == "tB"
    says(page, "Undone: response B back to unranked.")
    press(page, "Control+y Control+Shift+z")
    assert tiers(page) == "132000000"
    says(page, "Redone: response C back in tier 2.")
    press(page, "u u u u u")
    assert tiers(page) == "000000000"
    press(page, "y")
    assert tiers(page) == "100000000"


def test_zero_and_backspace_take_a_response_out_again(nine: Visit) -> None:
    page = nine.page
    press(page, "123A0")
    assert (tiers(page), focus(page)) == ("023000000", "tA")
    says(page, "Response A moved back to unranked. 7 unranked.")
    press(page, "B Backspace")
    assert (tiers(page), focus(page)) == ("003000000", "tB")


def test_letters_and_steps_go_through_the_responses(nine: Visit) -> None:
    page = nine.page
    press(page, "f")
    assert focus(page) == "tF"
    press(page, "jj")
    assert focus(page) == "tH"
    press(page, "jj")
    assert focus(page) == "tA"
    press(page, "k")
    assert focus(page) == "tI"
    press(page, "A1In")
    assert focus(page) == "tB"


def test_comma_and_full_stop_move_by_one_tier(nine: Visit) -> None:
    page = nine.page
    press(page, "112C")
    press(page, ",")
    assert tiers(page) == "111000000"
    says(page, "Response C, tier 1 of 1, tied with A and B. 6 unranked.")
    press(page, ",")
    assert tiers(page) == "221000000"
    press(page, ",")
    says(page, "Response C is already best.")
    press(page, "B.")
    assert tiers(page) == "231000000"
    press(page, "D,")
    says(page, "Response D is unranked.")


def test_a_native_change_of_a_select_does_not_go_on(nine: Visit) -> None:
    page = nine.page
    page.keyboard.press("ArrowDown")
    assert (tiers(page), focus(page)) == ("100000000", "tA")
    page.keyboard.press("End")
    assert (tiers(page), focus(page)) == ("900000000", "tA")
    page.keyboard.press("Home")
    assert (tiers(page), focus(page)) == ("000000000", "tA")
    press(page, "A1")
    page.locator("#tC").select_option("2")
    says(page, "Response C, tier 2 of 2. 7 unranked.")


def test_a_key_held_down_places_one_response(nine: Visit) -> None:
    page = nine.page
    for _ in range(4):
        page.keyboard.down("2")  # repeats from the second on
    page.keyboard.up("2")
    assert tiers(page) == "200000000"


def test_a_full_ninth_tier_is_pushed_without_losing_anything(nine: Visit) -> None:
    page = nine.page
    press(page, "9 Shift+9")
    assert tiers(page) == "210000000"


def test_tiers_end_where_the_responses_do(
    project: Project, alice: Membership, visit: Visitor
) -> None:
    make_prompt(project, k=4)
    page = started(visit(alice)).page
    press(page, "7")
    assert (tiers(page), focus(page)) == ("0000", "tA")
    says(page, "Tiers go from 1 to 4.")


def key_event(page: Page, **event: Any) -> None:
    """A key as a keyboard that is not at hand would send it."""
    page.evaluate(
        """event => document.activeElement.dispatchEvent(new KeyboardEvent(
            'keydown', {bubbles: true, cancelable: true, ...event}))""",
        event,
    )


def test_keyboards_of_other_countries_work(nine: Visit) -> None:
    page = nine.page
    key_event(page, code="Digit2", key="é")  # French: digits are on Shift
    assert tiers(page) == "200000000"
    key_event(page, code="KeyF", key="\u0430")  # Russian: the key of F
    assert focus(page) == "tF"
    key_event(page, code="Numpad1", key="End")  # NumLock is off
    key_event(page, code="Digit1", key="1", isComposing=True)
    assert tiers(page) == "200000000"
    key_event(page, code="Numpad1", key="1")
    assert tiers(page) == "200001000"


def test_single_keys_can_be_switched_off_and_stay_off(nine: Visit) -> None:
    page = nine.page
    page.get_by_role("button", name="All keys").click()
    page.get_by_label("Single keys work").uncheck()
    page.reload()
    page.locator("#tB").focus()
    press(page, "f")
    assert focus(page) == "tB"
    press(page, "Control+Enter")
    expect(page.locator("#alert")).to_contain_text("are unranked.")


# --- The order line ---------------------------------------------------------------


def test_an_order_typed_as_a_line_is_the_ranking(nine: Visit) -> None:
    page = nine.page
    press(page, "/")
    page.keyboard.type("ca=bdefgh")  # the last one is implied
    says(page, "All ranked.")
    press(page, "Enter Enter")
    submitted(page)
    assert stored() == "221345678"


def test_the_order_line_shows_what_is_placed_and_goes_on_from_there(
    nine: Visit,
) -> None:
    page = nine.page
    press(page, "221/")
    assert page.input_value("#line") == "C > A=B"
    page.keyboard.type("d")
    assert tiers(page) == "221300000"
    says(page, "4 of 9 in order.")


def test_escape_leaves_the_order_as_it_was_and_undo_takes_the_line_back(
    nine: Visit,
) -> None:
    page = nine.page
    press(page, "12/")
    page.keyboard.type("zz i")
    assert tiers(page) == "120000003"
    press(page, "Escape")
    assert (tiers(page), page.input_value("#line")) == ("120000000", "A > B")
    press(page, "/")
    page.keyboard.type("=c")
    press(page, "Tab")
    assert tiers(page) == "122000000"
    page.get_by_role("button", name="Undo").click()
    assert tiers(page) == "120000000"
