"""What must not change a reward: the batch, padding, the order, the arithmetic."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import torch
from torch import Tensor
from transformers import PreTrainedModel

from rm_training.batch import EncodedPrompt, pad_rows
from rm_training.network import rewards_of_prompts, rewards_of_rows

MOST_TOKENS: Final = 2_048
MOST_PROMPTS: Final = 8
"""Tried on few short prompts: each check scores them once more."""
PADDING: Final = 32
FLOAT32: Final = 1e-5
"""Of the largest reward, or of 1: float32 has seven digits."""
BFLOAT16: Final = 0.05
"""Likewise: bfloat16 has three."""


@torch.no_grad()
def invariances(
    model: PreTrainedModel, prompts: Sequence[EncodedPrompt]
) -> list[dict[str, Any]]:
    """Part 11 of the suite that needs no other model: the largest change of a reward.

    Each is {"check", "largest", "tolerance", "passed", "responses"}; all compare with
    float32 rewards of prompts scored one by one. Without a prompt there is none.
    """
    some = _few(prompts)
    if not some:
        return []
    alone = torch.cat([_of(model, [prompt]) for prompt in some])
    size = max(1.0, alone.abs().max().item())
    checks: list[tuple[str, Callable[[], Tensor], float]] = [
        ("each response in a batch of its own", lambda: _singly(model, some), FLOAT32),
        ("all prompts in one batch", lambda: _of(model, some), FLOAT32),
        (f"{PADDING} more tokens of padding", lambda: _padded(model, some), FLOAT32),
        ("responses in the reverse order", lambda: _reversed(model, some), FLOAT32),
        (
            "bfloat16 instead of float32",
            lambda: _of(model, some, bfloat16=True),
            BFLOAT16,
        ),
    ]
    found = []
    for check, rewards, tolerance in checks:
        largest = (rewards() - alone).abs().max().item()
        found.append(
            {
                "check": check,
                "largest": largest,
                "tolerance": tolerance * size,
                "passed": largest <= tolerance * size,
                "responses": len(alone),
            }
        )
    return found


def _few(prompts: Sequence[EncodedPrompt]) -> list[EncodedPrompt]:
    """The shortest, at least one, and no more than MOST_TOKENS in all."""
    chosen: list[EncodedPrompt] = []
    tokens = 0
    for prompt in sorted(prompts, key=_tokens)[:MOST_PROMPTS]:
        tokens += _tokens(prompt)
        if chosen and tokens > MOST_TOKENS:
            break
        chosen.append(prompt)
    return chosen


def _tokens(prompt: EncodedPrompt) -> int:
    return sum(map(len, prompt.rows()))


def _of(
    model: PreTrainedModel, prompts: Sequence[EncodedPrompt], *, bfloat16: bool = False
) -> Tensor:
    """Rewards of all responses, prompt by prompt, `(R,)`."""
    table = rewards_of_prompts(model, prompts, bfloat16=bfloat16)  # (B, K)
    rows = zip(table, prompts, strict=True)
    return torch.cat([rewards[: len(p.responses)] for rewards, p in rows])


def _singly(model: PreTrainedModel, prompts: Sequence[EncodedPrompt]) -> Tensor:
    pad = model.config.pad_token_id
    return torch.cat(
        [
            rewards_of_rows(model, pad_rows([row], pad_token_id=pad))
            for prompt in prompts
            for row in prompt.rows()
        ]
    )


def _padded(model: PreTrainedModel, prompts: Sequence[EncodedPrompt]) -> Tensor:
    """A longer row beside them makes the padding; its own reward is dropped."""
    pad = model.config.pad_token_id
    rows = [row for prompt in prompts for row in prompt.rows()]
    longest = max(rows, key=len)
    positions = getattr(model.config, "max_position_embeddings", None)
    width = min(len(longest) + PADDING, positions or len(longest) + PADDING)
    filler = (*longest, *longest[-1:] * (width - len(longest)))
    rewards = rewards_of_rows(model, pad_rows([*rows, filler], pad_token_id=pad))
    return rewards[:-1]


def _reversed(model: PreTrainedModel, prompts: Sequence[EncodedPrompt]) -> Tensor:
    return torch.cat(
        [
            _of(
                model,
                [EncodedPrompt(prompt=prompt.prompt, responses=prompt.responses[::-1])],
            ).flip(0)
            for prompt in prompts
        ]
    )
