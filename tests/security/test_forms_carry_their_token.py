"""Every form that changes something carries the token of its session.

An `{% include … only %}` drops the token with the rest of the context, and nothing
says so until somebody presses the button.
"""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
ISOLATED = re.compile(r'{% include "([^"]+)"([^%]*) only %}')


class Forms(HTMLParser):
    """Counts the posting forms of a template source, and their tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.posting = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Counts `<form method="post">`."""
        self.posting += tag == "form" and dict(attrs).get("method") == "post"


def posting_forms(source: str) -> int:
    forms = Forms()
    forms.feed(source)
    return forms.posting


def reached(name: str) -> str:
    """A template's source with that of all that it includes."""
    source = (ROOT / "templates" / name).read_text()
    included = re.findall(r'{% include "([^"]+)"', source)
    return source + "".join(map(reached, included))


def test_there_are_forms_to_look_at() -> None:
    assert sum(posting_forms(path.read_text()) for path in TEMPLATES) > 10


@pytest.mark.parametrize(
    "path", TEMPLATES, ids=lambda path: f"{path.parent.name}/{path.name}"
)
def test_each_posting_form_names_the_token(path: Path) -> None:
    source = path.read_text()
    assert source.count("{% csrf_token %}") == posting_forms(source)


@pytest.mark.parametrize(
    "path", TEMPLATES, ids=lambda path: f"{path.parent.name}/{path.name}"
)
def test_an_isolated_part_with_a_form_is_handed_the_token(path: Path) -> None:
    for name, handed_over in ISOLATED.findall(path.read_text()):
        if "{% csrf_token %}" in reached(name):
            assert "csrf_token=csrf_token" in handed_over, name
