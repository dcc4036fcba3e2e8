"""Markdown becomes HTML that shows everything and runs nothing."""

from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotation.rendering import (
    ATTRIBUTES,
    COLOURED_LANGUAGES,
    LONGEST_COLOURED,
    LONGEST_RICH,
    TAGS,
    is_rich,
    render,
)

CASES = [  # text, what must be in the output, what must not
    ("**bold** and `code`", "<strong>bold</strong> and <code>code</code>", "**"),
    ("~~gone~~", "<s>gone</s>", "~"),
    ("<script>alert(1)</script>", "&lt;script&gt;", "<script"),
    ("<img src=x onerror=alert(1)>", "&lt;img", "<img"),
    ("[x](javascript:alert(1))", "javascript", "href"),
    ("[x](data:text/html,x)", "x", "href"),
    ("see ![i](http://tracker.invalid/x.png)", "<p>see", "<img"),
    ("![i](http://e.org/x)", '<div class="plain">![i](http://e.org/x)</div>', "<img"),
    ("[1]: http://e.org", '<div class="plain">[1]: http://e.org</div>', "href"),
    ('[](http://e.org "a>b")', "[](http://e.org", "href"),
    ("&nbsp;", '<div class="plain">&amp;nbsp;</div>', "<p>"),
    ("> - ```<b>", '<div class="plain">&gt; - ```&lt;b&gt;</div>', "<b>"),
    ("\u200b\n", "<p>\u200b</p>", "plain"),
    ("[home](/admin/)", "home", "href"),
    ("# Title", "<h4>Title</h4>", "<h1"),
    ("###### Deep", "<h6>Deep</h6>", "<h9"),
    ("| a |\n|--:|\n| 1 |", 'align="right"', "style="),
    ("7. seven", '<ol start="7">', "7."),
    ("costs $5 and $6", "$5 and $6", "<math"),
    ("area $x^2$", "<msup>", "$"),
    ("roots \\(x^2\\)", "<msup>", "eq>"),
    ("\\[\ny+1\n\\]", 'display="block"', "eq>"),
    ("$x\\text{<script>alert(1)</script>}$", "<math", "script"),
    ("$x\\text{</mtext></math><img src=x onerror=alert(1)>}$", "<math", "<img"),
    ("$\\href{javascript:alert(1)}{x}$", "<math", "javascript"),
    ("$" + "{" * 1900 + "$", "<code>", "<math"),
    ("$" + "x+" * 1500 + "x$", "<code>", "<math"),
    ("```python\nprint(1)\n```", '<span class="', "style="),
    ("```r\nx <- 1\n```", '<span class="', "style="),
    ("```csharp\nint a;\n```", "int a;", "<span"),
    ("~~~markdown\n```csharp\nint a;\n```\n~~~", "int a;", "<span"),
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


@pytest.mark.parametrize("piece", ["[", "![[", "$a", "\\(", "\\[\n", "a|b\n-|-\n"])
def test_a_text_of_little_but_openers_is_shown_as_it_was_written(piece: str) -> None:
    assert render(piece * 100).startswith("<") is True
    bomb = (piece * LONGEST_RICH)[:LONGEST_RICH]
    assert not is_rich(bomb)
    assert render(bomb) == f'<div class="plain">{bomb}</div>'


def test_prose_formulas_code_and_tables_of_sixteen_kibibytes_are_rich() -> None:
    prose = "It is so, and *this* is why: see [the page](https://example.org/).\n"
    formulas = "With $x_1^2 + y_1^2 = r^2$ and $\\alpha \\ge 0$ we have it all.\n"
    code = "    if (a[i] != b[i]) { return f('x', g(i)); }\n"
    table = "| one cell | another one | and a third |\n"
    for line in (prose, formulas, code, table):
        text = line * (LONGEST_RICH // len(line))
        assert is_rich(text)
        assert not is_rich(text + line)


def test_code_is_coloured_in_texts_of_a_kibibyte_and_plain_in_longer_ones() -> None:
    code = "\n\n```python\nprint(1)\n```\n"
    longest = "x" * (LONGEST_COLOURED - len(code)) + code
    assert '<span class="nb">print</span>' in render(longest)
    assert '<code class="language-python">print(1)\n</code>' in render("x" + longest)


def test_many_short_blocks_share_the_budget_of_their_text() -> None:
    block = "```java\nint a;\n```\n\n"
    assert "<span" in render(block)
    assert "<span" not in render(block * (LONGEST_COLOURED // len(block) + 1))


@pytest.mark.parametrize("language", sorted(COLOURED_LANGUAGES))
def test_every_language_on_the_list_is_read_within_the_budget_only(
    language: str,
) -> None:
    block = f"```{language}\n%s\n```"
    within = block % ("a " * (LONGEST_COLOURED // 2 - len(block)))
    assert f'class="language-{language}"' in render(within)
    beyond = render(block % ("a " * LONGEST_COLOURED))
    assert "<span" not in beyond


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
