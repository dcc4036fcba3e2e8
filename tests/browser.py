"""Finds the browser that the tests drive, and installs one where there is none.

`python -m tests.browser` is what `make test` calls first.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

# First the one without a desktop's windows: a test costs two thirds with it, and it is
# what Playwright itself drives when nobody is to see a window.
SHELL = "chromium-headless-shell"
NAMES = (
    *(SHELL, "chromium", "chromium-browser"),
    *("google-chrome-stable", "google-chrome"),
)
ON_A_MAC = (
    Path("/Applications/Chromium.app/Contents/MacOS/Chromium"),
    Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"),
)


def find_browser() -> str | None:
    """Path of a Chromium: $CHROMIUM, else one on the PATH, else a Mac application."""
    named = os.environ.get("CHROMIUM")
    if named:
        return shutil.which(named)
    on_path = (shutil.which(name) for name in NAMES)
    on_a_mac = (str(path) for path in ON_A_MAC if path.exists())
    return next(filter(None, [*on_path, *on_a_mac]), None)


def install_commands() -> list[list[str]]:
    """The platform's own ways to install Chromium, one after the other until there is
    one; empty where we may not or cannot."""
    if shutil.which("apt-get") and os.geteuid() == 0:
        install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends"]
        return [
            ["apt-get", "update", "-qq"],
            [*install, SHELL],  # Debian 12 has it, Ubuntu has not
            [*install, "chromium"],
        ]
    if shutil.which("dnf") and os.geteuid() == 0:
        return [["dnf", "install", "-y", "-q", "chromium"]]
    if shutil.which("brew"):
        return [["brew", "install", "--cask", "chromium"]]
    return []


def main() -> None:
    """Print the browser's path; install one if need be, or say what to install."""
    if not find_browser():
        for command in install_commands():
            sys.stderr.write(
                f"Installing a browser for the tests: {' '.join(command)}\n"
            )
            environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
            subprocess.run(command, env=environment, stdout=sys.stderr)
            if find_browser():
                break
    browser = find_browser()
    if not browser:
        sys.exit(
            "The tests drive a real browser and found none. Install Chromium (Debian:"
            " `sudo apt-get install chromium`; Ubuntu: `sudo snap install chromium`;"
            " Fedora: `sudo dnf install chromium`; macOS: `brew install --cask"
            " chromium`), or set CHROMIUM to the path of a Chromium or Chrome."
        )
    print(browser)


if __name__ == "__main__":
    main()
