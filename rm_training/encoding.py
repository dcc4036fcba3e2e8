"""Text → token ids: the one encoding of training, evaluation and scoring.

A sequence is  prompt ids + response ids + EOS.  The prompt is rendered with the frozen
chat template and tokenised by itself, and so is each response: a prompt has one token
sequence for all its responses, and no token is merged across the border. EOS stands
once at the end of every response. Nothing of a response is ever cut.
"""

import datetime
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from jinja2.exceptions import TemplateError
from transformers import PreTrainedTokenizerBase

from rm_training.data import Message
from rm_training.errors import RunError

PINNED_DATE: Final = datetime.datetime(2024, 7, 26, tzinfo=datetime.UTC)
"""What a template that asks for today's date is told, so that scores never drift."""
# Templates ask in two ways: they read date_string, or they call strftime_now(format).
# transformers passes no functions into a template, so the second is a macro before it.
_STRFTIME_CODES: Final = (
    *("%-d", "%d", "%-m", "%m", "%b", "%B", "%y", "%Y", "%a", "%A", "%j", "%F"),
    *("%H", "%I", "%M", "%S", "%p"),
)
_PINNED_STRFTIME: Final = (
    "{%- macro strftime_now(format) -%}{{ format"
    + "".join(
        f" | replace('{code}', '{PINNED_DATE.strftime(code)}')"
        for code in _STRFTIME_CODES
    )
    # trim_blocks eats this newline; "-%}" would eat the template's own white space too.
    + " }}{%- endmacro %}\n"
)
PLAIN: Final = "plain"
"""Name of the template of a tokenizer that has none: contents, blank lines between."""


class EncodingError(RunError):
    """A text cannot be encoded as this model needs it; the message says which."""


@dataclass(frozen=True)
class Template:
    """How messages become text; part of the model, as its weights are."""

    name: Literal["chat", "plain"]
    text: str
    """The Jinja source; empty for plain."""

    @property
    def sha256(self) -> str:
        """Of the name and the source: what a stored model is compared by."""
        return hashlib.sha256(f"{self.name}\n{self.text}".encode()).hexdigest()

    def render(
        self, messages: Sequence[Message], tokenizer: PreTrainedTokenizerBase
    ) -> str:
        """The prompt's text, up to where the response begins.

        plain: contents joined by a blank line, and one more blank line at the end.
        Raises EncodingError where the template refuses the messages.
        """
        if self.name == PLAIN:
            return "".join(message["content"] + "\n\n" for message in messages)
        try:
            rendered = tokenizer.apply_chat_template(
                list(messages),
                chat_template=_PINNED_STRFTIME + self.text,
                tokenize=False,
                add_generation_prompt=True,
                date_string=PINNED_DATE.strftime("%d %b %Y"),
            )
        except TemplateError as error:
            raise EncodingError(
                f"the model's chat template refuses this prompt: {error}"
            ) from error
        return str(rendered)


def template_of(tokenizer: PreTrainedTokenizerBase) -> Template:
    """The tokenizer's default chat template, or plain."""
    if not tokenizer.chat_template:
        return Template(PLAIN, "")
    return Template("chat", tokenizer.get_chat_template())


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Lengths in tokens. A prompt's limit never depends on its responses, so a reward
    never depends on the other responses beside it."""

    max_length: int
    max_prompt_tokens: int


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """Token ids of a prompt and its responses."""

    prompt: tuple[int, ...]
    responses: tuple[tuple[int, ...], ...]
    """K sequences, each with its EOS."""
    trimmed: int
    """Tokens that the prompt lost on its left."""
    too_long: tuple[int, ...]
    """Indices of responses that do not fit behind the prompt within max_length."""


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """Encodes for one model: its tokenizer, frozen template and limits."""

    tokenizer: PreTrainedTokenizerBase
    template: Template
    limits: Limits

    def encode(self, messages: Sequence[Message], responses: Sequence[str]) -> Encoded:
        """Token ids of a prompt and its K responses. Raises EncodingError."""
        return self.encode_rendered(
            self.template.render(messages, self.tokenizer), responses
        )

    def encode_rendered(self, text: str, responses: Sequence[str]) -> Encoded:
        """The same for a prompt whose text the template has made already."""
        prompt, trimmed = self._prompt_ids(text)
        room = self.limits.max_length - len(prompt)
        encoded = self._response_ids(responses)
        return Encoded(
            prompt=prompt,
            responses=encoded,
            trimmed=trimmed,
            too_long=tuple(i for i, ids in enumerate(encoded) if len(ids) > room),
        )

    def joined_differs(self, messages: Sequence[Message], response: str) -> bool:
        """Whether an outside reader, who tokenises prompt and response as one text,
        sees other tokens than we do (before any trimming)."""
        text = self.template.render(messages, self.tokenizer)
        separately = self._bare_prompt_ids(text) + self._ids(response)
        return self._bare_prompt_ids(text + response) != separately

    def _prompt_ids(self, text: str) -> tuple[tuple[int, ...], int]:
        """Ids and the number of tokens trimmed: the oldest, but never a leading BOS."""
        ids = self._bare_prompt_ids(text)
        excess = len(ids) - self.limits.max_prompt_tokens
        if excess <= 0:
            return tuple(ids), 0
        kept = 1 if ids[0] == self.tokenizer.bos_token_id else 0
        return tuple(ids[:kept] + ids[kept + excess :]), excess

    def _bare_prompt_ids(self, text: str) -> list[int]:
        # A chat template writes its own BOS, as apply_chat_template(tokenize=True)
        # assumes; a plain text gets the one that the tokenizer would add, if any.
        if self.template.name == PLAIN and self._adds_bos:
            return [self._bos, *self._ids(text)]
        return self._ids(text)

    def _response_ids(self, texts: Sequence[str]) -> tuple[tuple[int, ...], ...]:
        eos = self.tokenizer.eos_token_id
        return tuple((*self._ids(text), eos) for text in texts)

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=False, verbose=False)[
            "input_ids"
        ]
        return ids

    @property
    def _bos(self) -> int:
        return int(self.tokenizer.bos_token_id)

    @property
    def _adds_bos(self) -> bool:
        first: list[Any] = self.tokenizer("a", verbose=False)["input_ids"][:1]
        return self.tokenizer.bos_token_id is not None and first == [
            self.tokenizer.bos_token_id
        ]
