"""What a page is held to, whoever reads it: axe's rules, and what axe does not say."""

import os
from pathlib import Path
from typing import Any

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import BrowserContext, Page

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
NARROWEST = 320  # px; a window of 1280 px at 400 %
SMALLEST, SMALLEST_FOR_FINGERS = 24, 44  # px

# What breaks a rule, and where. All else that axe finds would cost more to hand over
# than to find.
VIOLATIONS = """async options => (await axe.run(options)).violations
  .map(({id, nodes}) => `${id}: ${JSON.stringify(nodes.map(node => node.target))}`)"""
# Pictures of whole pages are taken for whoever names a folder for them.
FOLDER = os.environ.get("SCREENSHOTS", "")

# Links within a sentence are as high as its lines.
SMALL = """([selector, least]) => [...document.querySelectorAll(selector)]
  .filter(e => e.checkVisibility({visibilityProperty: true, opacityProperty: true}))
  .filter(e => !e.closest('.visually-hidden:not(:focus)'))
  .filter(e => !(getComputedStyle(e).display === 'inline' && e.matches('a')
    && e.parentElement.textContent.trim() !== e.textContent.trim()))
  .map(e => [e, (e.labels?.[0]?.contains(e) ? e.labels[0] : e).getBoundingClientRect()])
  .filter(([e, r]) => r.width > 2 && (r.width < least || r.height < least))
  .map(([e, r]) => `${e.tagName.toLowerCase()} “${(e.id || e.textContent).trim()}” of
    ${r.width.toFixed(1)} by ${r.height.toFixed(1)} px`)"""
TARGETS = "button, select, input, textarea, summary, a"
ACTIONS = "main button:not(.quiet), main .button:not(.quiet)"

# Every stop of Tab gets the focus as by Tab, which scrolls it into sight. It must be
# the topmost element at one of its points then, and have a ring of two pixels.
HIDDEN = """() => {
  scrollTo(0, 0);
  const stops = [...document.querySelectorAll(
    'a[href], button, select, input, textarea, summary, [tabindex="0"]')].filter(e =>
    e.checkVisibility({visibilityProperty: true}) && !e.disabled && e.tabIndex >= 0);
  const isTop = (e, x, y) => {
    const top = document.elementFromPoint(x, y);
    return top && (top === e || e.contains(top) || e.labels?.[0]?.contains(top));
  };
  return stops.filter(e => {
    e.focus({focusVisible: true});
    if (document.activeElement !== e) return true;
    const seen = [...e.getClientRects()].some(r =>
      isTop(e, r.left + 2, r.top + 2) || isTop(e, r.right - 2, r.bottom - 2)
      || isTop(e, r.left + r.width / 2, r.top + r.height / 2));
    const {outlineStyle, outlineWidth} = getComputedStyle(e);
    return !seen || outlineStyle === 'none' || parseFloat(outlineWidth) < 2;
  }).map(e => `${e.tagName.toLowerCase()} “${(e.id || e.textContent).trim()}”`);
}"""
WIDER = """() => {
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= width) return [];
  return [...document.querySelectorAll('body *')]
    .filter(e => e.getBoundingClientRect().right > width + 0.5
      && !e.closest('.table-scroll, pre'))
    .map(e => `${e.tagName.toLowerCase()}.${e.className} “${e.textContent.trim()
      .slice(0, 20)}”`).slice(-3);
}"""


def shoot(page: Page, name: str) -> None:
    """A picture of the whole page, if pictures are asked for."""
    if FOLDER:
        page.screenshot(path=Path(FOLDER) / f"{name}.png", full_page=True)


def bring_axe(context: BrowserContext) -> None:
    """axe is on every page of the window: half a megabyte that is sent once, and not
    for each look."""
    context.add_init_script(AXE_SCRIPT)


def faults(page: Page, **run_only: Any) -> list[str]:
    """What axe holds against the page, by all its rules or those that are named."""
    only = run_only or {"type": "tag", "values": RULES}
    if not page.evaluate("Boolean(window.axe?.run)"):
        page.evaluate(AXE_SCRIPT)
    options = {"runOnly": only, "resultTypes": ["violations"]}
    return list(page.evaluate(VIOLATIONS, options))


def hidden_stops(page: Page) -> list[str]:
    """What Tab leads to and cannot be seen to have the focus."""
    return [f"focus not seen: {one}" for one in page.evaluate(HIDDEN)]


def too_small(page: Page, *, fingers: bool) -> list[str]:
    """Targets under 24 px; for fingers also buttons under 44 px."""
    small = list(page.evaluate(SMALL, [TARGETS, SMALLEST]))
    if fingers:
        small += page.evaluate(SMALL, [ACTIONS, SMALLEST_FOR_FINGERS])
    return [f"too small: {' '.join(one.split())}" for one in small]


def too_wide(page: Page) -> list[str]:
    """What sticks out of the window."""
    return [f"wider than the window: {one}" for one in page.evaluate(WIDER)]


def complaints_at_a_desk(page: Page, name: str) -> list[str]:
    """Light, then dark."""
    found = faults(page) + too_small(page, fingers=False) + too_wide(page)
    found += hidden_stops(page)
    shoot(page, f"{name}-light")
    page.emulate_media(color_scheme="dark")
    found += [f"dark: {one}" for one in faults(page, type="rule", values=CONTRAST)]
    shoot(page, f"{name}-dark")
    page.emulate_media(color_scheme="light")
    return found


CONTRAST = ["color-contrast", "link-in-text-block"]


def complaints_on_a_phone(page: Page, name: str) -> list[str]:
    """As it is, then on the narrowest."""
    window = page.viewport_size
    assert window is not None
    found = faults(page) + too_small(page, fingers=True) + too_wide(page)
    shoot(page, f"{name}-phone")
    page.set_viewport_size({"width": NARROWEST, "height": 568})
    found += [f"at {NARROWEST} px: {one}" for one in too_wide(page)]
    found += hidden_stops(page)
    page.set_viewport_size(window)
    return found
