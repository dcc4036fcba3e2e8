"""A ranking that was made arrives: dead network, busy server, other tabs and people."""

import json
import math
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from playwright.sync_api import Page, Route, expect

from annotation.models import Membership, Project
from ranking.models import Ranking
from tests.conftest import make_prompt
from tests.e2e.conftest import Visit, Visitor
from tests.e2e.rank_steps import (
    SUBMIT,
    alert,
    cut,
    drafts,
    eventually,
    mend,
    press,
    says,
    started,
    stored,
    tiers,
    unsent,
    wake,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]

RANKS = "331425617"
WAITS = "Saved on this device, will be sent."
# On the server, not on this device alone.
SAVED = re.compile(r"· saved \d\d:\d\d$")
# Notes when the page sends a submission, and after which pauses it means to try again.
NOTE_SENDING = """
window.sent = [];
window.pauses = [];
const send = window.fetch;
window.fetch = (address, how) => {
  if (String(address).endsWith("/submit")) window.sent.push(Date.now());
  return send(address, how);
};
const later = window.setTimeout;
window.setTimeout = (call, pause, ...more) => {
  if (call.name === "flush") window.pauses.push(pause);
  return later(call, pause, ...more);
};
"""


def busy(route: Route) -> None:
    route.fulfill(status=503, json={})


# What alice's device keeps.
OUTBOX = "JSON.parse(localStorage['outbox alice@example.org'] ?? '[]')"


def outbox(page: Page) -> list[dict[str, Any]]:
    kept: list[dict[str, Any]] = page.evaluate(OUTBOX)
    return kept


def queued(window: Visit) -> Page:
    """A ranking was submitted while the server was busy."""
    page = window.page
    page.route(SUBMIT, busy)
    press(page, RANKS)
    press(page, "Enter")
    alert(page, WAITS)
    return page


# --- Sent as soon as it can be ------------------------------------------------------


def test_what_was_submitted_offline_arrives_when_the_connection_is_back(
    nine: Visit,
) -> None:
    page = nine.page
    cut(page)
    says(page, "No connection. Your ranking is saved on this device.")
    press(page, RANKS)
    press(page, "Enter")
    alert(page, WAITS)
    alert(page, "The next prompt opens when the server answers again.")
    unsent(page, "1 ranking not sent")
    assert not Ranking.objects.exists()
    mend(page)
    expect(page.get_by_role("heading", name="Nothing left to rank")).to_be_visible()
    says(page, "Connection back. 1 ranking sent.")
    unsent(page, "")
    assert (stored(), outbox(page), drafts(page)) == (RANKS, [], [])
    nine.said.clear()  # the browser reports the broken requests


def test_an_answer_that_was_lost_on_its_way_is_not_stored_twice(nine: Visit) -> None:
    """The server stored it, the page never heard of it, and sends it again."""
    page = queued(nine)
    page.unroute(SUBMIT)
    script = """async ([{address, body}]) => {
      const token = /csrftoken=([^;]+)/.exec(document.cookie)[1];
      const headers = {"Content-Type": "application/json", "X-CSRFToken": token,
                       "Accept": "application/json"};
      const how = {method: "POST", headers, body: JSON.stringify(body)};
      return (await fetch(address, how)).status;
    }"""
    assert page.evaluate(script, outbox(page)) == 201
    wake(page)
    expect(page.get_by_role("heading", name="Nothing left to rank")).to_be_visible()
    assert (stored(), outbox(page)) == (RANKS, [])
    assert Ranking.objects.count() == 1
    nine.said.clear()


def test_a_reload_while_it_waits_loses_nothing(nine: Visit) -> None:
    page = queued(nine)
    page.on("dialog", lambda dialog: dialog.accept())
    page.reload()
    expect(page.locator("#ranking[aria-busy=true]")).to_be_attached()
    assert tiers(page) == RANKS
    unsent(page, "1 ranking not sent")
    page.unroute(SUBMIT)
    wake(page)
    expect(page.get_by_role("heading", name="Nothing left to rank")).to_be_visible()
    assert stored() == RANKS
    nine.said.clear()


def with_its_own_clock(project: Project, window: Visit) -> Page:
    """A window whose time the test alone makes, with a prompt of nine."""
    make_prompt(project, k=9)
    window.page.clock.install()
    window.page.add_init_script(NOTE_SENDING)
    page = started(window).page
    page.clock.pause_at(page.evaluate("Date.now()") / 1000 + 60)
    return page


def sendings(page: Page, count: int) -> list[float]:
    eventually(page, f"window.sent.length >= {count}")
    return list(page.evaluate("window.sent"))


def next_pause(page: Page, number: int) -> int:
    """Milliseconds until the page tries again, as it planned for the nth time."""
    eventually(page, f"window.pauses.length === {number}")
    return math.ceil(float(page.evaluate("window.pauses.at(-1)")))


def test_it_is_tried_again_after_longer_and_longer_pauses(
    project: Project, alice: Membership, visit: Visitor
) -> None:
    window = visit(alice)
    page = with_its_own_clock(project, window)
    queued(window)
    for number, seconds in enumerate([1, 2, 4, 8, 16, 32, 60, 60], start=1):
        pause = next_pause(page, number)
        assert 800 * seconds <= pause <= 1_200 * seconds
        # Not more: what is sent on the way would be noted when the way has been run.
        page.clock.run_for(pause)
        times = sendings(page, number + 1)
        assert len(times) == number + 1
        assert times[-1] - times[-2] == pytest.approx(pause, abs=1)
    window.said.clear()


@pytest.mark.parametrize("status", [429, 503])
def test_a_server_that_asks_for_patience_gets_it(
    project: Project, alice: Membership, visit: Visitor, status: int
) -> None:
    window = visit(alice)
    page = with_its_own_clock(project, window)
    patience = {"Retry-After": "120"}
    page.route(
        SUBMIT,
        lambda route: route.fulfill(status=status, headers=patience, json={}),
        times=1,
    )
    press(page, RANKS)
    press(page, "Enter")
    page.clock.run_for(200)
    alert(page, WAITS)
    assert next_pause(page, 1) == pytest.approx(120_000, abs=1_000)
    page.clock.run_for(100_000)
    wake(page)  # not even now
    left = next_pause(page, 2)
    assert left == pytest.approx(20_000, abs=1_000)
    assert len(sendings(page, 1)) == 1
    page.clock.run_for(left)
    expect(page.get_by_role("heading", name="Nothing left to rank")).to_be_visible()
    assert stored() == RANKS
    window.said.clear()


def test_of_two_tabs_one_sends(nine: Visit) -> None:
    page = queued(nine)
    sent: list[str] = []
    page.context.route(SUBMIT, busy)
    other = page.context.new_page()
    other.goto(nine.site + "/p/tides/rank/unsent/")
    page.unroute(SUBMIT)
    page.context.on(
        "request",
        lambda request: (
            sent.append(request.url) if request.url.endswith("/submit") else None
        ),
    )
    page.context.unroute(SUBMIT)
    wake(page)
    wake(other)
    expect(page.get_by_role("heading", name="Nothing left to rank")).to_be_visible()
    unsent(other, "")
    assert len([url for url in sent if url.endswith("/submit")]) == 1
    assert stored() == RANKS
    nine.said.clear()


# --- Who is it? ---------------------------------------------------------------------


def cookie(window: Visit, name: str, value: str) -> None:
    window.page.context.add_cookies(
        [{"name": name, "value": value, "url": window.site}]
    )


def session_of(client: Any) -> str:
    return str(client.cookies[settings.SESSION_COOKIE_NAME].value)


SignIn = Callable[[Membership], Any]


def test_who_was_signed_out_signs_in_again_and_it_is_sent(
    nine: Visit, alice: Membership, signed_in: SignIn
) -> None:
    """Signing in also changes the token against forged requests."""
    page = nine.page
    press(page, RANKS)
    page.context.clear_cookies(name=settings.SESSION_COOKIE_NAME)
    press(page, "Enter")
    alert(page, "Sign in again – your ranking is kept.")
    link = page.get_by_role("link", name="Sign in")
    expect(link).to_have_attribute("target", "_blank")
    unsent(page, "1 ranking not sent")
    cookie(nine, settings.SESSION_COOKIE_NAME, session_of(signed_in(alice)))
    cookie(nine, "csrftoken", "rotated0" * 4)
    wake(page)
    expect(page.get_by_role("heading", name="Nothing left to rank")).to_be_visible()
    assert stored() == RANKS
    nine.said.clear()


def test_under_another_persons_name_nothing_is_sent_or_shown(
    nine: Visit, alice: Membership, bob: Membership, signed_in: SignIn
) -> None:
    page = queued(nine)
    page.unroute(SUBMIT)
    # bob signs in in another tab; this one does not know.
    cookie(nine, settings.SESSION_COOKIE_NAME, session_of(signed_in(bob)))
    wake(page)
    alert(page, "Sign in again – your ranking is kept.")
    assert [entry.get("reason") for entry in outbox(page)] == [None]
    # And bob's own pages say nothing of it.
    his = page.context.new_page()
    his.goto(nine.site + "/p/tides/rank/unsent/")
    expect(his.get_by_text("has arrived.")).to_be_visible()
    unsent(his, "")
    assert not Ranking.objects.exists()
    cookie(nine, settings.SESSION_COOKIE_NAME, session_of(signed_in(alice)))
    wake(page)
    expect(page.get_by_role("heading", name="Nothing left to rank")).to_be_visible()
    assert stored() == RANKS
    nine.said.clear()


def test_signing_out_sends_first_and_asks_if_it_cannot(nine: Visit) -> None:
    page = queued(nine)
    asked: list[str] = []

    def answer(dialog: Any) -> None:
        asked.append(dialog.message)
        if len(asked) == 1:
            dialog.dismiss()
        else:
            dialog.accept()

    page.on("dialog", answer)
    page.get_by_role("button", name="Sign out").click()
    expect(page.locator("#ranking")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("button", name="Sign out")).to_have_count(0)
    assert len(asked) == 2
    assert asked[0].startswith("1 ranking not sent. It stays on this device")
    assert (len(outbox(page)), drafts(page)) == (1, [])
    nine.said.clear()


def test_a_draft_that_is_being_saved_while_somebody_signs_out_goes_too(
    nine: Visit,
) -> None:
    """Its answer comes after signing out began, and before the page is left."""
    page = nine.page
    held: list[Route] = []
    page.route("**/draft", lambda route: held.append(route))
    page.evaluate("HTMLFormElement.prototype.submit = () => { window.left = true; }")
    with page.expect_request("**/draft"):
        press(page, "1")
    page.evaluate("document.querySelector('.sign-out').requestSubmit()")
    eventually(page, "window.left === true")
    [draft] = held
    draft.continue_()
    expect(page.locator("#saved")).to_have_text(SAVED)
    page.evaluate("dispatchEvent(new Event('pagehide'))")
    assert drafts(page) == []


def test_leaving_is_questioned_only_while_something_waits(nine: Visit) -> None:
    page = nine.page
    asked: list[str] = []

    def leave(dialog: Any) -> None:
        asked.append(dialog.type)
        dialog.accept()

    page.on("dialog", leave)
    press(page, "1")
    # Else the draft that the page sends while it goes meets that of the next page.
    expect(page.locator("#saved")).to_have_text(SAVED)
    page.reload()
    expect(page.locator("html.scripted")).to_be_attached()
    assert asked == []
    page.locator("#tB").focus()
    press(page, "31425617")
    page.route(SUBMIT, busy)
    press(page, "Enter")
    alert(page, WAITS)
    page.reload()  # the server is busy all the while: what is tried again waits on
    assert asked == ["beforeunload"]
    page.unroute(SUBMIT)
    wake(page)
    expect(page.get_by_role("heading", name="Nothing left to rank")).to_be_visible()
    assert stored() == "1" + RANKS[1:]
    nine.said.clear()


# --- What the server will not have --------------------------------------------------


def test_a_refused_ranking_is_listed_with_its_reason_and_never_sent_again(
    nine: Visit,
) -> None:
    page = queued(nine)
    refusal = {"message": "Too large to be stored."}
    page.context.route(SUBMIT, lambda route: route.fulfill(status=413, json=refusal))
    page.unroute(SUBMIT)
    wake(page)
    unsent(page, "1 ranking not sent")
    eventually(page, f"{OUTBOX}[0].reason")
    page.locator("#outbox").click()
    row = page.locator("#unsent tbody tr")
    expect(row).to_contain_text("C=H > E > A=B > D > F > G > I")
    expect(row).to_contain_text("Too large to be stored.")
    with page.expect_download() as download:
        row.get_by_role("link", name="Download").click()
    kept = json.loads(download.value.path().read_text())
    assert kept["body"]["ranks"]["C"] == 1
    wake(page)
    assert not Ranking.objects.exists()
    row.get_by_role("button", name="Remove").click()
    expect(page.get_by_text("has arrived.")).to_be_visible()
    assert outbox(page) == []
    nine.said.clear()


def test_a_refused_ranking_opens_again_with_the_work_on_it(nine: Visit) -> None:
    page = queued(nine)
    page.context.route(
        SUBMIT, lambda route: route.fulfill(status=422, json={"message": "Mend it."})
    )
    page.unroute(SUBMIT)
    wake(page)
    eventually(page, f"{OUTBOX}[0].reason")
    page.locator("#outbox").click()
    page.evaluate(
        "localStorage.removeItem(Object.keys(localStorage).find("
        "key => key.startsWith('draft:')))"
    )
    page.get_by_role("link", name="Open it again").click()
    expect(page.locator("html.scripted #ranking")).to_be_visible()
    assert tiers(page) == RANKS
    page.context.unroute(SUBMIT)
    page.route(SUBMIT, lambda route: route.fallback())
    nine.said.clear()


def test_a_prompt_that_is_gone_says_so_and_the_next_one_is_a_click_away(
    nine: Visit,
) -> None:
    page = nine.page
    page.route(SUBMIT, lambda route: route.fulfill(status=410, json={}))
    press(page, RANKS)
    press(page, "Enter")
    alert(page, "Not stored: the server refused it (410). It stays on this device.")
    expect(page.get_by_role("button", name="Next prompt")).to_be_visible()
    assert outbox(page)[0]["reason"]
    nine.said.clear()
