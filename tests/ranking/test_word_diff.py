"""The word diff marks what differs, hides nothing, and never runs away."""

import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranking.word_diff import MOST_MEETINGS, MOST_WORDS, WordDiff, word_diff


def shown(marked: str | None) -> str:
    """The text that a reader sees."""
    assert marked is not None
    return html.unescape(re.sub("</?(ins|del)>", "", marked))


def test_what_differs_is_marked_on_its_own_side() -> None:
    """3 of 4 words match on both sides: 2·3/(4+4) = 0.75."""
    diff = word_diff("the tide was high", "the tide was low")
    assert diff == WordDiff(
        0.75,
        "the tide was <del>high</del>",
        "the tide was <ins>low</ins>",
    )


def test_what_one_text_has_more_is_marked_there_only() -> None:
    """4 matched of 4 + 5: 8/9 = 0.888…, rounded down."""
    diff = word_diff("a b c d", "a b x c d")
    assert diff == WordDiff(0.88, "a b c d", "a b <ins>x </ins>c d")


def test_equal_texts_have_no_marks() -> None:
    assert word_diff("same", "same") == WordDiff(1.0, "same", "same")
    assert word_diff("", "") == WordDiff(1.0, "", "")


def test_white_space_shows_and_does_not_count() -> None:
    diff = word_diff("  one\n\ntwo ", "one two")
    assert diff == WordDiff(1.0, "  one\n\ntwo ", "one two")


def test_unlike_texts_get_a_ratio_and_no_marks() -> None:
    """One word of four matches: 2·1/(4+4) = 0.25."""
    assert word_diff("a b c d", "a x y z") == WordDiff(0.25)


def test_the_offer_begins_at_one_half() -> None:
    """2 of 4 match: 0.5; of five, 2·2/(5+4) = 0.44."""
    assert word_diff("a b c d", "a b x y").a == "a b <del>c d</del>"
    assert word_diff("a b c d e", "a b x y") == WordDiff(0.44)


def test_words_in_another_order_do_not_match() -> None:
    """The same bag of words: the quick bound says 1, the ratio is 2·1/4."""
    assert word_diff("a b", "b a").ratio == 0.5


def test_markup_in_a_text_stays_text() -> None:
    evil = "<script>alert('1')</script> & </del> \"x\""
    diff = word_diff(f"{evil} one", f"{evil} two")
    assert diff.a is not None
    assert re.findall(r"<[^>]*>", diff.a) == ["<del>", "</del>"]
    assert shown(diff.a) == f"{evil} one"


def test_languages_without_spaces_are_compared_sign_by_sign() -> None:
    """3 of 4 signs match."""
    diff = word_diff("潮水很高", "潮水很低")
    assert diff == WordDiff(0.75, "潮水很<del>高</del>", "潮水很<ins>低</ins>")


def test_a_text_that_repeats_itself_is_not_compared() -> None:
    """`n` times the same word against itself meets in n² places."""
    often = "la " * (int(MOST_MEETINGS**0.5) + 1)
    assert word_diff(often + "a", often + "b") == WordDiff(None)


def test_a_very_long_text_is_not_compared() -> None:
    long = " ".join(map(str, range(MOST_WORDS + 1)))
    assert word_diff(long, long + " more") == WordDiff(None)


WORDS = st.lists(st.sampled_from(["a", "b", "<c>", "&", "\n", "d."]), max_size=30)
TEXTS = st.text(max_size=60) | WORDS.map(" ".join)


@given(TEXTS, TEXTS)
def test_both_texts_are_whole_and_only_our_tags_are_in_them(a: str, b: str) -> None:
    diff = word_diff(a, b)
    assert diff.ratio is not None
    assert (diff.a is None) == (diff.ratio < 0.5)
    if diff.a is not None and diff.b is not None:
        assert (shown(diff.a), shown(diff.b)) == (a, b)
        assert set(re.findall(r"<[^>]*>", diff.a)) <= {"<del>", "</del>"}
        assert set(re.findall(r"<[^>]*>", diff.b)) <= {"<ins>", "</ins>"}


@given(TEXTS)
def test_a_text_is_like_itself(text: str) -> None:
    assert word_diff(text, text).ratio == 1.0


@pytest.mark.parametrize("ratio", [0.495, 0.499])
def test_a_rounded_ratio_never_promises_more_than_it_gives(ratio: float) -> None:
    """499 of 1000 words match: that is no half, whatever it is rounded to."""
    match = round(1000 * ratio)
    ours = [f"w{n}" for n in range(1000)]
    theirs = ours[:match] + [f"x{n}" for n in range(1000 - match)]
    diff = word_diff(" ".join(ours), " ".join(theirs))
    assert diff.a is None
    assert diff.ratio is not None
    assert diff.ratio < 0.5
