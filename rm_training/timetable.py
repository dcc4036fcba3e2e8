"""When a schedule's runs are due. All times are UTC. PURE."""

from datetime import datetime, timedelta


def slot_before(moment: datetime, *, hour: int, weekday: int | None) -> datetime:
    """The last time of the schedule that is not after `moment`.

    `weekday` counts from Monday = 0; None: every day.

    >>> slot_before(datetime(2026, 11, 22, 2, 59), hour=3, weekday=None)
    datetime.datetime(2026, 11, 21, 3, 0)
    >>> slot_before(datetime(2026, 11, 22, 2, 59), hour=3, weekday=0)  # a Sunday
    datetime.datetime(2026, 11, 16, 3, 0)
    """
    slot = moment.replace(hour=hour, minute=0, second=0, microsecond=0)
    if weekday is not None:
        slot -= timedelta(days=(slot.weekday() - weekday) % 7)
    return slot if slot <= moment else slot - _period(weekday)


def slot_after(moment: datetime, *, hour: int, weekday: int | None) -> datetime:
    """The first time of the schedule after `moment`."""
    return slot_before(moment, hour=hour, weekday=weekday) + _period(weekday)


def _period(weekday: int | None) -> timedelta:
    return timedelta(days=1 if weekday is None else 7)
