"""A line of the prompts file: what it may say, and what it means."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from json.encoder import encode_basestring, encode_basestring_ascii
from typing import Any, Final, NamedTuple

from annotation import json_fields
from annotation.json_fields import a_list, an_object, required
from annotation.models import (
    FEWEST_ARCHIVED,
    HIGHEST_PRIORITY,
    LOWEST_PRIORITY,
    MAX_TEXT_BYTES,
    MOST_RESPONSES,
    Purpose,
)
from annotation.strict_json import Refused
from annotation.text_signs import is_truncated, names_a_model
from annotation.visible import is_blank

ROLES: Final = ("system", "user", "assistant")
WORK: Final = Purpose.WORK.value
PURPOSES: Final = tuple(Purpose.values)
FIELDS: Final = frozenset(
    ("id", "prompt", "responses", "tags", "purpose", "gold", "metadata", "priority")
)
MOST_TAGS, LONGEST_TAG = 100, 100
LONGEST_MODEL: Final = 500
ARCHIVE_TAKES: Final = (
    f"; a project made with --archive takes {FEWEST_ARCHIVED} to {MOST_RESPONSES}"
)

# Made once: json.dumps would make one for every line.
CANONICAL: Final = json.JSONEncoder(ensure_ascii=False, sort_keys=True)

Message = dict[str, str]


class ResponseLine(NamedTuple):
    """One response of a line. A tuple, for a file of prompts has nine times as many."""

    id: str
    text: str
    model: str | None
    params: dict[str, Any]


@dataclass(frozen=True, slots=True)
class PromptLine:
    """A prompt with its responses, as a checked line gives them."""

    id: str
    messages: list[Message]
    responses: list[ResponseLine]
    tags: list[str]
    purpose: str
    gold: dict[str, int] | None
    metadata: dict[str, Any]
    priority: int = 0

    @property
    def sha256(self) -> str:
        """Hash of what the line says of the prompt, whatever way it says it.

        The order of keys, of responses and of tags means nothing; a plain text and
        the one user turn it stands for are the same prompt. When it is to be ranked,
        its priority, is no part of it.
        """
        return hashlib.sha256(self._canonical().encode("utf-8")).hexdigest()

    def _canonical(self) -> str:
        """JSON with sorted keys, put together here: the encoder takes thrice as long.

        Absent is 0, so that lines of before priorities hash as they did.
        """
        turns = (
            f'{{"content": {_quoted(turn["content"])}, "role": "{turn["role"]}"}}'
            for turn in self.messages
        )
        responses = (
            f"[{_quoted(one.id)}, {_quoted(one.text)},"
            f" {_quoted(one.model)}, {_encoded(one.params)}]"
            for one in sorted(self.responses)  # by their ids, which differ
        )
        priority = f'"priority": {self.priority}, ' if self.priority else ""
        return (
            f'{{"gold": {_encoded(self.gold)}, "id": {_quoted(self.id)},'
            f' "messages": [{", ".join(turns)}], "metadata": {_encoded(self.metadata)},'
            f' {priority}"purpose": "{self.purpose}",'
            f' "responses": [{", ".join(responses)}],'
            f' "tags": {CANONICAL.encode(sorted(self.tags))}}}'
        )

    def warnings(self) -> list[tuple[str, str]]:
        """What a reader should know of a line that is imported all the same."""
        found = []
        if all(is_blank(message["content"]) for message in self.messages):
            found.append(("empty_prompt", "the prompt shows no character"))
        if is_truncated(self.metadata):
            found.append(
                ("truncated", "a text was cut off at its limit, says 'metadata'")
            )
        if self.gold and len(set(self.gold.values())) == 1:
            found.append(("gold_tied", "'gold' ties everything: it tests nothing"))
        for code, says, odd in self._odd_responses():
            if odd:
                found.append((code, f"{says} {_listed([one.id for one in odd])}"))
        return found

    def _odd_responses(self) -> Iterator[tuple[str, str, list[ResponseLine]]]:
        """What may be odd about responses: code, words before the ids, and which."""
        given = self.responses
        blank = [one for one in given if is_blank(one.text)]
        yield "empty_response", "no visible character in", blank
        times = Counter(one.text for one in given) if _some_equal(given) else {}
        equal = [one for one in given if times.get(one.text, 1) > 1]
        yield "identical_responses", "equal texts:", equal
        telling = [one for one in given if names_a_model(one.text)]
        yield "names_a_model", "labelers can read which model wrote", telling
        cut = [one for one in given if one.params and is_truncated(one.params)]
        yield "truncated", "cut off at a limit, say 'params':", cut


def _some_equal(given: list[ResponseLine]) -> bool:
    return len({one.text for one in given}) < len(given)


def _quoted(text: str | None) -> str:
    """As CANONICAL writes it, in half the time where the text is ASCII."""
    if text is None:
        return "null"
    if text.isascii() and "\x7f" not in text:
        return encode_basestring_ascii(text)
    return encode_basestring(text)


def _encoded(value: dict[str, Any] | None) -> str:
    return "{}" if value == {} else CANONICAL.encode(value)  # as it nearly always is


def check_prompt(fields: dict[str, Any], *, fewest_responses: int) -> PromptLine:
    """The prompt of a line's object.

    No responses at all are fine: they are still to be sampled. Raises Refused.
    """
    prompt_id = json_fields.word(required(fields, "id"), "id")
    messages = _messages(required(fields, "prompt"))
    given = a_list(fields, "responses")
    _check_k(len(given), fewest_responses)
    responses = _responses(given)
    purpose = fields.get("purpose") or WORK
    if purpose not in PURPOSES:
        raise Refused("wrong_type", f"'purpose' is none of {', '.join(PURPOSES)}")
    return PromptLine(
        id=prompt_id,
        messages=messages,
        responses=responses,
        tags=_tags(a_list(fields, "tags")),
        purpose=purpose,
        gold=_gold(fields.get("gold"), purpose, responses),
        metadata=an_object(fields, "metadata"),
        priority=_priority(fields.get("priority")),
    )


def _messages(prompt: Any) -> list[Message]:
    """A plain text is one user turn; else the turns, the last one the user's."""
    if isinstance(prompt, str):
        prompt = [{"role": "user", "content": prompt}]
    if not isinstance(prompt, list) or not prompt:
        raise Refused("wrong_type", "'prompt' is neither a text nor a list of messages")
    messages = [_message(turn, number) for number, turn in enumerate(prompt, 1)]
    if messages[-1]["role"] != "user":
        raise Refused("wrong_type", "the last message of 'prompt' is not the user's")
    whole = "".join(message["content"] for message in messages)
    json_fields.text(whole, "prompt", most_bytes=MAX_TEXT_BYTES)
    return messages


def _message(turn: Any, number: int) -> Message:
    if (
        isinstance(turn, dict)
        and turn.keys() == {"role", "content"}
        and turn["role"] in ROLES
        and isinstance(turn["content"], str)
    ):
        return turn
    name = f"message {number} of the prompt"
    if not isinstance(turn, dict) or turn.keys() != {"role", "content"}:
        raise Refused("wrong_type", f"{name} is not {{'role': …, 'content': …}}")
    if turn["role"] not in ROLES:
        raise Refused("wrong_type", f"the role in {name} is none of {', '.join(ROLES)}")
    raise Refused("wrong_type", f"the content of {name} is not a text")


def _responses(given: list[Any]) -> list[ResponseLine]:
    responses = [_response(fields, number) for number, fields in enumerate(given, 1)]
    times = Counter(response.id for response in responses)
    for response_id in times:
        if times[response_id] > 1:
            raise Refused(
                "duplicate_id", f"two responses have the id {response_id[:50]!r}"
            )
    return responses


def _response(fields: Any, number: int) -> ResponseLine:
    if isinstance(fields, dict):
        response_id, text = fields.get("id"), fields.get("text")
        model, params = fields.get("model"), fields.get("params")
        if (
            json_fields.is_word(response_id)
            and isinstance(text, str)
            and len(text) * 4 <= MAX_TEXT_BYTES
            and (model is None or json_fields.is_word(model, most=LONGEST_MODEL))
            and (params is None or isinstance(params, dict))
        ):
            return ResponseLine(response_id, text, model, params or {})
    return _long_or_bad_response(fields, number)


def _long_or_bad_response(fields: Any, number: int) -> ResponseLine:
    """A response of which each field is looked at by itself. Raises Refused."""
    if not isinstance(fields, dict):
        raise Refused("wrong_type", f"response {number} is not an object")
    response_id = json_fields.word(
        required(fields, "id"), f"the id of response {number}"
    )
    name = f"response {response_id[:50]}"
    model = fields.get("model")
    if model is not None:
        model = json_fields.word(model, f"the model of {name}", most=LONGEST_MODEL)
    return ResponseLine(
        id=response_id,
        text=json_fields.text(
            required(fields, "text"), name, most_bytes=MAX_TEXT_BYTES
        ),
        model=model,
        params=an_object(fields, "params"),
    )


def _check_k(k: int, fewest: int) -> None:
    if k and not fewest <= k <= MOST_RESPONSES:
        raise Refused(
            "k_out_of_range",
            f"{k} responses; this project takes {fewest} to {MOST_RESPONSES}"
            " (or none, to sample them later)"
            + (ARCHIVE_TAKES if FEWEST_ARCHIVED <= k < fewest else ""),
        )


def _tags(given: list[Any]) -> list[str]:
    if len(given) > MOST_TAGS:
        raise Refused("wrong_type", f"{len(given)} tags; the most is {MOST_TAGS}")
    tags = [json_fields.word(tag, "a tag", most=LONGEST_TAG) for tag in given]
    return list(dict.fromkeys(tags))


def _gold(
    given: Any, purpose: str, responses: list[ResponseLine]
) -> dict[str, int] | None:
    """The known order: of every response, wherever a prompt tests or teaches.

    Such a prompt comes with its responses, because nobody can know the order of what
    is still to be sampled.
    """
    if purpose != WORK:
        for name, value in (("gold", given), ("responses", responses or None)):
            if value is None:
                raise Refused(
                    "missing_field", f"a prompt of the purpose {purpose} needs {name!r}"
                )
    if given is None:
        return None
    gold = json_fields.ranks(given, "gold")
    json_fields.check_covers(gold, [response.id for response in responses], "gold")
    return gold


def _priority(given: Any) -> int:
    """Higher is sooner; 0 where the field is absent or null."""
    if given is None:
        return 0
    whole = isinstance(given, int) and not isinstance(given, bool)
    if not whole or not LOWEST_PRIORITY <= given <= HIGHEST_PRIORITY:
        raise Refused(
            "wrong_type",
            f"'priority' is not an integer from {LOWEST_PRIORITY} to"
            f" {HIGHEST_PRIORITY}",
        )
    return int(given)


def _listed(ids: list[str]) -> str:
    return ", ".join(response_id[:50] for response_id in ids)
