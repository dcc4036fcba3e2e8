"""Whatever a text is, its HTML runs nothing, loads nothing and is there in time."""

import html
import re
import time
from html.parser import HTMLParser

from hypothesis import strategies as st
from pygments.token import STANDARD_TYPES

from annotation.raw_text import raw_html
from annotation.rendering import ATTRIBUTES, COLOURED_LANGUAGES, TAGS, render
from annotation.visible import is_blank
from tests.fuzz.search import Fuzzer
from tests.security.payloads import PAYLOADS

MOST = 0.3  # seconds of CPU, as F26 asks
TRIES = 5  # a busy machine makes CPU time longer too, now and then
VOID = {"br", "hr"}
A_CLASS = re.compile(r"language-\S*|plain|math|inline|block")
SCHEMES = ("http:", "https:", "mailto:")
ON_A_LINK = {"target": "_blank", "rel": "noopener noreferrer nofollow"}

SIGNS = (
    *("*", "_", "~~", "`", "```", "~~~", "[", "](", ")", "![", "!", "<", ">", "&", '"'),
    *("|", "\n|-|-|\n", "\n", "\n\n", "    ", "> ", "- ", "1. ", "# ", "\t", "\\", "'"),
    *("$", "$$", "\\(", "\\)", "\\[", "\\]", "\\frac", "{", "}", "^", "_", "\\text{"),
    *("\\begin{matrix}", "\\end{matrix}", "\\href{", "\\left(", "\\sqrt[", "\\color{"),
    *(
        "&lt;",
        "&#106;",
        "&quot;",
        "[x]: ",
        "javascript:",
        "data:",
        "//",
        "http://",
        "x",
    ),
    *("</div>", "<!--", "-->", "]]>", "<math>", "</annotation-xml>", "<svg ", " onx="),
    *("\0", "\x0b", "\r", "\u200b", "\u202e", "\ufeff", "\u0301", "\x85", "\u2028"),
    *(f"\n```{language.lower()}\n" for language in sorted(COLOURED_LANGUAGES)),
)
PIECES = st.sampled_from(SIGNS) | st.sampled_from(PAYLOADS) | st.text(max_size=8)
TEXTS = st.lists(PIECES, max_size=60).map("".join)
REPEATED = st.builds(
    lambda piece, times, end: piece * times + end,
    st.lists(PIECES, min_size=1, max_size=4).map("".join),
    st.integers(1, 2_000),
    TEXTS,
)


class Page(HTMLParser):
    """Reads HTML, and fails for what no page of ours may hold."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.text: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in TAGS, tag
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            self.check(tag, name, value or "")

    def check(self, tag: str, name: str, value: str) -> None:
        """One attribute."""
        if tag == "a" and name in ON_A_LINK:
            assert value == ON_A_LINK[name]
            return
        assert name in ATTRIBUTES.get(tag, set()), (tag, name)
        if name == "href":
            assert value.lower().startswith(SCHEMES), value
        if name == "class":
            for one in value.split():
                known = one in STANDARD_TYPES.values() or A_CLASS.fullmatch(one)
                assert known, f"the class {one!r} may be one of the site's own"

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> ends nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data!r}")

    def handle_decl(self, decl: str) -> None:
        raise AssertionError(f"a declaration: {decl!r}")

    def handle_pi(self, data: str) -> None:
        raise AssertionError(f"an instruction: {data!r}")


def read(page: str) -> str:
    """The text of safe HTML whose elements are all closed."""
    reader = Page()
    reader.feed(page)
    reader.close()
    assert reader.open == [], "elements that nothing closes"
    return "".join(reader.text)


def in_time(text: str) -> str:
    """The HTML; of five tries one has to be in time."""
    for _ in range(TRIES):
        started = time.process_time()
        page = render(text)
        took = time.process_time() - started
        if took <= MOST:
            return page
    raise AssertionError(f"{took:.2f} s of CPU for {len(text.encode())} bytes")


def check(text: str) -> None:
    """What holds for every text that an import can store."""
    shown = read(in_time(text))
    assert not is_blank(shown) or is_blank(text), "a text that shows nothing"
    raw = re.sub(
        r'<i data-code="U\+[0-9A-F]+">(.*?)</i>', r"\1", raw_html(text), flags=re.S
    )
    assert "<" not in raw
    assert html.unescape(raw) == text


STORABLE = st.characters(exclude_characters="\0", exclude_categories=["Cs"])
FUZZER = Fuzzer(
    inputs=(TEXTS | REPEATED | st.text(STORABLE)).map(
        lambda text: text.replace("\0", "")
    ),
    check=check,
)
