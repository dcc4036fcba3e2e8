"""What every foreign format is read into, and the two kinds of lines it becomes. PURE.

Ids are stable: what the source calls by an id keeps it, and all else is named by a
hash of what it says. So the same file again, or one that holds part of it, brings
nothing twice.
"""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from annotation.json_fields import LARGEST_RANK, LONGEST_ID
from annotation.strict_json import Refused

HASH_DIGITS: Final = 20  # 80 bits: no two of a trillion texts meet
Prompt = str | list[dict[str, str]]


@dataclass(frozen=True, slots=True)
class Answer:
    """One of the responses."""

    text: str
    model: str | None = None
    id: str | None = None  # the source's, unique within its prompt


@dataclass(frozen=True, slots=True)
class Order:
    """How one labeler ordered the answers: ranks aligned with them, lower is better."""

    labeler: str
    ranks: Sequence[int]
    id: str | None = None  # the source's, unique within a project
    seconds: float | None = None
    submitted_at: str | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """A prompt with its answers and what labelers made of them."""

    prompt: Prompt
    answers: Sequence[Answer]
    orders: Sequence[Order]
    id: str | None = None  # the source's
    tags: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class OurLines:
    """A line of our prompts file, and those of our rankings file that go with it."""

    prompt: dict[str, Any]
    rankings: list[dict[str, Any]]


def our_lines(judged: Judged, source: str) -> OurLines:
    """The same in our formats; ids begin with the name of the source.

    Answers without ids of their own are numbered by their texts, not by their places:
    a pair that stands the other way round somewhere else is the same prompt.
    """
    names = _names(judged.answers)
    said = sorted([answer.text, answer.model or ""] for answer in judged.answers)
    prompt_id = _id(source, judged.id, [judged.prompt, said])
    prompt = {
        "id": prompt_id,
        "prompt": judged.prompt,
        "responses": [
            {"id": name, "text": answer.text, "model": answer.model}
            for name, answer in zip(names, judged.answers, strict=True)
        ],
        "tags": judged.tags,
    }
    rankings = [_ranking(order, prompt_id, names, source) for order in judged.orders]
    return OurLines(prompt, rankings)


def _ranking(
    order: Order, prompt_id: str, names: list[str], source: str
) -> dict[str, Any]:
    ranks = dict(zip(names, order.ranks, strict=True))
    said = [prompt_id, order.labeler, sorted(ranks.items())]
    return {
        "id": _id(source, order.id, said),
        "prompt_id": prompt_id,
        "labeler": order.labeler,
        "ranks": ranks,
        "seconds": order.seconds,
        "submitted_at": order.submitted_at,
    }


def _names(answers: Sequence[Answer]) -> list[str]:
    given = [answer.id for answer in answers if answer.id is not None]
    if len(set(given)) == len(answers):
        return given
    by_text = sorted(
        range(len(answers)),
        key=lambda place: (answers[place].text, answers[place].model or ""),
    )
    names = [""] * len(answers)
    for number, place in enumerate(by_text, 1):
        names[place] = f"r{number}"
    return names


def _id(source: str, given: str | None, said: Any) -> str:
    if given is not None:
        name = f"{source}-{given}"
        if len(name) <= LONGEST_ID:
            return name
        said = given
    canonical = json.dumps(said, ensure_ascii=False, sort_keys=True)
    digest = hashlib.sha256(canonical.encode("utf-8")).hexdigest()
    return f"{source}-{digest[:HASH_DIGITS]}"


# --- Ranks ------------------------------------------------------------------------


def ranks_of(values: Sequence[Any], *, best: str) -> list[int]:
    """Ranks from numbers of which the "lowest" or the "highest" is best; equal: a tie.

    Whole ranks stay as they are, gaps included. Raises Refused with incomplete where
    one is missing, wrong_type for what is no number.
    """
    numbers = [_number(value) for value in values]
    whole = all(number == int(number) for number in numbers)
    if best == "lowest" and whole and max(map(abs, numbers)) <= LARGEST_RANK:
        return [int(number) for number in numbers]
    places = sorted(set(numbers), reverse=best == "highest")
    return [places.index(number) + 1 for number in numbers]


def _number(value: Any) -> float:
    if value is None or value == "":
        raise Refused("incomplete", "a response has no rank or score")
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError as error:
            raise Refused(
                "wrong_type", f"{value[:50]!r} is not a rank or a score"
            ) from error
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refused("wrong_type", "a rank or score is not a number")
    if not math.isfinite(value):
        raise Refused("nan", "a rank or score is not a finite number")
    return value


# --- Fields -----------------------------------------------------------------------


def first_of(record: dict[str, Any], names: Sequence[str]) -> Any:
    """The value of the first of these fields that is there and not null, else None."""
    return next((record[name] for name in names if record.get(name) is not None), None)


def required_of(record: dict[str, Any], names: Sequence[str]) -> Any:
    """The same; raises Refused with missing_field where there is none."""
    found = first_of(record, names)
    if found is None:
        listed = " or ".join(repr(name) for name in names[:4])
        raise Refused("missing_field", f"there is no field {listed}")
    return found


def name_of(value: Any) -> str | None:
    """A labeler or an id as a text: numbers are written out, blanks are none."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, str) and value.strip():
        return value
    return None


def a_text(value: Any, name: str) -> str:
    """The text itself; raises Refused with wrong_type for anything else."""
    if not isinstance(value, str):
        raise Refused("wrong_type", f"{name} is not a text")
    return value
