"""The checker finds each thing that it is there to find."""

from uuid import UUID

from tests.faults.history import Fate, History

A, B = UUID(int=1), UUID(int=2)


def history(*attempts: tuple[UUID, str, Fate]) -> History:
    made = History()
    for attempt in attempts:
        made.add(*attempt)
    return made


def test_what_was_acknowledged_is_stored_once() -> None:
    told = history((A, "a", Fate.UNKNOWN), (A, "a", Fate.OK), (B, "b", Fate.UNKNOWN))
    assert told.problems([(A, "a")]) == []
    assert told.problems([(A, "a"), (B, "b")]) == []
    assert told.counts() == {"ok": 1, "unknown": 2}


def test_a_lost_one_is_found() -> None:
    assert len(history((A, "a", Fate.OK)).problems([])) == 1


def test_one_stored_twice_is_found() -> None:
    for fate in Fate:
        told = history((A, "a", fate))
        assert told.problems([(A, "a"), (A, "a")]) == [f"{A} stored 2 times"]


def test_one_that_changed_is_found() -> None:
    assert len(history((A, "a", Fate.OK)).problems([(A, "b")])) == 2


def test_one_that_nobody_sent_is_found() -> None:
    assert history().problems([(A, "a")]) == [f"{A} holds what nobody sent"]
