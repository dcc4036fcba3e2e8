"""When a schedule's runs are due, by the calendar and by going through every hour."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from rm_training.timetable import slot_after, slot_before

START = datetime(2025, 1, 1, tzinfo=UTC)
moments = st.timedeltas(timedelta(0), timedelta(days=1500)).map(lambda t: START + t)
weekdays = st.none() | st.integers(0, 6)


def slots(around: datetime, hour: int, weekday: int | None) -> list[datetime]:
    """Every full hour within eight days that is a time of the schedule."""
    first = around.replace(minute=0, second=0, microsecond=0) - timedelta(days=8)
    hours = (first + timedelta(hours=n) for n in range(16 * 24 + 2))
    return [
        one for one in hours if one.hour == hour and weekday in (None, one.weekday())
    ]


@given(moments, st.integers(0, 23), weekdays)
def test_the_slots_beside_a_moment_are_those_of_the_calendar(
    moment: datetime, hour: int, weekday: int | None
) -> None:
    every = slots(moment, hour, weekday)
    before = max(one for one in every if one <= moment)
    after = min(one for one in every if one > moment)
    assert slot_before(moment, hour=hour, weekday=weekday) == before
    assert slot_after(moment, hour=hour, weekday=weekday) == after


def test_a_slot_is_due_on_the_very_moment() -> None:
    three = datetime(2026, 11, 23, 3, tzinfo=UTC)  # a Monday
    just_before = three - timedelta(microseconds=1)
    assert slot_before(three, hour=3, weekday=0) == three
    assert slot_before(just_before, hour=3, weekday=0) == three - timedelta(days=7)
    assert slot_after(three, hour=3, weekday=None) == three + timedelta(days=1)
