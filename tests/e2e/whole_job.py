"""The whole job as people do it, on a real stack: from an SFT model to rewards.

Each step is one person at work in a browser, or one command. The fast suite runs it
with a tiny model, `make chaos` with SmolLM2.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, expect

from ranking.splits import group_of, split_of
from tests.e2e.stack import Stack, link_in

WANTED = {"train": 5, "valid1": 2, "valid2": 2}
SUBJECTS = (
    "tides", "bread", "rust", "echoes", "fog", "yeast", "shadows", "magnets", "glass",
    "salt", "bees", "dew", "soap", "clouds", "rivers", "paper", "sand", "honey",
    "thunder", "mirrors", "kites", "candles", "sleep", "colour", "ice", "wool", "ink",
)  # fmt: skip
TIE_KEYS = ("1", "1", "2", "3")  # A and B tied for best, then C, then D


def chosen_prompts() -> list[str]:
    """Prompts that fill every split, so that held-out accuracy is defined."""
    wanted, chosen = dict(WANTED), []
    for subject in SUBJECTS:
        text = f"Explain {subject} to a child."
        split = split_of(group_of([{"role": "user", "content": text}]))
        if wanted[split]:
            wanted[split] -= 1
            chosen.append(text)
    assert not any(wanted.values()), f"SUBJECTS do not fill {wanted}"
    return chosen


def go(page: Page, name: str) -> None:
    """Follow a link of the project's navigation."""
    navigation = page.get_by_role("navigation", name="Project")
    navigation.get_by_role("link", name=name, exact=True).click()


@dataclass
class WholeJob:
    """One installation, one browser, and the people at work."""

    stack: Stack
    browser: Browser
    seconds: float  # how long a job of the workers may take

    def run(self, folder: Path, **settings: str) -> list[float]:
        """All of it; the rewards of a chosen and a rejected response at the end."""
        links = self.set_up(folder)
        with self.signed_in(links["admin"]) as page:
            self.have_responses_written(page)
        for labeler in ("alice", "bob"):
            with self.signed_in(links[labeler]) as page:
                self.rank_everything(page)
        with self.signed_in(links["admin again"]) as page:
            self.read_agreement(page)
        with self.signed_in(links["researcher"]) as page:
            self.download_pairs(page, folder)
            snippet = self.retrain(page, **settings)
        return self.score(snippet)

    # --- Setting up -------------------------------------------------------------

    def set_up(self, folder: Path) -> dict[str, str]:
        """A project with prompts, members, and a one-time link for each."""
        prompts = folder / "prompts.jsonl"
        rows = [
            {"id": f"p{n}", "prompt": text} for n, text in enumerate(chosen_prompts())
        ]
        prompts.write_text("".join(json.dumps(row) + "\n" for row in rows))
        links = {"site admin": link_in(self.stack.manage("create_admin", "a@b.org"))}
        with self.signed_in(links["site admin"]) as page:
            page.get_by_label("Title").fill("Whole job")
            page.get_by_label("Name in addresses").fill("whole")
            page.get_by_label("Labelers for a prompt").fill("2")
            page.get_by_role("button", name="Make the project").click()
            go(page, "Prompts")
            page.get_by_role("link", name="Import prompts").click()
            page.set_input_files("input[type=file]", prompts)
            page.get_by_role("button", name="Check the file").click()
            # The first work for a worker that is still starting.
            wait = self.seconds * 1000
            name = f"Import {len(rows)} lines"
            page.get_by_role("button", name=name).click(timeout=wait)
            expect(page.locator("main")).to_contain_text(
                f"{len(rows)} imported.", timeout=wait
            )
            for name, role in (
                ("admin", "admin"),
                ("alice", "labeler"),
                ("bob", "labeler"),
                ("researcher", "researcher"),
            ):
                links[name] = self.let_in(page, name, role)
            links["admin again"] = self.let_in(page, "admin2", "admin")
        return links

    def let_in(self, page: Page, name: str, role: str) -> str:
        """Add a member; the link to hand to them."""
        go(page, "Members")
        page.get_by_label("E-mail address").fill(f"{name}@example.org")
        page.get_by_label(re.compile("^Name")).fill(name)
        page.get_by_label("Role").select_option(role)
        page.get_by_role("button", name="Add member").click()
        return link_in(page.content().replace("</", " </").replace('"', " "))

    @contextmanager
    def signed_in(self, link: str) -> Iterator[Page]:
        """A browser of one person's own; any message on its console is a failure."""
        context = self.browser.new_context()
        complaints: list[str] = []
        try:
            page = context.new_page()
            page.on("console", lambda message: complaints.append(message.text))
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.set_default_timeout(30_000)
            page.goto(link)
            page.get_by_role("button", name="Sign in", exact=True).click()
            project = page.get_by_role("link", name="Whole job")
            if project.count():
                project.click()
            yield page
            assert complaints == []
        finally:
            context.close()

    # --- The admin --------------------------------------------------------------

    def have_responses_written(self, page: Page) -> None:
        """Queue the job by its button and watch its progress."""
        page.get_by_label("SFT model").select_option(index=0)
        page.get_by_label("Fewest responses").fill("4")
        page.get_by_label("Most responses").fill("4")
        page.get_by_label("Longest response").fill("12")
        page.get_by_role("button", name="Write responses").click()
        state = page.locator("#generation .state")
        expect(state).to_have_text(
            re.compile("done|failed", re.I), timeout=self.seconds * 1000
        )
        expect(state).to_have_text(re.compile("done", re.I))
        total = len(chosen_prompts())
        expect(page.locator("#generation")).to_contain_text(f"{total} of {total}")

    def read_agreement(self, page: Page) -> None:
        """Both ranked by position and saw different orders, so they rarely agree; what
        matters is that every comparison is there."""
        go(page, "Dashboard")
        page.get_by_role("link", name="Full report").click()
        main = page.locator("main")
        expect(main).to_contain_text("by 2 labelers")
        prompts = len(chosen_prompts())
        # One pair of six is tied in every ranking.
        expect(main).to_contain_text(f"{2 * prompts} of {12 * prompts} pairs")
        expect(main).to_contain_text("comparisons")
        expect(main).to_contain_text("alice")

    # --- Labelers ---------------------------------------------------------------

    def rank_everything(self, page: Page) -> None:
        """Every prompt by keyboard: A and B tied, then C, then D."""
        go(page, "Rank")
        page.get_by_role("button", name="Start ranking").click()
        for _ in chosen_prompts():
            expect(page.locator("#pool")).to_be_visible()  # the script is there
            page.locator("#tA").focus()
            for key in TIE_KEYS:
                page.keyboard.press(key)
            before = re.escape(page.url)
            page.keyboard.press("Enter")
            page.wait_for_url(re.compile(f"^(?!{before}$)"))
        expect(page.get_by_role("heading", level=1)).to_have_text(
            "Nothing left to rank"
        )

    # --- The researcher ---------------------------------------------------------

    def download_pairs(self, page: Page, folder: Path) -> None:
        """Freeze what was ranked, and download its pairs."""
        go(page, "Datasets")
        page.get_by_role("button", name=re.compile("Freeze")).click()
        with page.expect_download() as waiting:
            page.get_by_role("link", name="Download pairs").click()
        path = folder / "pairs.download"
        waiting.value.save_as(path)
        pairs = [json.loads(line) for line in path.read_text().splitlines()]
        assert len(pairs) == 2 * 5 * len(chosen_prompts())  # 6 pairs, 1 tied

    def retrain(self, page: Page, **settings: str) -> Path:
        """Start a run from the SFT model; the folder of the model it made."""
        go(page, "Training runs")
        page.get_by_label("Base model").select_option(index=0)
        page.get_by_text("Settings", exact=True).click()
        for label, value in settings.items():
            page.get_by_label(label.replace("_", " "), exact=False).first.fill(value)
        page.get_by_role("button", name="Retrain").click()
        state = page.locator("#live .state").first
        expect(state).to_have_text(
            re.compile("done|failed", re.I), timeout=self.seconds * 1000
        )
        expect(state).to_have_text(re.compile("done", re.I))
        live = page.locator("#live")
        expect(live).to_contain_text("Training loss")
        expect(live).to_contain_text(re.compile(r"of \d+ pairs, 2 prompts"))
        snippet = page.locator("pre", has_text="manage.py score").inner_text()
        found = re.search(r"--model (\S+)", snippet)
        assert found, snippet
        return Path(found[1])

    def score(self, folder: Path) -> list[float]:
        """The rewards of a chosen and a rejected response, as a command prints them."""
        assert folder.exists(), folder
        line = json.dumps({"prompt": chosen_prompts()[0], "responses": ["Yes.", "No."]})
        printed: dict[str, Any] = json.loads(
            self.stack.manage("score", "--model", str(folder), stdin=line + "\n")
        )
        rewards: list[float] = printed["rewards"]
        return rewards
