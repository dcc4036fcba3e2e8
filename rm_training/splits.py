"""Who learns from which prompt: train, valid1 (selection), valid2 (reported). PURE."""

import hashlib
import json
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rm_training.data import DataError, Example

SPLIT_SEED: Final = 0
TRAIN_SHARE: Final = 0.8
VALID1_ENDS: Final = 0.9


@dataclass(frozen=True, kw_only=True)
class Splits:
    """Three disjoint lists of prompts, and what a reader should know of them."""

    train: tuple[Example, ...]
    valid1: tuple[Example, ...]
    valid2: tuple[Example, ...]
    notes: tuple[str, ...] = ()


def split_examples(examples: Sequence[Example]) -> Splits:
    """By the split column, or without one by a keyed hash of the prompt, 80/10/10.

    A given split is never changed: where its valid1 or valid2 is empty, the accuracy
    there is undefined, and a note says so. A hashed split moves the prompts nearest to
    a border until each part has a prompt (from three different prompts on).

    Raises DataError where only some prompts have a split, where one prompt text lies in
    two splits, or where train is empty.
    """
    with_split = sum(example.split is not None for example in examples)
    if 0 < with_split < len(examples):
        raise DataError(
            f"{with_split} of {len(examples)} prompts have a split: all must, or none"
        )
    splits = _given(examples) if with_split else _hashed(examples)
    if not splits.train:
        raise DataError(
            "no prompt is in the split train: there is nothing to learn from"
        )
    return splits


def _given(examples: Sequence[Example]) -> Splits:
    home: dict[str, Example] = {}
    for example in examples:
        first = home.setdefault(_text_key(example), example)
        if first.split != example.split:
            raise DataError(
                f"the prompts {first.prompt_id!r} ({first.split}) and "
                f"{example.prompt_id!r} ({example.split}) have the same text: held-out "
                "accuracy would be measured on training data"
            )
    parts = {
        name: tuple(example for example in examples if example.split == name)
        for name in ("train", "valid1", "valid2")
    }
    return Splits(**parts, notes=_empty_notes(parts["valid1"], parts["valid2"]))


def _hashed(examples: Sequence[Example]) -> Splits:
    shares = {key: _share(key) for key in map(_text_key, examples)}
    texts = sorted(shares, key=shares.__getitem__)  # one entry a distinct prompt text
    drawn = [
        bisect_left(texts, b, key=shares.__getitem__)
        for b in (TRAIN_SHARE, VALID1_ENDS)
    ]
    cuts = _no_empty_part(*drawn, count=len(texts))
    notes = ["the data has no split column: prompts were split by a hash, seed 0"]
    if cuts != drawn:
        notes.append("few prompts: some were moved so that no part is empty")
    names = ["train"] * cuts[0] + ["valid1"] * (cuts[1] - cuts[0])
    names += ["valid2"] * (len(texts) - cuts[1])
    part_of = dict(zip(texts, names, strict=True))
    train, valid1, valid2 = (
        tuple(example for example in examples if part_of[_text_key(example)] == name)
        for name in ("train", "valid1", "valid2")
    )
    return Splits(
        train=train,
        valid1=valid1,
        valid2=valid2,
        notes=(*notes, *_empty_notes(valid1, valid2)),
    )


def _no_empty_part(train_ends: int, valid1_ends: int, *, count: int) -> list[int]:
    """The two cuts, moved as little as leaves train, then valid1, then valid2 filled.

    >>> _no_empty_part(3, 3, count=3)
    [1, 2]
    >>> _no_empty_part(2, 2, count=2)
    [1, 2]
    """
    train_ends = min(max(train_ends, 1), max(count - 2, 1))
    first, last = min(train_ends + 1, count), max(count - 1, train_ends + 1)
    return [train_ends, min(max(valid1_ends, first), last, count)]


def _empty_notes(
    valid1: Sequence[Example], valid2: Sequence[Example]
) -> tuple[str, ...]:
    notes = []
    if not valid1:
        notes.append("valid1 is empty: no held-out accuracy, the last step is kept")
    if not valid2:
        notes.append("valid2 is empty: no final accuracy")
    return tuple(notes)


def _text_key(example: Example) -> str:
    return json.dumps(example.messages, sort_keys=True, ensure_ascii=False)


def _share(key: str) -> float:
    """A number from 0 to below 1 that belongs to the text and the seed."""
    digest = hashlib.blake2b(
        key.encode(), digest_size=6, key=f"split seed {SPLIT_SEED}".encode()
    ).digest()
    return int.from_bytes(digest) / 2**48
