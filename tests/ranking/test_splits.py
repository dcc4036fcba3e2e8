"""A prompt's split follows from its text alone."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from ranking.splits import group_of, split_of


def user(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def test_case_blanks_and_compatible_characters_make_no_new_group() -> None:
    group = group_of(user("Explain the ﬁrst tide"))
    assert group_of(user("  explain THE\n first\ttide ")) == group
    assert group_of(user("Explain the second tide")) != group


def test_who_says_what_belongs_to_the_group() -> None:
    asked = [{"role": "system", "content": "a"}, {"role": "user", "content": "b"}]
    other = [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]
    assert len({group_of(asked), group_of(other), group_of(user("a b"))}) == 3


@given(st.text())
def test_every_group_has_a_split_and_always_the_same(text: str) -> None:
    group = group_of(user(text.encode("utf-8", "replace").decode()))
    assert split_of(group) == split_of(group)
    assert split_of(group) in ("train", "valid1", "valid2")


def test_the_shares_are_eighty_ten_ten() -> None:
    shares = Counter(split_of(group_of(user(f"Question {n}"))) for n in range(10_000))
    # Five standard deviations of a binomial count: 5 * sqrt(10,000 * .8 * .2) = 200.
    assert abs(shares["train"] - 8_000) < 200
    assert abs(shares["valid1"] - 1_000) < 150
    assert abs(shares["valid2"] - 1_000) < 150


def test_splits_never_move_between_versions_of_the_program() -> None:
    """These are promises: models were trained on them."""
    splits = [split_of(group_of(user(f"Question {n}"))) for n in range(1, 13)]
    assert [n for n, split in enumerate(splits, 1) if split == "valid1"] == [1]
    assert [n for n, split in enumerate(splits, 1) if split == "valid2"] == [5, 10]
