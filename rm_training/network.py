"""The trunk of a causal LM with a scalar head, and its rewards.

A reward is read at the last token of a sequence (its EOS), found by its length and not
by looking for padding, and the head runs in float32 even where the trunk does not:
half-precision rewards tie by rounding.
"""

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from typing import Final

import torch
from torch import Tensor
from transformers import PreTrainedModel

from rm_training.architectures import modes_of, trunk_of
from rm_training.batch import EncodedPrompt, Rows
from rm_training.config import ConfigError, TrainingConfig
from rm_training.encoding import Limits
from rm_training.errors import RunError
from rm_training.layouts import Layout, Lengths, Positions, Row, lay_out
from rm_training.passes import embed, last_states

LONGEST: Final = 2048
"""Tokens of a sequence where the config leaves max_length open."""


POSITIONS_AT_ONCE: Final = 16_384
"""Tokens of all rows that are scored together: bounds memory."""


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
    return _read(model, last)


def rewards_of_prompts(
    model: PreTrainedModel, prompts: Sequence[EncodedPrompt], *, bfloat16: bool = False
) -> Tensor:
    """Float32 rewards (B, K) of B prompts, K the most responses of one; padding is 0.

    They are those of K separate passes, to rounding; how the responses of a prompt are
    encoded together is chosen by their lengths alone (`layouts`). A response that a
    prompt has twice is encoded once, so that its rewards are the same number.

    Raises PromptForgotten, which no model that is supported does.
    """
    distinct = [_distinct(prompt) for prompt in prompts]
    with torch.autocast(model.device.type, torch.bfloat16, enabled=bfloat16):
        batch = embed(model, distinct)
        rows, states = last_states(batch, _layouts(model, distinct))  # (N, d)
    rewards = _read(model, states)
    where = {row: number for number, row in enumerate(rows)}
    width = max(len(prompt.responses) for prompt in prompts)
    table = torch.full((len(prompts), width), len(rows))  # the last one: padding
    for b, (prompt, unique) in enumerate(zip(prompts, distinct, strict=True)):
        for k, response in enumerate(prompt.responses):
            table[b, k] = where[Row(b, unique.responses.index(response))]
    padded = torch.cat([rewards, rewards.new_zeros(1)])
    found: Tensor = padded[table.to(padded.device)]
    return found


def _read(model: PreTrainedModel, states: Tensor) -> Tensor:
    """Rewards (N,) of hidden states (N, d), in the head's float32, not in bfloat16."""
    head = head_of(model)
    with torch.autocast(model.device.type, enabled=False):
        rewards: Tensor = head(states.to(head.weight.dtype)).squeeze(-1)
    return rewards


@torch.no_grad()
def scores_of_prompts(
    model: PreTrainedModel,
    prompts: Sequence[EncodedPrompt],
    *,
    bfloat16: bool = False,
    after_pass: Callable[[int], object] = lambda prompts: None,
) -> list[list[float]]:
    """Rewards of each prompt's responses, as rewards_of_prompts gives them, in passes
    of at most POSITIONS_AT_ONCE tokens where no single response has more.

    Prompts of similar length are encoded together, whatever their order, and one with
    too many tokens in several passes. `after_pass` hears how many prompts are done.
    """
    pieces, ends = list[EncodedPrompt](), list[bool]()
    for prompt in prompts:
        of_prompt = list(_pieces(prompt))
        pieces += of_prompt
        ends += [piece is of_prompt[-1] for piece in of_prompt]
    scores: list[list[float]] = [[] for _ in pieces]
    for places in _bounded([piece.tokens for piece in pieces]):
        group = [pieces[place] for place in places]
        table = rewards_of_prompts(model, group, bfloat16=bfloat16).tolist()
        for place, rewards in zip(places, table, strict=True):
            scores[place] = rewards[: len(pieces[place].responses)]
        after_pass(sum(ends[place] for place in places))
    flat = chain.from_iterable(scores)
    return [list(islice(flat, len(prompt.responses))) for prompt in prompts]


def _pieces(prompt: EncodedPrompt) -> Iterator[EncodedPrompt]:
    """The prompt with some of its responses each, within the bound."""
    some, size = list[tuple[int, ...]](), 0
    for response in prompt.responses:
        row = len(prompt.prompt) + len(response)
        if some and size + row > POSITIONS_AT_ONCE:
            yield EncodedPrompt(prompt=prompt.prompt, responses=tuple(some))
            some, size = [], 0
        some.append(response)
        size += row
    if some:
        yield EncodedPrompt(prompt=prompt.prompt, responses=tuple(some))


def _bounded(tokens: Sequence[int]) -> Iterator[list[int]]:
    """Places, those with the fewest tokens first, in groups within the bound."""
    group, size = list[int](), 0
    for place in sorted(range(len(tokens)), key=tokens.__getitem__):
        if group and size + tokens[place] > POSITIONS_AT_ONCE:
            yield group
            group, size = [], 0
        group.append(place)
        size += tokens[place]
    if group:
        yield group


def positions_of_prompts(
    model: PreTrainedModel, prompts: Sequence[EncodedPrompt]
) -> Positions:
    """Tokens and padding that rewards_of_prompts sends through the trunk for them."""
    distinct = [_distinct(prompt) for prompt in prompts]
    lengths = [_lengths(prompt) for prompt in distinct]
    found = [one.positions(lengths) for one in _layouts(model, distinct)]
    return sum(found, start=Positions(tokens=0, padding=0))


def _distinct(prompt: EncodedPrompt) -> EncodedPrompt:
    return EncodedPrompt(
        prompt=prompt.prompt, responses=tuple(dict.fromkeys(prompt.responses))
    )


def _lengths(prompt: EncodedPrompt) -> Lengths:
    return Lengths(len(prompt.prompt), tuple(map(len, prompt.responses)))


def _layouts(
    model: PreTrainedModel, prompts: Sequence[EncodedPrompt]
) -> Sequence[Layout]:
    return lay_out(
        [_lengths(prompt) for prompt in prompts], trunk_of(model), modes_of(model)
    )


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
