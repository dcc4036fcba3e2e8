"""The zero point: a set of responses whose mean reward is to be 0."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rm_training.batch import EncodedPrompt
from rm_training.data import DataError, parse_messages, parse_text, read_json_lines
from rm_training.encoding import Encoder


@dataclass(frozen=True, kw_only=True)
class Reference:
    """Responses that are worth 0 on average: say, demonstrations by labelers."""

    name: str
    """Of the file, without its folder."""
    sha256: str
    """Of the file's bytes."""
    prompts: tuple[EncodedPrompt, ...]
    """With K ≥ 1 responses each."""

    def bias(self, rewards: Sequence[Sequence[float]]) -> dict[str, Any]:
        """meta.json's `bias`, from the K rewards of each prompt.

        The value is the mean over all responses. A normalised reward is the reward
        minus it: a shift, never a scale, so differences and probabilities stay.
        """
        every = [reward for row in rewards for reward in row]
        return {
            "value": math.fsum(every) / len(every),
            "reference": self.name,
            "sha256": self.sha256,
        }


def read_reference(path: Path, encoder: Encoder) -> Reference:
    """A JSONL file of {"prompt", "responses"} or {"prompt", "response"}, encoded.

    A prompt is a text or a list of messages. Raises DataError, naming the line; also
    where a response does not fit behind its prompt, because a mean over the others
    would be another set's.
    """
    prompts = [_encoded(row, encoder, where) for where, row in read_json_lines(path)]
    if not prompts:
        raise DataError(f"{path.name} holds no response: it has no mean reward")
    return Reference(
        name=path.name,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        prompts=tuple(prompts),
    )


def _encoded(row: Mapping[str, Any], encoder: Encoder, where: str) -> EncodedPrompt:
    try:
        responses = _responses(row)
        encoded = encoder.encode(parse_messages(row.get("prompt")), responses)
    except DataError as error:
        raise DataError(f"{where}: {error}") from error
    if encoded.too_long:
        raise DataError(
            f"{where}: response {encoded.too_long[0] + 1} does not fit within "
            f"{encoder.limits.max_length} tokens"
        )
    return EncodedPrompt(prompt=encoded.prompt, responses=encoded.responses)


def _responses(row: Mapping[str, Any]) -> list[str]:
    texts = row.get("responses", [row["response"]] if "response" in row else None)
    if not isinstance(texts, list) or not texts:
        raise DataError('a row needs a "response", or "responses" that are not empty')
    return [parse_text(text, "a response") for text in texts]
