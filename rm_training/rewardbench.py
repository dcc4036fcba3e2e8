"""RewardBench 2 from a file on this disk: read, scored, reported."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import structlog

from rm_training.data import DataError, parse_text, read_json_lines
from rm_training.encoding import EncodingError
from rm_training.evaluation.rewardbench2 import TIES, Item, rewardbench2

if TYPE_CHECKING:
    from rm_training.scoring import RewardModel

log = structlog.get_logger(__name__)
COLUMNS: Final = ["id", "subset", "prompt", "chosen", "rejected"]
AT_ONCE: Final = 32
"""Prompts that are encoded and batched together."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """A prompt of the benchmark as its file has it."""

    id: str
    subset: str
    prompt: str
    right: tuple[str, ...]
    wrong: tuple[str, ...]


def read_questions(file: Path) -> list[Question]:
    """The benchmark as it is distributed (Parquet), or the same rows as JSONL(.gz).

    Raises DataError, with the row.
    """
    found = []
    for where, row in _rows(file):
        try:
            found.append(_question(row))
        except DataError as error:
            raise DataError(f"{where}: {error}") from error
    if not found:
        raise DataError(f"{file.name} holds no prompt")
    return found


def rewardbench_report(
    model: "RewardModel",
    questions: Sequence[Question],
    *,
    after: Callable[[int], object] = lambda prompts: None,
) -> dict[str, Any]:
    """The benchmark's document; `left_out` are prompts with a response that does not
    fit the model. `after` hears how many prompts are done."""
    items: list[Item] = []
    for start in range(0, len(questions), AT_ONCE):
        some = questions[start : start + AT_ONCE]
        items += _scored(model, some)
        after(len(some))
    return {**rewardbench2(items), "left_out": len(questions) - len(items)}


def _scored(model: "RewardModel", questions: Sequence[Question]) -> Iterator[Item]:
    """Those whose responses all fit: nothing is ever cut from one."""
    fitting, encoded = [], []
    for question in questions:
        try:
            texts = (*question.right, *question.wrong)
            encoded.append(model.encode(question.prompt, texts))
        except EncodingError as error:
            log.info("prompt left out", id=question.id, error=str(error))
        else:
            fitting.append(question)
    for question, rewards in zip(fitting, model.rewards(encoded), strict=True):
        cut = len(question.right)
        yield Item(
            id=question.id,
            subset=question.subset,
            right=tuple(rewards[:cut]),
            wrong=tuple(rewards[cut:]),
        )


def _rows(file: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if file.suffix != ".parquet":
        yield from read_json_lines(file)
        return
    # Only this format needs it, and it takes a moment to load.
    from pyarrow import ArrowException, parquet  # noqa: PLC0415

    try:
        rows = parquet.read_table(file, columns=COLUMNS).to_pylist()
    except (ArrowException, OSError) as error:
        raise DataError(f"{file} cannot be read: {error}") from error
    for number, row in enumerate(rows, start=1):
        yield f"{file.name} row {number}", row


def _question(row: Mapping[str, Any]) -> Question:
    for column in COLUMNS:
        if column not in row:
            raise DataError(f"the column {column!r} is missing")
    found = Question(
        id=parse_text(row["id"], "id"),
        subset=parse_text(row["subset"], "subset"),
        prompt=parse_text(row["prompt"], "prompt"),
        right=_texts(row["chosen"], "chosen"),
        wrong=_texts(row["rejected"], "rejected"),
    )
    if found.subset.lower() != TIES and len(found.right) != 1:
        raise DataError("outside Ties one response is chosen")
    if found.subset.lower() == TIES and not found.id.startswith(("ref:", "tied:")):
        raise DataError("of Ties an id begins with ref: or tied:")
    return found


def _texts(value: object, name: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise DataError(f"{name} must be a list of texts")
    return tuple(parse_text(text, f"a text of {name}") for text in value)
