"""What the ranking page shows: texts and letters, and nothing that would bias.

No id, model name or parameter of a response goes in here, so none can come out.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from annotation.models import Assignment, AssignmentState
from annotation.rendering import render
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
    ratings: Mapping[str, str] = field(default_factory=dict)
    flags: Mapping[str, Collection[str]] = field(default_factory=dict)
    note: str = ""
    raw: bool = False
    submission_uuid: UUID = field(default_factory=uuid4)
    telemetry: str = ""
    replace: bool = False


def page_of(
    assignment: Assignment, kept: Kept, problem: Problem | None = None
) -> dict[str, Any]:
    """The template's context for a claimed assignment. One query, for the texts."""
    responses = assignment.prompt.responses.only("external_id", "prompt_id", "text")
    wrong = problem.letters if problem else ()
    cards = [
        Card(
            letter=letter,
            html=render(response.text),
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
        "turns": turns_of(assignment.prompt.messages),
        "instructions_html": instructions_html(assignment),
        "cards": cards,
        "tiers": [str(tier) for tier in range(1, len(cards) + 1)],
        "kept": kept,
        "problem": problem,
    }


def turns_of(messages: list[dict[str, str]]) -> list[Turn]:
    """The prompt's messages as HTML."""
    return [Turn(message["role"], render(message["content"])) for message in messages]


def instructions_html(assignment: Assignment) -> str:
    """The instructions in force when the prompt was claimed; "" without any."""
    return render(assignment.instructions.text) if assignment.instructions else ""
