"""Everybody reads times in a zone of their own choice; days stay UTC."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo, available_timezones

import pytest
from django.test import Client

from annotation.models import Assignment, Instructions, Membership, Project, User
from annotation.progress import rankings_by_day
from annotation.time_zones import zones_by_region
from tests.conftest import make_prompt

pytestmark = pytest.mark.django_db

SignIn = Callable[[Membership], Client]
ADDRESS = "/accounts/time-zone/"


def live_in(member: Membership, zone: str) -> None:
    assert member.user is not None
    User.objects.filter(pk=member.user.pk).update(time_zone=zone)


def zone_of(member: Membership) -> str:
    assert member.user is not None
    return User.objects.get(pk=member.user.pk).time_zone


def test_a_chosen_zone_is_kept_and_one_goes_back_to_where_one_was(
    alice: Membership, signed_in: SignIn
) -> None:
    client = signed_in(alice)
    sent = {"time_zone": "Africa/Nairobi", "next": "/p/tides/instructions/"}
    answer = client.post(ADDRESS, sent)
    assert answer["Location"] == "/p/tides/instructions/"
    assert zone_of(alice) == "Africa/Nairobi"
    assert b'value="Africa/Nairobi" selected' in client.get(ADDRESS).content


@pytest.mark.parametrize(
    "zone", ["", "Mars/Olympus", "../../etc/passwd", "America", "Factory", "UTC\0"]
)
def test_a_zone_that_is_none_is_refused_and_nothing_changes(
    alice: Membership, signed_in: SignIn, zone: str
) -> None:
    answer = signed_in(alice).post(ADDRESS, {"time_zone": zone})
    assert answer.status_code == 422
    assert b"errorlist" in answer.content
    assert zone_of(alice) == "UTC"


@pytest.mark.parametrize(
    "elsewhere", ["https://evil.example.org/", "//evil.example.org", "javascript:x()"]
)
def test_nobody_is_sent_to_another_site(
    alice: Membership, signed_in: SignIn, elsewhere: str
) -> None:
    client = signed_in(alice)
    sent = {"time_zone": "UTC", "next": elsewhere}
    assert client.post(ADDRESS, sent)["Location"] == "/"
    page = client.get(ADDRESS, {"next": elsewhere}).content.decode()
    assert elsewhere not in page


def test_times_are_shown_in_the_readers_zone(
    project: Project, alice: Membership, bob: Membership, signed_in: SignIn
) -> None:
    written = datetime(2026, 11, 21, 22, 30, tzinfo=UTC)
    Instructions.objects.create(
        project=project, version=2, text="Be kind.", created_at=written
    )
    live_in(alice, "Asia/Kolkata")  # UTC + 5:30
    page = signed_in(alice).get("/p/tides/instructions/").content.decode()
    assert "2026-11-22 04:00 IST" in page
    page = signed_in(bob).get("/p/tides/instructions/").content.decode()
    assert "2026-11-21 22:30 UTC" in page


def test_days_are_those_of_utc_for_every_reader(
    project: Project, alice: Membership, admin: Membership, signed_in: SignIn
) -> None:
    make_prompt(project, slots=1)
    Assignment.objects.update(
        labeler=alice,
        state="completed",
        closed_at=datetime(2026, 11, 21, 23, 59, 59, 900_000, tzinfo=UTC),
    )
    live_in(admin, "Pacific/Kiritimati")  # UTC + 14: there it is the 22nd
    page = signed_in(admin).get("/p/tides/").content.decode()
    assert '<time datetime="2026-11-21">' in page
    assert [day.date for day in rankings_by_day(project)] == [date(2026, 11, 21)]


@pytest.mark.parametrize("unknown", ["Mars/Olympus", "/etc/passwd"])
def test_a_zone_that_this_machine_lost_reads_as_utc(
    alice: Membership, signed_in: SignIn, unknown: str
) -> None:
    live_in(alice, unknown)
    page = signed_in(alice).get("/p/tides/instructions/")
    assert page.status_code == 200
    assert b"UTC</time>" in page.content


def test_every_zone_on_offer_can_be_read() -> None:
    offered = [name for _, zones in zones_by_region() for name, _ in zones]
    assert {"UTC", "Europe/Berlin", "America/Argentina/Ushuaia"} <= set(offered)
    assert set(offered) <= available_timezones()
    assert len(set(offered)) == len(offered)
    assert all(ZoneInfo(name).key == name for name in offered)
