"""What a text says between its letters can be seen."""

import html
import re
import sys
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from annotation.raw_text import UNSEEN, raw_html

MARK = re.compile(r'<i data-code="U\+[0-9A-F]{4,6}">(.*?)</i>', re.DOTALL)


def test_an_invisible_character_is_named_and_kept() -> None:
    assert raw_html("a\u200bb\u202ec") == (
        'a<i data-code="U+200B">\u200b</i>b<i data-code="U+202E">\u202e</i>c'
    )


def test_markup_is_text() -> None:
    assert raw_html("<b>&\"'") == "&lt;b&gt;&amp;&quot;&#x27;"


def test_a_carriage_return_survives_the_parser() -> None:
    assert raw_html("a\r\nb") == 'a<i data-code="U+000D">&#13;</i>\nb'


def test_every_character_that_shows_nothing_is_named() -> None:
    """All of Unicode's controls, formats and blanks, but tab, line feed and space."""
    missed = [
        f"U+{code:04X}"
        for code in range(sys.maxunicode + 1)
        if unicodedata.category(chr(code)) in ("Cc", "Cf", "Zs", "Zl", "Zp")
        and chr(code) not in "\t\n "
        and not UNSEEN.match(chr(code))
    ]
    assert missed == []


def test_letters_digits_and_signs_are_left_alone() -> None:
    named = [
        f"U+{code:04X}"
        for code in range(sys.maxunicode + 1)
        if unicodedata.category(chr(code)) in ("Lu", "Ll", "Nd", "Po", "Sm", "Sc")
        and UNSEEN.match(chr(code))
    ]
    assert named == []


@given(st.text(st.characters(codec="utf-8")))
def test_the_text_can_be_read_back(text: str) -> None:
    """Nothing is lost, whatever the characters are."""
    shown = MARK.sub(lambda found: found.group(1), raw_html(text))
    marked = shown.replace("&#13;", "\r")
    # html.unescape reads references to controls as browsers do; none is left here.
    assert html.unescape(marked) == text
