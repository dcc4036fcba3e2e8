"""Preference pairs as TRL's RewardTrainer and DPOTrainer take them. PURE.

Layouts: https://huggingface.co/docs/trl/dataset_formats#preference. A row has `chosen`
and `rejected`, and a `prompt` where it is explicit; each is a text (standard) or a list
of messages (conversational). Where the prompt is implicit it is what both begin with.
Rows whose `chosen` and `rejected` repeat the whole conversation beside a `prompt` (as
ultrafeedback_binarized has them) are read too, and so are dialogues in one text.
"""

from typing import Any, Final

from annotation.strict_json import Refused
from ranking.foreign.dialogue import (
    Messages,
    answer_of,
    messages_of,
    prompt_of,
    turns_of,
)
from ranking.foreign.judged import Answer, Judged, Order, Prompt, first_of, name_of
from ranking.foreign.judged import required_of as required

NAME: Final = "trl"
LABELERS: Final = ("labeler", "annotator", "labeler_id", "annotator_id", "worker")


def read(record: dict[str, Any]) -> list[Judged]:
    """The pair of a row. Raises Refused."""
    chosen, rejected = required(record, ["chosen"]), required(record, ["rejected"])
    if isinstance(chosen, str) is not isinstance(rejected, str):
        raise Refused("wrong_type", "'chosen' and 'rejected' are not of one kind")
    given = record.get("prompt")
    if given is None:
        prompt, *texts = _implicit(chosen, rejected)
    else:
        prompt, *texts = _explicit(given, chosen, rejected)
    models = [first_of(record, [f"{which}_model", f"{which}-model"]) for which in PAIR]
    labeler = name_of(first_of(record, LABELERS)) or NAME
    answers = [
        Answer(text, name_of(model)) for text, model in zip(texts, models, strict=True)
    ]
    return [Judged(prompt, answers, [Order(labeler, [1, 2])])]


PAIR: Final = ("chosen", "rejected")


def _explicit(given: Any, chosen: Any, rejected: Any) -> tuple[Prompt, str, str]:
    prompt = prompt_of(given, "'prompt'")
    if isinstance(chosen, list) and len(chosen) > 1:
        whole, *texts = _conversations(chosen, rejected)
        if prompt not in (whole, whole[-1]["content"], whole[0]["content"]):
            raise Refused("wrong_type", "'chosen' does not begin with 'prompt'")
        return whole, texts[0], texts[1]
    return prompt, answer_of(chosen, "'chosen'"), answer_of(rejected, "'rejected'")


def _implicit(chosen: Any, rejected: Any) -> tuple[Prompt, str, str]:
    if not isinstance(chosen, str):
        return _conversations(chosen, rejected)
    dialogues = turns_of(chosen), turns_of(rejected)
    if dialogues[0] and dialogues[1]:
        return _conversations(*dialogues)
    return _common_start(chosen, rejected)


def _conversations(chosen: Any, rejected: Any) -> tuple[Messages, str, str]:
    """What both say before the last message, and the two last ones."""
    pair = messages_of(chosen, "'chosen'"), messages_of(rejected, "'rejected'")
    start = pair[0][:-1]
    if not start or start != pair[1][:-1]:
        raise Refused(
            "wrong_type", "'chosen' and 'rejected' differ before their last message"
        )
    if start[-1]["role"] != "user":
        raise Refused("wrong_type", "what is answered is not the user's message")
    answers = [answer_of(one[-1:], "the end") for one in pair]
    return start, answers[0], answers[1]


def _common_start(chosen: str, rejected: str) -> tuple[str, str, str]:
    """As TRL's extract_prompt does: up to the first difference, less one blank."""
    shorter = min(len(chosen), len(rejected))
    differ = next(
        (place for place in range(shorter) if chosen[place] != rejected[place]), shorter
    )
    if differ and chosen[differ - 1] == " ":
        differ -= 1
    if not differ:
        raise Refused(
            "missing_field",
            "there is no 'prompt', and 'chosen' and 'rejected' begin differently",
        )
    return chosen[:differ], chosen[differ:], rejected[differ:]
