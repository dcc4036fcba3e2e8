"""Headings of instructions and terms follow the page's title without a gap."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.headings import as_sections
from annotation.rendering import render


@pytest.mark.parametrize(
    ("markdown", "levels"),
    [
        ("# A\n## B\n# C", ["2", "3", "2"]),
        ("### A\n###### B", ["2", "2"]),  # both are h6 in a response
        ("## A\n### B\n# C", ["3", "4", "2"]),
        ("no heading", []),
    ],
)
def test_headings_begin_below_the_title(markdown: str, levels: list[str]) -> None:
    assert re.findall(r"<h(\d)>", as_sections(render(markdown))) == levels


def test_what_looks_like_a_heading_and_is_text_stays() -> None:
    html = as_sections(render("`<h4>` is a tag\n\n<h5>so</h5>"))
    assert "&lt;h4&gt;" in html
    assert "&lt;h5&gt;so&lt;/h5&gt;" in html


@given(st.text())
def test_nothing_but_headings_changes(markdown: str) -> None:
    html = render(markdown)
    without = re.compile(r"</?h\d>")
    assert without.sub("", as_sections(html)) == without.sub("", html)
