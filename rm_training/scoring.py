"""The rewards of a published model, with the encoding that it was trained on."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final, Self

from transformers import PreTrainedModel

from rm_training.batch import EncodedPrompt
from rm_training.data import DataError, Message, parse_messages, parse_text
from rm_training.encoding import Encoded, Encoder, EncodingError, Limits, template_of
from rm_training.errors import RunError
from rm_training.loading import load_trained
from rm_training.manifest import DamagedFolder, verify
from rm_training.network import choose_device, scores_of_prompts
from rm_training.published import read_meta

LINES_AT_ONCE: Final = 64
"""Lines of JSONL that are read and batched together before rewards are given."""


class BadLine(RunError):  # noqa: N818  says what it is
    """A line of JSONL cannot be scored; the message names it."""


@dataclass(frozen=True, kw_only=True)
class RewardModel:
    """A published reward model in memory."""

    model: PreTrainedModel
    encoder: Encoder
    meta: Mapping[str, Any]

    @classmethod
    def load(cls, folder: Path, *, device: str = "auto") -> Self:
        """Verifies every file against the manifest, then loads.

        Raises DamagedFolder for a file that is torn, changed, missing or unknown, and
        for a chat template that is not the one in meta.json; ModelError for a model
        that is none of ours; ConfigError for the device.
        """
        chosen = choose_device(device)
        verify(folder)
        meta = read_meta(folder)
        model, tokenizer = load_trained(folder, device=chosen)
        template = template_of(tokenizer)
        try:
            stored, limits = meta["template"]["sha256"], meta["encoding"]
            encoder = Encoder(
                tokenizer=tokenizer,
                template=template,
                limits=Limits(
                    max_length=limits["max_length"],
                    max_prompt_tokens=limits["max_prompt_tokens"],
                ),
            )
        except (KeyError, TypeError) as error:
            raise DamagedFolder(f"{folder}: meta.json lacks {error}") from error
        if template.sha256 != stored:
            raise DamagedFolder(
                f"{folder}: the tokenizer's chat template is not the one that the "
                "model was trained with (meta.json)"
            )
        return cls(model=model, encoder=encoder, meta=meta)

    @property
    def bias(self) -> float | None:
        """The mean reward of a reference set; None where none was stored."""
        stored = self.meta.get("bias")
        return None if stored is None else float(stored["value"])

    def score(
        self,
        prompts: Sequence[str | Sequence[Message]],
        responses: Sequence[Sequence[str]],
    ) -> list[list[float]]:
        """Rewards of each prompt's responses: raw logits, in the order given.

        Differences matter only between responses to the same prompt. A reward does not
        depend on what is scored beside it (to float32 rounding).

        Raises DataError for a prompt that is no text and no list of messages, and
        EncodingError for a response that is too long; nothing is ever cut from one.
        """
        return self.rewards(
            [
                self.encode(prompt, texts)
                for prompt, texts in zip(prompts, responses, strict=True)
            ]
        )

    def encode(
        self, prompt: str | Sequence[Message], responses: Sequence[str]
    ) -> EncodedPrompt:
        """Token ids, as in training. Raises DataError, EncodingError as `score`."""
        messages = parse_messages(prompt if isinstance(prompt, str) else list(prompt))
        return self._fitting(self.encoder.encode(messages, responses))

    def encode_rendered(self, text: str, response: str) -> EncodedPrompt:
        """The same for a prompt whose text a chat template has made already."""
        return self._fitting(self.encoder.encode_rendered(text, [response]))

    def rewards(self, prompts: Sequence[EncodedPrompt]) -> list[list[float]]:
        """Rewards of each prompt's responses, in the order given."""
        return scores_of_prompts(self.model, prompts)

    def _fitting(self, encoded: Encoded) -> EncodedPrompt:
        if encoded.too_long:
            index = encoded.too_long[0]
            raise EncodingError(
                f"response {index + 1} has {len(encoded.responses[index])} tokens, its "
                f"prompt {len(encoded.prompt)}; this model takes "
                f"{self.encoder.limits.max_length} in all"
            )
        return EncodedPrompt(prompt=encoded.prompt, responses=encoded.responses)


def score_lines(model: RewardModel, lines: Iterable[bytes]) -> Iterator[str]:
    """JSONL of {"prompt", "responses"} → the same with "rewards", line by line.

    Where the model has a bias also "normalised" (reward - bias). Other keys pass
    through; rewards of an earlier scoring are replaced. Blank lines are skipped.

    Raises BadLine at the first line that cannot be scored; all lines before it have
    been given by then.
    """
    numbered = ((n, line) for n, line in enumerate(lines, start=1) if line.strip())
    while window := list(islice(numbered, LINES_AT_ONCE)):
        for outcome in score_window(model, window):
            if isinstance(outcome, BadLine):
                raise outcome
            yield outcome


def score_window(
    model: RewardModel, window: Iterable[tuple[int, bytes]]
) -> list[str | BadLine]:
    """What becomes of each numbered line, all scored together."""
    outcomes: list[str | BadLine] = []
    rows, prompts, places = [], [], []
    for place, (number, line) in enumerate(window):
        try:
            row = _parse_line(line)
            prompts.append(model.encode(row["prompt"], row["responses"]))
        except (DataError, EncodingError) as error:
            bad = BadLine(f"line {number}: {error}")
            bad.__cause__ = error
            outcomes.append(bad)
        else:
            rows.append(row)
            places.append(place)
            outcomes.append("")
    for place, row, rewards in zip(places, rows, model.rewards(prompts), strict=True):
        outcomes[place] = _with_rewards(row, rewards, model.bias)
    return outcomes


def _with_rewards(
    row: Mapping[str, Any], rewards: Sequence[float], bias: float | None
) -> str:
    given = {k: v for k, v in row.items() if k not in ("rewards", "normalised")}
    given["rewards"] = rewards
    if bias is not None:
        given["normalised"] = [reward - bias for reward in rewards]
    return json.dumps(given)  # ASCII: safe on any terminal and in any pipe


def _parse_line(line: bytes) -> dict[str, Any]:
    try:
        row = json.loads(line, parse_constant=_refuse_constant, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise DataError(f"no JSON in UTF-8: {error}") from error
    if not isinstance(row, dict) or not {"prompt", "responses"} <= row.keys():
        raise DataError('expected an object with "prompt" and "responses"')
    parse_messages(row["prompt"])
    if not isinstance(row["responses"], list):
        raise DataError('"responses" must be a list of texts')
    for number, text in enumerate(row["responses"], start=1):
        parse_text(text, f"response {number}")
    return row


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def _finite(digits: str) -> float:
    # 1e999 would become inf, which could not be written as JSON again.
    number = float(digits)
    if math.isinf(number):
        raise ValueError(f"{digits} is no finite number")
    return number
