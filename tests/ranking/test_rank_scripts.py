"""What the ranking page sends to a browser once its files are collected."""

import gzip
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
from django.core.management import call_command
from pytest_django import Settings

from annotation.static_files import joined

LIMIT = 8 * 1024  # bytes, compressed, for all that every ranking page runs
# Comparing, once it is asked for; rating, in the projects that begin with it.
LATER = ["compare", "rating"]


@pytest.fixture
def collected(tmp_path: Path, settings: Settings) -> Path:
    """A folder that `collectstatic` has filled."""
    settings.STATIC_ROOT = tmp_path
    settings.STORAGES = dict(settings.STORAGES)  # makes Django open it anew
    call_command("collectstatic", interactive=False, verbosity=0)
    return tmp_path


def test_what_every_page_runs_weighs_at_most_eight_kilobytes(collected: Path) -> None:
    (script,) = (collected / "js/rank").glob("main.????????????.js")
    source = script.read_bytes()
    # Or the page would run more than this file; what comes later is imported by
    # address.
    assert b"import{" not in source
    assert b'from"' not in source
    assert source.count(b"import(") == len(LATER)
    assert b"/p/" not in source
    assert 3_000 < len(gzip.compress(source, 9)) <= LIMIT
    served = script.with_name(script.name + ".gz")
    assert served.stat().st_size <= LIMIT


@pytest.mark.parametrize("name", LATER)
def test_what_comes_later_is_one_small_module(collected: Path, name: str) -> None:
    (script,) = (collected / "js/rank").glob(f"{name}.????????????.js")
    source = script.read_bytes()
    assert source.startswith(b"export function begin(")
    assert b"import" not in source
    assert 300 < len(gzip.compress(source, 9)) <= 1_200


def test_a_change_in_a_module_renames_the_script_that_contains_it(
    collected: Path, tmp_path: Path, settings: Settings
) -> None:
    """Or browsers would keep the old one for a year."""
    before = {script.name for script in (collected / "js/rank").glob("main.*.js")}
    changed = tmp_path / "changed"
    shutil.copytree(settings.BASE_DIR / "static", changed)
    with (changed / "js/rank/order.js").open("a") as order:
        order.write('export const more = () => alert("more");\n')
    settings.STATICFILES_DIRS = [changed]
    settings.STATIC_ROOT = tmp_path / "again"
    settings.STORAGES = dict(settings.STORAGES)
    call_command("collectstatic", interactive=False, verbosity=0)
    after = {script.name for script in (tmp_path / "again/js/rank").glob("main.*.js")}
    assert len(before) == len(after) == 1
    assert before != after


def read(modules: Mapping[str, str]) -> str:
    return joined("main.js", modules.__getitem__)


def test_each_module_comes_once_and_after_those_it_imports() -> None:
    script = read(
        {
            "main.js": 'import { a } from "./a.js";\n'
            'import {\n  b,\n} from "./b.js";\nb(a);\n',
            "a.js": 'import { b } from "./b.js";\nexport const a = b;\n',
            "b.js": "// why\nexport async function b() {}\n",
        }
    )
    assert script == (
        "(() => {\n// why\nasync function b() {}\nconst a = b;\nb(a);\n})();\n"
    )


@pytest.mark.parametrize(
    "modules",
    [
        {"main.js": 'import * as a from "./a.js";\n', "a.js": ""},
        {"main.js": "export default 1;\n"},
        {
            "main.js": 'import { a } from "./a.js";\n',
            "a.js": 'import { b } from "./main.js";\nexport const a = 1;\n',
        },
    ],
)
def test_what_cannot_be_joined_is_refused(modules: Mapping[str, str]) -> None:
    with pytest.raises(ValueError, match=r"cannot be joined|import each other"):
        read(modules)


@pytest.mark.parametrize("declaration", ["const b = 2;", "function b() {}"])
def test_a_name_declared_in_two_modules_is_refused(declaration: str) -> None:
    """In one scope a second function would silently take the place of the first."""
    modules = {
        "main.js": f'import {{ a }} from "./a.js";\n{declaration}\n',
        "a.js": f"export const a = 1;\n{declaration}\n",
    }
    with pytest.raises(ValueError, match=r"a\.js and main\.js .* both declare b\."):
        read(modules)
