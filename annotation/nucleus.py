"""Draws tokens from the nucleus, with random numbers drawn ahead. torch only."""

from collections.abc import Callable
from typing import Any

import torch
from transformers import LogitsProcessor

from annotation.sampling import SamplingSettings

Check = Callable[[], None]


def nucleus_choice(
    logits: torch.Tensor, uniforms: torch.Tensor, *, top_p: float
) -> torch.Tensor:
    """Draw one token a row by inverting the distribution function of the nucleus.

    logits (B, V), uniforms (B,) in [0, 1) → token ids (B,). The nucleus is the
    smallest set of most likely tokens whose probability reaches `top_p` (Holtzman et
    al., 2020); within it, tokens keep their proportions. One number decides a draw:
    with probabilities .5, .3, .2 and top_p = .8 the numbers below .625 give the first
    token, the others the second.
    """
    probabilities, tokens = logits.double().softmax(-1).sort(-1, descending=True)
    reached = probabilities.cumsum(-1)  # (B, V)
    before = reached - probabilities
    kept = before < top_p  # the first token is always kept
    mass = probabilities.where(kept, 0).sum(-1)  # (B,)
    target = (uniforms.double() * mass)[:, None]  # (B, 1)
    place = torch.searchsorted(reached, target, right=True)  # (B, 1)
    last = kept.sum(-1, keepdim=True) - 1
    return tokens.gather(-1, place.minimum(last))[:, 0]


class PresetDraws(LogitsProcessor):
    """Leaves only the drawn token possible, so that greedy search takes it.

    uniforms (B, max_new_tokens): the random number of each row and step.
    """

    def __init__(
        self,
        uniforms: torch.Tensor,
        *,
        prompt_tokens: int,
        settings: SamplingSettings,
        check: Check,
    ) -> None:
        self._check = check
        self._uniforms = uniforms
        self._prompt_tokens = prompt_tokens
        self._settings = settings

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """input_ids (B, T so far), scores (B, V) → (B, V): 0 at the draw, else -inf."""
        self._check()
        step = input_ids.shape[1] - self._prompt_tokens
        drawn = nucleus_choice(
            scores / self._settings.temperature,
            self._uniforms[:, step],
            top_p=self._settings.top_p,
        )
        return torch.full_like(scores, -torch.inf).scatter(1, drawn[:, None], 0.0)
