"""The ranking page in a real browser: keys, pointer, draft, and without JavaScript."""

from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db.models.functions import Now
from playwright.sync_api import Page, expect

from annotation import queue
from annotation.models import Assignment, Membership, Project
from annotation.shown import as_shown
from ranking.models import Ranking
from tests.conftest import make_prompt
from tests.e2e.conftest import PHONE, Visit, Visitor

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


NAMED = ("Enter", "Escape", "Tab", "Backspace")


def press(page: Page, keys: str) -> None:
    """Keys one after another: "12 Enter" is 1, 2, Enter; "Shift+2" is one."""
    for word in keys.split():
        for key in [word] if word in NAMED or "+" in word else word:
            page.keyboard.press(key)


def focus(page: Page) -> str:
    """The id of the element that has the focus, or the letter of a chip."""
    script = "document.activeElement.id || document.activeElement.dataset.letter"
    return str(page.evaluate(script) or "nothing")


def says(page: Page, text: str) -> None:
    expect(page.locator("#status")).to_have_text(text)


def chip(page: Page, letter: str) -> Any:
    return page.locator(f".chip[data-letter={letter}]")


def submitted(page: Page) -> None:
    expect(page.get_by_role("heading", name="Nothing left to rank")).to_be_visible()
    expect(page.get_by_text("Ranking submitted.").first).to_be_visible()


# --- Keys -------------------------------------------------------------------------


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
    page.get_by_text("All keys").click()
    page.get_by_label("Single keys work").uncheck()
    page.reload()
    page.locator("#tB").focus()
    press(page, "f")
    assert focus(page) == "tB"
    press(page, "Control+Enter")
    expect(page.locator("#alert")).to_contain_text("are unranked.")


# --- Announcements ----------------------------------------------------------------


def test_every_move_is_said(nine: Visit) -> None:
    page = nine.page
    says(page, "9 responses, none ranked.")
    press(page, "4")
    says(page, "Response A, tier 4 of 4. 8 unranked.")
    press(page, "4")
    says(page, "Response B, tier 4 of 4, tied with A. 7 unranked.")
    press(page, "1234567")
    says(
        page,
        "Response I, tier 7 of 7. All ranked. Press Enter to submit.",
    )


def test_empty_tiers_go_once_everything_is_ranked(nine: Visit) -> None:
    page = nine.page
    press(page, "992211444")
    assert tiers(page) == "442211333"
    says(
        page,
        "Response I, tier 3 of 4, tied with G and H. All ranked. Press Enter to"
        " submit. Empty tiers removed, 4 tiers.",
    )


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


# --- Pointer ----------------------------------------------------------------------


def drag(page: Page, letter: str, to: str, *, drop: bool = True) -> None:
    """A chip taken with the mouse to the middle of a place."""
    chip(page, letter).hover()
    page.mouse.down()
    page.mouse.move(5, 300)
    box = page.locator(to).bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=4)
    if drop:
        page.mouse.up()


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
    raw = page.context.new_cdp_session(page)

    def touch(kind: str, *points: tuple[float, float]) -> None:
        at = [{"x": x, "y": y} for x, y in points]
        raw.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": at})

    x, y = start["x"] + 20, start["y"] + 20
    touch("touchStart", (x, y))
    for step in range(1, 7):
        touch("touchMove", (x + 60 * step / 6, y + (end["y"] + 20 - y) * step / 6))
    touch("touchEnd")
    expect(page.locator("#tC")).to_have_value("2")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


# --- Nothing is lost --------------------------------------------------------------


def drafts(page: Page) -> list[str]:
    script = "Object.keys(localStorage).filter(key => key.startsWith('draft:'))"
    return list(page.evaluate(script))


def test_a_draft_survives_a_reload_and_goes_with_the_submission(nine: Visit) -> None:
    page = nine.page
    press(page, "3314")
    token = Assignment.objects.get(state="claimed").token
    assert drafts(page) == [f"draft:{token}"]
    page.reload()
    expect(page.locator("#status")).to_contain_text("restored, 4 of 9 ranked.")
    assert tiers(page) == "331400000"
    press(page, "E25617")
    press(page, "Control+Enter")
    submitted(page)
    assert stored() == "331425617"
    assert drafts(page) == []


def test_an_incomplete_ranking_is_refused_and_stays_on_the_page(nine: Visit) -> None:
    page = nine.page
    press(page, "3 3 1 4 2 5 Control+Enter")
    alert = page.locator("#alert")
    expect(alert).to_have_text("Not submitted: G, H and I are unranked.")
    expect(alert).to_be_in_viewport(ratio=1)
    assert tiers(page) == "331425000"
    assert not Ranking.objects.exists()
    press(page, "6")
    expect(alert).to_be_empty()


def test_a_dead_network_keeps_the_work_and_the_next_try_stores_it_once(
    nine: Visit,
) -> None:
    page = nine.page
    page.route("**/rank/*/", lambda route: route.abort(), times=1)
    press(page, "331425617")
    press(page, "Enter")
    expect(page.locator("#alert")).to_contain_text("saved on this device")
    assert tiers(page) == "331425617"
    press(page, "Enter")
    submitted(page)
    assert stored() == "331425617"
    nine.said.clear()  # the browser reports the broken request


def test_an_answer_that_was_lost_on_its_way_is_not_stored_twice(nine: Visit) -> None:
    """The server stored it, the page never heard of it, and sends it again."""
    page = nine.page

    def lose_the_answer(route: Any) -> None:
        route.fetch()
        route.abort()

    page.route("**/rank/*/", lose_the_answer, times=1)
    press(page, "331425617")
    press(page, "Enter")
    expect(page.locator("#alert")).to_contain_text("saved on this device")
    press(page, "Enter")
    submitted(page)
    assert stored() == "331425617"
    nine.said.clear()


def test_who_was_signed_out_signs_in_and_submits(nine: Visit) -> None:
    page = nine.page
    cookies: Any = page.context.cookies()
    press(page, "331425617")
    page.context.clear_cookies(name=settings.SESSION_COOKIE_NAME)
    press(page, "Enter")
    expect(page.locator("#alert")).to_contain_text("You are signed out.")
    expect(page.get_by_role("link", name="Sign in")).to_be_visible()
    page.context.add_cookies(cookies)
    page.locator("#submit").click()
    submitted(page)
    assert stored() == "331425617"
    nine.said.clear()


def test_pressing_enter_twice_submits_once(nine: Visit) -> None:
    page = nine.page
    press(page, "331425617")
    press(page, "Enter Enter")
    submitted(page)
    assert Ranking.objects.count() == 1


def test_a_second_tab_does_not_overwrite_the_first_unasked(nine: Visit) -> None:
    first, second = nine.page, nine.page.context.new_page()
    second.goto(first.url)
    expect(second.locator("html.scripted")).to_be_attached()
    press(first, "111111111")
    press(first, "Enter")
    submitted(first)
    second.locator("#tA").focus()
    press(second, "331425617")
    press(second, "Enter")
    expect(second.locator("#alert")).to_contain_text("already submitted another")
    assert stored() == "111111111"
    second.get_by_role("button", name="Replace it").click()
    submitted(second)
    assert stored() == "331425617"
    assert Ranking.objects.count() == 2


def test_a_lost_lease_keeps_the_ranking_and_says_so(
    nine: Visit, bob: Membership
) -> None:
    Assignment.objects.filter(slot=1).delete()
    Assignment.objects.update(lease_until=Now() - timedelta(seconds=1))
    assert queue.claim(bob) is not None
    page = nine.page
    press(page, "331425617")
    press(page, "Enter")
    expect(page.get_by_text("Ranking kept, marked as late")).to_be_visible()
    assert stored() == "331425617"
    assert Ranking.objects.get().status == "late"


def test_the_page_keeps_the_lease_while_somebody_is_at_work(
    project: Project, alice: Membership, visit: Visitor
) -> None:
    make_prompt(project, k=4)
    window = visit(alice)
    window.page.clock.install()
    page = started(window).page
    Assignment.objects.filter(state="claimed").update(lease_until=Now())
    press(page, "1")
    with page.expect_response("**/renew/"):
        page.clock.fast_forward("10:01")
    assert Assignment.objects.filter(
        state="claimed", lease_until__gt=Now() + timedelta(minutes=29)
    ).exists()


# --- Time -------------------------------------------------------------------------


def test_time_away_is_not_time_at_work(
    project: Project, alice: Membership, visit: Visitor
) -> None:
    make_prompt(project, k=4, slots=1)
    window = visit(alice)
    window.page.clock.install()
    page = started(window).page
    press(page, "1")
    page.clock.run_for(20_000)
    press(page, "2")  # 20 s later: counts
    page.clock.run_for(40_000)
    press(page, "3")  # 40 s later: was away
    page.clock.run_for(5_000)
    press(page, "3")
    press(page, "Enter")
    page.clock.run_for(1_000)
    submitted(page)
    ranking = Ranking.objects.get()
    assert ranking.active_seconds == pytest.approx(25, abs=3)
    assert ranking.telemetry["wall_ms"] == pytest.approx(65_000, abs=5_000)
    assert ranking.telemetry["n_moves"] == ranking.telemetry["n_key"] == 4


# --- Reading ----------------------------------------------------------------------


def test_the_prompt_stays_at_hand_when_it_has_scrolled_away(nine: Visit) -> None:
    page = nine.page
    bar = page.locator("#prompt-bar")
    expect(bar).to_be_hidden()
    press(page, "i")
    expect(bar).to_contain_text("Question p1?")
    bar.get_by_role("button", name="Prompt").click()
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


# --- Without JavaScript -----------------------------------------------------------


def test_plain_selects_are_enough(
    project: Project, alice: Membership, visit: Visitor
) -> None:
    make_prompt(project, k=4)
    page = visit(alice, java_script_enabled=False).open("/p/tides/rank/")
    page.get_by_role("button", name="Start ranking").click()
    expect(page.locator("#panel, .fold, #open-board, .keys")).to_have_count(7)
    for scripted in page.locator("#panel, .fold, #open-board, .keys").all():
        expect(scripted).to_be_hidden()
    for letter, tier in zip("ABCD", "2132", strict=True):
        page.get_by_label(f"Tier of response {letter}").select_option(tier)
    page.get_by_role("button", name="Submit").click()
    submitted(page)
    assert stored() == "2132"
    assert Ranking.objects.get().active_seconds is None


def test_without_script_an_incomplete_ranking_comes_back_as_it_was_sent(
    project: Project, alice: Membership, visit: Visitor
) -> None:
    make_prompt(project, k=4)
    window = visit(alice, java_script_enabled=False)
    page = window.open("/p/tides/rank/")
    page.get_by_role("button", name="Start ranking").click()
    page.get_by_label("Tier of response A").select_option("2")
    page.get_by_label("Tier of response C").select_option("1")
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_role("alert").first).to_contain_text(
        "Not submitted: B and D are unranked."
    )
    expect(page.get_by_label("Tier of response A")).to_have_value("2")
    expect(page.get_by_label("Tier of response C")).to_have_value("1")
    assert not Ranking.objects.exists()
    page.get_by_role("link", name="Choose a tier for response D").click()
    page.get_by_label("Tier of response B").select_option("3")
    page.get_by_label("Tier of response D").select_option("3")
    page.get_by_role("button", name="Submit").click()
    submitted(page)
    assert stored() == "2313"
    window.said.clear()  # the browser reports the status 422


def test_a_prompt_can_be_given_back(nine: Visit) -> None:
    page = nine.page
    page.get_by_role("button", name="Give this prompt back").click()
    expect(page.get_by_text("You gave the prompt back.")).to_be_visible()
    assert not Assignment.objects.filter(state="claimed").exists()
