"""A text becomes HTML once: kept in the table, and for a while in memory."""

import tracemalloc
from collections.abc import Callable, Iterator

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from annotation import rendered, rendering
from annotation.models import Membership, Project, RenderedText
from annotation.queue import claim
from annotation.rendered import Latest, html_of, key_of
from annotation.rendering import LONGEST_RICH, render
from tests.conftest import make_prompt
from tests.racing import at_once

TEXTS = ["# One", "two *and* $x^2$", "three <b>", ""]


@pytest.fixture(autouse=True)
def _nothing_in_memory() -> Iterator[None]:
    rendered.latest.clear()
    yield
    rendered.latest.clear()


@pytest.fixture
def rendering_counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that were rendered, in the order in which it happened."""
    done: list[str] = []

    def counting(text: str) -> str:
        done.append(text)
        return render(text)

    monkeypatch.setattr(rendered, "render", counting)
    return done


@pytest.mark.django_db
def test_a_text_is_rendered_once_and_then_read(rendering_counted: list[str]) -> None:
    wanted = {text: render(text) for text in TEXTS}
    with CaptureQueriesContext(
        connection,
    ) as first:
        assert html_of(TEXTS) == wanted
    with CaptureQueriesContext(connection) as again:
        assert html_of(TEXTS) == wanted
    rendered.latest.clear()
    with CaptureQueriesContext(connection) as elsewhere:
        assert html_of(TEXTS) == wanted
    assert sorted(rendering_counted) == sorted(TEXTS)
    assert [query["sql"].split()[0] for query in first] == ["SELECT", "INSERT"]
    assert len(again) == 0
    assert [query["sql"].split()[0] for query in elsewhere] == ["SELECT"]


@pytest.mark.django_db
def test_what_is_new_is_made_beside_what_is_kept(rendering_counted: list[str]) -> None:
    html_of(TEXTS[:2])
    rendering_counted.clear()
    assert html_of([*TEXTS, TEXTS[0]]) == {text: render(text) for text in TEXTS}
    assert sorted(rendering_counted) == sorted(TEXTS[2:])
    assert RenderedText.objects.count() == len(TEXTS)


@pytest.mark.django_db
def test_a_text_beyond_the_limit_is_escaped_each_time_and_never_kept() -> None:
    text = "<b>" * LONGEST_RICH
    with CaptureQueriesContext(connection) as queries:
        assert html_of([text]) == {text: render(text)}
    assert len(queries) == 0
    assert rendered.latest.used == 0


@pytest.mark.django_db
def test_another_version_of_the_renderer_makes_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert key_of("x", 1) != key_of("x", 2)
    assert {len(key_of("x", version)) for version in (1, 2, 65_535)} == {64}
    RenderedText.objects.create(key=key_of("x", 0), html="old")
    assert html_of(["x"]) == {"x": "<p>x</p>\n"}


@pytest.mark.django_db
def test_the_command_deletes_what_older_versions_made_and_nothing_else(
    capsys: pytest.CaptureFixture[str],
) -> None:
    html_of(TEXTS)
    RenderedText.objects.create(key=key_of("x", rendering.VERSION - 1), html="old")
    newer = RenderedText.objects.create(
        key=key_of("x", rendering.VERSION + 1), html="of a process started just now"
    )
    call_command("drop_outdated_html")
    assert capsys.readouterr().out == "1 outdated texts deleted.\n"
    kept = set(RenderedText.objects.values_list("key", flat=True))
    assert kept == {newer.key, *map(key_of, TEXTS)}


@pytest.mark.django_db(transaction=True)
def test_many_who_show_the_same_new_texts_at_once_all_see_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each with nothing in memory, and in an order of their own."""
    monkeypatch.setattr(rendered, "latest", Latest(0))
    texts = [f"text *{number}*" for number in range(100)]
    orders = [texts, texts[::-1]] * 4
    answers = at_once(html_of, orders)
    assert answers == [{text: render(text) for text in texts}] * 8
    assert RenderedText.objects.count() == 100


@pytest.mark.django_db
def test_the_whole_page_asks_once(
    project: Project, alice: Membership, signed_in: Callable[[Membership], Client]
) -> None:
    make_prompt(project, k=9)
    assignment = claim(alice)
    assert assignment is not None
    address = reverse("rank_prompt", args=[project.slug, assignment.token])
    browser = signed_in(alice)

    def about_html() -> list[str]:
        with CaptureQueriesContext(connection) as queries:
            assert browser.get(address).status_code == 200
        table = RenderedText._meta.db_table
        return [query["sql"].split()[0] for query in queries if table in query["sql"]]

    assert about_html() == ["SELECT", "INSERT"]
    assert about_html() == []
    rendered.latest.clear()
    assert about_html() == ["SELECT"]


# --- Memory -----------------------------------------------------------------------


def test_the_oldest_goes_when_memory_is_full() -> None:
    latest = Latest(3 * rendered._size("a", "x" * 1000))
    for key in "abc":
        latest.put({key: "x" * 1000})
    assert latest.get("a")  # used again, so b is the oldest now
    latest.put({"d": "x" * 1000})
    assert latest.get("abcd").keys() == {"a", "c", "d"}


def test_what_is_put_twice_counts_once() -> None:
    latest = Latest(10_000)
    latest.put({"a": "x"})
    used = latest.used
    latest.put({"a": "x"})
    assert latest.used == used > 0


def test_what_does_not_fit_is_not_kept() -> None:
    latest = Latest(1_000)
    latest.put({"a": "x" * 1_000})
    assert latest.get("a") == {}
    assert latest.used == 0


@pytest.mark.parametrize("letter", ["x", "é", "字", "👋"])
@pytest.mark.parametrize("length", [1, 4_000])
def test_it_takes_no_more_memory_than_it_says(letter: str, length: int) -> None:
    """Characters take 1, 2 or 4 bytes, and short texts cost their place too."""
    latest = Latest(2**20)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for number in range(8_000 if length == 1 else 400):
        latest.put({f"{number:064}": f"{number:06}{letter * length}"})
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert latest.used > 0.9 * latest.most
    assert after - before <= latest.used
