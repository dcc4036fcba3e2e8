"""The control of every look that finds nothing: it finds what is there."""

import pytest
from playwright.sync_api import Browser

from tests.e2e.looks import CONTRAST, bring_axe, faults

pytestmark = pytest.mark.browser

PAGE = """<!doctype html><html lang="en"><title>Tides</title><main><h1>Tides</h1>
<img src="x"><p style="color: #aaa; background: #fff">Hardly to be read.</p></main>"""


@pytest.mark.parametrize("axe_comes_with", ["the window", "the look"])
def test_what_breaks_a_rule_is_found_and_named(
    browser: Browser, axe_comes_with: str
) -> None:
    """By the first look and by the second."""
    context = browser.new_context()
    if axe_comes_with == "the window":
        bring_axe(context)
    page = context.new_page()
    page.set_content(PAGE)
    pale, without_words = 'color-contrast: [["p"]]', 'image-alt: [["img"]]'
    assert sorted(faults(page)) == [pale, without_words]
    assert faults(page, type="rule", values=CONTRAST) == [pale]
    context.close()
