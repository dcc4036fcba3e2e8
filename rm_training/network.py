"""The trunk of a causal LM with a scalar head, and its rewards.

A reward is read at the last token of a sequence (its EOS), found by its length and not
by looking for padding, and the head runs in float32 even where the trunk does not:
half-precision rewards tie by rounding.
"""

import hashlib
import math
from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor
from transformers import PreTrainedModel

from rm_training.batch import EncodedPrompt, Rows, pad_rows
from rm_training.config import ConfigError, TrainingConfig
from rm_training.encoding import Limits
from rm_training.errors import RunError

LONGEST: Final = 2048
"""Tokens of a sequence where the config leaves max_length open."""


class ModelError(RunError):
    """A model cannot be loaded or used; the message names it and says why."""


def moved(model: PreTrainedModel, device: torch.device) -> PreTrainedModel:
    """The same model on the device."""
    module: torch.nn.Module = model
    module.to(device)
    return model


def head_of(model: PreTrainedModel) -> torch.nn.Linear:
    """The scalar head, `score`. Raises ModelError where it is none."""
    head = model.score
    if (
        not isinstance(head, torch.nn.Linear)
        or head.out_features != 1
        or head.bias is not None
    ):
        raise ModelError("the model's head is not one bias-free output")
    return head


def rewards_of_rows(
    model: PreTrainedModel, rows: Rows, *, bfloat16: bool = False
) -> Tensor:
    """Rewards (R,) in float32; with bfloat16 the trunk runs under autocast.

    The rows are moved to the model's device.
    """
    rows = rows.to(model.device)
    body = getattr(model, model.base_model_prefix)
    with torch.autocast(model.device.type, torch.bfloat16, enabled=bfloat16):
        hidden = body(
            input_ids=rows.input_ids,
            attention_mask=rows.attention_mask,
            use_cache=False,
        ).last_hidden_state  # (R, T, d)
    every_row = torch.arange(len(rows.lengths), device=hidden.device)
    last = hidden[every_row, rows.lengths - 1]  # (R, d)
    with torch.autocast(model.device.type, enabled=False):
        rewards: Tensor = head_of(model)(last.float()).squeeze(-1)  # (R, 1) → (R,)
    return rewards


def rewards_of_prompts(
    model: PreTrainedModel, prompts: Sequence[EncodedPrompt], *, bfloat16: bool = False
) -> Tensor:
    """Rewards (B, K) of B prompts, K the most responses of one; padding is 0.

    One forward pass over all Σ K rows. This is the only place that decides how the
    responses of a prompt are encoded together.
    """
    sequences = [row for prompt in prompts for row in prompt.rows()]
    pad = model.config.pad_token_id
    counts = torch.tensor([len(prompt.responses) for prompt in prompts])
    rewards = rewards_of_rows(
        model, pad_rows(sequences, pad_token_id=pad), bfloat16=bfloat16
    )
    filled = torch.arange(int(counts.max())) < counts.unsqueeze(1)  # (B, K)
    table = rewards.new_zeros(filled.shape)
    # Row-major order of `filled` is the order of the rows: prompt by prompt.
    return table.masked_scatter(filled.to(rewards.device), rewards)


def choose_device(name: str) -> torch.device:
    """The torch device; auto is a GPU where there is one. Raises ConfigError."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"device {name!r} is unknown to torch") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            f"device {name!r}: this machine has no GPU that torch can use"
        )
    return device


def limits_of(model: PreTrainedModel, config: TrainingConfig) -> Limits:
    """Lengths in tokens from the config and the model's positions. ConfigError."""
    positions = getattr(model.config, "max_position_embeddings", None) or math.inf
    longest = config.max_length or int(min(LONGEST, positions))
    if longest > positions:
        raise ConfigError(
            f"max_length is {longest}, but the base model has {positions} positions"
        )
    prompt = config.max_prompt_tokens or longest // 2
    if prompt >= longest:
        raise ConfigError(
            f"max_prompt_tokens is {prompt}, which leaves no room for a response "
            f"within {longest} tokens"
        )
    return Limits(max_length=longest, max_prompt_tokens=prompt)


def weights_sha256(model: PreTrainedModel) -> str:
    """SHA-256 of the trunk's weights, by name: which base a model was trained from.

    Read it right after load_base, before training; the head is not in it.
    """
    digest = hashlib.sha256()
    body = getattr(model, model.base_model_prefix)
    for name, weight in sorted(body.state_dict().items()):
        digest.update(f"{name} {weight.dtype} {tuple(weight.shape)}\n".encode())
        digest.update(weight.detach().cpu().contiguous().numpy().data)
    return digest.hexdigest()
