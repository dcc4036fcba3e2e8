"""Argilla's records of datasets with a ranking question. PURE.

Layouts, as `rg.Dataset.records.to_list(flatten=…)` and `.to_json()` write them
(https://docs.argilla.io/latest/how_to_guides/import_export/, code in
argilla/src/argilla/records/_io/_generic.py):
- nested: `fields` of texts, `responses` by question, each `{value, user_id, status?}`;
- as its API and its older client have it, and as our own export writes it: `responses`
  a list, each `{user_id, status, values: {question: {value}}}`;
- flat: the fields beside each other, `<question>.responses` with a list of values,
  `<question>.responses.users` and `.status` aligned with it.
A value lists the names of the ranked fields, best first, or says `{value, rank}` of
each, where equal ranks are a tie. Drafts and discarded responses are left out.
"""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from annotation.json_fields import a_list, an_object
from annotation.strict_json import Refused
from ranking.foreign.dialogue import prompt_of
from ranking.foreign.judged import (
    Answer,
    Judged,
    Order,
    a_text,
    first_of,
    name_of,
    ranks_of,
)

NAME: Final = "argilla"
PROMPTS: Final = ("prompt", "instruction", "question", "input", "request", "context")
FLAT: Final = ".responses"
NOT_GIVEN: Final = frozenset(("draft", "discarded"))


class Given(NamedTuple):
    """One user's answer to the ranking question."""

    user: str | None
    ranks: dict[str, int]


def read(record: dict[str, Any]) -> list[Judged]:
    """A record with what its users made of it. Raises Refused."""
    fields = an_object(record, "fields") or record
    given = list(_nested(record) if "fields" in record else _flat(record))
    if not given:
        raise Refused("missing_field", "no submitted response ranks anything")
    ranked = sorted(given[0].ranks)
    if any(sorted(one.ranks) != ranked for one in given):
        raise Refused("incomplete", "the responses do not rank the same fields")
    unknown = [name for name in ranked if not isinstance(fields.get(name), str)]
    if unknown:
        raise Refused("unknown_response", f"{unknown[0][:50]!r} is no text field")
    prompt = prompt_of(_prompt(fields, ranked), "the prompt")
    answers = [Answer(a_text(fields[name], name), id=name) for name in ranked]
    orders = [
        Order(one.user or NAME, [one.ranks[name] for name in ranked]) for one in given
    ]
    given_id = name_of(first_of(record, ["id", "external_id"]))
    return [Judged(prompt, answers, orders, id=given_id)]


def _prompt(fields: dict[str, Any], ranked: list[str]) -> Any:
    rest = {name: fields[name] for name in fields if name not in ranked}
    known = first_of(rest, PROMPTS)
    if known is not None:
        return known
    texts = [rest[name] for name in rest if isinstance(rest[name], str)]
    if len(texts) != 1:
        raise Refused("missing_field", "the fields do not tell which one is the prompt")
    return texts[0]


def _nested(record: dict[str, Any]) -> Iterator[Given]:
    for one in _responses(record):
        if not isinstance(one, dict) or one.get("status") in NOT_GIVEN:
            continue
        answers = an_object(one, "values").values() if "values" in one else [one]
        for answer in answers:
            ranks = _ranks(answer.get("value")) if isinstance(answer, dict) else None
            if ranks:
                yield Given(name_of(one.get("user_id")), ranks)


def _responses(record: dict[str, Any]) -> Iterator[Any]:
    """Of all questions, one after the other, or as they stand in one list."""
    given = record.get("responses")
    if isinstance(given, list):
        yield from given
        return
    for responses in an_object(record, "responses").values():
        yield from responses if isinstance(responses, list) else []


def _flat(record: dict[str, Any]) -> Iterator[Given]:
    for question in record:
        if not question.endswith(FLAT):
            continue
        values = a_list(record, question)
        users = a_list(record, f"{question}.users") or [None] * len(values)
        statuses = a_list(record, f"{question}.status") or [None] * len(values)
        if not len(values) == len(users) == len(statuses):
            raise Refused(
                "incomplete", f"{question[:50]!r} and its users differ in length"
            )
        for value, user, status in zip(values, users, statuses, strict=True):
            ranks = None if status in NOT_GIVEN else _ranks(value)
            if ranks:
                yield Given(name_of(user), ranks)


def _ranks(value: Any) -> dict[str, int] | None:
    """Ranks by field; None for the value of a question of another kind."""
    if not isinstance(value, list) or not value:
        return None
    if all(isinstance(one, str) for one in value):
        names = value
        ranks = list(range(1, len(value) + 1))
    elif all(
        isinstance(one, dict) and {"value", "rank"} <= one.keys() for one in value
    ):
        names = [a_text(one["value"], "a ranked value") for one in value]
        ranks = ranks_of([one["rank"] for one in value], best="lowest")
    else:
        return None
    if len(set(names)) != len(names):
        raise Refused("duplicate_id", "a response ranks one field twice")
    return dict(zip(names, ranks, strict=True))
