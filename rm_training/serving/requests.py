"""What a client may ask: bodies in strict JSON, checked before they wait. PURE.

Unknown keys are passed over, as other servers' clients send more than we read.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from annotation.strict_json import Refused, read_json
from rm_training.data import DataError, Message, parse_messages, parse_text

T = TypeVar("T")


class Refusal(Exception):  # noqa: N818  what is answered
    """A request that is not carried out: an HTTP status, a word for programs, a
    sentence for people, and the seconds after which another try may do better."""

    def __init__(
        self, status: int, code: str, message: str, *, retry_after: int | None = None
    ) -> None:
        self.status = status
        self.code = code
        self.retry_after = retry_after
        super().__init__(message)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one request may hold, and how many may wait."""

    body_bytes: int = 16 * 2**20
    responses: int = 512
    """Of one request, over all its prompts."""
    tokens: int = 262_144
    """Of one request, each prompt counted once for each of its responses."""
    waiting: int = 256
    """Requests that wait for the model; one more is turned away."""
    seconds: float = 60.0
    """That a request may wait for its answer, and that its body may take to come."""


@dataclass(frozen=True, kw_only=True)
class Prompted:
    """A prompt with its responses, to be encoded as in training."""

    messages: tuple[Message, ...]
    responses: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Joined:
    """A text in which a chat template has joined a prompt with one response already."""

    text: str
    prompt: str
    """How the text begins; empty where nobody said so, or said otherwise."""


Item = Prompted | Joined


@dataclass(frozen=True, kw_only=True)
class ScoreRequest:
    """`/score`: one object, or a list of them answered by a list."""

    items: tuple[Prompted, ...]
    is_list: bool


@dataclass(frozen=True, kw_only=True)
class RewardRequest:
    """`/reward`: one response, and what the KL penalty is made of."""

    item: Prompted
    policy: tuple[float, ...]
    reference: tuple[float, ...]
    beta: float


# --- The three bodies -------------------------------------------------------------


def read_score(raw: bytes, limits: Limits) -> ScoreRequest:
    """{"prompt", "responses"}, or a list of such. Raises Refusal."""
    body = _json(raw)
    rows = body if isinstance(body, list) else [body]
    items = tuple(_one_of(rows, number) for number in range(len(rows)))
    _refuse_too_many(sum(len(item.responses) for item in items), limits)
    return ScoreRequest(items=items, is_list=isinstance(body, list))


def _one_of(rows: Sequence[Any], index: int) -> Prompted:
    """The object at this place; an error names it where there are several."""
    where = f"object {index + 1}: " if len(rows) > 1 else ""
    return _checked(lambda: _prompted(_object(rows[index])), where)


def read_reward(raw: bytes) -> RewardRequest:
    """{"prompt", "response", "policy_logprobs", "reference_logprobs", "beta"}.

    Raises Refusal."""
    body = _object(_json(raw))
    one = {"prompt": body.get("prompt"), "responses": [body.get("response")]}
    return _checked(
        lambda: RewardRequest(
            item=_prompted(one),
            policy=_numbers(body, "policy_logprobs"),
            reference=_numbers(body, "reference_logprobs"),
            beta=_number(body.get("beta"), '"beta"'),
        )
    )


def read_remote(raw: bytes, limits: Limits) -> tuple[Joined, ...]:
    """OpenRLHF's {"query": [text, …], "prompts": [text, …], "labels": …}.

    A query is a whole text, template and response; where it begins with its prompt, it
    is taken apart there. Labels are of no use to a reward model. Raises Refusal.
    """
    body = _object(_json(raw))
    queries = _checked(lambda: _texts(body.get("query"), "query"))
    prompts = _checked(lambda: _texts(body.get("prompts") or [], "prompt"))
    if prompts and len(prompts) != len(queries):
        raise Refusal(
            422,
            "bad_request",
            f'"query" has {len(queries)} texts and "prompts" {len(prompts)}',
        )
    _refuse_too_many(len(queries), limits)
    return tuple(
        Joined(text=query, prompt=prompt if query.startswith(prompt) else "")
        for query, prompt in zip(queries, prompts or [""] * len(queries), strict=True)
    )


# --- Their parts ------------------------------------------------------------------


def _json(raw: bytes) -> Any:
    try:
        return read_json(raw)
    except Refused as error:
        raise Refusal(400, error.code, str(error)) from error


def _object(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise Refusal(422, "bad_request", "expected a JSON object")
    return value


def _checked(parse: Callable[[], T], where: str = "") -> T:
    try:
        return parse()
    except (DataError, Refusal) as error:
        raise Refusal(422, "bad_request", f"{where}{error}") from error


def _prompted(row: Mapping[str, Any]) -> Prompted:
    if not {"prompt", "responses"} <= row.keys():
        raise DataError('expected an object with "prompt" and "responses"')
    messages = parse_messages(row["prompt"])
    return Prompted(messages=messages, responses=_texts(row["responses"], "response"))


def _texts(value: Any, name: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise DataError(f"expected a list of texts, one for each {name}")
    return tuple(
        parse_text(text, f"{name} {number}") for number, text in enumerate(value, 1)
    )


def _numbers(body: Mapping[str, Any], key: str) -> tuple[float, ...]:
    value = body.get(key)
    if not isinstance(value, list):
        raise DataError(f'"{key}" must be a list of numbers')
    return tuple(
        _number(number, f'number {place} of "{key}"')
        for place, number in enumerate(value, start=1)
    )


def _number(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DataError(f"{name} is no number")
    number = float(value)
    if not math.isfinite(number):
        raise DataError(f"{name} is not finite")
    return number


def _refuse_too_many(responses: int, limits: Limits) -> None:
    if responses > limits.responses:
        raise Refusal(
            413,
            "too_many_responses",
            f"{responses} responses in one request; the most is {limits.responses}. "
            "Send several requests: they are scored together all the same.",
        )
