"""Forward passes through the trunk: the hidden state behind each response's last token.

Every token of a batch is embedded once, for all passes: the gradient of a vocabulary is
as large as the vocabulary, however few tokens a pass has. Padding stands on the right,
where no token of a row looks, and is no token at all: a row of zeros.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import DynamicCache, PreTrainedModel

from rm_training.batch import EncodedPrompt
from rm_training.errors import RunError
from rm_training.layouts import Layout, Mode, Row

Pass = tuple[Sequence[Row], Tensor]
"""Responses, and the hidden states (R, d) of their last tokens."""


class PromptForgotten(RunError):  # noqa: N818  says what happened
    """A model did not keep a prompt's keys and values for its responses."""


@dataclass(frozen=True, kw_only=True)
class Embedded:
    """A batch whose tokens are embedded, and the trunk that they go through."""

    model: PreTrainedModel
    prompts: Sequence[Tensor]
    """B of them, (P, d) each."""
    responses: Sequence[Sequence[Tensor]]
    """Of each prompt, (R, d) each."""

    def hidden(self, rows: Sequence[Tensor], **options: Any) -> Tensor:
        """Hidden states (R, T, d) of rows (T, d) of different lengths."""
        return self.trunk(inputs_embeds=_padded(rows), **options)

    def trunk(self, **inputs: Any) -> Tensor:
        """Hidden states (R, T, d) behind the last norm."""
        body: torch.nn.Module = getattr(self.model, self.model.base_model_prefix)
        found: Tensor = body(**{"use_cache": False} | inputs).last_hidden_state
        return found

    def index(self, numbers: Sequence[int]) -> Tensor:
        """The numbers on the model's device."""
        return torch.tensor(numbers, device=self.model.device)

    def ends(self, hidden: Tensor, lengths: Sequence[int]) -> Tensor:
        """Of each row (R, T, d) the state of its last token, (R, d)."""
        every_row = torch.arange(len(lengths), device=hidden.device)
        return hidden[every_row, self.index(lengths) - 1]

    def response(self, row: Row) -> Tensor:
        """The tokens (R, d) of a response."""
        return self.responses[row.prompt][row.response]


def embed(model: PreTrainedModel, prompts: Sequence[EncodedPrompt]) -> Embedded:
    """Looks up all tokens at once."""
    pieces = [ids for one in prompts for ids in (one.prompt, *one.responses)]
    flat = torch.tensor([token for ids in pieces for token in ids], device=model.device)
    table: Any = model.get_input_embeddings()
    found = iter(table(flat).split([len(ids) for ids in pieces]))
    parts = [[next(found) for _ in (one.prompt, *one.responses)] for one in prompts]
    return Embedded(
        model=model,
        prompts=[part[0] for part in parts],
        responses=[part[1:] for part in parts],
    )


def last_states(batch: Embedded, layouts: Sequence[Layout]) -> Pass:
    """Every response of the layouts, and the hidden states of their last tokens.

    Raises PromptForgotten where the model does not do what a cached layout needs: no
    reward is better than a wrong one.
    """
    passes = [one for layout in layouts for one in RUN[layout.mode](batch, layout)]
    rows = [row for of_pass, _ in passes for row in of_pass]
    return rows, torch.cat([states for _, states in passes])


def _loop(batch: Embedded, layout: Layout) -> Iterator[Pass]:
    for group in layout.groups:
        rows = [
            torch.cat([batch.prompts[row.prompt], batch.response(row)]) for row in group
        ]
        yield group, batch.ends(batch.hidden(rows), [len(row) for row in rows])


def _cached(batch: Embedded, layout: Layout) -> Iterator[Pass]:
    """The prompts once, with gradient; each group continues from a cache of its own,
    because a forward pass adds its own keys and values to the cache it is given."""
    prompts = [batch.prompts[place] for place in layout.prompts]
    lengths = batch.index([len(prompt) for prompt in prompts])  # (B,)
    longest = max(map(len, prompts))
    memory = DynamicCache(config=batch.model.config)
    batch.hidden(prompts, past_key_values=memory, use_cache=True)
    _check_memory(memory, longest)
    places = {place: number for number, place in enumerate(layout.prompts)}
    for group in layout.groups:
        chosen = batch.index([places[row.prompt] for row in group])  # (R,)
        before = lengths[chosen].unsqueeze(1)  # (R, 1)
        responses = _padded([batch.response(row) for row in group])
        ahead = torch.arange(responses.shape[1], device=before.device)
        own = _memory_of(memory, chosen, batch)
        hidden = batch.trunk(
            inputs_embeds=responses,
            position_ids=before + ahead,  # (R, T)
            attention_mask=_without_padding(before, longest, responses.shape[1]),
            past_key_values=own,
            use_cache=True,
        )
        _check_memory(own, longest + responses.shape[1])
        yield group, batch.ends(hidden, [len(batch.response(row)) for row in group])


def _memory_of(memory: DynamicCache, prompts: Tensor, batch: Embedded) -> DynamicCache:
    """A new cache with the keys and values of these prompts (R,), one a row."""
    own = DynamicCache(config=batch.model.config)
    for number, (keys, values, *_) in enumerate(memory):
        if len(keys) == 1:  # all rows have the same prompt: a view of it
            shape = (len(prompts), -1, -1, -1)
            own.update(keys.expand(shape), values.expand(shape), number)
        else:
            own.update(keys[prompts], values[prompts], number)
    return own


def _without_padding(before: Tensor, longest: int, width: int) -> Tensor | None:
    """(R, longest + width): 0 behind a prompt of fewer tokens; None where all are as
    long, which leaves attention its fast path."""
    if bool((before == longest).all()):
        return None
    everywhere = torch.arange(longest + width, device=before.device)
    return ((everywhere < before) | (everywhere >= longest)).long()


def _check_memory(memory: DynamicCache, tokens: int) -> None:
    kept = {memory.get_seq_length(number) for number in range(len(memory.layers))}
    if kept != {tokens}:
        raise PromptForgotten(
            f"the model kept the keys and values of {sorted(kept)} tokens where it was "
            f"given {tokens}, as it does under gradient checkpointing; its rewards "
            "would be wrong"
        )


def _packed(batch: Embedded, layout: Layout) -> Iterator[Pass]:
    """Positions restart behind the prompt for each response. Only the mask tells the
    responses apart: without it transformers would cut off the prompt."""
    for group in layout.groups:
        prompts = [row.prompt for row in group]
        seams = [_seams(batch, place) for place in prompts]
        hidden = batch.hidden(
            [torch.cat([batch.prompts[p], *batch.responses[p]]) for p in prompts],
            attention_mask=_mask(_padded([one.owners for one in seams], -1), batch),
            position_ids=_padded([one.positions for one in seams], 0),
        )  # (R, T, d)
        rows = [Row(p, n) for p in prompts for n in range(len(batch.responses[p]))]
        states = [hidden[n, one.ends] for n, one in enumerate(seams)]
        yield rows, torch.cat(states)


@dataclass(frozen=True, kw_only=True)
class Seams:
    """Where a prompt and its responses lie in a packed row of T tokens."""

    owners: Tensor
    """(T,): 0 in the prompt, n in response n, from 1."""
    positions: Tensor
    """(T,): place in the sequence of prompt and owner."""
    ends: Tensor
    """(K,): where each response has its last token."""


def _seams(batch: Embedded, place: int) -> Seams:
    prompt = len(batch.prompts[place])
    lengths = batch.index([prompt, *map(len, batch.responses[place])])
    ends = lengths.cumsum(0)  # (1 + K,), each just behind its own
    owners = batch.index(range(len(lengths))).repeat_interleave(lengths)
    order = torch.arange(len(owners), device=owners.device)
    within = order - (ends - lengths)[owners]
    positions = torch.where(owners > 0, prompt + within, within)
    return Seams(owners=owners, positions=positions, ends=ends[1:] - 1)


def _mask(owners: Tensor, batch: Embedded) -> Tensor:
    """(R, 1, T, T) from the owners (R, T): a token sees, of what lies before it, the
    prompt and its own response. Padding (-1) sees the prompt and itself."""
    order = torch.arange(owners.shape[1], device=owners.device)
    before = order.unsqueeze(1) >= order  # (T, T)
    keys = owners.unsqueeze(1)  # (R, 1, T)
    sees = (before & ((keys == 0) | (keys == owners.unsqueeze(2)))).unsqueeze(1)
    model = batch.model
    if model.config._attn_implementation == "sdpa":
        return sees
    added = torch.zeros(sees.shape, dtype=model.dtype, device=sees.device)
    return added.masked_fill(~sees, torch.finfo(model.dtype).min)


def _padded(rows: Sequence[Tensor], value: int = 0) -> Tensor:
    """(R, T, …) from rows of different lengths."""
    return pad_sequence(list(rows), batch_first=True, padding_value=value)


RUN: Final[dict[Mode, Callable[[Embedded, Layout], Iterator[Pass]]]] = {
    "loop": _loop,
    "cached": _cached,
    "packed": _packed,
}
