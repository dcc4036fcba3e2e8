"""A line of the prompts file: what it may say, and what it means."""

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from annotation import json_fields
from annotation.json_fields import LONGEST_ID, a_list, an_object, required
from annotation.models import (
    FEWEST_ARCHIVED,
    HIGHEST_PRIORITY,
    LOWEST_PRIORITY,
    MAX_TEXT_BYTES,
    MOST_RESPONSES,
    Purpose,
)
from annotation.strict_json import Refused

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


@dataclass(slots=True)
class PromptLine:
    """A prompt with its responses, as a checked line gives them; not to be changed.

    `sha256` is the hash of what the line says of the prompt, whatever way it says it:
    the order of keys, of responses and of tags means nothing, and a plain text and the
    one user turn it stands for are the same prompt. Its priority belongs to it.
    """

    id: str
    messages: list[Message]
    responses: list[ResponseLine]
    tags: list[str]
    purpose: str
    gold: dict[str, int] | None
    metadata: dict[str, Any]
    priority: int = 0
    # Taken at once, while the texts are in the processor's cache.
    sha256: str = field(init=False)

    def __post_init__(self) -> None:
        said = [self.id, self.purpose, str(self.priority), str(len(self.messages))]
        for turn in self.messages:
            said += (turn["role"], turn["content"])
        said += (
            _encoded(self.gold),
            _encoded(self.metadata),
            _encoded(sorted(self.tags)),
        )
        for name, text, model, params in sorted(self.responses):  # by ids: they differ
            said += (name, text, model or "", _encoded(params) if params else "{}")
        # No text holds a NUL, so what stands between NULs is told apart.
        self.sha256 = hashlib.sha256("\0".join(said).encode()).hexdigest()

    @property
    def former_sha256(self) -> str:
        """The hash by which prompts were stored before; it took three times as long."""
        content: dict[str, Any] = {
            "id": self.id,
            "messages": self.messages,
            "responses": sorted(self.responses),
            "tags": sorted(self.tags),
            "purpose": self.purpose,
            "gold": self.gold,
            "metadata": self.metadata,
        }
        if self.priority:
            content["priority"] = self.priority
        return hashlib.sha256(CANONICAL.encode(content).encode()).hexdigest()

    def is_stored_as(self, sha256: str) -> bool:
        """Whether the prompt that was stored with this hash says the same."""
        return sha256 == self.sha256 or sha256 == self.former_sha256


def _encoded(value: Any) -> str:
    """As CANONICAL writes it, which is not asked for what nearly every line says."""
    if value:
        return CANONICAL.encode(value)
    return "null" if value is None else str(value)  # [] or {}


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
    if len({response.id for response in responses}) < len(responses):
        times = Counter(response.id for response in responses)
        twice = next(one for one in times if times[one] > 1)
        raise Refused("duplicate_id", f"two responses have the id {twice[:50]!r}")
    return responses


def _response(fields: Any, number: int) -> ResponseLine:
    """A response, in one look at what nearly all of them are."""
    if isinstance(fields, dict):
        response_id, text = fields.get("id"), fields.get("text")
        model, params = fields.get("model"), fields.get("params")
        if (
            isinstance(response_id, str)
            and 0 < len(response_id) <= LONGEST_ID
            and not response_id.isspace()
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
