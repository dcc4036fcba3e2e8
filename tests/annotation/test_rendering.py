"""Markdown becomes HTML that shows everything and runs nothing."""

from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotation.rendering import ATTRIBUTES, LONGEST_RICH, TAGS, render

CASES = [  # text, what must be in the output, what must not
    ("**bold** and `code`", "<strong>bold</strong> and <code>code</code>", "**"),
    ("~~gone~~", "<s>gone</s>", "~"),
    ("<script>alert(1)</script>", "&lt;script&gt;", "<script"),
    ("<img src=x onerror=alert(1)>", "&lt;img", "<img"),
    ("[x](javascript:alert(1))", "javascript", "href"),
    ("[x](data:text/html,x)", "x", "href"),
    ("![i](http://tracker.invalid/x.png)", "<p>", "<img"),
    ("[home](/admin/)", "home", "href"),
    ("# Title", "<h4>Title</h4>", "<h1"),
    ("###### Deep", "<h6>Deep</h6>", "<h9"),
    ("| a |\n|--:|\n| 1 |", 'align="right"', "style="),
    ("7. seven", '<ol start="7">', "7."),
    ("costs $5 and $6", "$5 and $6", "<math"),
    ("area $x^2$", "<msup>", "$"),
    ("roots \\(x^2\\)", "<msup>", "eq>"),
    ("\\[\ny+1\n\\]", 'display="block"', "eq>"),
    ("$\\text{<script>alert(1)</script>}$", "<math", "script"),
    ("$\\text{</mtext></math><img src=x onerror=alert(1)>}$", "<math", "<img"),
    ("$\\href{javascript:alert(1)}{x}$", "<math", "javascript"),
    ("$" + "{" * 1900 + "$", "<code>", "<math"),
    ("$" + "x+" * 1500 + "x$", "<code>", "<math"),
    ("```python\nprint(1)\n```", '<span class="', "style="),
    ("```nosuchlanguage\n<b>\n```", "&lt;b&gt;", "<b>"),
    ("~~~\n</pre><script>x</script>\n~~~", "&lt;script&gt;", "<script"),
    ("\u05e9\u05dc\u05d5\u05dd 你好 👋", "你好 👋", "&#"),
    ("", "", "<p>"),
]


@pytest.mark.parametrize(
    ("text", "wanted", "unwanted"), CASES, ids=[case[0][:24] for case in CASES]
)
def test_a_text_is_shown_and_runs_nothing(
    text: str, wanted: str, unwanted: str
) -> None:
    shown = render(text)
    assert wanted in shown
    assert unwanted not in shown


def test_a_link_opens_apart_and_tells_its_target_nothing() -> None:
    assert render("[x](https://example.org/ 'title')").strip() == (
        '<p><a href="https://example.org/" title="title" target="_blank"'
        ' rel="noopener noreferrer nofollow">x</a></p>'
    )


def test_a_text_beyond_sixteen_kibibytes_is_shown_as_it_was_written() -> None:
    longest = "é" * (LONGEST_RICH // 2)
    assert render(longest) == f"<p>{longest}</p>\n"
    assert render(longest + "*") == f'<div class="plain">{longest}*</div>'
    assert render("<b>" * LONGEST_RICH).startswith('<div class="plain">&lt;b&gt;')


class Allowed(HTMLParser):
    """Fails on any tag or attribute that the page does not expect."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in TAGS
        extra = {"target", "rel"} if tag == "a" else set()
        for name, value in attrs:
            assert name in ATTRIBUTES.get(tag, set()) | extra
            if name == "href":
                assert (value or "").lower().startswith(("http:", "https:", "mailto:"))


PIECES = (
    ("<", ">", "[", "](", ")", "!", "$", "\\(", "\\)", "`", "```", "\n", "|", "-", " "),
    ("<script>", "<svg onload=x>", "<math>", "</math>", "<style>", "<!--", "<a href="),
    ("\\text{", "\\href{", "}", "{", "&lt;", "\x00", "javascript:x", "//evil", "# "),
)
HOSTILE = st.lists(st.sampled_from([p for ps in PIECES for p in ps]), max_size=30)


@settings(deadline=None)
@given(HOSTILE.map("".join) | st.text())
def test_whatever_the_text_only_known_tags_and_addresses_come_out(text: str) -> None:
    Allowed().feed(render(text))
