"""The rules of sampling, with texts written by hand in place of a model."""

from collections import Counter
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.models import FEWEST_RESPONSES, MOST_RESPONSES
from annotation.sampling import (
    FEWEST_TEXTS,
    MOST_TEXTS,
    Ask,
    Draw,
    GenerationSettings,
    Outcome,
    PromptRefusedError,
    PromptToAnswer,
    SamplingSettings,
    number_from,
    responses_wanted,
    sample_different,
)

FIVE = SamplingSettings(k_min=5, k_max=5, temperature=0.7, top_p=0.9, seed=3)


def prompt(name: str) -> PromptToAnswer:
    return PromptToAnswer(name, [{"role": "user", "content": f"About {name}?"}])


class Script:
    """Draws the next texts of each prompt's script, and remembers what was asked."""

    def __init__(self, **texts: str) -> None:
        self.left = {name: list(script) for name, script in texts.items()}
        self.asked: list[list[Ask]] = []

    def __call__(self, asks: Sequence[Ask]) -> list[list[Draw] | PromptRefusedError]:
        self.asked.append(list(asks))
        return [self._next(ask) for ask in asks]

    def _next(self, ask: Ask) -> list[Draw] | PromptRefusedError:
        script = self.left[ask.prompt.id]
        if script == ["refuse"]:
            return PromptRefusedError("too long")
        taken = [script.pop(0) for _ in range(ask.rows)]
        return [Draw(text, tokens=len(text), truncated=False) for text in taken]


def sampled(script: Callable[..., object], *names: str) -> list[Outcome]:
    return sample_different(
        [prompt(name) for name in names],
        FIVE,
        draw=script,  # type: ignore[arg-type]
        provenance={"model": "m"},
    )


def texts(outcome: Outcome) -> list[str]:
    return [response.text for response in outcome.responses]


def test_the_limits_are_those_of_the_database() -> None:
    assert (FEWEST_TEXTS, MOST_TEXTS) == (FEWEST_RESPONSES, MOST_RESPONSES)


def test_only_what_came_twice_is_drawn_again() -> None:
    script = Script(p="aabcd" + "e")
    [outcome] = sampled(script, "p")
    assert texts(outcome) == list("abcde")
    assert [[ask.rows for ask in asks] for asks in script.asked] == [[5], [1]]


def test_the_attempt_that_a_text_came_from_is_recorded() -> None:
    [outcome] = sampled(Script(p="aabcd" + "e"), "p")
    assert [r.params["attempt"] for r in outcome.responses] == [1, 1, 1, 1, 2]


def test_all_parameters_are_recorded_with_each_response() -> None:
    [outcome] = sampled(Script(p="abcde"), "p")
    assert outcome.responses[0].params == {
        "model": "m",
        "temperature": 0.7,
        "top_p": 0.9,
        "max_new_tokens": 256,
        "seed": 3,
        "attempt": 1,
        "tokens": 1,
        "truncated": False,
    }


def test_duplicates_are_drawn_again_three_times_at_most() -> None:
    script = Script(p="aaaaa" + "aaab" + "aac" + "ad" + "never")
    [outcome] = sampled(script, "p")
    assert len(script.asked) == 4
    assert texts(outcome) == list("abcd")  # k shrank from five to four


def test_with_fewer_than_four_different_texts_the_prompt_fails_with_the_reason() -> (
    None
):
    [outcome] = sampled(Script(p="aaaaa" + "aaab" + "aac" + "aa"), "p")
    assert outcome.responses == ()
    assert outcome.failure == (
        "only 3 different texts after 3 re-samplings (at least 4 are needed;"
        " temperature 0.7, top-p 0.9)"
    )


def test_an_empty_text_is_one_text() -> None:
    script = Script(p=["", "", "a", "b", "c", ""])  # type: ignore[arg-type]
    script.left["p"] += ["", ""]
    [outcome] = sampled(script, "p")
    assert texts(outcome) == ["", "a", "b", "c"]


def test_texts_differ_by_a_space_alone() -> None:
    script = Script(p=["a", "a ", " a", "A", "a\n"])  # type: ignore[arg-type]
    [outcome] = sampled(script, "p")
    assert len(texts(outcome)) == 5


def test_a_text_with_a_nul_is_drawn_again() -> None:
    script = Script(p=["a\0", "b", "c", "d", "e", "f"])  # type: ignore[arg-type]
    [outcome] = sampled(script, "p")
    assert texts(outcome) == list("bcdef")


def test_a_refused_prompt_fails_and_its_neighbours_do_not() -> None:
    script = Script(p=["refuse"], q="abcde")  # type: ignore[arg-type]
    refused, fine = sampled(script, "p", "q")
    assert (refused.prompt_id, refused.failure) == ("p", "too long")
    assert texts(fine) == list("abcde")
    assert len(script.asked) == 1


def test_seeds_do_not_depend_on_the_neighbours() -> None:
    alone, together = Script(p="aabcd" + "e"), Script(q="vwxyz", p="aabcd" + "e")
    sampled(alone, "p")
    sampled(together, "q", "p")
    seeds = [ask.seed for asks in alone.asked for ask in asks]
    beside = [
        ask.seed for asks in together.asked for ask in asks if ask.prompt.id == "p"
    ]
    assert seeds == beside
    assert len(set(seeds)) == 2  # a second attempt draws other numbers


def test_k_is_spread_evenly_over_its_range() -> None:
    settings = SamplingSettings(k_min=4, k_max=9, seed=1)
    counts = Counter(responses_wanted(settings, f"p{n}") for n in range(6_000))
    assert sorted(counts) == [4, 5, 6, 7, 8, 9]
    # 1,000 expected of each; the standard deviation is sqrt(6000·1/6·5/6) = 28.9.
    assert all(abs(count - 1_000) < 5 * 28.9 for count in counts.values())


@given(st.text(), st.integers(0, 100))
def test_k_depends_on_the_prompt_and_the_seed_only(name: str, seed: int) -> None:
    settings = SamplingSettings(k_min=4, k_max=9, seed=seed)
    k = responses_wanted(settings, name)
    assert 4 <= k <= 9
    assert k == responses_wanted(SamplingSettings(k_min=4, k_max=9, seed=seed), name)


@given(st.lists(st.text(max_size=3), max_size=3), st.lists(st.text(max_size=3)))
def test_numbers_fit_a_signed_bigint(left: list[str], right: list[str]) -> None:
    assert 0 <= number_from(*left) < 2**63
    assert number_from(*left) == number_from(*left)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"k_min": 3}, "k is 3-9"),
        ({"k_max": 10}, "k is 4-10"),
        ({"k_min": 6, "k_max": 5}, "k is 6-5"),
        ({"temperature": 0.0}, "temperature is 0.0"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"temperature": 5.1}, "at most 5"),
        ({"top_p": 0.0}, "top-p is 0.0"),
        ({"top_p": 1.01}, "top-p is 1.01"),
        ({"max_new_tokens": 0}, "length is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 2**31}, "seed is 2147483648"),
    ],
)
def test_a_setting_out_of_range_is_named(values: dict[str, float], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        SamplingSettings(**values)  # type: ignore[arg-type]


def test_the_settings_of_a_run_survive_its_row() -> None:
    settings = GenerationSettings(model="m", sampling=FIVE, limit=7)
    assert GenerationSettings.from_json(settings.as_json()) == settings
