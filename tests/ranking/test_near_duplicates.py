"""Near-duplicates, against the definition worked out pair by pair."""

import random
from collections.abc import Callable, Sequence
from functools import cache
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranking.near_duplicates import (
    BANDS,
    ROWS,
    SIMILAR,
    VALUES,
    are_similar,
    bands_of,
    shingles_of,
    signatures_of,
)
from ranking.split_groups import Neighbours, NewPrompts, Place, groups_of, place
from ranking.splits import group_of, split_of

VOCABULARY = [f"word{number}" for number in range(400)]
TRAIN, VALID = Place("a", "train"), Place("b", "valid1")


def asked(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def new_prompts(texts: Sequence[str]) -> NewPrompts:
    signatures = np.array(
        list(signatures_of(shingles_of(asked(text)) for text in texts))
    ).reshape(len(texts), VALUES)
    bands = np.array([bands_of(one) for one in signatures], dtype=np.int64)
    return NewPrompts(
        names=[group_of(asked(text)) for text in texts],
        signatures=signatures,
        bands=bands.reshape(len(texts), BANDS),
    )


@cache
def shingles(text: str) -> frozenset[str]:
    return shingles_of(asked(text))


def jaccard(one: str, other: str) -> float:
    a, b = shingles(one), shingles(other)
    return len(a & b) / len(a | b)


def sentence(words: int, *, seed: int) -> str:
    return " ".join(random.Random(seed).choices(VOCABULARY, k=words))


def with_other_words(text: str, *places: int) -> str:
    words = text.split()
    for at in places:
        words[at] = f"changed{at}"
    return " ".join(words)


# --- Shingles ---------------------------------------------------------------------


def test_shingles_are_runs_of_three_words_without_case_and_punctuation() -> None:
    expected = {"why is the", "is the sea", "the sea salt"}
    assert shingles_of(asked("Why is the SEA salt?")) == expected
    assert shingles_of(asked("«why, is: the\tsea…\n(salt)»")) == expected


def test_a_short_text_is_one_shingle_and_one_without_words_is_itself() -> None:
    assert shingles_of(asked("Hello, World!")) == {"hello world"}
    assert shingles_of(asked("  ?! 😀")) == {"?! 😀"}
    assert shingles_of(asked("")) == {""}


def test_characters_are_the_words_of_scripts_without_blanks() -> None:
    assert shingles_of(asked("海はなぜ")) == {"海 は な", "は な ぜ"}


def test_a_system_turn_makes_no_near_duplicates_of_different_questions() -> None:
    system = {"role": "system", "content": sentence(500, seed=1)}
    one = shingles_of([system, *asked(sentence(20, seed=2))])
    other = shingles_of([system, *asked(sentence(20, seed=3))])
    assert not one & other


# --- Signatures -------------------------------------------------------------------


def test_a_signature_is_the_same_in_every_version_of_the_program() -> None:
    """Stored ones are compared with new ones: these numbers are a promise."""
    [signature] = signatures_of([shingles_of(asked("Why is the sea salt?"))])
    assert signature[:4].tolist() == [2810768695, 1712313270, 3216096450, 3615785395]
    assert bands_of(signature)[:2] == [-1967442080665300387, -4789109940292245086]


def test_the_share_of_equal_values_estimates_the_share_of_common_shingles() -> None:
    text = sentence(102, seed=7)  # 100 shingles
    # Ten words apart, each stands in three shingles: 30 of 100 differ on each side.
    other = with_other_words(text, *range(5, 105, 10))
    assert jaccard(text, other) == pytest.approx(70 / 130)
    one, two = signatures_of(shingles_of(asked(t)) for t in (text, other))
    # Five standard deviations: 5 * sqrt(.54 * .46 / 128) = 0.22.
    assert abs((one == two).mean() - 70 / 130) < 0.22


def test_a_hundred_and_three_equal_values_are_enough_and_one_less_is_not() -> None:
    one = np.arange(VALUES, dtype=np.uint32)
    others = np.stack([one, one, one])
    others[1, : VALUES - 103] += 1_000
    others[2, : VALUES - 102] += 1_000
    assert are_similar(one, others).tolist() == [True, True, False]


def test_the_documented_chances_of_a_common_band() -> None:
    def found(similarity: float) -> float:
        return 1 - (1 - similarity**ROWS) ** BANDS

    assert [round(found(j), 3) for j in (SIMILAR, 0.5, 0.3)] == [0.998, 0.282, 0.015]


# --- Groups -----------------------------------------------------------------------


def oracle(texts: Sequence[str], joined: Callable[[float], bool]) -> set[frozenset]:  # type: ignore[type-arg]
    """Connected parts of the graph of pairs that are joined, by brute force."""
    group = {n: {n} for n in range(len(texts))}
    for one, other in combinations(range(len(texts)), 2):
        if joined(jaccard(texts[one], texts[other])):
            both = group[one] | group[other]
            for member in both:
                group[member] = both
    return {frozenset(members) for members in group.values()}


def test_planted_near_duplicates_are_grouped_as_the_definition_says() -> None:
    """No pair of this collection lies between 0.65 and 0.95, so no estimate decides."""
    texts = []
    for seed in range(150):
        text = sentence(140, seed=seed)
        texts.append(text)
        if seed % 3 == 0:
            texts.append(with_other_words(text, 70))  # 135 / 141 = 0.957
        if seed % 5 == 0:
            texts.append(text.upper() + "!")
        if seed % 7 == 0:
            texts.append(with_other_words(text, *range(5, 140, 14)))  # 108/168 = 0.64
    random.Random(0).shuffle(texts)
    pairs = [jaccard(a, b) for a, b in combinations(texts, 2)]
    assert not [share for share in pairs if 0.65 < share < 0.95]
    assert sum(share >= 0.95 for share in pairs) > 80
    found = groups_of(new_prompts(texts), without=set())
    assert {frozenset(one) for one in found} == oracle(texts, lambda j: j >= 0.8)


def test_likeness_passes_from_one_to_the_next() -> None:
    first = sentence(140, seed=1)
    second = with_other_words(first, 10, 20, 30)  # 129 / 147 = 0.88
    third = with_other_words(second, 50, 60, 70)
    fourth = with_other_words(third, 90, 100, 110)  # the first: 111 / 165 = 0.67
    chain = [first, second, third, fourth]
    groups = groups_of(new_prompts(chain), without=set())
    assert sorted(map(sorted, groups)) == [[0, 1, 2, 3]]
    assert groups_of(new_prompts([first, fourth]), without=set()) == [[0], [1]]


def test_ten_thousand_equal_prompts_are_one_group_at_once() -> None:
    same = new_prompts(["What is it?"])
    many = NewPrompts(
        names=list(same.names) * 10_000,
        signatures=np.repeat(same.signatures, 10_000, axis=0),
        bands=np.repeat(same.bands, 10_000, axis=0),
    )
    [group] = groups_of(many, without=set())
    assert len(group) == 10_000


# --- Splits -----------------------------------------------------------------------


def test_a_group_without_a_split_gets_that_of_its_first_name() -> None:
    text = sentence(140, seed=3)
    new = new_prompts([text, with_other_words(text, 9), "Something else entirely"])
    placed = place(new, {})
    first = min(new.names[:2])
    assert placed[0] == placed[1] == Place(first, split_of(first))
    assert placed[2] == Place(new.names[2], split_of(new.names[2]))


def test_a_new_prompt_takes_the_split_of_what_it_is_like() -> None:
    new = new_prompts([sentence(140, seed=4)])
    near = {0: Neighbours(similar={Place("b", "valid1"), Place("a", "valid1")})}
    assert place(new, near) == {0: Place("a", "valid1")}


def test_one_that_would_join_two_splits_is_left_out_and_holds_nobody_up() -> None:
    text = sentence(140, seed=5)
    new = new_prompts([with_other_words(text, 5), text, with_other_words(text, 130)])
    near = {
        0: Neighbours(similar={TRAIN}),
        1: Neighbours(similar={TRAIN, VALID}),
        2: Neighbours(similar={TRAIN}),
    }
    assert place(new, near) == {0: TRAIN, 1: None, 2: TRAIN}


def test_two_new_ones_that_join_two_splits_together_are_both_left_out() -> None:
    text = sentence(140, seed=6)
    new = new_prompts([text, with_other_words(text, 70)])
    near = {0: Neighbours(similar={TRAIN}), 1: Neighbours(similar={VALID})}
    assert place(new, near) == {0: None, 1: None}


def test_the_same_text_again_goes_where_it_is_whatever_else_is_like_it() -> None:
    new = new_prompts(["What is it?"])
    near = {0: Neighbours(twins={VALID}, similar={TRAIN})}
    assert place(new, near) == {0: VALID}


TEXTS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 3)).map(
        lambda drawn: with_other_words(
            sentence(60, seed=drawn[0]), *range(0, drawn[1] * 5, 5)
        )
    ),
    min_size=1,
    max_size=8,
)
NEAR = st.dictionaries(
    st.integers(0, 7), st.sets(st.sampled_from([TRAIN, VALID, Place("c", "train")]))
)


@settings(deadline=None)
@given(texts=TEXTS, near=NEAR, order=st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(
    texts: list[str], near: dict[int, set[Place]], order: random.Random
) -> None:
    by_text = {texts[at]: where for at, where in near.items() if at < len(texts)}
    shuffled = order.sample(texts, len(texts))
    outcomes = []
    for line in (texts, shuffled):
        neighbours = {
            at: Neighbours(similar=by_text[text])
            for at, text in enumerate(line)
            if text in by_text
        }
        placed = place(new_prompts(line), neighbours)
        assert set(placed) == set(range(len(line)))
        outcomes.append({text: placed[at] for at, text in enumerate(line)})
    assert outcomes[0] == outcomes[1]


@settings(deadline=None)
@given(texts=TEXTS, near=NEAR)
def test_no_two_that_are_alike_ever_lie_in_two_splits(
    texts: list[str], near: dict[int, set[Place]]
) -> None:
    """Neither two new ones, nor a new one and a fixed one that it is like."""
    new = new_prompts(texts)
    neighbours = {at: Neighbours(similar=near[at]) for at in near if at < len(texts)}
    placed = place(new, neighbours)
    for at, where in placed.items():
        if where and at in neighbours:
            assert {one.split for one in neighbours[at].places} <= {where.split}
    for one, other in combinations(range(len(texts)), 2):
        if are_similar(new.signatures[one], new.signatures[[other]])[0]:
            splits = {where.split for at in (one, other) if (where := placed[at])}
            assert len(splits) <= 1
