"""One element = one prompt with its K responses and all its rankings; and its padding.

All pairs of a prompt come from K encoded responses, never K(K - 1) of them (InstructGPT
§3.5), and of the prompt itself mostly one (`layouts`).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from rm_training.data import NOT_RANKED, Example
from rm_training.encoding import Encoder, EncodingError


@dataclass(frozen=True, kw_only=True)
class EncodedPrompt:
    """Token ids of a prompt, of its K responses (EOS included), and N rankings."""

    prompt: tuple[int, ...]
    responses: tuple[tuple[int, ...], ...]
    rankings: tuple[tuple[int, ...], ...] = ()

    def rows(self) -> Iterator[tuple[int, ...]]:
        """The K sequences prompt + response."""
        return (self.prompt + response for response in self.responses)

    @property
    def tokens(self) -> int:
        """Of all K sequences."""
        return sum(map(len, self.rows()))


@dataclass(kw_only=True)
class EncodingReport:
    """What encoding did to the texts of a run; counted, because it is never silent."""

    prompts: int = 0
    responses: int = 0
    prompts_trimmed: int = 0
    tokens_trimmed: int = 0
    responses_dropped: int = 0
    """Too long to fit behind their prompt: they are in no pair."""
    joined_differently: int = 0
    """Responses whose tokens differ where prompt and response are tokenised as one."""
    dropped: list[str] = field(default_factory=list)
    """The first of the dropped ones, "prompt id / response id"."""


def encode_examples(
    examples: Iterable[Example], encoder: Encoder, report: EncodingReport
) -> list[EncodedPrompt]:
    """Encodes prompts for training or evaluation and adds what happened to the report.

    A response that is too long is left out of its prompt, and a prompt with fewer than
    two responses left is left out as well. Raises EncodingError, with the prompt's id.
    """
    prompts = [_encode_example(example, encoder, report) for example in examples]
    return [prompt for prompt in prompts if len(prompt.responses) > 1]


def _encode_example(
    example: Example, encoder: Encoder, report: EncodingReport
) -> EncodedPrompt:
    try:
        encoded = encoder.encode(example.messages, example.responses)
    except EncodingError as error:
        raise EncodingError(f"prompt {example.prompt_id!r}: {error}") from error
    report.prompts += 1
    report.responses += len(example.responses)
    report.prompts_trimmed += encoded.trimmed > 0
    report.tokens_trimmed += encoded.trimmed
    report.responses_dropped += len(encoded.too_long)
    report.joined_differently += sum(
        encoder.joined_differs(example.messages, text) for text in example.responses
    )
    for index in encoded.too_long[: max(0, 10 - len(report.dropped))]:
        report.dropped.append(f"{example.prompt_id} / {example.response_ids[index]}")
    kept = [i for i in range(len(encoded.responses)) if i not in encoded.too_long]
    return EncodedPrompt(
        prompt=encoded.prompt,
        responses=tuple(encoded.responses[i] for i in kept),
        rankings=tuple(tuple(ranks[i] for i in kept) for ranks in example.rankings),
    )


@dataclass(frozen=True, kw_only=True)
class Rows:
    """R sequences padded on the right to T tokens."""

    input_ids: Tensor
    """(R, T)"""
    attention_mask: Tensor
    """(R, T): 1 on a sequence's own tokens, 0 on padding."""
    lengths: Tensor
    """(R,): tokens of each sequence; the reward is read at lengths - 1."""

    @property
    def tokens(self) -> int:
        """Tokens encoded, without padding."""
        return int(self.lengths.sum())

    @property
    def padding(self) -> int:
        """Padding positions."""
        return self.input_ids.numel() - self.tokens

    def to(self, device: torch.device) -> "Rows":
        """The same rows on another device."""
        return Rows(
            input_ids=self.input_ids.to(device),
            attention_mask=self.attention_mask.to(device),
            lengths=self.lengths.to(device),
        )


def pad_rows(sequences: Sequence[Sequence[int]], *, pad_token_id: int) -> Rows:
    """Pads R ≥ 1 non-empty sequences to the longest.

    >>> rows = pad_rows([[5, 6, 7], [8]], pad_token_id=0)
    >>> rows.input_ids.tolist(), rows.lengths.tolist()
    ([[5, 6, 7], [8, 0, 0]], [3, 1])
    """
    lengths = torch.tensor([len(sequence) for sequence in sequences])
    width = int(lengths.max())
    padded = [[*ids, *[pad_token_id] * (width - len(ids))] for ids in sequences]
    return Rows(
        input_ids=torch.tensor(padded),
        attention_mask=(torch.arange(width) < lengths.unsqueeze(1)).long(),  # (R, T)
        lengths=lengths,
    )


def pad_ranks(prompts: Sequence[EncodedPrompt]) -> Tensor:
    """Ranks (B, N, K) of B prompts, N and K the largest among them; padding is 0."""
    rankings = max((len(prompt.rankings) for prompt in prompts), default=0)
    responses = max((len(prompt.responses) for prompt in prompts), default=0)
    ranks = torch.full((len(prompts), rankings, responses), NOT_RANKED)
    for b, prompt in enumerate(prompts):
        for n, ranking in enumerate(prompt.rankings):
            ranks[b, n, : len(ranking)] = torch.tensor(ranking)
    return ranks
