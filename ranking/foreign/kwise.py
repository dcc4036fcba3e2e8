"""Rows with a prompt and K responses that have ranks or scores. PURE.

Read are, by the names of their fields:
- InstructGPT-like rows: `prompt`, `responses` (texts), `ranks` (1 is best) or `scores`.
- UltraFeedback: `instruction`, `completions` of `{response, model, overall_score}`
  (https://huggingface.co/datasets/openbmb/UltraFeedback).
- Nectar: `prompt` as a dialogue, `answers` of `{answer, model, rank}`
  (https://huggingface.co/datasets/berkeley-nest/Nectar).
- NeMo RL's preference rows: `context` (messages), `completions` of `{rank, completion}`
  (https://github.com/NVIDIA-NeMo/RL/blob/main/docs/guides/dpo.md).
A labeler is who the row says, else `kwise`.
"""

from typing import Any, Final

from annotation.strict_json import Refused
from ranking.foreign.dialogue import answer_of, prompt_of
from ranking.foreign.judged import (
    Answer,
    Judged,
    Order,
    first_of,
    name_of,
    ranks_of,
    required_of,
)
from ranking.foreign.trl import LABELERS

NAME: Final = "kwise"
PROMPTS: Final = ("prompt", "instruction", "question", "context", "input")
RESPONSES: Final = ("responses", "completions", "answers", "generations", "outputs")
TEXTS: Final = ("text", "response", "completion", "answer", "content", "output")
RANKS: Final = ("rank", "ranks", "ranking")
SCORES: Final = ("overall_score", "score", "scores", "rating", "ratings", "reward")
MODELS: Final = ("model", "model_name")


def read(record: dict[str, Any]) -> list[Judged]:
    """The ranking of a row. Raises Refused."""
    given = required_of(record, RESPONSES)
    if not isinstance(given, list) or not given:
        raise Refused("wrong_type", "the responses are not a list")
    prompt = prompt_of(required_of(record, PROMPTS), "the prompt")
    models = _aligned(record.get("models"), len(given)) or [None] * len(given)
    answers = [
        _answer(one, number, model)
        for number, (one, model) in enumerate(zip(given, models, strict=True), 1)
    ]
    labeler = name_of(first_of(record, LABELERS)) or NAME
    return [
        Judged(
            prompt,
            answers,
            [Order(labeler, _ranks(record, given))],
            id=name_of(first_of(record, ["prompt_id", "id"])),
        )
    ]


def _answer(one: Any, number: int, model: Any) -> Answer:
    name = f"response {number}"
    if not isinstance(one, dict) or "role" in one:
        return Answer(answer_of(one, name), name_of(model))
    text = answer_of(required_of(one, TEXTS), name)
    return Answer(text, name_of(first_of(one, MODELS) or model), name_of(one.get("id")))


def _ranks(record: dict[str, Any], given: list[Any]) -> list[int]:
    """From the responses, or from a list beside them; ranks before scores."""
    for names, best in ((RANKS, "lowest"), (SCORES, "highest")):
        inside = [first_of(one, names) for one in given if isinstance(one, dict)]
        if any(value is not None for value in inside):
            return ranks_of(inside, best=best)
        beside = _aligned(first_of(record, names), len(given))
        if beside is not None:
            return ranks_of(beside, best=best)
    raise Refused("missing_field", "the responses have neither ranks nor scores")


def _aligned(values: Any, count: int) -> list[Any] | None:
    if values is None:
        return None
    if not isinstance(values, list) or len(values) != count:
        raise Refused(
            "incomplete", f"a list beside the {count} responses is not {count} long"
        )
    return values
