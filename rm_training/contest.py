"""A new model beside the one in use, on the held-out prompts of both. Loads torch.

The split of a prompt is fixed for good when it first enters a dataset, so what is
valid1 in the new model's dataset was never trained on by an earlier one of the project.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from rm_training.data import Example
from rm_training.encoding import EncodingError
from rm_training.errors import RunError
from rm_training.metrics import PairCounts, count_prompt
from rm_training.models import RewardModel
from rm_training.promotion import compare
from rm_training.registry import folder_of
from rm_training.scoring import RewardModel as LoadedModel
from rm_training.splits import split_examples

PROMPTS_AT_ONCE: Final = 16
"""Between two of these a worker that must end, or lost the run, finds out."""


def compare_with_the_one_in_use(
    folder: Path,
    in_use: RewardModel,
    examples: Sequence[Example],
    *,
    device: str,
    between: Callable[[], None],
) -> dict[str, Any]:
    """Both models' accuracy on valid1 of `examples`, and the difference: JSON.

    A prompt that one of them cannot read (a response is too long for it) is left out
    for both, and counted. Where the one in use cannot be loaded, `problem` says why and
    there is no difference. `between` is called between passes, to stop by an exception.
    """
    valid1 = split_examples(examples).valid1
    new = list(_counts(folder, valid1, device, between))
    facts: dict[str, Any] = {
        "model": in_use.pk,
        "run": in_use.run_id,
        "left_out": 0,
        "problem": "",
    }
    try:
        old = list(_counts(folder_of(in_use), valid1, device, between))
    except RunError as error:
        nothing = compare([], [])
        return nothing.to_dict() | facts | {"problem": str(error)}
    read = [(a, b) for a, b in zip(new, old, strict=True) if a and b]
    facts["left_out"] = len(valid1) - len(read)
    return compare([a for a, _ in read], [b for _, b in read]).to_dict() | facts


def _counts(
    folder: Path,
    examples: Sequence[Example],
    device: str,
    between: Callable[[], None],
) -> Iterator[PairCounts | None]:
    """How a model orders the pairs of each prompt; None where it cannot read one."""
    model = LoadedModel.load(folder, device=device)
    for first in range(0, len(examples), PROMPTS_AT_ONCE):
        between()
        some = examples[first : first + PROMPTS_AT_ONCE]
        try:
            yield from _scored(model, some)
        except EncodingError:
            for example in some:
                yield from _scored_if_it_fits(model, example)


def _scored(model: LoadedModel, examples: Sequence[Example]) -> list[PairCounts | None]:
    rewards = model.score(
        [list(example.messages) for example in examples],
        [example.responses for example in examples],
    )
    return [
        count_prompt(of_prompt, example.rankings)
        for of_prompt, example in zip(rewards, examples, strict=True)
    ]


def _scored_if_it_fits(model: LoadedModel, example: Example) -> list[PairCounts | None]:
    try:
        return _scored(model, [example])
    except EncodingError:
        return [None]
