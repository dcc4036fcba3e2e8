"""The ranking page is spliced into a frame that many pages share; nobody can tell."""

import re
from collections.abc import Callable
from html import escape, unescape
from math import ceil

import pytest
from django.test import Client
from hypothesis import example, given
from hypothesis import strategies as st

from annotation.models import Assignment, Membership, Project
from ranking import page_html
from ranking.drafts import save_draft
from ranking.rank_page import is_long
from ranking.templatetags import parts
from tests.conftest import make_prompt

pytestmark = pytest.mark.django_db

SignedIn = Callable[[Membership], Client]
CLAIM = "/p/tides/rank/claim/"
HOSTILE = "\"></textarea><script>alert('x')</script>{{ x }}"
# What no two answers have in common: of each form's token half is drawn anew.
OF_ONE_ANSWER = [
    r'name="csrfmiddlewaretoken" value="[^"]+"',
    r'name="submission_uuid" value="[^"]+"',
    r'data-left="\d+"',
]


def opened(browser: Client) -> tuple[str, str]:
    """The address of the prompt that is claimed, and its page."""
    address = str(browser.post(CLAIM)["Location"])
    return address, browser.get(address).content.decode()


def comparable(page: str) -> str:
    for pattern in OF_ONE_ANSWER:
        page, found = re.subn(pattern, "", page)
        assert found, pattern
    return page


def values(pattern: str, page: str) -> set[str]:
    return set(re.findall(pattern, page))


@pytest.mark.parametrize("note", ["", HOSTILE])
def test_the_frame_makes_the_page_that_its_template_writes(
    project: Project,
    alice: Membership,
    signed_in: SignedIn,
    monkeypatch: pytest.MonkeyPatch,
    note: str,
) -> None:
    Project.objects.update(rate_first=bool(note), flags=["harmful"], title=HOSTILE)
    make_prompt(project, k=9)
    browser = signed_in(alice)
    address, _ = opened(browser)
    if note:
        said = {"ranks": {"A": 1}, "ratings": {}, "flags": {}, "note": note}
        save_draft(Assignment.objects.get(state="claimed"), rev=0, content=said)
    framed = browser.get(address).content.decode()
    monkeypatch.setattr(page_html, "get_messages", lambda _: ["as if to be told"])
    whole = browser.get(address)
    assert whole.context is not None, "no template was at work"
    assert comparable(framed) == comparable(whole.content.decode())


def test_two_prompts_share_a_frame_and_nothing_that_is_their_own(
    project: Project, alice: Membership, bob: Membership, signed_in: SignedIn
) -> None:
    for number in range(2):
        make_prompt(project, f"p{number}", slots=1)
    parts._framed.cache_clear()
    _, of_alice = opened(signed_in(alice))
    frames = parts._framed.cache_info().currsize
    _, of_bob = opened(signed_in(bob))
    assert parts._framed.cache_info().currsize == frames
    assert values(r"(\w+)@", of_alice) == {"alice"}
    assert values(r"(\w+)@", of_bob) == {"bob"}
    for own in (
        r'data-token="([^"]+)"',
        r'name="submission_uuid" value="([^"]+)"',
        r'name="submission_asked" value="([^"]+)"',
        r'name="csrfmiddlewaretoken" value="([^"]+)"',
        r"Question (p\d)\?",
    ):
        assert values(own, of_alice), own
        assert values(own, of_alice).isdisjoint(values(own, of_bob)), own


def test_every_form_of_a_page_carries_the_token_of_this_answer(
    project: Project, alice: Membership, signed_in: SignedIn
) -> None:
    make_prompt(project)
    browser = signed_in(alice)
    address, first = opened(browser)
    second = browser.get(address).content.decode()
    token = r'name="csrfmiddlewaretoken" value="(\w{64})"'
    sent = first.count("<form") - first.count('<form method="dialog"')
    assert len(re.findall(token, first)) == sent == 4
    assert values(token, first).isdisjoint(values(token, second))


def test_nothing_that_people_write_breaks_out_of_a_page(
    project: Project, alice: Membership, signed_in: SignedIn
) -> None:
    """Title and flags are the frame's, address and note the page's own."""
    Project.objects.update(title=HOSTILE, flags=[HOSTILE[:40]])
    assert alice.user is not None
    alice.user.email = f"{HOSTILE}@example.org"
    alice.user.save()
    make_prompt(project)
    browser = signed_in(alice)
    address, _ = opened(browser)
    said = {"ranks": {}, "ratings": {}, "flags": {}, "note": HOSTILE}
    save_draft(Assignment.objects.get(state="claimed"), rev=0, content=said)
    page = browser.get(address).content.decode()
    assert "<script>alert" not in page
    assert page.count("</textarea>") == page.count("<textarea")
    for text in (HOSTILE, HOSTILE[:40], f"{HOSTILE}@example.org"):
        assert escape(text) in page


def test_the_line_that_stays_in_sight_shows_what_the_prompt_says(
    project: Project, alice: Membership, signed_in: SignedIn
) -> None:
    make_prompt(project, "**a** < b & _c_ > d " + 36 * "word ")
    _, page = opened(signed_in(alice))
    [line] = re.findall(r'<span class="excerpt" dir="auto">([^<]*)</span>', page)
    assert unescape(line).startswith("Question a < b & c > d word word")
    assert len(unescape(line)) == 200
    assert line.endswith("…")


@given(st.text(alphabet="ab \n\r\u2028", max_size=60), st.integers(1, 80))
@example("a", 75 * 40)
@example("a", 75 * 40 + 1)
@example("\n", 40)
@example("\n", 41)
@example("a ", 300)
@example("a ", 301)
def test_a_text_is_long_from_300_words_or_40_lines_on(text: str, times: int) -> None:
    text *= times
    lines = sum(max(1, ceil(len(line) / 75)) for line in text.splitlines())
    assert is_long(text) == (lines > 40 or len(text.split()) > 300)


def test_no_mark_of_a_place_is_left_on_a_page(
    project: Project, alice: Membership, signed_in: SignedIn
) -> None:
    make_prompt(project)
    assert parts.EDGE not in opened(signed_in(alice))[1]


def test_what_is_told_once_is_in_no_frame(
    project: Project, alice: Membership, signed_in: SignedIn
) -> None:
    for number in range(2):
        make_prompt(project, f"p{number}", slots=1)
    browser = signed_in(alice)
    address, _ = opened(browser)
    browser.post(f"{address}release/")
    next_address = str(browser.post(CLAIM)["Location"])
    assert "You gave the prompt back." in browser.get(next_address).content.decode()
    assert "You gave the prompt back." not in browser.get(next_address).content.decode()
