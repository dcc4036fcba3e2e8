"""Markdown of prompts and responses, as HTML that cannot hurt its reader.

markdown-it-py reads it (raw HTML stays text), formulas become MathML, code gets
classes for its colours, and nh3 comes last: whatever the steps before it were fooled
into writing, only the tags and attributes named here reach a page.
"""

import html
import re
from typing import Any

import nh3
from latex2mathml.converter import convert
from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from mdit_py_plugins.dollarmath import dollarmath_plugin
from mdit_py_plugins.texmath import texmath_plugin
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

from annotation.visible import is_blank

# Raise it with every change that makes other HTML of some text, a newer library among
# them: what was rendered is kept by it (annotation.rendered). A test compares.
VERSION = 1
LONGEST_RICH = 16 * 1024  # bytes; 64 KiB of hostile Markdown can cost a second
# What takes the parsers time: signs that may open something, by their weight. A text of
# little else is shown as it was written; prose has 3 in 100, and formulas some 30. The
# openers of formulas weigh most: from each one the rest of the text is searched.
COSTLY = dict.fromkeys("[]!${}^_'\n\\", 1) | {"|": 2, "\\(": 11, "\\[": 11}
MOST_COSTLY = 6_000
# Bytes of the whole text: Pygments takes time that grows with the square of the code
# and worse. At 1 KiB the slowest of the languages below takes some 40 ms.
LONGEST_COLOURED = 1024
# By Pygments' names. Among the others are C# (220 ms for 1 KiB), AutoHotkey (800 ms),
# and Markdown, whose own code blocks may be in any language.
COLOURED_LANGUAGES = (
    {"Bash", "C", "C++", "CSS", "Go", "HTML", "Haskell", "JSON", "Java", "JavaScript"}
    | {"Kotlin", "Lua", "Matlab", "PHP", "Perl", "Python", "Ruby", "Rust", "SQL"}
    | {"S", "Swift", "TypeScript", "XML", "YAML"}  # S is R's
)
LONGEST_FORMULA = 2_000  # characters
TAG = re.compile(r'<(?:[^">]|"[^"]*")*>')  # as nh3 writes them, values in quotes
HEADING_SHIFT = 3  # the page itself uses h1 to h3

MATHML = (
    {"math", "mrow", "mi", "mo", "mn", "mtext", "mspace", "mstyle", "msqrt", "mroot"}
    | {"msup", "msub", "msubsup", "mfrac", "munder", "mover", "munderover"}
    | {"mtable", "mtr", "mtd"}
)
TAGS = MATHML | (
    {"p", "strong", "em", "s", "del", "code", "pre", "ul", "ol", "li", "blockquote"}
    | {"h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td"}
    | {"br", "hr", "a", "span", "div"}
)
MATHML_ATTRIBUTES = {
    "display",
    "stretchy",
    "fence",
    "form",
    "columnalign",
    "xmlns",
    "movablelimits",
} | {"lspace", "rspace", "mathvariant", "width"}
ATTRIBUTES: dict[str, set[str]] = {
    "a": {"href", "title"},
    "ol": {"start"},
    "th": {"align"},
    "td": {"align"},
    **{tag: {"class"} for tag in ("span", "div", "code", "pre")},
    **dict.fromkeys(MATHML, MATHML_ATTRIBUTES),
}

# Made once: the lists above take longer to read than a text to clean.
CLEANER = nh3.Cleaner(
    tags=TAGS,
    attributes=ATTRIBUTES,
    link_rel="noopener noreferrer nofollow",
    set_tag_attribute_values={"a": {"target": "_blank"}},
    url_schemes={"http", "https", "mailto"},
    url_relative="deny",
)


def render(text: str) -> str:
    """Safe HTML of a Markdown text; of one that is not `is_rich`, the text, escaped.

    What comes back may stand in a template with `|safe`.
    """
    return _rich(text) if is_rich(text) else _plain(text)


def is_rich(text: str) -> bool:
    """Whether a text is short and plain enough to be read as Markdown in good time.

    At most 16 KiB, and few of the signs that take time. A function of the text alone,
    so everybody is shown the same.
    """
    if len(text) > LONGEST_RICH or len(text.encode()) > LONGEST_RICH:
        return False
    cost = sum(text.count(sign) * weight for sign, weight in COSTLY.items())
    return cost <= MOST_COSTLY


def _plain(text: str) -> str:
    return f'<div class="plain">{html.escape(text)}</div>'


def _rich(text: str) -> str:
    """The Markdown as HTML.

    A text of which Markdown shows no character, an image or the definition of a link,
    is shown as it was written: a reader must see what there is to judge.
    """
    reader = COLOURED if len(text.encode()) <= LONGEST_COLOURED else MARKDOWN
    shown = CLEANER.clean(reader.render(text))
    if is_blank(html.unescape(TAG.sub("", shown))) and not is_blank(text):
        return _plain(text)
    return shown


def _highlighted(code: str, language: str, _attributes: str) -> str:
    """Code with a class on every token; `""` makes markdown-it escape it itself."""
    try:
        lexer = get_lexer_by_name(language)
    except ClassNotFound:
        return ""
    if lexer.name not in COLOURED_LANGUAGES:
        return ""
    return highlight(code, lexer, HtmlFormatter(nowrap=True))


def _formula(source: str, options: dict[str, bool] | None = None) -> str:
    """MathML of a formula; one that cannot be read is shown as it was written."""
    display = "block" if (options or {}).get("display_mode") else "inline"
    if len(source) > LONGEST_FORMULA:
        return f"<code>{html.escape(source)}</code>"
    try:
        return str(convert(source, display=display))
    # The converter raises what it likes, IndexError and RecursionError among it.
    except Exception:  # noqa: BLE001
        return f"<code>{html.escape(source)}</code>"


def _fit_to_page(state: StateCore) -> None:
    """Headings below the page's own, and table alignment as an attribute.

    The content policy forbids `style=`, and nh3 would drop it.
    """
    for token in state.tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + HEADING_SHIFT)}"
        if token.type in ("th_open", "td_open"):
            style = str(token.attrs.pop("style", ""))
            if style.startswith("text-align:"):
                token.attrs["align"] = style.removeprefix("text-align:")


def _reader(**options: Any) -> MarkdownIt:
    """CommonMark with tables, strikethrough, and formulas in `$` or in `\\(`, `\\[`.

    Without spaces inside or digits beside the dollars, so "$5 and $6" stays money.
    """
    reader = MarkdownIt("commonmark", {"html": False, **options})
    reader.enable(["table", "strikethrough"])
    # Before dollarmath, whose renderer must win for both.
    reader.use(texmath_plugin, delimiters="brackets")
    reader.use(
        dollarmath_plugin, renderer=_formula, allow_space=False, allow_digits=False
    )
    reader.core.ruler.push("fit_to_page", _fit_to_page)
    return reader


MARKDOWN = _reader()
COLOURED = _reader(highlight=_highlighted)
