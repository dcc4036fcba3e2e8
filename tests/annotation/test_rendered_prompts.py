"""Prompts are rendered before anybody is shown them, and never after they are gone."""

import io
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import transaction

from annotation import rendered, rendered_prompts, tasks
from annotation.imports import import_prompts
from annotation.models import Project, Prompt, PromptImport, RenderedText, Response
from annotation.rendered import key_of, write_down
from annotation.rendered_prompts import render_prompt, render_some
from annotation.rendering import LONGEST_RICH
from annotation.takedown import erase_prompt
from annotation.undo_import import undo
from tests.conftest import make_prompt
from tests.racing import SECONDS, meanwhile, started

pytestmark = pytest.mark.django_db(transaction=True)
K = 4


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The messages that would have gone to a worker."""
    messages: list[tuple[int, ...]] = []
    monkeypatch.setattr(
        tasks.render_import, "delay", lambda *ids: messages.append(tuple(ids))
    )
    return messages


def imported(project: Project, prompts: int) -> PromptImport:
    """So many prompts, each of five texts that no other one has."""
    lines = [
        {
            "id": f"p{number}",
            "prompt": f"*Question* {number}?",
            "responses": [
                {"id": f"r{k}", "text": f"**{k}** to {number}"} for k in range(K)
            ],
        }
        for number in range(prompts)
    ]
    import_prompts(project, io.BytesIO("\n".join(map(json.dumps, lines)).encode()))
    return PromptImport.objects.get()


def html_of_prompt(prompt: Prompt) -> set[str]:
    """What the table holds of a prompt's texts, as they are now."""
    texts = [turn["content"] for turn in prompt.messages]
    texts += Response.objects.filter(prompt=prompt).values_list("text", flat=True)
    keys = [key_of(text) for text in texts]
    rows = RenderedText.objects.filter(key__in=keys)
    return set(rows.values_list("html", flat=True))


def test_an_import_wakes_a_worker_once_it_is_committed(
    project: Project, sent: list[tuple[int, ...]]
) -> None:
    with transaction.atomic():
        kept = imported(project, 1)
        assert sent == []
    assert sent == [(kept.pk,)]


def test_all_texts_of_an_import_are_rendered_some_prompts_at_a_time(
    project: Project, sent: list[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rendered_prompts, "PROMPTS_AT_ONCE", 2)
    imported(project, 5)
    counts = []
    for message in sent:  # which grows while each sends the next one
        tasks.render_import(*message)
        counts.append(RenderedText.objects.count())
    assert counts == [2 * (K + 1), 4 * (K + 1), 5 * (K + 1)]
    first = Prompt.objects.order_by("pk")[0]
    assert html_of_prompt(first) == {
        "<p><em>Question</em> 0?</p>\n",
        *(f"<p><strong>{k}</strong> to 0</p>\n" for k in range(K)),
    }


def test_a_page_then_renders_nothing(
    project: Project, sent: list[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = imported(project, 1)
    assert render_some(kept.pk) is None
    rendered.latest.clear()
    monkeypatch.delattr(rendered, "render")
    texts = list(Response.objects.values_list("text", flat=True))
    assert set(rendered.html_of(texts)) == set(texts)


def test_doing_it_twice_renders_nothing_twice(
    project: Project, sent: list[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = imported(project, 1)
    render_some(kept.pk)
    monkeypatch.delattr(rendered, "render")
    render_some(kept.pk)
    assert RenderedText.objects.count() == K + 1


def test_a_text_that_is_shown_as_it_was_written_is_not_kept(project: Project) -> None:
    prompt = make_prompt(project, k=2)
    Response.objects.create(
        prompt=prompt, external_id="long", text="*x*" * LONGEST_RICH
    )
    render_prompt(prompt.pk)
    assert RenderedText.objects.count() == 1 + 2


def test_an_import_that_is_undone_takes_its_html_along(
    project: Project, sent: list[tuple[int, ...]]
) -> None:
    kept = imported(project, 2)
    render_some(kept.pk)
    undo(kept, user=None)
    assert not RenderedText.objects.exists()
    render_some(kept.pk)
    assert not RenderedText.objects.exists()


def test_a_takedown_waits_for_the_html_and_deletes_it(project: Project) -> None:
    prompt = make_prompt(project)
    meanwhile(lambda: render_prompt(prompt.pk), lambda: took_down(prompt))
    assert not RenderedText.objects.exists()


def test_without_the_lock_html_would_outlive_the_takedown(project: Project) -> None:
    prompt = make_prompt(project)
    texts = rendered_prompts._texts([prompt.pk])
    took_down(prompt)
    write_down(texts)
    assert RenderedText.objects.count() == len(texts)


def test_a_prompt_that_is_being_taken_down_is_passed_over(project: Project) -> None:
    prompt = make_prompt(project)
    with ThreadPoolExecutor(1) as threads:
        with transaction.atomic():
            took_down(prompt)
            rendering = started(threads, lambda: render_prompt(prompt.pk))
            rendering.result(timeout=SECONDS)
        assert not RenderedText.objects.exists()


def took_down(prompt: Prompt) -> bool:
    with transaction.atomic():
        return erase_prompt(prompt, reason="A person is named.", user=None)
