"""Scores held-out prompts for the evaluation suite, each response once. Loads torch."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from transformers import PreTrainedModel

from rm_training.batch import EncodedPrompt
from rm_training.data import Example
from rm_training.encoding import Encoder, EncodingError
from rm_training.evaluation.intervals import Number
from rm_training.evaluation.judged import JudgedPrompt, judged
from rm_training.evaluation.report import report
from rm_training.invariances import invariances
from rm_training.listener import Evaluation, TrainingListener, TrainingStopped
from rm_training.network import ModelError, scores_of_prompts
from rm_training.preparation import PreparedRun
from rm_training.splits import split_examples

Rewards = Sequence[Sequence[float]]
"""Of each prompt's responses that fit."""


@dataclass(frozen=True, kw_only=True)
class HeldOutPrompt:
    """A prompt of a split that is judged, with the responses that fit the model."""

    example: Example
    encoded: EncodedPrompt
    kept: tuple[int, ...]
    """Places of the encoded responses in the example."""

    @classmethod
    def of(cls, example: Example, encoder: Encoder) -> Self:
        """Raises EncodingError, with the prompt's id."""
        try:
            encoded = encoder.encode(example.messages, example.responses)
        except EncodingError as error:
            raise EncodingError(f"prompt {example.prompt_id!r}: {error}") from error
        count = len(encoded.responses)
        kept = tuple(i for i in range(count) if i not in encoded.too_long)
        return cls(
            example=example,
            kept=kept,
            encoded=EncodedPrompt(
                prompt=encoded.prompt,
                responses=tuple(encoded.responses[i] for i in kept),
            ),
        )

    def judged(self, rewards: Sequence[float]) -> JudgedPrompt | None:
        """With the rewards of the responses that fit."""
        reward_of = dict(zip(self.kept, rewards, strict=True))
        places = range(len(self.example.responses))
        return judged(self.example, [reward_of.get(place) for place in places])


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """The splits that are judged, encoded as in training."""

    splits: Mapping[str, Sequence[HeldOutPrompt]]
    """Prompts with two responses or more that fit."""
    left_out: Mapping[str, int]
    """Responses that do not fit the model, by split: they are in no pair."""

    @classmethod
    def of(cls, splits: Mapping[str, Sequence[Example]], encoder: Encoder) -> Self:
        """Raises EncodingError where the template refuses a prompt."""
        found = {
            name: [HeldOutPrompt.of(example, encoder) for example in examples]
            for name, examples in splits.items()
        }
        return cls(
            splits={
                name: [prompt for prompt in prompts if len(prompt.kept) > 1]
                for name, prompts in found.items()
            },
            left_out={
                name: sum(len(p.example.responses) - len(p.kept) for p in prompts)
                for name, prompts in found.items()
            },
        )

    def __len__(self) -> int:
        """Prompts to score."""
        return sum(map(len, self.splits.values()))


def rewards_of(
    model: PreTrainedModel,
    prompts: Sequence[HeldOutPrompt],
    *,
    bfloat16: bool = False,
    after_pass: Callable[[int], object] = lambda prompts: None,
) -> list[list[float]]:
    """Rewards of each prompt's responses that fit, in the order of the prompts.

    `after_pass` hears how many are done. Raises ModelError for a reward that is not
    finite.
    """
    found = scores_of_prompts(
        model,
        [prompt.encoded for prompt in prompts],
        bfloat16=bfloat16,
        after_pass=after_pass,
    )
    if not all(math.isfinite(reward) for of_prompt in found for reward in of_prompt):
        raise ModelError("a reward is not finite: the weights are of no use")
    return found


def evaluation_of(
    model: PreTrainedModel,
    heldout: HeldOut,
    rewards: Mapping[str, Rewards],
    *,
    temperature: Number | None = None,
) -> dict[str, Any]:
    """The suite's document: the report of each split, and the invariances.

    `rewards` of each split in the order of its prompts; `temperature` where it was
    fitted before. The invariances are tried on the last split that has a prompt.
    """
    prompts = {
        name: [
            found
            for prompt, given in zip(split, rewards[name], strict=True)
            if (found := prompt.judged(given)) is not None
        ]
        for name, split in heldout.splits.items()
    }
    last = [split for split in heldout.splits.values() if split][-1:]
    return {
        **report(prompts, temperature=temperature),
        "left_out": dict(heldout.left_out),
        "invariances": [
            found
            for split in last
            for found in invariances(model, [prompt.encoded for prompt in split])
        ],
    }


def evaluation_of_run(
    run: PreparedRun,
    examples: Sequence[Example],
    *,
    known: Mapping[str, Evaluation | None],
    step: int,
) -> dict[str, Any]:
    """The suite on valid1 and valid2 of a finished training, with its weights.

    A split that these weights have scored is not scored again, but where a resume has
    forgotten the rewards. Raises TrainingStopped, after `step` steps, where the
    listener asks for it between two passes.
    """
    parts = split_examples(examples)
    heldout = HeldOut.of({"valid1": parts.valid1, "valid2": parts.valid2}, run.encoder)
    bfloat16 = run.config.dtype == "bfloat16"

    rewards: dict[str, Rewards] = {}
    for name, prompts in heldout.splits.items():
        before = known[name]
        rewards[name] = (
            before.rewards
            if before and len(before.rewards) == len(prompts)
            else rewards_of(
                run.model,
                prompts,
                bfloat16=bfloat16,
                after_pass=_asking(run.listener, len(prompts), step),
            )
        )
    found = evaluation_of(run.model, heldout, rewards)
    return {"data_sha256": run.identity["data"], "dtype": run.config.dtype, **found}


def _asking(
    listener: TrainingListener, prompts: int, step: int
) -> Callable[[int], None]:
    """Hears a request to stop between two passes over so many prompts."""
    left = prompts

    def after_pass(scored: int) -> None:
        nonlocal left
        left -= scored
        if left and listener.should_stop():
            raise TrainingStopped(step)

    return after_pass
