"""What the tests of the reading aids stand on: prompts with given texts."""

from collections.abc import Sequence

from playwright.sync_api import Locator, Page

from annotation.models import Assignment, AssignmentState, Project, Prompt
from annotation.shown import as_shown
from annotation.slots import open_slots


def make_texts(
    project: Project, texts: Sequence[str], *, external_id: str = "p1"
) -> Prompt:
    """A prompt in the queue, with these responses in an order that is not known."""
    prompt = Prompt.objects.create(
        project=project,
        external_id=external_id,
        messages=[{"role": "user", "content": "Why are there tides?"}],
        line_sha256="0" * 64,
        overlap=project.overlap,
    )
    for number, text in enumerate(texts):
        prompt.responses.create(external_id=f"r{number}", text=text)
    open_slots([prompt])
    return prompt


def on_the_desk() -> dict[str, str]:
    """Letter → text of the one prompt that somebody is at work on."""
    assignment = Assignment.objects.get(state=AssignmentState.CLAIMED)
    shown = as_shown(assignment, assignment.prompt.responses.all())
    return {letter: response.text for letter, response in shown.items()}


def letter_of(text: str) -> str:
    """Where a text is on the page."""
    return next(letter for letter, shown in on_the_desk().items() if shown == text)


def card(page: Page, letter: str) -> Locator:
    """A response."""
    return page.locator(f"#r{letter}")
