"""What nobody would type, typed into every field of every form.

No answer is a fault of the server, and a form that is refused comes back with what was
typed into it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

import pytest
from django.test import Client
from django.utils.html import escape

from tests.conftest import browser_of
from tests.e2e.furnished import furnish
from tests.every_page import PEOPLE, pages_of
from tests.test_access_matrix import Cast, cast

__all__ = ["cast"]
pytestmark = pytest.mark.django_db

TYPED = ("text", "email", "number", "date", "search", "textarea")
BAD = {
    "nothing": "",
    "blank": "  \t ",
    "a NUL": "a\0b",
    "a huge text": "x" * 70_000,
    "a huge number": "9" * 400,
    "a negative number": "-7",
    "not a number": "NaN",
    "markup": "\"'><script>alert(1)</script>",
    "foreign letters": "שלום ١٢ 👩‍👩‍👧 \u202e\u0301",
    "half a surrogate's neighbour": "\uffff\ufffd",
}
LONGEST_KEPT = 1_000  # characters; longer ones are compared by their beginning


@dataclass
class Form:
    """A form as the page offers it."""

    action: str
    method: str
    values: dict[str, str] = field(default_factory=dict)
    typed: list[str] = field(default_factory=list)
    chosen: list[str] = field(default_factory=list)


class Forms(HTMLParser):
    """Collects the forms of a page, filled in as they come."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path
        self.found: list[Form] = []
        self.select = self.textarea = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Inputs, text areas and selects of the form that was opened last."""
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            action = given.get("action") or self.path
            self.found.append(Form(action, given.get("method", "get")))
        elif self.found and tag == "option" and self.select:
            values = self.found[-1].values
            if "selected" in given or self.select not in values:
                values[self.select] = given.get("value", "")
        elif self.found and "name" in given:
            self._field(tag, given)

    def _field(self, tag: str, given: dict[str, str]) -> None:
        form, name = self.found[-1], given["name"]
        kind = tag if tag == "textarea" else given.get("type", "text")
        if name == "csrfmiddlewaretoken":
            return
        if tag == "select":
            self.select = name
            form.chosen.append(name)
        elif tag in ("input", "textarea"):
            if kind in TYPED:
                form.typed.append(name)
            elif kind != "file":
                form.chosen.append(name)
            if kind not in ("checkbox", "radio") or "checked" in given:
                form.values[name] = given.get("value", "")
            self.textarea = name if tag == "textarea" else ""

    def handle_data(self, data: str) -> None:
        """What stands in a text area."""
        if self.textarea:
            self.found[-1].values[self.textarea] = data.removeprefix("\n")

    def handle_endtag(self, tag: str) -> None:
        """Options and texts belong to what is open."""
        if tag == "select":
            self.select = ""
        if tag == "textarea":
            self.textarea = ""


def forms_of(browser: Client, path: str) -> list[Form]:
    """The forms of a page that have a field, without the one that signs out."""
    parser = Forms(path.partition("?")[0])
    parser.feed(browser.get(path).content.decode())
    return [
        form
        for form in parser.found
        if (form.typed or form.chosen) and "/logout/" not in form.action
    ]


def sendings(form: Form) -> Iterator[tuple[str, str, dict[str, str]]]:
    """(field, what is bad about it, what is sent): one field at a time."""
    for name in [*form.typed, *form.chosen]:
        for what, bad in BAD.items():
            yield name, what, form.values | {name: bad}


def complaint(answer: Any, form: Form, name: str, bad: str) -> str | None:
    """What is wrong with an answer, if anything is."""
    if answer.status_code >= 500:
        return f"gave {answer.status_code}"
    refused = answer.status_code in (400, 409, 422)
    kept = bad[:LONGEST_KEPT].strip()
    if not refused or name not in form.typed or "\0" in bad or not kept:
        return None
    page = answer.content.decode()
    return None if escape(kept) in page else "did not keep what was typed"


@pytest.mark.timeout(900)
@pytest.mark.parametrize("actor", PEOPLE)
def test_no_form_breaks_or_forgets(cast: Cast, actor: str) -> None:
    singles = furnish(cast)
    browser = browser_of(cast.user(actor))
    browser.raise_request_exception = False
    seen, complaints = set(), []
    for _, path in pages_of(actor, cast, singles):
        for form in forms_of(browser, path):
            if form.action in seen or "password" in form.action:
                continue
            seen.add(form.action)
            send = browser.post if form.method == "post" else browser.get
            for name, what, data in sendings(form):
                wrong = complaint(send(form.action, data), form, name, data[name])
                if wrong:
                    complaints.append(f"{form.action} {name}, {what}: {wrong}")
    assert not complaints, "\n".join(complaints)
    assert seen or actor == "other"
