"""Which prompts of a data set an evaluation looks at. PURE."""

from collections.abc import Sequence
from typing import Final

from rm_training.data import DataError, Example
from rm_training.splits import split_examples

ALL: Final = "all"
HELD_OUT: Final = ("valid1", "valid2")


def chosen_splits(
    examples: Sequence[Example], *, asked: Sequence[str] | None, trained_on_it: bool
) -> dict[str, list[Example]]:
    """The splits that are asked for, by name, in the order asked.

    Without a split column the prompts are split as in training, by a hash, where the
    model was trained on these very data; other data are one split, `all`. Where
    nothing is asked for: the held-out splits; where there are none, every split.

    Raises DataError for a split that the data do not have, and where only some prompts
    have one.
    """
    with_split = sum(example.split is not None for example in examples)
    if 0 < with_split < len(examples):
        raise DataError(
            f"{with_split} of {len(examples)} prompts have a split: all must, or none"
        )
    if with_split:
        parts = _by_column(examples)
    elif trained_on_it:
        splits = split_examples(examples)
        parts = {
            "train": list(splits.train),
            "valid1": list(splits.valid1),
            "valid2": list(splits.valid2),
        }
    else:
        parts = {}
    held_out = [name for name in HELD_OUT if parts.get(name)]
    names = asked or held_out or [*parts] or [ALL]
    return {name: _part(name, parts, examples) for name in dict.fromkeys(names)}


def _by_column(examples: Sequence[Example]) -> dict[str, list[Example]]:
    found: dict[str, list[Example]] = {}
    for example in examples:
        found.setdefault(str(example.split), []).append(example)
    return found


def _part(
    name: str, parts: dict[str, list[Example]], examples: Sequence[Example]
) -> list[Example]:
    if name == ALL:
        return list(examples)
    if not parts.get(name):
        known = [*(part for part in parts if parts[part]), ALL]
        raise DataError(f"the data have no split {name}; they have {', '.join(known)}")
    return parts[name]
