"""The ranking page for people who see, move and read in other ways.

axe finds what can be read off the page; whether the focus is hidden behind something
and whether targets are large enough is measured here, because axe does not say.
`SCREENSHOTS=DIR` takes pictures, to be looked at. A light desk and a dark phone
stand for all windows here; the others are opened by `make chaos`.
"""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from annotation import queue
from annotation.models import Instructions, Membership, Project, Prompt
from tests.e2e.conftest import DESKTOP, PHONE, Visitor
from tests.e2e.looks import faults, shoot
from tests.e2e.rank_steps import started

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]

WINDOWS: dict[str, dict[str, Any]] = {
    "desktop": {"viewport": DESKTOP},
    "wide": {"viewport": {"width": 1600, "height": 1000}},
    "phone": {"viewport": PHONE, "has_touch": True},
    "narrow": {"viewport": {"width": 320, "height": 568}},
    "zoomed": {"viewport": {"width": 320, "height": 256}},
    "dark": {"viewport": DESKTOP, "color_scheme": "dark"},
    "dark-phone": {"viewport": PHONE, "color_scheme": "dark"},
    "forced": {"viewport": DESKTOP, "forced_colors": "active"},
}
# What colour says is said by a line too: a response in its tier, a chip in hand.
LINES = """() => [
  getComputedStyle(document.getElementById('rA')).borderLeftWidth,
  getComputedStyle(document.getElementById('rI')).borderLeftWidth,
  getComputedStyle(document.querySelector('.chip[aria-pressed=true]')).outlineStyle,
]"""

LIST = """Low tide and high tide come **twice a day**. Here is why:

1. The Moon pulls on the ocean below it.
2. The Earth turns, so the bulge of water seems to travel.

> Spring tides are larger: Sun and Moon pull in one line.
"""
CODE = """The height is roughly $h(t) = A\\cos(\\omega t + \\varphi)$, so:

```python
def height(hours: float, amplitude: float = 1.2) -> float:
    # twice a day: once around in 12.42 hours
    return amplitude * math.cos(2 * math.pi * hours / 12.42)  # metres above mean
```

| place | range |
|---|--:|
| Fundy | 16 m |
| Kiel | 0.1 m |
"""
PLAIN = (
    "The Moon is big and it pulls on the sea like a gentle magnet. When the water is"
    " pulled toward the Moon it piles up a little, and that is high tide. "
)
TEXTS = [
    LIST,
    PLAIN,
    CODE,
    "The tides are caused by wind.",
    PLAIN * 3,
    "  ",
    PLAIN * 14,
]
TEXTS += [
    "גאות ושפל נגרמים על ידי הירח.",
    "[More](https://example.org/tides) 🌊 " + PLAIN,
]


def make_rich_prompt(project: Project, k: int) -> None:
    Instructions.objects.create(
        project=project,
        version=2,
        text="Prefer answers that are **true**, then clear, then short.",
    )
    prompt = Prompt.objects.create(
        project=project,
        external_id="rich",
        line_sha256="0" * 64,
        messages=[
            {"role": "system", "content": "You answer children of eight years."},
            {
                "role": "user",
                "content": "Explain tides. Is it the **Moon**?",
            },
        ],
    )
    for number, text in enumerate(TEXTS[:k]):
        prompt.responses.create(external_id=f"r{number}", text=text)
    queue.open_slots([prompt])


# null: nothing that takes room has the focus. Else its name, and whether the topmost
# element at one of three of its points is itself, its child, or what it stands in.
FOCUSED = """() => {
  const e = document.activeElement;
  if (!e || e === document.body) return null;
  const r = e.getBoundingClientRect();
  if (r.width < 3) return null;
  const points = [[r.left + 2, r.top + 2], [r.right - 2, r.bottom - 2],
                  [r.left + r.width / 2, r.top + r.height / 2]];
  const seen = points.some(([x, y]) => {
    const t = document.elementFromPoint(x, y);
    return t && (t === e || e.contains(t) || (t.contains(e)
      && ![document.body, document.documentElement].includes(t)
      && !t.matches('#board, #prompt-bar, main, form, .workbench, .responses')));
  });
  return [e.id || e.textContent.trim().slice(0, 20), seen];
}"""

SMALL = """() => [...document.querySelectorAll('button, select, input, summary, a')]
  .filter(e => e.checkVisibility({visibilityProperty: true}) && !e.closest('.text'))
  .map(e => [e.id || e.className || e.textContent, (e.labels?.[0]?.contains(e)
    ? e.labels[0] : e).getBoundingClientRect()])
  .filter(([n, r]) => r.width > 2 && (r.width < 24 || r.height < 24))
  .map(([n, r]) => `${n} ${r.width.toFixed(1)}x${r.height.toFixed(1)}`)"""


def hidden_stops(page: Page, stops: int = 60) -> list[str]:
    """Elements that had the focus and could not be seen, on the way by Tab."""
    page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    hidden = []
    for _ in range(stops):
        page.keyboard.press("Tab")
        page.wait_for_timeout(30)  # a frame, for the scrolling that focus causes
        focused = page.evaluate(FOCUSED)
        if focused and not focused[1]:
            hidden.append(focused[0])
    return hidden


def can_be_ranked(project: Project, alice: Membership, visit: Visitor, at: str) -> None:
    """In the window of that name, with nine responses, or so many as follow it."""
    window, _, k = at.partition(" ")
    make_rich_prompt(project, int(k or 9))
    page = started(visit(alice, reduced_motion="reduce", **WINDOWS[window])).page
    shoot(page, f"rank-{at.replace(' ', '-')}")
    assert faults(page) == []
    assert page.evaluate(SMALL) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert hidden_stops(page) == []


def can_be_mended(project: Project, alice: Membership, visit: Visitor, at: str) -> None:
    """Half-way, with a chip in hand, the board open and an error above."""
    make_rich_prompt(project, 9)
    page = started(visit(alice, reduced_motion="reduce", **WINDOWS[at])).page
    page.locator("#tA").focus()
    for key in "3314":
        page.keyboard.press(key)
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("alert")).to_contain_text("E, F, G, H and I are unranked.")
    if page.locator("#open-board").is_visible():
        page.locator("#open-board").click()
    page.locator("#pool .chip").first.click()
    if at == "forced":
        assert page.evaluate(LINES) == ["4px", "1px", "solid"]
    shoot(page, f"rank-{at}-half-way")
    assert faults(page) == []
    assert page.evaluate(SMALL) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def can_be_read_without_script(
    project: Project, alice: Membership, visit: Visitor, at: str
) -> None:
    """And mended: the server says what is missing."""
    make_rich_prompt(project, 4)
    her_window = visit(alice, java_script_enabled=False, **WINDOWS[at])
    page = her_window.open("/p/tides/rank/")
    page.get_by_role("button", name="Start ranking").click()
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_role("alert")).to_contain_text("A, B, C and D are unranked.")
    shoot(page, f"rank-{at}-without-script")
    her_window.said.clear()  # the browser reports the status 422


def can_be_begun_and_ended(
    project: Project, alice: Membership, visit: Visitor, at: str
) -> None:
    """The page before the first prompt, and that after the last."""
    make_rich_prompt(project, 4)
    page = visit(alice, **WINDOWS[at]).open("/p/tides/rank/")
    shoot(page, f"rank-{at}-start")
    assert faults(page) == []
    assert page.evaluate(SMALL) == []
    page.get_by_role("button", name="Start ranking").click()
    expect(page.locator("html.scripted")).to_be_attached()
    page.locator("#tA").focus()
    for key in "1234":
        page.keyboard.press(key)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Nothing left to rank")).to_be_visible()
    shoot(page, f"rank-{at}-end")
    assert faults(page) == []
    assert page.evaluate(SMALL) == []


Step = Callable[[Project, Membership, Visitor, str], None]


@pytest.mark.parametrize(
    ("step", "window"),
    [
        (can_be_ranked, "desktop"),
        (can_be_ranked, "dark-phone"),
        (can_be_mended, "dark-phone"),
        (can_be_read_without_script, "desktop"),
        (can_be_begun_and_ended, "desktop"),
    ],
)
def test_nobody_is_kept_from_ranking(
    project: Project, alice: Membership, visit: Visitor, step: Step, window: str
) -> None:
    step(project, alice, visit, window)
