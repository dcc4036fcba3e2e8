"""Aids for reading and comparing, and what is said besides the order, in a browser."""

from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from annotation.models import AssignmentState, Membership, Project, Skip, SkipReason
from tests.e2e.aids import card, letter_of, make_texts, on_the_desk
from tests.e2e.conftest import PHONE, Visit, Visitor
from tests.e2e.looks import faults, shoot
from tests.e2e.rank_steps import (
    eventually,
    focus,
    press,
    says,
    started,
    submitted,
    tiers,
)
from tests.e2e.test_rank_page_for_everybody import SMALL

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]

OCEAN = "The Moon pulls on the ocean below it, so water piles up there twice a day."
SEA = "The Moon pulls on the sea below it, so water piles up there twice each day."
WIND = "Wind does it."
LONG = " ".join(f"Wave {number} follows the one before it." for number in range(400))
FOUR = [OCEAN, SEA, WIND, "Nobody knows."]


@pytest.fixture
def four(project: Project, alice: Membership, visit: Visitor) -> Page:
    make_texts(project, FOUR)
    return started(visit(alice, reduced_motion="reduce")).page


def compared(page: Page, title: str) -> None:
    expect(page.get_by_role("dialog", name=title)).to_be_visible()


def verdict(page: Page, text: str) -> None:
    expect(page.locator("#verdict")).to_have_text(text)


def pin(page: Page, letters: str) -> None:
    for letter in letters:
        press(page, f"{letter}p")


# --- Comparing --------------------------------------------------------------------


def test_two_pinned_responses_are_compared(four: Page) -> None:
    press(four, "Cp")
    says(four, "Response C pinned, 1 of 2.")
    press(four, "Dp")
    says(four, "Response D pinned, 2 of 2.")
    press(four, "Av")
    compared(four, "Comparing C and D")
    says(four, "Comparing C and D.")
    press(four, "Escape")
    expect(four.get_by_role("dialog")).to_be_hidden()
    assert focus(four) == "tA"


def test_a_third_pin_takes_the_place_of_the_older(four: Page) -> None:
    pin(four, "ABC")
    pressed = four.locator(".pin[aria-pressed=true]")
    expect(pressed).to_have_text(["Pin response B", "Pin response C"])
    press(four, "p")
    says(four, "Response C unpinned.")
    expect(pressed).to_have_text(["Pin response B"])


def test_without_two_pins_the_neighbour_in_rank_is_compared(four: Page) -> None:
    press(four, "132 Av")
    compared(four, "Comparing A and C")
    press(four, "Escape Dv")  # unranked: with the best
    compared(four, "Comparing D and A")


COMPARE = "**/js/rank/compare*.js"


def test_what_is_asked_before_the_script_is_there_happens_in_that_order(
    project: Project, alice: Membership, visit: Visitor
) -> None:
    """The script for comparing comes late. Nothing that is typed meanwhile is taken for
    the page's.
    """
    make_texts(project, FOUR)
    window = visit(alice)
    held: list[Route] = []
    window.page.route(COMPARE, lambda route: held.append(route))
    page = started(window).page
    press(page, "Cp Ap Bv")
    expect(page.get_by_role("dialog", name="Comparing…")).to_be_visible()
    press(page, "123 ArrowLeft u")
    assert tiers(page) == "0000"
    for route in held:
        route.continue_()
    compared(page, "Comparing C and A")
    page.keyboard.press("ArrowLeft")
    verdict(page, "C placed above A.")
    assert tiers(page) == "2010"


def test_a_script_that_did_not_come_is_asked_for_again(
    project: Project, alice: Membership, visit: Visitor
) -> None:
    make_texts(project, FOUR)
    window = visit(alice)
    page = started(window).page
    page.route(COMPARE, lambda route: route.abort())
    press(page, "12 Av")
    expect(page.locator("#alert")).to_contain_text("No connection.")
    expect(page.get_by_role("dialog")).to_be_hidden()
    assert focus(page) == "tA"
    page.unroute(COMPARE)
    press(page, "v")
    compared(page, "Comparing A and B")
    window.said.clear()  # the browser reports the broken request


# The ranks before and the two pinned; a key; the ranks after it and what is said. The
# tie moves the second, which had the focus.
VERDICTS = [
    ("1234 AB", "ArrowLeft", "1234 A placed above B."),
    ("1234 AB", "ArrowRight", "2134 B placed above A."),
    ("1234 AD", "ArrowRight", "2341 D placed above A."),
    ("1122 AB", "ArrowLeft", "1233 A placed above B."),
    ("1234 AC", "=", "1213 C and A tied."),
    ("1234 AC", "ArrowDown", "1213 C and A tied."),
    ("12 AC", "ArrowRight", "2310 C placed above A."),
    ("12 AC", "ArrowLeft", "1320 A placed above C."),
    ("12 AC", "=", "1210 C and A tied."),
    (" AC", "ArrowLeft", "1020 A placed above C."),
    (" AC", "ArrowRight", "2010 C placed above A."),
    (" AC", "=", "1010 C and A tied."),
    ("44 CD", "ArrowLeft", "1123 C placed above D."),
]


def test_a_verdict_moves_the_responses(four: Page) -> None:
    for before, key, after in VERDICTS:
        ranked, pins = before.split(" ")
        expected, said = after.split(" ", 1)
        press(four, f"A{ranked}")
        pin(four, pins)
        press(four, "v")
        compared(four, f"Comparing {pins[0]} and {pins[1]}")
        four.keyboard.press(key)
        verdict(four, said)
        assert tiers(four) == expected, before
        press(four, "Escape")
        expect(four.get_by_role("dialog")).to_be_hidden()
        if expected != ranked.ljust(4, "0"):
            press(four, "u")
            assert tiers(four) == ranked.ljust(4, "0"), "one step of undo"
        pin(four, pins)  # and nothing is pinned or ranked for the next
        press(four, "uuuu")
        assert tiers(four) == "0000"


def test_keys_held_down_judge_once(four: Page) -> None:
    pin(four, "AB")
    press(four, "v")
    expect(four.get_by_role("dialog")).to_be_visible()
    for _ in range(3):
        four.keyboard.down("ArrowLeft")
    assert tiers(four) == "1200"


def test_words_that_differ_are_marked_on_request(four: Page) -> None:
    pin(four, letter_of(OCEAN) + letter_of(SEA))
    press(four, "v")
    expect(four.get_by_role("dialog")).to_be_visible()
    press(four, "w")
    expect(four.locator("#compare del")).to_have_text(["ocean ", "a "])
    expect(four.locator("#compare ins")).to_have_text(["sea ", "each "])
    press(four, "w")
    expect(four.locator("#compare del")).to_have_count(0)
    expect(four.locator("#compare .pair .rich").first).to_have_text(OCEAN)


def test_texts_that_have_nothing_in_common_get_no_marks(four: Page) -> None:
    pin(four, letter_of(OCEAN) + letter_of(WIND))
    press(four, "v")
    expect(four.get_by_label("Word differences")).to_be_disabled()
    expect(four.get_by_text("only between similar texts")).to_be_visible()


def test_down_scrolls_a_text_that_has_the_focus(
    project: Project, alice: Membership, visit: Visitor
) -> None:
    make_texts(project, [LONG, LONG + " End.", WIND, SEA])
    page = started(visit(alice)).page
    pin(page, letter_of(LONG) + letter_of(LONG + " End."))
    press(page, "v")
    pane = page.locator("#compare .pair .text").first
    pane.focus()
    page.keyboard.press("ArrowDown")
    eventually(page, "document.querySelector('.pair .text').scrollTop > 0")
    assert tiers(page) == "0000"


def test_two_texts_scroll_together_if_asked(
    project: Project, alice: Membership, visit: Visitor
) -> None:
    make_texts(project, [LONG, LONG + " End.", WIND, SEA])
    page = started(visit(alice)).page
    pin(page, letter_of(LONG) + letter_of(LONG + " End."))
    press(page, "v")
    page.get_by_label("Scroll together").check()
    page.locator("#compare .pair .text").first.hover(position={"x": 20, "y": 20})
    page.mouse.wheel(0, 300)
    second = "document.querySelectorAll('.pair .text')[1]"
    eventually(page, f"{second}.getBoundingClientRect().top < 0")


@pytest.mark.parametrize("has_touch", [False, True])
def test_everything_about_comparing_works_without_keys(
    project: Project, alice: Membership, visit: Visitor, *, has_touch: bool
) -> None:
    make_texts(project, FOUR)
    page = started(visit(alice, viewport=PHONE, has_touch=has_touch)).page

    def push(name: str) -> None:
        button = page.get_by_role("button", name=name)
        button.tap() if has_touch else button.click()

    push("Pin response A")
    push("Pin response B")
    push("Compare response C")
    compared(page, "Comparing A and B")
    expect(page.get_by_role("region", name="The prompt")).to_contain_text("tides?")
    push("Swap sides")
    headings = page.locator("#compare .pair h3")
    expect(headings).to_have_text(["Response B, unranked", "Response A, unranked"])
    push("B is better")
    verdict(page, "B placed above A.")
    expect(headings).to_have_text(["Response B, tier 1", "Response A, tier 2"])
    push("Tie")
    verdict(page, "A and B tied.")
    push("Close")
    assert tiers(page) == "1100"  # A moves to B
    assert page.evaluate("document.activeElement.matches('.versus')")


# --- Reading ----------------------------------------------------------------------


def with_a_long_text(project: Project, window: Visit) -> tuple[Page, str]:
    make_texts(project, [LONG, OCEAN, SEA, WIND])
    page = started(window).page
    return page, letter_of(LONG)


def sent(page: Page) -> Any:
    """What a submission says."""
    with page.expect_request("**/submit") as request:
        press(page, "Control+Enter")
    return request.value.post_data_json


def test_a_long_text_opens_clipped_and_that_is_noticed(
    project: Project, alice: Membership, visit: Visitor
) -> None:
    page, letter = with_a_long_text(project, visit(alice))
    expect(card(page, letter)).to_have_class("card clipped")
    press(page, "1234")
    expect(page.locator("#notes")).to_have_text(f"{letter} was never opened in full.")
    assert sent(page)["telemetry"]["unread"] == [letter]
    submitted(page)  # a note, never a block


def test_show_all_opens_a_text_and_keeps_the_focus(
    project: Project, alice: Membership, visit: Visitor
) -> None:
    page, letter = with_a_long_text(project, visit(alice))
    more = page.get_by_role("button", name=f"Show all of response {letter}")
    more.click()
    expect(more).to_be_hidden()
    assert page.evaluate("document.activeElement.matches('.fold')")
    press(page, "A1234")
    expect(page.locator("#notes")).to_have_text("")
    assert sent(page)["telemetry"]["unread"] == []


def height_of(page: Page, letter: str) -> float:
    box = page.locator(f"#x{letter}").bounding_box()
    assert box
    return box["height"]


def test_x_opens_what_is_clipped_and_folds_what_is_open(
    project: Project, alice: Membership, visit: Visitor
) -> None:
    page, letter = with_a_long_text(project, visit(alice))
    press(page, f"{letter}x")
    expect(card(page, letter)).to_have_class("card")
    folded = page.locator(".fold[aria-expanded=false]")
    expect(folded).to_have_count(0)
    whole = height_of(page, letter)
    press(page, "x")
    expect(folded).to_have_count(1)
    assert height_of(page, letter) < whole / 10
    press(page, "Shift+X")
    expect(folded).to_have_count(4)
    press(page, "Shift+X")
    expect(folded).to_have_count(0)
    assert height_of(page, letter) == whole


@pytest.mark.parametrize("shown", [True, False])
def test_word_counts_are_shown_if_the_project_says_so(
    project: Project, alice: Membership, visit: Visitor, *, shown: bool
) -> None:
    project.show_word_counts = shown
    project.save()
    page, letter = with_a_long_text(project, visit(alice))
    name = "Show all 2800 words" if shown else "Show all"
    more = page.get_by_role("button", name=f"{name} of response {letter}", exact=True)
    expect(more).to_be_visible()
    words = card(page, letter_of(WIND)).get_by_text("3 words")
    expect(words).to_have_count(1 if shown else 0)


def test_time_counts_for_the_texts_that_are_seen(
    project: Project, alice: Membership, visit: Visitor
) -> None:
    make_texts(project, [LONG, LONG + " Again.", LONG + " End.", LONG + " So."])
    window = visit(alice, reduced_motion="reduce")
    window.page.clock.install()
    page = started(window).page
    press(page, "A")
    page.clock.fast_forward(20_000)
    press(page, "D")
    page.clock.fast_forward(5_000)
    press(page, "D1A1B1C1")
    seen = sent(page)["telemetry"]["visible_ms"]
    assert 20_000 <= seen["A"] < 25_000
    assert 5_000 <= seen["D"] < 10_000
    assert seen.get("B", 0) < 5_000


# --- Raw text, columns, duplicates ------------------------------------------------

MARKED = "Water is **pulled**\u200b by <b>the Moon</b>.\n\n* twice\n* a day"


def test_raw_text_shows_what_was_written_and_stays_for_its_labeler(
    project: Project, alice: Membership, visit: Visitor
) -> None:
    make_texts(project, [MARKED, OCEAN, SEA, WIND])
    make_texts(project, [MARKED, OCEAN, SEA, WIND], external_id="p2")
    page = started(visit(alice)).page
    text = card(page, letter_of(MARKED)).locator(".text")
    expect(text.locator("strong")).to_be_visible()
    page.get_by_label("Raw text").check()
    expect(text.locator("strong")).to_be_hidden()
    expect(text.locator(".raw")).to_be_visible()
    assert text.locator(".raw").text_content() == MARKED
    press(page, "A1234")
    assert sent(page)["render_mode"] == "raw"
    expect(page.locator("h1")).to_contain_text("Task 2")
    expect(page.get_by_label("Raw text")).to_be_checked()
    expect(page.locator(".raw").first).to_be_visible()


def test_rich_text_is_the_way_it_starts(four: Page) -> None:
    expect(four.get_by_label("Raw text")).not_to_be_checked()
    press(four, "1234")
    assert sent(four)["render_mode"] == "rich"


def test_raw_text_is_remembered_for_one_labeler_only(
    project: Project, alice: Membership, bob: Membership, visit: Visitor
) -> None:
    """On a computer that both use."""
    make_texts(project, FOUR)
    page = started(visit(alice)).page
    page.get_by_label("Raw text").check()
    kept = page.evaluate("JSON.stringify(localStorage)")
    theirs = started(visit(bob)).page
    theirs.evaluate("kept => Object.assign(localStorage, JSON.parse(kept))", kept)
    theirs.reload()
    expect(theirs.get_by_label("Raw text")).not_to_be_checked()


def test_invisible_characters_can_be_revealed(
    project: Project, alice: Membership, visit: Visitor
) -> None:
    make_texts(project, [MARKED, "a\u202eb", SEA, WIND])
    page = started(visit(alice)).page
    reveal = page.get_by_label("Invisible characters")
    expect(reveal).to_be_hidden()
    page.get_by_label("Raw text").check()
    reveal.check()
    shown = page.locator("[data-code]").evaluate_all(
        "all => all.map(e => getComputedStyle(e, '::before').content)"
    )
    assert sorted(shown) == ['"U+200B"', '"U+202E"']
    reveal.uncheck()
    hidden = page.locator("[data-code]").evaluate_all(
        "all => all.map(e => getComputedStyle(e, '::before').content)"
    )
    assert hidden == ["none", "none"]


def test_columns_are_offered_where_there_is_room(
    project: Project, alice: Membership, visit: Visitor
) -> None:
    make_texts(project, FOUR)
    page = started(visit(alice, viewport={"width": 1600, "height": 900})).page
    page.get_by_label("Columns").select_option("2")
    page.reload()
    expect(page.get_by_label("Columns")).to_have_value("2")
    a, b, c = (card(page, letter).bounding_box() for letter in "ABC")
    assert a is not None
    assert b is not None
    assert c is not None
    assert (a["y"], a["x"]) == (b["y"], c["x"])
    assert b["x"] > a["x"] + a["width"]
    page.set_viewport_size({"width": 1200, "height": 900})
    expect(page.get_by_label("Columns")).to_be_hidden()


def test_identical_texts_are_named_and_tied_on_request(
    project: Project, alice: Membership, visit: Visitor
) -> None:
    make_texts(project, [OCEAN, OCEAN, SEA, WIND])
    page = started(visit(alice)).page
    one, other = (a for a, text in on_the_desk().items() if text == OCEAN)
    expect(card(page, other)).to_contain_text(f"Identical to {one}.")
    expect(page.get_by_text("Identical to")).to_have_count(1)
    press(page, f"{one}3")
    page.get_by_role("button", name=f"Tie {other} with {one}").click()
    says(page, f"{other} and {one} tied.")
    press(page, "u")
    assert tiers(page).count("3") == 1
    press(page, f"{one}= {other}=")  # the key does it where the text comes again
    assert {a: tiers(page)["ABCD".index(a)] for a in (one, other)} == {
        one: "3",
        other: "3",
    }


# --- Flags, the note, the keys ----------------------------------------------------


def test_flags_and_a_note_go_with_the_ranking(
    project: Project, alice: Membership, visit: Visitor
) -> None:
    project.flags = ["hallucination", "harmful"]
    project.save()
    make_texts(project, FOUR)
    page = started(visit(alice)).page
    press(page, "1234 Bt")
    page.keyboard.press("Space")
    press(page, "Escape")
    assert focus(page) == "tB"
    press(page, "m")
    page.keyboard.type("Bad C3, I think? No.")
    press(page, "Escape")
    assert (focus(page), tiers(page)) == ("tB", "1234")
    body = sent(page)
    assert body["flags"] == {"B": ["hallucination"]}
    assert body["note"] == "Bad C3, I think? No."


def test_a_project_without_flags_has_no_key_for_them(four: Page) -> None:
    press(four, "Bt")
    assert focus(four) == "tB"
    expect(four.locator(".flags")).to_have_count(0)


def test_a_question_mark_lists_the_keys(four: Page) -> None:
    press(four, "C")
    four.keyboard.press("?")
    compared(four, "All keys")
    listed = four.locator("#keys kbd").all_inner_texts()
    assert {"V", "P", "W", "S", "M", "X", "?", "U", "/", "N"} <= set(listed)
    press(four, "Escape")
    assert focus(four) == "tC"


# --- Skipping ---------------------------------------------------------------------


def test_a_prompt_is_skipped_with_a_reason(
    project: Project, alice: Membership, visit: Visitor
) -> None:
    make_texts(project, FOUR)
    make_texts(project, FOUR, external_id="p2")
    page = started(visit(alice)).page
    first = page.url
    press(page, "s")
    compared(page, "Why do you skip this prompt?")
    page.get_by_label("I cannot judge this").check()
    page.get_by_role("button", name="Skip this prompt").click()
    expect(page.locator(".messages")).to_contain_text("Prompt skipped.")
    expect(page.locator("#ranking")).to_be_visible()
    assert page.url != first
    skip = Skip.objects.get()
    assert skip.reason == SkipReason.CANNOT_JUDGE
    assert skip.active_seconds is not None
    assert skip.active_seconds > 0
    assert skip.assignment.state == AssignmentState.SKIPPED


def test_another_reason_needs_words(four: Page) -> None:
    press(four, "s")
    four.get_by_role("radio", name="Another reason").check()
    four.get_by_role("button", name="Skip this prompt").click()
    said = "Not skipped: say in a few words why."
    expect(four.locator(".messages")).to_contain_text(said)
    expect(four.locator("#ranking")).to_be_visible()
    assert not Skip.objects.exists()


def test_the_skip_dialog_is_left_without_skipping(four: Page) -> None:
    press(four, "12 s")
    four.get_by_role("button", name="Keep it").click()
    expect(four.get_by_role("dialog")).to_be_hidden()
    assert (focus(four), tiers(four)) == ("tC", "1200")
    assert not Skip.objects.exists()


def test_a_prompt_is_skipped_without_script(
    project: Project, alice: Membership, visit: Visitor
) -> None:
    make_texts(project, FOUR)
    page = visit(alice, java_script_enabled=False).open("/p/tides/rank/")
    page.get_by_role("button", name="Start ranking").click()
    page.locator("summary", has_text="Skip…").click()
    page.get_by_label("All responses are bad").check()
    page.get_by_role("button", name="Skip this prompt").click()
    expect(page.get_by_role("heading", name="Nothing left to rank")).to_be_visible()
    assert Skip.objects.get().reason == SkipReason.ALL_BAD


# --- For everybody ----------------------------------------------------------------

WINDOWS: dict[str, dict[str, Any]] = {
    "desktop": {},
    "dark": {"color_scheme": "dark"},
    "phone": {"viewport": PHONE, "has_touch": True},
}


@pytest.mark.parametrize("window", WINDOWS)
def test_the_dialogs_are_for_everybody(
    project: Project, alice: Membership, visit: Visitor, window: str
) -> None:
    project.flags = ["hallucination", "harmful"]
    project.save()
    make_texts(project, [OCEAN, SEA, MARKED, LONG])
    page = started(visit(alice, reduced_motion="reduce", **WINDOWS[window])).page
    pin(page, letter_of(OCEAN) + letter_of(SEA))
    for key, name in [("v", "compare"), ("s", "skip"), ("Shift+?", "keys")]:
        press(page, key)
        expect(page.get_by_role("dialog")).to_be_visible()
        if name == "compare":
            press(page, "w")
            page.keyboard.press("ArrowLeft")
            expect(page.locator("#compare ins").first).to_be_visible()
        shoot(page, f"rank-{name}-{window}")
        assert faults(page) == []
        assert page.evaluate(SMALL) == []
        assert page.evaluate(HIDDEN) == []
        press(page, "Escape")
        expect(page.get_by_role("dialog")).to_be_hidden()


# What can have the focus in the open dialog, and is not on top once it has it.
HIDDEN = """() => [...document.querySelector('dialog[open]').querySelectorAll(
    'button, input, textarea, summary, [tabindex="0"]')].filter(e => {
  e.focus();
  const r = e.getBoundingClientRect();
  const top = document.elementFromPoint(r.left + r.width / 2, r.top + r.height / 2);
  return !(top && (top === e || e.contains(top) || top.contains(e)));
}).map(e => e.id || e.textContent)"""
