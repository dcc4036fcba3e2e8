"""The next prompt is there when this one is submitted, and a lease ends with notice."""

from datetime import timedelta

import pytest
from django.db.models.functions import Now
from playwright.sync_api import Page, Response, Route, expect

from annotation import queue
from annotation.models import Assignment, Membership, Project
from ranking.models import Ranking
from tests.conftest import make_prompt
from tests.e2e.conftest import Visit, Visitor
from tests.e2e.rank_steps import (
    SUBMIT,
    alert,
    cut,
    focus,
    mend,
    press,
    says,
    started,
    tiers,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]


@pytest.fixture
def two(project: Project, alice: Membership, visit: Visitor) -> Visit:
    """alice at the first of two prompts, with the second one fetched ahead."""
    make_prompt(project, "p1", k=4)
    make_prompt(project, "p2", k=4)
    window = visit(alice)
    with window.page.expect_response(is_fetched_page):
        started(window)
    return window


def is_fetched_page(response: Response) -> bool:
    request = response.request
    return (request.method, request.resource_type) == ("GET", "fetch")


def ahead() -> str:
    """The token of what is set aside; something that is in no address, if nothing."""
    row = Assignment.objects.filter(state="prefetched").first()
    return row.token if row else "nothing"


def submit(page: Page, keys: str = "1234") -> None:
    press(page, keys)
    press(page, "Enter")


def test_the_next_prompt_takes_the_place_of_this_one_without_a_load(two: Visit) -> None:
    page, first = two.page, two.page.url
    token = ahead()
    page.evaluate("window.same = true")
    loads: list[str] = []
    page.on("request", lambda request: loads.append(request.resource_type))
    with page.expect_response("**/heartbeat"):
        submit(page)
        says(page, "Ranking submitted. Task 2. 4 responses, none ranked.")
    assert page.evaluate("window.same")
    assert "document" not in loads
    assert token in page.url
    assert (tiers(page), focus(page)) == ("0000", "tA")
    assert Assignment.objects.get(token=token).state == "claimed"
    expect(page.locator("h1")).to_have_text("Task 2 – rank 4 responses")
    # The keys, the pointer and the way back work on it as on any page.
    submit(page)
    says(page, "Ranking submitted.")
    expect(page.get_by_role("heading", name="Nothing left to rank")).to_be_visible()
    assert Ranking.objects.count() == 2
    assert first != page.url


def test_what_is_fetched_ahead_is_not_renewed_until_it_is_shown(two: Visit) -> None:
    row = Assignment.objects.get(state="prefetched")
    assert row.shown_at is None
    assert row.lease_until is not None
    assert row.claimed_at is None or row.lease_until - row.claimed_at <= timedelta(
        minutes=2, seconds=1
    )


def test_offline_the_next_prompt_opens_all_the_same(two: Visit) -> None:
    page = two.page
    cut(page)
    submit(page)
    says(page, "Saved on this device, will be sent. Task 1. 4 responses, none ranked.")
    expect(page.locator("#outbox")).to_have_text("1 ranking not sent")
    press(page, "2111")
    press(page, "Enter")
    alert(page, "Saved on this device, will be sent.")
    expect(page.locator("#outbox")).to_have_text("2 rankings not sent")
    assert not Ranking.objects.exists()
    mend(page)
    says(page, "Connection back. 2 rankings sent.")
    expect(page.get_by_role("heading", name="Nothing left to rank")).to_be_visible()
    assert Ranking.objects.count() == 2
    two.said.clear()  # the browser reports the broken requests


def test_a_prompt_that_was_taken_meanwhile_gives_way_to_another(
    two: Visit, project: Project, bob: Membership
) -> None:
    """It lay fetched ahead for longer than its two minutes."""
    lapsed = Assignment.objects.get(state="prefetched")
    Assignment.objects.filter(prompt=lapsed.prompt).exclude(pk=lapsed.pk).delete()
    Assignment.objects.filter(pk=lapsed.pk).update(
        lease_until=Now() - timedelta(seconds=1)
    )
    taken = queue.claim(bob)
    while taken is not None and taken.prompt_id != lapsed.prompt_id:
        queue.complete(taken)
        taken = queue.claim(bob)
    assert taken is not None
    make_prompt(project, "p3", k=4)
    submit(two.page)
    expect(two.page.locator("#prompt")).to_contain_text("Question p3?")
    assert Assignment.objects.filter(state="claimed", prompt__external_id="p3").exists()


def test_back_shows_what_became_of_the_one_before(two: Visit) -> None:
    submit(two.page)
    says(two.page, "Ranking submitted. Task 2. 4 responses, none ranked.")
    link = two.page.get_by_role("link", name="Edit previous")
    expect(link).to_be_visible()
    first = Assignment.objects.get(state="completed").token
    assert first in str(link.get_attribute("href"))


# --- The lease ----------------------------------------------------------------------


@pytest.fixture
def timed(project: Project, alice: Membership, visit: Visitor) -> Page:
    """alice at a prompt, and time is the test's to make."""
    make_prompt(project, k=4)
    window = visit(alice)
    window.page.clock.install()
    with window.page.expect_response("**/rank/prefetch/"):
        started(window)
    return window.page


def test_the_page_keeps_the_lease_while_somebody_is_at_work(timed: Page) -> None:
    Assignment.objects.filter(state="claimed").update(lease_until=Now())
    press(timed, "1")
    with timed.expect_response("**/heartbeat"):
        timed.clock.fast_forward("10:01")
    assert Assignment.objects.filter(
        state="claimed", lease_until__gt=Now() + timedelta(minutes=29)
    ).exists()


def test_who_is_away_is_warned_five_minutes_before_and_any_key_keeps_it(
    timed: Page,
) -> None:
    timed.clock.fast_forward("24:00")
    expect(timed.locator("#alert")).to_be_empty()
    timed.clock.fast_forward("01:05")
    alert(timed, "This task is held for 5 more minutes. Press any key to keep it.")
    with timed.expect_response("**/heartbeat"):
        timed.keyboard.press("Shift")
    expect(timed.locator("#alert")).to_be_empty()


def test_a_lost_lease_is_told_and_the_ranking_is_kept(
    timed: Page, bob: Membership
) -> None:
    Assignment.objects.filter(state="open").delete()
    Assignment.objects.filter(state="claimed").update(
        lease_until=Now() - timedelta(seconds=1)
    )
    assert queue.claim(bob) is not None
    press(timed, "1")
    with timed.expect_response("**/heartbeat"):
        timed.clock.fast_forward("10:01")
    alert(timed, "Your time on this task ran out. Finish and submit: your ranking")
    press(timed, "234")
    press(timed, "Enter")
    timed.clock.run_for(500)
    says(
        timed, "This task went to someone else; your ranking was kept, marked as late."
    )
    assert Ranking.objects.get().status == "late"


def test_ten_seconds_without_an_answer_are_enough(
    project: Project, alice: Membership, visit: Visitor
) -> None:
    make_prompt(project, k=4)
    window = visit(alice)
    # The page's own ten seconds, a hundred times faster.
    window.page.add_init_script(
        "const timeout = AbortSignal.timeout.bind(AbortSignal);"
        "AbortSignal.timeout = (ms) => timeout(ms === 10000 ? 100 : 1e6);"
    )
    page = started(window).page
    held: list[Route] = []
    page.route(SUBMIT, lambda route: held.append(route))
    submit(page)
    alert(page, "Saved on this device, will be sent.")
    assert len(held) == 1
    held[0].abort()


def test_while_it_is_being_sent_a_second_press_does_nothing(two: Visit) -> None:
    page = two.page
    held: list[Route] = []
    page.route(SUBMIT, lambda route: held.append(route))
    submit(page)
    says(page, "Submitting…")
    expect(page.locator("#ranking")).to_have_attribute("aria-busy", "true")
    press(page, "Enter Control+Enter")
    page.wait_for_timeout(100)
    assert len(held) == 1
    held[0].fallback()
    says(page, "Ranking submitted. Task 2. 4 responses, none ranked.")
