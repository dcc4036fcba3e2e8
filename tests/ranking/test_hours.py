"""Hours by day and labeler: what counts, to the millisecond, on page and in file."""

import csv
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from annotation.models import Assignment, Membership, Project, Role, Skip, User
from ranking.csv_cells import neutral
from ranking.hours import Period, Worked, by_worker, total, worked_days
from ranking.models import Ranking
from tests.conftest import make_member, make_prompt
from tests.ranking.rows import revise, store_ranking

pytestmark = pytest.mark.django_db

SignIn = Callable[[Membership], Client]
RANKS = {"r1": 1, "r2": 2, "r3": 3, "r4": 4}
NOVEMBER = Period(date(2026, 11, 1), date(2026, 11, 30))
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOURS = "/p/tides/hours/"
QUERY = {"since": "2026-11-01", "until": "2026-11-30"}


def rank(
    labeler: Membership,
    seconds: float | None,
    at: datetime = NOON,
    **fields: Any,
) -> Ranking:
    """A ranking of a new prompt that took so long."""
    number = Assignment.objects.count()
    prompt = make_prompt(labeler.project, f"p{number}", slots=1)
    return store_ranking(
        prompt, labeler, RANKS, submitted_at=at, active_seconds=seconds, **fields
    )


def skip(labeler: Membership, seconds: float | None, at: datetime = NOON) -> Skip:
    number = Assignment.objects.count()
    prompt = make_prompt(labeler.project, f"p{number}", slots=1)
    [slot] = Assignment.objects.filter(prompt=prompt)
    Assignment.objects.filter(pk=slot.pk).update(labeler=labeler, state="skipped")
    return Skip.objects.create(
        assignment=slot, reason="all_bad", active_seconds=seconds, skipped_at=at
    )


# --- What counts ------------------------------------------------------------------


def test_rankings_and_skips_of_a_day_are_summed(
    project: Project, alice: Membership
) -> None:
    rank(alice, 61.5)
    rank(alice, 0.25)
    skip(alice, 3.125)
    [day] = worked_days(project, NOVEMBER)
    assert (day.day, day.name) == (date(2026, 11, 20), "alice")
    # 61.500 + 0.250 + 3.125
    assert day.worked == Worked(rankings=2, skips=1, untimed=0, milliseconds=64_875)
    assert day.worked.seconds == Decimal("64.875")


def test_late_rankings_and_repeats_and_checks_are_work(
    project: Project, alice: Membership
) -> None:
    rank(alice, 1, status="late")
    rank(alice, 2, status="surplus")
    first = rank(alice, 4)
    store_ranking(
        first.assignment.prompt,
        alice,
        RANKS,
        assignment={"repeat": 1, "source": "direct", "slot": 0},
        submitted_at=NOON,
        active_seconds=8,
    )
    for number, purpose in enumerate(("training", "qualification", "gold")):
        prompt = make_prompt(project, purpose, slots=1)
        type(prompt).objects.filter(pk=prompt.pk).update(purpose=purpose)
        store_ranking(
            prompt, alice, RANKS, submitted_at=NOON, active_seconds=16 * 2**number
        )
    worked = total(worked_days(project, NOVEMBER))
    assert (worked.rankings, worked.milliseconds) == (7, 127_000)  # 1 + 2 + … + 64


def test_a_correction_counts_with_its_own_time_on_its_own_day(
    project: Project, alice: Membership
) -> None:
    first = rank(alice, 100)
    revise(first, RANKS, submitted_at=NOON + timedelta(days=1), active_seconds=7)
    days = worked_days(project, NOVEMBER)
    assert [(row.day.day, row.worked.milliseconds) for row in days] == [
        (20, 100_000),
        (21, 7_000),
    ]


def test_imported_rankings_are_nobodys_hours(
    project: Project, alice: Membership
) -> None:
    rank(alice, 60, assignment={"source": "imported"}, external_id="k1")
    assert worked_days(project, NOVEMBER) == []


def test_time_that_was_not_measured_is_counted_apart(
    project: Project, alice: Membership
) -> None:
    rank(alice, None)
    rank(alice, 5)
    skip(alice, None)
    worked = total(worked_days(project, NOVEMBER))
    assert worked == Worked(rankings=2, skips=1, untimed=2, milliseconds=5_000)


def test_a_day_ends_at_midnight_utc(project: Project, alice: Membership) -> None:
    last = datetime(2026, 11, 20, 23, 59, 59, 900_000, tzinfo=UTC)
    for at in (last, last + timedelta(milliseconds=100)):
        rank(alice, 1, at=at)
        skip(alice, 2, at=at)
    days = worked_days(project, NOVEMBER)
    assert [(row.day, row.worked.milliseconds) for row in days] == [
        (date(2026, 11, 20), 3_000),
        (date(2026, 11, 21), 3_000),
    ]
    only_the_20th = Period(date(2026, 11, 20), date(2026, 11, 20))
    assert worked_days(project, only_the_20th) == days[:1]


def test_the_day_is_utc_whatever_zone_the_reader_lives_in(
    project: Project, alice: Membership, signed_in: SignIn
) -> None:
    rank(alice, 1, at=datetime(2026, 11, 20, 23, 59, 59, 900_000, tzinfo=UTC))
    User.objects.update(time_zone="Pacific/Kiritimati")  # UTC + 14
    page = signed_in(alice).get(HOURS, QUERY).content.decode()
    assert '<time datetime="2026-11-20">' in page


def test_sums_of_many_tenths_are_exact(project: Project, alice: Membership) -> None:
    for _ in range(10):
        rank(alice, 0.1)  # ten times 0.1 is 0.9999999999999999 in floats
    assert total(worked_days(project, NOVEMBER)).seconds == Decimal("1.000")


def test_people_are_summed_one_by_one(
    project: Project, alice: Membership, bob: Membership, stranger: Membership
) -> None:
    rank(bob, 10)
    rank(alice, 1)
    rank(alice, 2, at=NOON + timedelta(days=1))
    rank(stranger, 1_000)
    rows = worked_days(project, NOVEMBER)
    sums = [(who[1], days, w.milliseconds) for who, days, w in by_worker(rows)]
    assert sums == [("alice", 2, 3_000), ("bob", 1, 10_000)]
    mine = worked_days(project, NOVEMBER, labeler=alice)
    assert {row.name for row in mine} == {"alice"}
    assert total(mine).milliseconds == 3_000


@pytest.mark.parametrize(
    ("milliseconds", "clock"),
    [
        (0, "0:00:00"),
        (499, "0:00:00"),
        (500, "0:00:01"),
        (59_500, "0:01:00"),
        (3_599_499, "0:59:59"),
        (45_296_000, "12:34:56"),
        (360_000_000, "100:00:00"),
    ],
)
def test_a_clock_shows_the_nearest_second(milliseconds: int, clock: str) -> None:
    assert Worked(milliseconds=milliseconds).clock == clock


# --- The pages --------------------------------------------------------------------


def test_a_labeler_sees_their_own_hours_only(
    alice: Membership, bob: Membership, signed_in: SignIn
) -> None:
    rank(alice, 3_723)
    rank(bob, 77)
    page = signed_in(alice).get(HOURS, QUERY).content.decode()
    assert page.count("1:02:03") == 2  # the day and the sum
    assert "bob" not in page
    assert "0:01:17" not in page
    assert "hours.csv" not in page


def test_this_month_is_shown_unless_said_otherwise(
    alice: Membership, signed_in: SignIn
) -> None:
    rank(alice, 3_723, at=datetime.now(UTC))
    rank(alice, 60, at=datetime.now(UTC) - timedelta(days=40))
    assert signed_in(alice).get(HOURS).content.decode().count("1:02:03") == 2


def test_page_and_file_say_the_same_to_the_millisecond(
    admin: Membership, alice: Membership, bob: Membership, signed_in: SignIn
) -> None:
    for number in range(7):
        at = NOON + timedelta(days=number)
        rank(alice, 0.001 + 33.333 * number, at=at)
        skip(bob, 12.345 * number, at=at)
    client = signed_in(admin)
    page = client.get(HOURS, QUERY).content.decode()
    shown = re.findall(r'<td class="number"><data value="([\d.]+)"', page)
    rows = list(csv.DictReader(StringIO(csv_of(client).decode())))
    assert len(rows) == 14
    in_file = {
        name: sum(Decimal(r["active_seconds"]) for r in rows if r["labeler"] == name)
        for name in ("alice", "bob")
    }
    assert [Decimal(text) for text in shown] == [in_file["alice"], in_file["bob"]]
    [all_of_it] = re.findall(r'id="total" value="([\d.]+)"', page)
    assert Decimal(all_of_it) == sum(in_file.values())
    # alice: 7 · 0.001 + 33.333 · 21; bob: 12.345 · 21
    assert in_file == {"alice": Decimal("700.000"), "bob": Decimal("259.245")}


def csv_of(client: Client) -> bytes:
    answer = client.get(f"{HOURS}hours.csv", QUERY)
    assert answer.status_code == 200
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert answer["X-Content-Type-Options"] == "nosniff"
    name = "hours-tides-2026-11-01-to-2026-11-30.csv"
    assert answer["Content-Disposition"] == f'attachment; filename="{name}"'
    return answer.content


def test_the_file_has_a_line_for_each_labeler_and_day(
    project: Project, admin: Membership, signed_in: SignIn
) -> None:
    zoë = make_member(project, "Zoë, née Ö", Role.LABELER)
    User.objects.filter(membership=zoë).update(email="zoe@example.org")
    rank(zoë, 1.5)
    assert csv_of(signed_in(admin)).decode() == (
        "day,labeler,email,rankings,skips,without_time,active_seconds\r\n"
        '2026-11-20,"Zoë, née Ö",zoe@example.org,1,0,0,1.500\r\n'
    )


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "|", "\t", "\r"])
def test_no_name_is_run_as_a_formula(
    project: Project, admin: Membership, signed_in: SignIn, sign: str
) -> None:
    formula = f'{sign}HYPERLINK("http://evil.example.org")'
    member = make_member(project, "eve", Role.LABELER)
    Membership.objects.filter(pk=member.pk).update(name=formula)
    User.objects.filter(membership=member).update(email="=1+1@example.org")
    rank(member, 1)
    text = csv_of(signed_in(admin)).decode()
    [row] = list(csv.DictReader(StringIO(text, newline="")))
    assert (row["labeler"], row["email"]) == (f"'{formula}", "'=1+1@example.org")


def test_other_cells_stay_as_they_are() -> None:
    assert [neutral(cell) for cell in ("", "alice", "a=1", "'=1")] == [
        *("", "alice", "a=1", "'=1")
    ]


@pytest.mark.parametrize("address", [HOURS, f"{HOURS}hours.csv"])
@pytest.mark.parametrize(
    "query",
    [
        {"since": "yesterday"},
        {"since": "2026-11-02", "until": "2026-11-01"},
        {"since": "2025-11-01", "until": "2026-11-30"},
        {"since": "0001-01-01", "until": "0001-01-02"},
        {"since": "9999-12-31", "until": "9999-12-31"},
        {"since": "", "until": ""},
        {"until": "2026-11-\0"},
    ],
)
def test_days_that_make_no_sense_are_refused_in_words(
    admin: Membership, signed_in: SignIn, address: str, query: dict[str, str]
) -> None:
    answer = signed_in(admin).get(address, query)
    assert answer.status_code == 400
    assert b"errorlist" in answer.content
    assert "Content-Disposition" not in answer


def test_a_year_can_be_looked_at(admin: Membership, signed_in: SignIn) -> None:
    leap_year = {"since": "2028-01-01", "until": "2028-12-31"}  # 366 days
    assert signed_in(admin).get(HOURS, leap_year).status_code == 200


def test_the_pages_cost_the_same_for_any_number_of_labelers(
    project: Project,
    admin: Membership,
    alice: Membership,
    signed_in: SignIn,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    for number in range(3):
        rank(make_member(project, f"l{number}", Role.LABELER), 5)
    for member, address in (
        (admin, HOURS),
        (admin, f"{HOURS}hours.csv"),
        (alice, HOURS),
    ):
        client = signed_in(member)
        with django_assert_num_queries(4):
            client.get(address, QUERY)
