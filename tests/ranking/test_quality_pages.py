"""A labeler's card as admins see it, with its pictures and files."""

import csv
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from annotation.models import Membership, Project, Purpose, Role
from ranking.withdrawal import reinstate, withdraw
from tests.conftest import make_member, make_prompt
from tests.ranking.checks import make_check
from tests.ranking.rows import store_ranking

pytestmark = pytest.mark.django_db

STRICT = {"r1": 1, "r2": 2, "r3": 3, "r4": 4}
REVERSED = {"r1": 4, "r2": 3, "r3": 2, "r4": 1}
NINE = datetime(2026, 11, 2, 9, tzinfo=UTC)


@pytest.fixture
def worked(project: Project, alice: Membership, bob: Membership) -> Project:
    """Twelve prompts on which alice says the opposite of bob, in 0.1 s each."""
    for number in range(12):
        prompt = make_prompt(project, f"p{number:02}")
        store_ranking(
            prompt,
            alice,
            REVERSED,
            assignment={"display_order": [3, 2, 1, 0]},
            active_seconds=0.1,
            submitted_at=NINE + timedelta(minutes=number),
        )
        store_ranking(prompt, bob, STRICT)
    return project


@pytest.fixture
def window(admin: Membership, signed_in: Callable[[Membership], Client]) -> Client:
    return signed_in(admin)


def card_of(window: Client, labeler: Membership) -> str:
    page = window.get(f"/p/tides/labelers/{labeler.pk}/")
    assert page.status_code == 200
    return page.content.decode()


def test_the_card_says_what_is_wrong_in_words(
    worked: Project, alice: Membership, window: Client
) -> None:
    page = card_of(window, alice)
    assert "Look at: agreement with others, position bias, faster than reading" in page
    assert "below the line of 60.0 % (half of the way from a coin toss" in page
    assert "above the line of 10.0 % (one ranking in ten)" in page
    assert "not enough data: no gold prompt was ranked" in page
    assert "n: 12 prompts" in page
    assert "Agreement with others is 0.0 % over the latest 12 prompts" in page
    assert page.count("/consensus/") == 10  # the latest ones


def test_what_was_decided_before_is_on_the_card(
    worked: Project, alice: Membership, admin: Membership, window: Client
) -> None:
    assert admin.user is not None
    assert "Nothing so far." in card_of(window, alice)
    withdraw(alice, reason="Random clicks.", user=admin.user)
    during = card_of(window, alice)
    assert "Reinstate their rankings…" in during
    assert "below the line of 60.0 %" in during  # the card says why
    reinstate(alice, user=admin.user)
    after = card_of(window, alice)
    assert "Random clicks.; reinstated" in after
    assert "Let them go on" in after  # still paused


def test_somebody_who_did_nothing_has_a_card(worked: Project, window: Client) -> None:
    page = card_of(window, make_member(worked, "carol", Role.LABELER))
    assert "No ranking of theirs counts yet." in page
    assert "No agreement yet: nobody else ranked" in page
    assert "Look at:" not in page


def test_an_imported_labeler_has_a_card_without_an_account(
    worked: Project, window: Client
) -> None:
    archived = Membership.objects.create(project=worked, name="old", role=Role.LABELER)
    prompt = make_prompt(worked, "archived")
    store_ranking(prompt, archived, STRICT, assignment={"source": "imported"})
    page = card_of(window, archived)
    assert "imported" in page
    assert "Pause" not in page
    assert "Account and qualification" not in page
    assert "No picture yet: the order shown is not known" in page
    assert "position/light-wide.svg" not in page


def test_the_card_takes_a_fixed_number_of_queries(
    worked: Project, alice: Membership, window: Client, django_assert_num_queries: Any
) -> None:
    make_check(worked, Purpose.QUALIFICATION, "q1")
    with django_assert_num_queries(11):
        card_of(window, alice)
    for number in range(5):
        store_ranking(make_prompt(worked, f"more{number}"), alice, STRICT)
    with django_assert_num_queries(11):
        card_of(window, alice)


def test_nobody_but_a_labeler_of_the_project_has_a_card(
    worked: Project, admin: Membership, stranger: Membership, window: Client
) -> None:
    for other in (admin, stranger):
        for end in ("", "agreement.csv", "agreement/light-wide.svg"):
            answer = window.get(f"/p/tides/labelers/{other.pk}/{end}")
            assert answer.status_code == 404


@pytest.mark.parametrize("picture", ["agreement", "pace", "position"])
def test_a_picture_is_fetched_once_while_nothing_changes(
    worked: Project, alice: Membership, window: Client, picture: str
) -> None:
    address = f"/p/tides/labelers/{alice.pk}/{picture}/dark-narrow.svg"
    first = window.get(address)
    assert first["Content-Type"] == "image/svg+xml"
    assert first["Cache-Control"] == "private, no-cache"
    known = {"if-none-match": first["ETag"]}
    assert window.get(address, headers=known).status_code == 304
    light = window.get(address.replace("dark", "light"), headers=known)
    assert light.status_code == 200
    prompt = make_prompt(worked, "new")
    shown = {"display_order": [0, 1, 2, 3]}
    store_ranking(prompt, alice, STRICT, assignment=shown, active_seconds=9)
    store_ranking(prompt, make_member(worked, "carol", Role.LABELER), STRICT)
    assert window.get(address, headers=known).status_code == 200


@pytest.mark.parametrize(
    "end", ["nothing.csv", "nothing/light-wide.svg", "pace/blue-wide.svg"]
)
def test_there_are_no_other_pictures(
    worked: Project, alice: Membership, window: Client, end: str
) -> None:
    assert window.get(f"/p/tides/labelers/{alice.pk}/{end}").status_code == 404


def test_the_files_hold_what_the_pictures_show(
    worked: Project, alice: Membership, window: Client
) -> None:
    def lines(picture: str) -> list[dict[str, str]]:
        answer = window.get(f"/p/tides/labelers/{alice.pk}/{picture}.csv")
        return list(csv.DictReader(answer.content.decode().splitlines()))

    [line] = lines("agreement")
    assert (line["agree"], line["comparable"], line["prompts"]) == (
        *("0", "72"),
        "12",
    )
    assert line["last_at"] == "2026-11-02T09:11:00+00:00"
    pace = lines("pace")
    assert len(pace) == 12
    assert (pace[0]["seconds"], pace[0]["at"]) == ("0.1", "2026-11-02T09:00:00+00:00")
    places = lines("position")
    # Ranked just as shown, reversed by id: the first place is best.
    assert [line["mean_rank"] for line in places][::3] == ["0.0", "1.0"]
    assert {line["prompts"] for line in places} == {"12"}
