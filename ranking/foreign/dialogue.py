"""Conversations as other people write them. PURE.

Anthropic's hh-rlhf and what was made after it keep a whole dialogue in one text, each
turn behind `\\n\\nHuman:` or `\\n\\nAssistant:`
(https://github.com/anthropics/hh-rlhf#human-preference-data-about-helpfulness-and-harmlessness-pm-data).
"""

import re
from typing import Any, Final

from annotation.strict_json import Refused

Messages = list[dict[str, str]]
TURN: Final = re.compile(r"\n\n(Human|Assistant):")
ROLES: Final = {
    "Human": "user",
    "Assistant": "assistant",
    "human": "user",
    "prompter": "user",
    "gpt": "assistant",
    "user": "user",
    "assistant": "assistant",
    "system": "system",
}


def turns_of(text: str) -> Messages | None:
    """The messages of a dialogue in one text; None for any other text.

    One blank behind the colon belongs to the sign, not to what is said.
    """
    if not text.startswith("\n\nHuman:"):
        return None
    _, *pieces = TURN.split(text)
    return [
        {"role": ROLES[who], "content": said.removeprefix(" ")}
        for who, said in zip(pieces[::2], pieces[1::2], strict=True)
    ]


def asked(text: str) -> str | Messages:
    """A prompt as a text or, where it is a dialogue, as messages up to the user's last.

    An empty turn of the assistant at the end only says whose turn it is.
    """
    turns = turns_of(text)
    if turns is None:
        return text
    if turns[-1]["role"] == "assistant" and not turns[-1]["content"].strip():
        turns.pop()
    return turns


def messages_of(value: Any, name: str) -> Messages:
    """Messages with our roles, from a list of `{role, content}` or of `{from, value}`.

    Raises Refused with wrong_type.
    """
    if not isinstance(value, list) or not value:
        raise Refused("wrong_type", f"{name} is not a list of messages")
    return [_message(turn, name) for turn in value]


def _message(turn: Any, name: str) -> dict[str, str]:
    if not isinstance(turn, dict):
        raise Refused("wrong_type", f"{name} holds something that is no message")
    role = turn.get("role", turn.get("from"))
    content = turn.get("content", turn.get("value"))
    if not isinstance(role, str) or role not in ROLES:
        raise Refused("wrong_type", f"a role in {name} is none of {', '.join(ROLES)}")
    if not isinstance(content, str):
        raise Refused("wrong_type", f"the content of a message in {name} is no text")
    return {"role": ROLES[role], "content": content}


def prompt_of(value: Any, name: str) -> str | Messages:
    """A prompt that is a text, a dialogue in one text, or messages."""
    return asked(value) if isinstance(value, str) else messages_of(value, name)


def answer_of(value: Any, name: str) -> str:
    """An answer that is a text, a message of the assistant, or a list of one."""
    if isinstance(value, str):
        return value
    messages = messages_of(value if isinstance(value, list) else [value], name)
    if len(messages) != 1 or messages[0]["role"] != "assistant":
        raise Refused("wrong_type", f"{name} is not one answer of the assistant")
    return messages[0]["content"]
