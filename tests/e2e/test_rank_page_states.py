"""The states of the ranking page, what it says in each, and the page without script."""

from datetime import timedelta

import pytest
from django.db.models.functions import Now
from playwright.sync_api import expect

from annotation import queue
from annotation.models import Assignment, Membership, Project, Purpose
from ranking.models import Ranking
from tests.conftest import make_prompt
from tests.e2e.conftest import Visit, Visitor
from tests.e2e.rank_steps import (
    drafts,
    focus,
    press,
    says,
    started,
    stored,
    submitted,
    tiers,
)
from tests.ranking.checks import make_check

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]


# --- Announcements ----------------------------------------------------------------


def test_every_move_is_said(nine: Visit) -> None:
    page = nine.page
    says(page, "Task 1. 9 responses, none ranked.")
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
    nine.said.clear()  # a saving that the reload cut off may have arrived after all


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
    expect(second.locator("#problem")).to_contain_text("already submitted another")
    assert focus(second) == "problem"
    assert stored() == "111111111"
    orders = second.locator(".both dd")
    expect(orders).to_have_text(
        ["A = B = C = D = E = F = G = H = I", "C = H > E > A = B > D > F > G > I"]
    )
    second.get_by_role("button", name="Replace it with this one").click()
    submitted(second)
    assert stored() == "331425617"
    assert Ranking.objects.count() == 2
    nine.said.clear()  # the browser reports the status 409


def test_a_lost_lease_keeps_the_ranking_and_says_so(
    nine: Visit, bob: Membership
) -> None:
    Assignment.objects.filter(state="open").delete()
    Assignment.objects.update(lease_until=Now() - timedelta(seconds=1))
    assert queue.claim(bob) is not None
    page = nine.page
    press(page, "331425617")
    press(page, "Enter")
    expect(page.locator("#status")).to_contain_text("This task went to someone else")
    assert stored() == "331425617"
    assert Ranking.objects.get().status == "late"


def test_a_ranking_beyond_the_overlap_is_kept_and_named(
    nine: Visit, bob: Membership
) -> None:
    Assignment.objects.filter(state="open").delete()
    Assignment.objects.update(lease_until=Now() - timedelta(seconds=1))
    theirs = queue.claim(bob)
    assert theirs is not None
    assert queue.complete(theirs)
    press(nine.page, "331425617 Enter")
    expect(nine.page.locator("#status")).to_contain_text(
        "This task went to someone else; your ranking was kept, marked as surplus."
    )
    assert (stored(), Ranking.objects.get().status) == ("331425617", "surplus")


def test_submit_is_open_once_all_are_ranked_and_says_that_all_are_tied(
    nine: Visit,
) -> None:
    page = nine.page
    button = page.locator("#submit")
    expect(button).to_have_attribute("aria-disabled", "true")
    button.focus()
    assert focus(page) == "submit"  # also before, to hear what is missing
    press(page, "A11111111")
    expect(page.locator("#notes")).to_be_empty()
    press(page, "1")
    expect(button).to_have_attribute("aria-disabled", "false")
    expect(page.locator("#notes")).to_have_text("All responses are tied.")
    press(page, "Enter")  # a note, never a block
    submitted(page)


def test_who_does_not_start_on_a_starts_at_the_top(nine: Visit) -> None:
    page = nine.page
    page.get_by_role("button", name="All keys").click()
    page.get_by_label("Start on response A").uncheck()
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_be_focused()


def test_the_summary_of_what_is_wrong_leads_to_the_selects(nine: Visit) -> None:
    """What the server says of a form that a script has not checked."""
    page = nine.page
    press(page, "1234567")
    page.evaluate(
        "HTMLFormElement.prototype.submit.call(document.getElementById('ranking'))"
    )
    expect(page.locator("#problem")).to_have_text(
        "Not submitted: H and I are unranked."
    )
    expect(page.locator("#problem")).to_be_focused()
    assert tiers(page) == "123456700"
    page.get_by_role("link", name="Choose a tier for response I").click()
    expect(page.get_by_label("Tier of response I")).to_be_focused()
    press(page, "8")
    assert (tiers(page), focus(page)) == ("123456708", "tH")
    page.evaluate("window.same = true")
    page.get_by_role("link", name="Skip to your ranking").press("Enter")
    expect(page.locator("#board")).to_be_focused()
    assert page.evaluate("window.same")
    nine.said.clear()  # the browser reports the status 422


def test_a_ranking_that_is_closed_is_only_looked_at(
    nine: Visit, project: Project
) -> None:
    page, address = nine.page, nine.page.url
    press(page, "331425617 Enter")
    submitted(page)
    Project.objects.update(editable_minutes=0)
    page.goto(address)
    expect(page.get_by_text("is not changed any more.")).to_be_visible()
    selects = page.get_by_role("combobox")
    expect(selects).to_have_count(9)
    for select in selects.all():
        expect(select).to_be_disabled()
    expect(page.get_by_label("Tier").first).to_have_value("3")
    expect(page.get_by_role("button", name="Submit")).to_have_count(0)


# As much as this device can hold, to the last character.
FILL_THE_STORAGE = """() => {
  let text = "";
  for (let size = 2 ** 23; size >= 1; size /= 2) {
    try {
      localStorage.filler = text + "x".repeat(size);
      text = localStorage.filler;
    } catch { /* less, then */ }
  }
}"""


def test_without_room_on_this_device_the_page_says_so_and_stays(nine: Visit) -> None:
    page = nine.page
    page.evaluate(FILL_THE_STORAGE)
    page.route("**/api/v1/**", lambda route: route.fulfill(status=503, json={}))
    press(page, "3")
    expect(page.locator("#saved")).to_have_text("Not saved on this device")
    press(page, "31425617 Enter")
    expect(page.locator("#alert")).to_have_text(
        "No answer from the server, and this device cannot keep the ranking."
        " Leave this page open and submit again in a moment."
    )
    assert tiers(page) == "331425617"
    page.unroute_all()
    press(page, "Enter")
    submitted(page)
    assert stored() == "331425617"
    nine.said.clear()  # the browser reports the status 503


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
    # The clock that jumps cut off a saving, and the next one met its own draft.
    window.said.clear()


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
    expect(page.locator("li.success")).to_have_text("You gave the prompt back.")
    assert not Assignment.objects.filter(state="claimed").exists()


# --- Training ---------------------------------------------------------------------


def test_after_a_training_prompt_its_feedback_comes_and_then_the_next_prompt(
    project: Project, alice: Membership, visit: Visitor
) -> None:
    note = {"feedback": "The Moon decides."}
    make_check(project, Purpose.TRAINING, metadata=note)
    make_prompt(project, "p2", k=4)
    page = started(visit(alice)).page
    address = page.url
    press(page, "1111 Enter")
    expect(page).to_have_url(f"{address}feedback/")
    expect(page.get_by_text("You ordered 0 of 5 pairs")).to_be_visible()
    expect(page.get_by_text("The Moon decides.")).to_be_visible()
    assert Ranking.objects.get().assignment.prompt.purpose == Purpose.TRAINING
    page.get_by_role("button", name="Next prompt").click()
    expect(page.locator("html.scripted h1")).to_have_text("Task 2 – rank 4 responses")
    assert (page.url != address, drafts(page)) == (True, [])
