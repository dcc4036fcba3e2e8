"""How heavy the ranking page is, and when it takes its first key.

A real Chromium with an empty cache, on a line of 150 ms and 1.6 Mbit/s as its own
network emulation makes it: every request waits 150 ms for its answer, six at a time.
Keys are pressed from the first byte on, as an impatient labeler would; the moment that
counts is when the page has marked a response as placed. It is taken inside the page,
from the start of the navigation.
"""

import gzip
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from playwright.sync_api import Browser, Page, Request, sync_playwright

from tests.benchmarks.compressing import compressing
from tests.benchmarks.figures import Figure
from tests.benchmarks.labeler import Labeler
from tests.benchmarks.material import prompt_lines
from tests.benchmarks.site import fresh_site
from tests.browser import find_browser

NAME = "first_key"
MOST_MS = 1_000.0
MOST_BYTES = 60_000
MOST_SCRIPT_BYTES = 8_192
LINE = {
    "offline": False,
    "latency": 150,  # ms from a request to the first byte of its answer
    "downloadThroughput": 1_600_000 / 8,  # bytes per second
    "uploadThroughput": 1_600_000 / 8,
}
MOST_PRESSES = 2_000  # some 20 s; a page that never takes a key must not hang a run
# Notes when a response is first placed, or rated where a project asks for that.
WATCH = """
new MutationObserver(() => {
  const judged = document.querySelector(".tiers .chip, .rating :checked");
  if (judged) window.placedAt ??= performance.now();
}).observe(document, { subtree: true, childList: true, attributes: true });
"""


@dataclass(frozen=True, kw_only=True)
class Size:
    """How often the page is loaded."""

    rounds: int = 5


@dataclass
class Load:
    """One load of the page: the files that came, and when it took a key."""

    wire: dict[str, int] = field(default_factory=dict)  # bytes by address, with headers
    gzipped: dict[str, int] = field(default_factory=dict)  # bytes of the bodies
    first_key_ms: float = 0.0


def measure(size: Size) -> list[Figure]:
    """Weight and first key, on a site of its own."""
    with fresh_site() as site, _browser() as browser:
        session = site.seed(prompt_lines(size.rounds + 1))
        web = site.web_for_a_browser()
        labeler = Labeler(web, session)
        loads = []
        with compressing(web) as address:
            for _ in range(size.rounds):
                # Each time another prompt: the site remembers what was placed before.
                page = labeler.claim()
                loads.append(_load(browser, address, session, page.path))
                labeler.submit(page)
    weighed = loads[0]
    scripts = {url: n for url, n in weighed.gzipped.items() if url.endswith(".js")}
    own = [size for url, size in scripts.items() if "/main." in url]
    return [
        _bytes("page for K = 9, all files, gzip", weighed.gzipped.values(), MOST_BYTES),
        _bytes("… the script it runs", own, MOST_SCRIPT_BYTES),
        _bytes("… with those fetched ahead", scripts.values(), None),
        _bytes("… as sent, headers too", weighed.wire.values(), None),
        Figure(
            benchmark=NAME, what="files", rounds=[len(weighed.wire)], unit="requests"
        ),
        Figure(
            benchmark=NAME,
            what="first key, cold cache, 150 ms, 1.6 Mbit/s",
            rounds=[load.first_key_ms for load in loads],
            unit="ms",
            at_most=MOST_MS,
        ),
    ]


def _bytes(what: str, sizes: Iterable[int], at_most: float | None) -> Figure:
    return Figure(
        benchmark=NAME, what=what, rounds=[sum(sizes)], unit="bytes", at_most=at_most
    )


@contextmanager
def _browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=find_browser(),
            # The sandbox needs rights that a container's root does not have.
            args=["--no-sandbox", "--disable-dev-shm-usage"],
        )
        try:
            yield browser
        finally:
            browser.close()


def _load(browser: Browser, address: str, session: str, path: str) -> Load:
    """Load the page in a window that has never been here, over the slow line."""
    context = browser.new_context(viewport={"width": 1200, "height": 800})
    context.add_cookies([{"name": "sessionid", "value": session, "url": address}])
    page = context.new_page()
    page.add_init_script(WATCH)
    finished: list[Request] = []
    page.on("requestfinished", lambda request: finished.append(request))
    line = context.new_cdp_session(page)
    line.send("Network.emulateNetworkConditions", LINE)
    page.goto(address + path, wait_until="commit")
    load = Load(first_key_ms=_first_key(page))
    page.wait_for_load_state("networkidle")
    for request in finished:
        if (
            request.resource_type != "fetch"
        ):  # what its script asks for is no part of it
            _weigh(request, load)
    context.close()
    return load


def _first_key(page: Page) -> float:
    """Press 1 until a response has a place; when that was, in ms."""
    for _ in range(MOST_PRESSES):
        page.keyboard.press("1")
        if placed_at := page.evaluate("window.placedAt"):
            return float(placed_at)
    raise RuntimeError(f"The page took no key: {page.content()}")


def _weigh(request: Request, load: Load) -> None:
    """Add a file to the books. What came uncompressed is compressed here to be
    weighed: a proxy in front may do that, and the bar says gzip."""
    response, sizes = request.response(), request.sizes()
    assert response is not None
    load.wire[request.url] = sizes["responseBodySize"] + sizes["responseHeadersSize"]
    load.gzipped[request.url] = (
        sizes["responseBodySize"]
        if "content-encoding" in response.headers
        else len(gzip.compress(response.body()))
    )
