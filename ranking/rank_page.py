"""What the ranking page shows: texts and letters, and nothing that would bias.

No id, model name or parameter of a response goes in here, so none can come out.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from annotation.models import Assignment, AssignmentState, Response
from annotation.rendered import html_of
from annotation.shown import as_shown
from annotation.visible import is_blank

LONG_TEXT = 300  # words; a longer response can be folded


@dataclass(frozen=True)
class Turn:
    """One message of the prompt."""

    role: str
    html: str


@dataclass(frozen=True)
class Card:
    """One response, its select as it was sent, and whether it must be mended."""

    letter: str
    html: str
    blank: bool
    long: bool
    tier: str
    wrong: bool


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Why a ranking was not stored, in words, and the responses it is about."""

    message: str
    letters: Collection[str] = ()
    # A conflict: sending it again, under a new key, replaces the stored ranking.
    may_replace: bool = False


@dataclass(frozen=True, kw_only=True)
class Kept:
    """The work of a form that could not be stored, to be shown again."""

    tiers: Mapping[str, str] = field(default_factory=dict)
    submission_uuid: UUID = field(default_factory=uuid4)
    telemetry: str = ""
    replace: bool = False


def page_of(
    assignment: Assignment, kept: Kept, problem: Problem | None = None
) -> dict[str, Any]:
    """The template's context for a claimed assignment.

    One query for the texts, and at most one for their HTML once it has been made.
    """
    responses = assignment.prompt.responses.only("external_id", "prompt_id", "text")
    told = assignment.instructions
    html = html_of(texts_of(assignment, responses))
    wrong = problem.letters if problem else ()
    cards = [
        Card(
            letter=letter,
            html=html[response.text],
            blank=is_blank(response.text),
            long=len(response.text.split()) > LONG_TEXT,
            tier=kept.tiers.get(letter, ""),
            wrong=letter in wrong,
        )
        for letter, response in as_shown(assignment, responses).items()
    ]
    return {
        "assignment": assignment,
        "lost": assignment.state == AssignmentState.EXPIRED,
        "turns": [
            Turn(message["role"], html[message["content"]])
            for message in assignment.prompt.messages
        ],
        "instructions_html": html[told.text] if told else "",
        "cards": cards,
        "tiers": [str(tier) for tier in range(1, len(cards) + 1)],
        "kept": kept,
        "problem": problem,
    }


def texts_of(assignment: Assignment, responses: Iterable[Response]) -> list[str]:
    """Every text that the page shows: instructions, messages, responses."""
    told = assignment.instructions
    return [
        *([told.text] if told else []),
        *(message["content"] for message in assignment.prompt.messages),
        *(response.text for response in responses),
    ]
