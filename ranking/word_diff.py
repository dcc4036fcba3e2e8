"""Where two texts differ, word by word, for two responses side by side."""

import html
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache

OFFERED_FROM = 0.5  # ratio; unrelated texts score 0.01 to 0.03
# The matcher takes time that grows with the square of the words, and with the places at
# which a word of one text equals one of the other: many, in a text that repeats itself
# as bad models do. At these limits it takes some 0.3 s.
MOST_WORDS = 3_000
MOST_MEETINGS = 200_000
# A word with the space around it. Ideographs and syllables are words of their own:
# their languages write no spaces.
IDEOGRAPH = "\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff"
WORD = re.compile(rf"\s*(?:[{IDEOGRAPH}]|[^\s{IDEOGRAPH}]+)\s*|^\s+$")


@dataclass(frozen=True)
class WordDiff:
    """How alike two texts are, and both as safe HTML with their differences marked.

    `ratio` is 2·M/T over words, M of them matched of T in both texts together (1 for
    equal texts, 1 for two empty ones); None for texts that would take too long.
    `a` and `b` are None below 0.5: marks all over help nobody.
    """

    ratio: float | None
    a: str | None = None
    b: str | None = None


@lru_cache(maxsize=512)
def word_diff(a: str, b: str) -> WordDiff:
    """What only `a` has stands in `<del>`, what only `b` has in `<ins>`.

    White space between words shows and does not count. The upper bounds of the ratio
    are looked at first, for they cost little.
    """
    ours, theirs = WORD.findall(a), WORD.findall(b)
    words, others = [w.strip() for w in ours], [w.strip() for w in theirs]
    matcher = SequenceMatcher(None, words, others, autojunk=False)
    for bound in (matcher.real_quick_ratio, matcher.quick_ratio):
        if bound() < OFFERED_FROM:
            return WordDiff(_hundredths(bound()))
    longest = max(len(words), len(others))
    if longest > MOST_WORDS or _meetings(words, others) > MOST_MEETINGS:
        return WordDiff(None)
    ratio = matcher.ratio()
    if ratio < OFFERED_FROM:
        return WordDiff(_hundredths(ratio))
    steps = matcher.get_opcodes()
    return WordDiff(
        _hundredths(ratio),
        _marked("del", ours, ((tag, i, j) for tag, i, j, _, _ in steps)),
        _marked("ins", theirs, ((tag, i, j) for tag, _, _, i, j in steps)),
    )


def _hundredths(ratio: float) -> float:
    """Rounded down: 0.499 must not look like an offer."""
    return math.floor(ratio * 100) / 100


def _meetings(words: Sequence[str], others: Sequence[str]) -> int:
    there = Counter(others)
    return sum(count * there[word] for word, count in Counter(words).items())


def _marked(
    mark: str, words: Sequence[str], steps: Iterable[tuple[str, int, int]]
) -> str:
    """The text, escaped, with a mark around everything that is not the same."""
    shown = []
    for tag, start, end in steps:
        text = html.escape("".join(words[start:end]))
        if text:
            shown.append(text if tag == "equal" else f"<{mark}>{text}</{mark}>")
    return "".join(shown)
