"""Who is held out: given by the data, or drawn by a hash that never overlaps."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rm_training.data import DataError
from rm_training.splits import Splits, split_examples
from tests.preferences import make_example


def ids(splits: Splits) -> list[list[str]]:
    parts = (splits.train, splits.valid1, splits.valid2)
    return [[example.prompt_id for example in part] for part in parts]


def test_a_split_column_is_followed() -> None:
    examples = [
        make_example("a", split="valid2"),
        make_example("b", split="train"),
        make_example("c", split="valid1"),
        make_example("d", split="train"),
    ]
    splits = split_examples(examples)
    assert ids(splits) == [["b", "d"], ["c"], ["a"]]
    assert splits.notes == ()


def test_an_empty_held_out_part_of_a_given_split_is_told_and_left_empty() -> None:
    splits = split_examples([make_example("a", split="train")])
    assert ids(splits) == [["a"], [], []]
    assert [note.split(":")[0] for note in splits.notes] == [
        "valid1 is empty",
        "valid2 is empty",
    ]


def test_nothing_to_learn_from_is_refused() -> None:
    with pytest.raises(DataError, match="no prompt is in the split train"):
        split_examples([make_example("a", split="valid1")])


def test_a_split_for_some_prompts_only_is_refused() -> None:
    with pytest.raises(DataError, match="1 of 2 prompts have a split"):
        split_examples([make_example("a", split="train"), make_example("b")])


def test_one_prompt_text_in_two_splits_is_refused() -> None:
    examples = [
        make_example("a", prompt="Same?", split="train"),
        make_example("b", prompt="Same?", split="valid1"),
    ]
    with pytest.raises(DataError, match=r"'a' \(train\) and 'b' \(valid1\)"):
        split_examples(examples)


def test_without_a_column_about_80_10_10_are_drawn_and_told() -> None:
    splits = split_examples([make_example(f"p{n}") for n in range(2000)])
    train, valid1, valid2 = map(len, ids(splits))
    # Three standard deviations of a binomial count: 54, 41, 41.
    assert abs(train - 1600) < 54
    assert abs(valid1 - 200) < 41
    assert abs(valid2 - 200) < 41
    assert splits.notes == (
        "the data has no split column: prompts were split by a hash, seed 0",
    )


def test_a_prompt_keeps_its_part_when_others_come() -> None:
    few = [make_example(f"p{n}") for n in range(100)]
    more = few + [make_example(f"q{n}") for n in range(100)]
    for before, after in zip(
        ids(split_examples(few)), ids(split_examples(more)), strict=True
    ):
        assert set(before) <= set(after)


@given(count=st.integers(1, 12), seed=st.integers(0, 10**6))
def test_few_prompts_leave_no_part_empty_where_that_is_possible(
    count: int, seed: int
) -> None:
    examples = [make_example(f"{seed}-{n}") for n in range(count)]
    splits = split_examples(examples)
    sizes = [len(part) for part in ids(splits)]
    assert sum(sizes) == count
    filled = {1: [True, False, False], 2: [True, True, False]}
    assert [size > 0 for size in sizes] == filled.get(count, [True] * 3)
    assert any("no held-out accuracy" in note for note in splits.notes) == (count == 1)


@given(seed=st.integers(0, 10**6))
def test_prompts_with_the_same_text_stay_together(seed: int) -> None:
    texts = [f"{seed}-{n % 5}" for n in range(15)]
    splits = split_examples(
        [make_example(f"p{n}", prompt=text) for n, text in enumerate(texts)]
    )
    parts = [
        {example.messages[0]["content"] for example in part}
        for part in (splits.train, splits.valid1, splits.valid2)
    ]
    assert sum(map(len, parts)) == len(set(texts))
