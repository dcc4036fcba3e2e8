"""OpenAssistant's message trees. PURE.

Layout: `…_ready.trees.jsonl.gz` of https://huggingface.co/datasets/OpenAssistant/oasst1
(and oasst2), types in oasst-data/oasst_data/schemas.py of LAION-AI/Open-Assistant. A
line is a tree; a message has `replies`, and siblings have a `rank`, 0 for the one that
people preferred. Wherever at least two answers of the assistant are ranked, the
conversation down to there is a prompt, and they are its responses. The ranks are those
of many people together: the labeler is called `OpenAssistant`.
"""

from collections.abc import Iterator
from typing import Any, Final

from annotation.json_fields import a_list
from annotation.strict_json import Refused
from ranking.foreign.dialogue import ROLES, Messages
from ranking.foreign.judged import (
    Answer,
    Judged,
    Order,
    a_text,
    name_of,
    ranks_of,
    required_of,
)

NAME: Final = "oasst"
LABELER: Final = "OpenAssistant"


def read(record: dict[str, Any]) -> list[Judged]:
    """The ranked places of a tree, from the root down; none where nothing is ranked.

    Raises Refused.
    """
    root = required_of(record, ["prompt"])
    return list(_below(root, []))


def _below(node: Any, above: Messages) -> Iterator[Judged]:
    """The strict reader's limit of depth is the limit of this recursion."""
    said = [*above, _message(node)]
    replies = a_list(node, "replies")
    if said[-1]["role"] == "user":
        ranked = [reply for reply in replies if _is_ranked(reply)]
        if len(ranked) > 1:
            yield _judged(node, said, ranked)
    for reply in replies:
        yield from _below(reply, said)


def _message(node: Any) -> dict[str, str]:
    if not isinstance(node, dict):
        raise Refused("wrong_type", "a message is not an object")
    role = node.get("role")
    if role not in ("prompter", "assistant"):
        raise Refused(
            "wrong_type", "a message is neither the prompter's nor the assistant's"
        )
    return {
        "role": ROLES[role],
        "content": a_text(node.get("text"), "a message's text"),
    }


def _is_ranked(reply: Any) -> bool:
    return (
        isinstance(reply, dict)
        and reply.get("role") == "assistant"
        and reply.get("rank") is not None
        and not reply.get("deleted")
    )


def _judged(node: dict[str, Any], said: Messages, ranked: list[Any]) -> Judged:
    answers = [
        Answer(
            a_text(reply.get("text"), "a message's text"),
            name_of(reply.get("model_name")),
            name_of(reply.get("message_id")),
        )
        for reply in ranked
    ]
    ranks = ranks_of([reply["rank"] for reply in ranked], best="lowest")
    lang = name_of(node.get("lang"))
    return Judged(
        said,
        answers,
        [Order(LABELER, ranks)],
        id=name_of(node.get("message_id")),
        tags=[lang] if lang else [],
    )
