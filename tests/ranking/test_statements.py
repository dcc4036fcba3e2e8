"""What a labeler's cycle costs in SQL, for nine responses, with everything switched on.

BEGIN and COMMIT count. A page that costs more shows the whole list.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pytest
from django.db import connections
from django.test import Client
from django.test.utils import CaptureQueriesContext

from annotation.models import Assignment, Membership, Project, Response
from annotation.rendered import html_of, latest
from ranking.models import Draft
from tests.conftest import make_prompt

pytestmark = pytest.mark.django_db(transaction=True)
SignedIn = Callable[[Membership], Client]
LETTERS = "ABCDEFGHI"
PROMPTS = [f"Question p{number}?" for number in range(3)]
CLAIM = "/p/tides/rank/claim/"
RANKS = {letter: 1 + number // 2 for number, letter in enumerate(LETTERS)}


@contextmanager
def at_most(count: int) -> Iterator[None]:
    """Fail with all statements when there are more of them."""
    with CaptureQueriesContext(connections["default"]) as captured:
        yield
    statements = [query["sql"][:300] for query in captured.captured_queries]
    listing = "\n".join(f"{n}. {sql}" for n, sql in enumerate(statements, 1))
    assert len(statements) <= count, f"{len(statements)} statements:\n{listing}"


@pytest.fixture
def her(project: Project, alice: Membership, signed_in: SignedIn) -> Client:
    """alice, whose project asks for ratings, with a prompt behind her and two ahead."""
    for number in range(3):
        make_prompt(project, f"p{number}", k=9, slots=1)
    Project.objects.update(rate_first=True, flags=["harmful"])
    browser = signed_in(alice)
    browser.post(CLAIM)
    submit_with_a_draft(browser)
    return browser


def held() -> str:
    return Assignment.objects.get(state="claimed").token


def judgement() -> dict[str, Any]:
    return {
        "ranks": RANKS,
        "ratings": dict.fromkeys(LETTERS, 4),
        "flags": {"C": ["harmful"]},
        "note": "Close.",
    }


def save_draft(browser: Client, most: int = 99, rev: int = 0) -> str:
    """The address of the prompt that is held, with a draft."""
    address = f"/api/v1/assignments/{held()}/"
    draft = {"rev": rev, **judgement()}
    with at_most(most):
        saved = browser.put(f"{address}draft", draft, content_type="application/json")
    assert saved.status_code == 200
    return address


def submit_with_a_draft(browser: Client, most: int = 99) -> None:
    address = save_draft(browser)
    said = {**judgement(), "submission_uuid": str(uuid4())}
    with at_most(most):
        done = browser.post(f"{address}submit", said, content_type="application/json")
    assert done.status_code == 201, done.content
    assert not Draft.objects.exists()


def claim_a_page(browser: Client, most: int) -> None:
    with at_most(most):
        page = browser.post(CLAIM, headers={"Prefer": "return=representation"})
    assert page.status_code == 200
    assert page.content.decode().count('name="tier_') == 9


def test_a_page_with_its_claim_takes_seven_statements(her: Client) -> None:
    """Session with user, membership, what is theirs, the claim, assignment, responses,
    and the HTML that the first labeler's page has left."""
    responses = Response.objects.values_list("text", flat=True)
    latest.clear()
    html_of([*responses, *PROMPTS, "Be fair."])
    latest.clear()
    claim_a_page(her, most=7)


def test_the_first_page_that_shows_a_text_takes_one_more(her: Client) -> None:
    """It writes the HTML down."""
    latest.clear()
    claim_a_page(her, most=8)


def test_the_api_claims_with_eight_statements(her: Client) -> None:
    with at_most(8):
        answer = her.post(
            "/api/v1/projects/tides/claim", {}, content_type="application/json"
        )
    assert len(answer.json()["assignment"]["responses"]) == 9


def test_looking_at_a_page_takes_three_statements(her: Client) -> None:
    """Session with user, the assignment with all that belongs to it, responses."""
    her.post(CLAIM)
    save_draft(her)
    address = f"/p/tides/rank/{held()}/"
    her.get(address)  # the first look writes the HTML down
    with at_most(3):
        assert her.get(address).status_code == 200


def test_a_submission_by_script_takes_ten_statements(her: Client) -> None:
    """Session with user, membership; BEGIN, assignment, rankings, responses, UPDATE,
    INSERT, the prompt's summary, COMMIT."""
    her.post(CLAIM)
    submit_with_a_draft(her, most=10)


def test_a_submission_by_form_takes_ten_and_the_next_claim_two(her: Client) -> None:
    her.post(CLAIM)
    save_draft(her)
    fields: dict[str, Any] = {"submission_uuid": str(uuid4()), "note": "Close."}
    for letter, rank in RANKS.items():
        fields |= {f"tier_{letter}": str(rank), f"rating_{letter}": "4"}
    address = f"/p/tides/rank/{held()}/"
    with at_most(10 + 2):
        assert her.post(address, fields).status_code == 302


def test_saving_a_draft_takes_three_statements(her: Client) -> None:
    """Session with user, the assignment, the write. The first save of a prompt locks
    the assignment besides, and says that it was seen: BEGIN, lock, update, COMMIT."""
    her.post(CLAIM)
    save_draft(her, most=7)
    save_draft(her, most=3, rev=1)


def test_the_list_of_a_cycle_is_shown_when_it_is_too_long(her: Client) -> None:
    with pytest.raises(AssertionError, match=r"1\. SELECT"), at_most(1):
        her.post(CLAIM)
