"""What the ranking page sends to a browser once its files are collected."""

import gzip
import re
from pathlib import Path

import pytest
from django.core.management import call_command
from pytest_django import Settings

from annotation.static_files import without_comments

LIMIT = 8 * 1024  # bytes, all modules, each compressed by itself


@pytest.fixture
def collected(tmp_path: Path, settings: Settings) -> Path:
    """A folder that `collectstatic` has filled."""
    settings.STATIC_ROOT = tmp_path
    settings.STORAGES = dict(settings.STORAGES)  # makes Django open it anew
    call_command("collectstatic", interactive=False, verbosity=0)
    return tmp_path


def hashed(folder: Path) -> list[Path]:
    return sorted((folder / "js/rank").glob("*.????????????.js"))


def test_all_scripts_together_weigh_at_most_eight_kilobytes(collected: Path) -> None:
    scripts = hashed(collected)
    assert len(scripts) == 7
    weights = [len(gzip.compress(script.read_bytes(), 9)) for script in scripts]
    assert min(weights) > 300
    assert sum(weights) <= LIMIT


def test_modules_import_each_other_by_their_hashed_names(collected: Path) -> None:
    names = {script.name for script in hashed(collected)}
    imported = set()
    for script in hashed(collected):
        imported |= set(re.findall(r'from "\./([^"]+)"', script.read_text()))
    main = {name for name in names if name.startswith("main.")}
    assert imported == names - main


def test_only_whole_lines_of_comment_are_left_out() -> None:
    script = b'// why\n\n  const a = "//x"; // here\n    b();\n'
    assert without_comments(script) == b'const a = "//x"; // here\nb();'
