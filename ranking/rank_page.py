"""What the ranking page shows: texts and letters, and nothing that would bias.

No id, model name or parameter of a response goes in here, so none can come out.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from math import ceil
from uuid import UUID, uuid4

from django.utils.safestring import SafeString

from annotation.models import Assignment, Project, Response
from annotation.raw_text import raw_html
from annotation.rendered import html_of
from annotation.shown import as_shown, responses_of
from annotation.visible import is_blank

# A longer response opens clipped.
LONG_TEXT = 300  # words
TALL_TEXT = 40  # lines
LINE = 75  # characters


@dataclass(frozen=True)
class Turn:
    """One message of the prompt."""

    role: str
    html: str


@dataclass(frozen=True)
class Flag:
    """One of the project's flags, and whether it is set on this response."""

    name: str
    on: bool


@dataclass(frozen=True, kw_only=True)
class Frame:
    """What stands around a response's text: its fields as they were sent, and whether
    it must be mended. The same for many responses."""

    letter: str
    blank: bool
    long: bool
    counted: bool  # whether the project shows how long texts are
    twin: str  # the first letter with the very same text, "" if there is none before
    tier: str
    rating: str
    flags: tuple[Flag, ...]
    wrong: bool


@dataclass(frozen=True, kw_only=True)
class Card:
    """One response."""

    frame: Frame
    html: str
    raw: str  # the text as it was written, as HTML
    words: int

    @property
    def texts(self) -> dict[str, str]:
        """What is shown of the text itself."""
        words = "1 word" if self.words == 1 else f"{self.words} words"
        return {
            "html": SafeString(self.html),
            "raw": SafeString(self.raw),
            "words": words,
        }


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Why a ranking was not stored, in words, and the responses it is about."""

    message: str
    letters: Collection[str] = ()
    # A conflict: the order that is stored and the one that was sent, in letters. Sent
    # again, under a new key, it replaces the stored one where that may be.
    stored: str = ""
    sent: str = ""
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


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What there is to read on the page of a prompt."""

    turns: list[Turn]
    cards: list[Card]
    instructions: str  # HTML, "" for none


def contents_of(
    assignment: Assignment, kept: Kept, problem: Problem | None = None
) -> Contents:
    """The texts of a claimed assignment, with the work that fills its form.

    One query for the texts, and at most one for their HTML once it has been made.
    """
    responses = responses_of(assignment, texts=True)
    told = assignment.instructions
    html = html_of(texts_of(assignment, responses))
    wrong = problem.letters if problem else ()
    return Contents(
        turns=turns_of(assignment.prompt.messages, html),
        cards=_cards(assignment, responses, html, kept, wrong),
        instructions=html[told.text] if told else "",
    )


def _cards(
    assignment: Assignment,
    responses: Iterable[Response],
    html: Mapping[str, str],
    kept: Kept,
    wrong: Collection[str],
) -> list[Card]:
    project = assignment.project
    cards: list[Card] = []
    first_with: dict[str, str] = {}
    for letter, response in as_shown(assignment, responses).items():
        text = response.text
        twin = first_with.setdefault(text, letter)
        cards.append(
            Card(
                frame=Frame(
                    letter=letter,
                    blank=is_blank(text),
                    long=is_long(text),
                    counted=project.show_word_counts,
                    twin="" if twin == letter else twin,
                    tier=kept.tiers.get(letter, ""),
                    rating=kept.ratings.get(letter, ""),
                    flags=_flags(project, kept.flags.get(letter, ())),
                    wrong=letter in wrong,
                ),
                html=html[text],
                raw=raw_html(text),
                words=len(text.split()),
            )
        )
    return cards


def _flags(project: Project, on: Collection[str]) -> tuple[Flag, ...]:
    return tuple(Flag(name, name in on) for name in project.flags)


def is_long(text: str) -> bool:
    """Whether a text has over 300 words, or over 40 lines of 75 characters."""
    lines = text.splitlines()
    at_most = len(lines) + len(text) // LINE
    return len(text.split()) > LONG_TEXT or (
        at_most > TALL_TEXT
        and sum(max(1, ceil(len(line) / LINE)) for line in lines) > TALL_TEXT
    )


def texts_of(assignment: Assignment, responses: Iterable[Response]) -> list[str]:
    """Every text that the page shows: instructions, messages, responses."""
    told = assignment.instructions
    return [
        *([told.text] if told else []),
        *(message["content"] for message in assignment.prompt.messages),
        *(response.text for response in responses),
    ]


def turns_of(messages: list[dict[str, str]], html: Mapping[str, str]) -> list[Turn]:
    """The prompt's messages, with their HTML."""
    return [Turn(message["role"], html[message["content"]]) for message in messages]
