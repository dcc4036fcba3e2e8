"""Steps on the ranking page in a real browser, and what it shows."""

from typing import TYPE_CHECKING, Any

from playwright.sync_api import Page, Route, expect

from annotation.shown import as_shown
from ranking.models import Ranking

if TYPE_CHECKING:  # the windows are fixtures, which use these steps
    from tests.e2e.conftest import Visit


def started(window: "Visit") -> "Visit":
    """The window after its labeler asked for a prompt."""
    window.open("/p/tides/rank/").get_by_role("button", name="Start ranking").click()
    # "false" once its scripts have come and hear keys.
    # Looked for at once again, where `expect` would wait for 100 and then 250 ms.
    window.page.locator("#ranking[aria-busy=false]").wait_for()
    return window


def tiers(page: Page) -> str:
    """What the selects say, one character each, 0 for unranked."""
    values = page.locator("#ranking article select").evaluate_all(
        "all => all.map(s => s.value)"
    )
    return "".join(value or "0" for value in values)


def stored() -> str:
    """The ranks of the one current ranking in the order of the page's letters."""
    ranking = Ranking.objects.current().get()
    shown = as_shown(ranking.assignment, ranking.assignment.prompt.responses.all())
    ranks = dict(ranking.placements.values_list("response", "rank"))
    return "".join(str(ranks[response.pk]) for response in shown.values())


NAMED = ("Enter", "Escape", "Tab", "Backspace")


def press(page: Page, keys: str) -> None:
    """Keys one after another: "12 Enter" is 1, 2, Enter; "Shift+2" is one."""
    for word in keys.split():
        for key in [word] if word in NAMED or "+" in word else word:
            page.keyboard.press(key)


def focus(page: Page) -> str:
    """The id of the element that has the focus, or the letter of a chip."""
    script = "document.activeElement.id || document.activeElement.dataset.letter"
    return str(page.evaluate(script) or "nothing")


def says(page: Page, text: str) -> None:
    expect(page.locator("#status")).to_have_text(text)


def chip(page: Page, letter: str) -> Any:
    return page.locator(f".chip[data-letter={letter}]")


def submitted(page: Page) -> None:
    expect(page.get_by_role("heading", name="Nothing left to rank")).to_be_visible()
    expect(page.get_by_text("Ranking submitted.").first).to_be_visible()


def drag(page: Page, letter: str, to: str, *, drop: bool = True) -> None:
    """A chip taken with the mouse to the middle of a place."""
    chip(page, letter).hover()
    page.mouse.down()
    page.mouse.move(5, 300)
    box = page.locator(to).bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=4)
    if drop:
        page.mouse.up()


def drafts(page: Page) -> list[str]:
    script = "Object.keys(localStorage).filter(key => key.startsWith('draft:'))"
    return list(page.evaluate(script))


SUBMIT = "**/api/v1/assignments/*/submit"


def alert(page: Page, text: str) -> None:
    expect(page.locator("#alert")).to_contain_text(text)


def unsent(page: Page, text: str) -> None:
    """What the header says of rankings that have not arrived; "" for nothing."""
    if text:
        expect(page.locator("#outbox")).to_have_text(text)
    else:
        expect(page.locator("#outbox")).to_be_hidden()


def cut(page: Page) -> None:
    """From now on there is no network."""
    page.context.set_offline(True)
    page.context.route("**/api/v1/**", refuse)


def refuse(route: Route) -> None:
    route.abort("internetdisconnected")


def mend(page: Page) -> None:
    """And now there is."""
    page.context.unroute("**/api/v1/**", refuse)
    page.context.set_offline(False)


def wake(page: Page) -> None:
    """Somebody comes back to this tab."""
    page.evaluate(
        "document.dispatchEvent(new Event('visibilitychange', {bubbles: true}))"
    )


def eventually(page: Page, script: str) -> None:
    """Wait until an expression is true. The library's own wait needs `unsafe-eval`."""
    for _ in range(200):
        if page.evaluate(script):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never true: {script}")
