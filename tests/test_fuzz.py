"""`make fuzz` finds what is there to be found, keeps it, and begins with it again."""

import math
from pathlib import Path

import pytest
from hypothesis import strategies as st

from tests.fuzz.search import EXAMPLES, Fuzzer, Search


def fails_from_a_hundred_on(number: int) -> None:
    assert number < 100


def sound(number: int) -> None:
    assert number >= 0


NUMBERS = st.integers(0, 10_000)
BROKEN = {"broken": Fuzzer(NUMBERS, fails_from_a_hundred_on)}
SOUND = {"sound": Fuzzer(NUMBERS, sound)}


def test_the_shortest_input_that_breaks_a_promise_is_printed_and_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    search = Search(BROKEN, tmp_path)
    search.run(math.inf)
    assert "example=100," in search.found["broken"]
    assert "example=100," in capsys.readouterr().out
    assert "example=100," in (tmp_path / "broken.txt").read_text()


def test_what_was_found_is_the_first_thing_that_the_next_run_tries(
    tmp_path: Path,
) -> None:
    Search(BROKEN, tmp_path).run(math.inf)
    tried: list[int] = []
    again = {"broken": Fuzzer(NUMBERS, lambda number: tried.append(number))}
    Search(again, tmp_path).run(0)
    assert tried[0] == 100


def test_one_that_found_something_does_not_stop_the_others(tmp_path: Path) -> None:
    search = Search(BROKEN | SOUND, tmp_path)
    search.run(0)
    assert set(search.found) == {"broken"}
    assert search.tried["sound"] == EXAMPLES
