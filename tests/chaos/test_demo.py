"""`manage.py demo` as a newcomer meets it: from nothing to a prompt to be ranked."""

import http.cookiejar
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.e2e.stack import ROOT, free_port

# After these something is wrong that waiting does not mend, also on a busy machine.
START_SECONDS = 300
FIRST_PROMPT_SECONDS = 900
TO_PRACTISE_ON = "the same side of the moon"
TITLES = ("Labeler 1", "Labeler 2", "Admin", "Researcher")


def take_interrupts() -> None:
    """What a script starts in its background ignores them, and so do its children."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


class Demo:
    """A running demo, and what it has printed."""

    def __init__(self, var_dir: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.output = var_dir.with_suffix(f".{self.port}.txt")
        outside = {"DATABASE_URL", "REDIS_URL", "SITE_URL", "DJANGO_SETTINGS_MODULE"}
        kept = {key: value for key, value in os.environ.items() if key not in outside}
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "demo", "--port", str(self.port)],
                cwd=ROOT,
                env={**kept, "VAR_DIR": str(var_dir)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                preexec_fn=take_interrupts,
            )

    def said(self) -> str:
        return self.output.read_text(errors="replace")

    def wait_for(self, pattern: str, seconds: float) -> str:
        """The first match in what was printed."""
        deadline = time.monotonic() + seconds
        while not (found := re.search(pattern, self.said())):
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.1)
        return found[1]

    def link(self, title: str) -> str:
        return self.wait_for(rf"{title}: +(\S+/sign-in/\S+)", START_SECONDS)

    def children(self) -> list[int]:
        """Pids of all processes below it that live now."""
        tree = subprocess.run(
            ["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True
        )
        parents = [tuple(map(int, line.split())) for line in tree.stdout.splitlines()]
        family = [self.process.pid]
        for parent in family:
            family += [pid for pid, its_parent in parents if its_parent == parent]
        return family[1:]

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """Interrupt it, and wait until it is gone."""
        self.process.send_signal(number)
        self.process.wait(START_SECONDS)


class Browser:
    """Cookies, forms and pages; no JavaScript."""

    def __init__(self) -> None:
        jar = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self._open = urllib.request.build_opener(jar).open

    def get(self, url: str) -> str:
        with self._open(url, timeout=30) as page:
            return str(page.read().decode())

    def press(self, url: str, page: str, **fields: str) -> str:
        """Send the form of the page that goes to `url`, filled in with `fields`."""
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
        assert token, page
        body = urlencode({"csrfmiddlewaretoken": token[1], **fields}).encode()
        request = urllib.request.Request(url, body, {"Referer": url})
        with self._open(request, timeout=30) as answer:
            return str(answer.read().decode())

    def sign_in(self, link: str) -> str:
        """The page that comes after the one-time link."""
        return self.press(link, self.get(link))


@pytest.fixture
def var_dir(tmp_path: Path) -> Path:
    return tmp_path / "var"


@pytest.fixture
def demo(var_dir: Path) -> Iterator[Demo]:
    running = Demo(var_dir)
    yield running
    if running.process.poll() is None:
        running.stop(signal.SIGTERM)


def exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def claimed(demo: Demo, labeler: Browser) -> str:
    """The page of the prompt that the labeler is handed."""
    start = labeler.get(f"{demo.url}/p/demo/rank/")
    return labeler.press(f"{demo.url}/p/demo/rank/claim/", start)


def positions_in(ranking: str) -> list[str]:
    """The letters of a ranking page, in their order."""
    return re.findall(r">Response ([A-I])</h3>", ranking)


def practise_on_the_first_prompt(demo: Demo, labeler: Browser) -> None:
    """It comes with its responses, so nobody waits for the model; all are tied here,
    and the right order is shown."""
    assert "a few prompts to practise on" in labeler.get(f"{demo.url}/p/demo/")
    ranking = claimed(demo, labeler)
    assert TO_PRACTISE_ON in ranking
    form = re.search(r'id="ranking"[^>]+?action="(/p/demo/rank/[\w-]+/)"', ranking)
    key = re.search(r'name="submission_uuid" value="([\w-]+)"', ranking)
    assert form, ranking
    assert key, ranking
    tied = {f"tier_{letter}": "1" for letter in positions_in(ranking)}
    url = f"{demo.url}{form[1]}"
    feedback = labeler.press(url, ranking, submission_uuid=key[1], **tied)
    assert "How you did on this training prompt" in feedback


@pytest.mark.timeout(FIRST_PROMPT_SECONDS + 3 * START_SECONDS)
def test_the_demo_serves_responses_that_an_sft_model_wrote(
    demo: Demo, var_dir: Path
) -> None:
    links = {title: demo.link(title) for title in TITLES}
    labeler = Browser()
    assert "Demo: everyday questions" in labeler.sign_in(links["Labeler 1"])
    with pytest.raises(urllib.error.HTTPError, match="410"):
        Browser().get(links["Labeler 1"])  # spent

    practise_on_the_first_prompt(demo, labeler)

    # The one to practise on could be ranked from the start.
    demo.wait_for(r"\b([2-9]|1\d) of \d+ prompts can be ranked", FIRST_PROMPT_SECONDS)
    assert "A prompt is waiting for you" in labeler.get(f"{demo.url}/p/demo/")
    ranking = claimed(demo, labeler)
    assert TO_PRACTISE_ON not in ranking
    positions = positions_in(ranking)
    assert len(positions) >= 4
    assert positions == sorted(set(positions))
    assert "SmolLM2" not in ranking

    admin = Browser()
    admin.sign_in(links["Admin"])
    assert "SmolLM2-135M-Instruct" in admin.get(f"{demo.url}/p/demo/")

    family = demo.children()
    assert len(family) >= 6
    demo.stop()
    assert demo.process.returncode == 0
    assert not [pid for pid in family if exists(pid)]

    second = Demo(var_dir)
    try:
        assert second.link("Labeler 1") != links["Labeler 1"]
        assert "Fetching the SFT model" not in second.said()
    finally:
        second.stop(signal.SIGTERM)


@pytest.mark.timeout(2 * START_SECONDS)
def test_a_process_that_dies_ends_the_demo_with_a_clear_line(demo: Demo) -> None:
    demo.link("Admin")
    by_command = {
        pid: Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
        for pid in demo.children()
    }
    family = list(by_command)
    [beat] = [pid for pid, command in by_command.items() if " beat" in command]
    os.kill(beat, signal.SIGKILL)
    assert demo.process.wait(START_SECONDS) == 1
    assert "the process beat ended by itself (exit status -9)" in demo.said()
    assert not [pid for pid in family if exists(pid)]
