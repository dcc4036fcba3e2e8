"""A text as it was written, for readers who want to see what Markdown made of it."""

import html
import re

# What takes no room or looks like a plain space: controls (but tab and line feed),
# Unicode's format characters and its blanks, fillers, selectors and tags.
UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\xa0\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891"
    "\u08e2\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f\u2000-\u200f\u2028-\u202f"
    "\u205f-\u206f\u2800\u3000\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb"
    "\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)


def raw_html(text: str) -> str:
    """The text, escaped; each invisible character is named by its element.

    A zero width space becomes `<i data-code="U+200B">` around itself. What comes back
    may stand in a template with `|safe`.
    """
    return UNSEEN.sub(_named, html.escape(text))


def _named(found: re.Match[str]) -> str:
    character = found.group()
    # A parser of HTML turns a bare carriage return into a line feed.
    kept = "&#13;" if character == "\r" else character
    return f'<i data-code="U+{ord(character):04X}">{kept}</i>'
