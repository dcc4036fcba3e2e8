"""A published reward model as the server's thread uses it. Loads torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from rm_training.batch import EncodedPrompt
from rm_training.encoding import PLAIN, Encoder
from rm_training.scoring import RewardModel
from rm_training.serving.requests import Item, Joined


@dataclass(frozen=True)
class ServedModel:
    """Encodes as training did, texts that are joined already included."""

    model: RewardModel

    @classmethod
    def load(cls, folder: Path, *, device: str) -> Self:
        """Raises as RewardModel.load does."""
        return cls(RewardModel.load(folder, device=device))

    @property
    def bias(self) -> float | None:
        """What `normalised` is less than `rewards`; None: nothing is normalised."""
        return self.model.bias

    def encode(self, item: Item) -> EncodedPrompt:
        """Token ids of a prompt and its responses, each with one EOS.

        A joined text is `prompt ids + response ids + EOS`, as ever, where its prompt is
        known, and one text where it is not: its rewards may then differ a little, for
        tokens may merge where prompt and response meet. EOS and padding at its end are
        taken away first, so that exactly one EOS stands there. Raises RunError.
        """
        if not isinstance(item, Joined):
            return self.model.encode(item.messages, item.responses)
        encoder = self.model.encoder
        rest = _without_end(item.text.removeprefix(item.prompt), encoder)
        if item.prompt:
            return self.model.encode_rendered(_without_bos(item.prompt, encoder), rest)
        return self.model.encode_rendered("", _without_bos(rest, encoder))

    def rewards(self, prompts: Sequence[EncodedPrompt]) -> list[list[float]]:
        """Raw logits."""
        return self.model.rewards(prompts)


def _without_end(text: str, encoder: Encoder) -> str:
    tokenizer = encoder.tokenizer
    ends = [str(tokenizer.eos_token), str(tokenizer.pad_token)]
    while end := next((end for end in ends if text.endswith(end)), ""):
        text = text.removesuffix(end)
    return text


def _without_bos(text: str, encoder: Encoder) -> str:
    """A chat template writes the BOS itself; for a plain text our encoder adds it."""
    bos = encoder.tokenizer.bos_token
    if encoder.template.name == PLAIN and bos is not None:
        return text.removeprefix(str(bos))
    return text
