"""Steps of our reward model, for a process of its own.

Usage: python -m tests.benchmarks.reward_steps MODEL. One request a line, as `training`
writes them. "loop" is what is usually written: K rows a prompt, padded to the longest.
"""

import json
import sys
import time
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from rm_training.batch import EncodedPrompt, pad_rows
from rm_training.loading import load_classifier
from rm_training.network import rewards_of_prompts, rewards_of_rows
from tests.benchmarks.processes import peak_mb

torch.set_num_threads(1)


def answer(request: dict[str, Any], model: PreTrainedModel) -> dict[str, Any]:
    """Trains on the steps of a request."""
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=request["rate"], weight_decay=0.0, fused=True
    )
    seconds, losses, tokens = [], [], []
    for step in request["steps"]:
        prompts = [
            EncodedPrompt(
                prompt=tuple(one["prompt"]),
                responses=tuple(map(tuple, one["responses"])),
            )
            for one in step
        ]
        with Counter(model) as counter:
            began = time.process_time()
            losses.append(_step(model, optimizer, prompts, how=request["how"]))
            seconds.append(time.process_time() - began)
        tokens.append(counter.positions)
    return {"seconds": seconds, "losses": losses, "positions": tokens}


def _step(
    model: PreTrainedModel,
    optimizer: torch.optim.Optimizer,
    prompts: list[EncodedPrompt],
    *,
    how: str,
) -> float:
    """The loss of the step: the mean over all pairs, responses coming best first."""
    encode = _in_a_loop if how == "loop" else rewards_of_prompts
    k = len(prompts[0].responses)
    better, worse = torch.triu_indices(k, k, 1)
    rewards = encode(model, prompts)  # (B, K)
    gaps = rewards[:, better] - rewards[:, worse]
    loss = -torch.nn.functional.logsigmoid(gaps).mean()
    torch.autograd.backward(loss)
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    return loss.item()


def _in_a_loop(model: PreTrainedModel, prompts: list[EncodedPrompt]) -> Tensor:
    """Prompt by prompt, so that none is padded to the longest of another."""
    return torch.stack(
        [
            rewards_of_rows(model, pad_rows(list(one.rows()), pad_token_id=0))
            for one in prompts
        ]
    )


class Counter:
    """Positions that go through the first layer's feed-forward while it is open."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.positions = 0
        layer: Any = model.model.layers[0].mlp
        self._hook = layer.register_forward_hook(self._count)

    def _count(self, _: Any, __: Any, states: Tensor) -> None:
        self.positions += states.shape[0] * states.shape[1]  # (R, T, d)

    def __enter__(self) -> "Counter":
        return self

    def __exit__(self, *_: object) -> None:
        self._hook.remove()


def main() -> None:
    """Answers requests until there are none."""
    for line in sys.stdin:
        model, _ = load_classifier(sys.argv[1])
        found = answer(json.loads(line), model)
        peak = peak_mb()
        print(json.dumps(found | {"peak_mb": peak}), flush=True)


if __name__ == "__main__":
    main()
