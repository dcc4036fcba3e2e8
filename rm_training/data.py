"""Reads an exported rankings file into prompts with all their rankings. PURE."""

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from rm_training.errors import RunError

Message = dict[str, str]
"""{"role": "system" | "user" | "assistant", "content": text}."""

ROLES: Final = ("system", "user", "assistant")
SPLITS: Final = ("train", "valid1", "valid2")
NOT_RANKED: Final = 0
LONGEST_NAME: Final = 200
"""Letters of a labeler's, a model's or a tag's name that are kept."""


class DataError(RunError):
    """The data cannot be trained on; the message names the line or the prompt."""


@dataclass(frozen=True, kw_only=True)
class Example:
    """A prompt with its K ≥ 2 responses and everything that labelers said of them."""

    prompt_id: str
    messages: tuple[Message, ...]
    response_ids: tuple[str, ...]
    responses: tuple[str, ...]
    """K texts, aligned with response_ids."""
    rankings: tuple[tuple[int, ...], ...]
    """N rankings of K ranks: lower is better, equal is a tie, 0 is not ranked."""
    split: str | None = None
    """train, valid1 or valid2; None: the data has no split column."""
    # What evaluation reads besides. Training does not see it, so it is no part of the
    # data's identity (`to_dict`); each is empty where the data does not say.
    labelers: tuple[str | None, ...] = field(default=(), compare=False)
    """N pseudonyms, aligned with rankings."""
    models: tuple[str | None, ...] = field(default=(), compare=False)
    """K names of the models that wrote the responses."""
    tags: tuple[str, ...] = field(default=(), compare=False)
    ratings: tuple[tuple[int | None, ...], ...] = field(default=(), compare=False)
    """N rows of K ratings, higher is better; None: that labeler did not rate it."""

    def to_dict(self) -> dict[str, Any]:
        """JSON of everything that training reads."""
        return {
            "prompt_id": self.prompt_id,
            "messages": list(self.messages),
            "response_ids": list(self.response_ids),
            "responses": list(self.responses),
            "rankings": [list(ranks) for ranks in self.rankings],
            "split": self.split,
        }


def read_examples(path: Path) -> list[Example]:
    """The prompts of an export folder, or of its rankings.jsonl(.gz), in file order.

    Raises DataError where the file is absent, not in the `rankings` format, or empty.
    """
    file = _rankings_file(path)
    examples = examples_of_rows(read_json_lines(file))
    if not examples:
        raise DataError(f"{file.name} holds no ranking")
    return examples


def examples_of_rows(rows: Iterable[tuple[str, Mapping[str, Any]]]) -> list[Example]:
    """Groups rows of the `rankings` export by prompt, in order of first appearance.

    A row comes with the words that name its place in an error ("line 3"). Rows of a
    prompt agree on its messages, its split and the text of each response; they may
    cover different responses, and a response that a row leaves out is not ranked there.

    Raises DataError.
    """
    prompts: dict[str, _Prompt] = {}
    for where, row in rows:
        try:
            _add_row(prompts, row)
        except DataError as error:
            raise DataError(f"{where}: {error}") from error
    return [prompt.example(prompt_id) for prompt_id, prompt in prompts.items()]


def data_sha256(examples: Sequence[Example]) -> str:
    """SHA-256 of what training reads, order included: the identity of a data set."""
    digest = hashlib.sha256()
    for example in examples:
        digest.update(_canonical(example.to_dict()) + b"\n")
    return digest.hexdigest()


def parse_messages(prompt: object) -> tuple[Message, ...]:
    """A prompt as messages: a plain text is one user turn.

    Raises DataError unless every message has a known role and a text, and the last turn
    is the user's.
    """
    if isinstance(prompt, str):
        return ({"role": "user", "content": parse_text(prompt, "the prompt")},)
    if not isinstance(prompt, list) or not prompt:
        raise DataError("the prompt must be a text or a list of messages")
    messages = tuple(_parse_message(message) for message in prompt)
    if messages[-1]["role"] != "user":
        raise DataError(
            f"the prompt's last turn must be the user's, not {messages[-1]['role']}'s"
        )
    return messages


def parse_text(value: object, name: str) -> str:
    """The value, if it is a text that UTF-8 can hold. Raises DataError."""
    if not isinstance(value, str):
        raise DataError(f"{name} must be a text, got {type(value).__name__}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{name} holds a lone surrogate, which is no text") from error
    return value


@dataclass
class _Prompt:
    """A prompt while its rows are read."""

    messages: tuple[Message, ...]
    split: str | None
    responses: dict[str, str] = field(default_factory=dict)
    rankings: list[dict[str, int]] = field(default_factory=list)
    labelers: list[str | None] = field(default_factory=list)
    models: dict[str, str | None] = field(default_factory=dict)
    tags: dict[str, None] = field(default_factory=dict)
    ratings: list[dict[str, int]] = field(default_factory=list)

    def example(self, prompt_id: str) -> Example:
        return Example(
            prompt_id=prompt_id,
            messages=self.messages,
            response_ids=tuple(self.responses),
            responses=tuple(self.responses.values()),
            rankings=tuple(
                tuple(ranks.get(response, NOT_RANKED) for response in self.responses)
                for ranks in self.rankings
            ),
            split=self.split,
            labelers=tuple(self.labelers),
            models=tuple(self.models.get(response) for response in self.responses),
            tags=tuple(self.tags),
            ratings=tuple(
                tuple(map(rated.get, self.responses)) for rated in self.ratings
            ),
        )

    def note(self, row: Mapping[str, Any]) -> None:
        """Who ranked, what wrote the responses, what the prompt is of, and how the
        responses were rated.

        Nothing depends on these but slices of an evaluation: what is no text, or no
        list of texts or ratings, counts as not said.
        """
        self.labelers.append(_parse_name(row.get("labeler")))
        for response in row["responses"]:
            self.models.setdefault(response["id"], _parse_name(response.get("model")))
        self.ratings.append(_parse_ratings(row.get("ratings"), row["responses"]))
        tags = row.get("tags")
        names = map(_parse_name, tags if isinstance(tags, list) else ())
        self.tags |= dict.fromkeys(name for name in names if name)


def _add_row(prompts: dict[str, _Prompt], row: Mapping[str, Any]) -> None:
    for column in ("prompt_id", "prompt", "responses", "ranks"):
        if column not in row:
            raise DataError(f"the column {column!r} is missing")
    prompt_id = parse_text(row["prompt_id"], "prompt_id")
    messages, split = parse_messages(row["prompt"]), _parse_split(row.get("split"))
    prompt = prompts.setdefault(prompt_id, _Prompt(messages, split))
    if prompt.messages != messages:
        raise DataError(
            f"prompt {prompt_id!r} has another text than on an earlier line"
        )
    if prompt.split != split:
        raise DataError(
            f"prompt {prompt_id!r} is in {split}, and in {prompt.split} on an earlier "
            "line: all rankings of a prompt belong to one split"
        )
    responses = _parse_responses(row["responses"])
    for response_id, text in responses.items():
        if prompt.responses.setdefault(response_id, text) != text:
            raise DataError(
                f"response {response_id!r} of prompt {prompt_id!r} has another text "
                "than on an earlier line"
            )
    prompt.rankings.append(_parse_ranks(row["ranks"], responses))
    prompt.note(row)


def _parse_message(message: object) -> Message:
    if not isinstance(message, dict) or not {"role", "content"} <= message.keys():
        raise DataError("a message needs a role and a content")
    role, content = message["role"], message["content"]
    if role not in ROLES:
        raise DataError(f"a message's role is one of {', '.join(ROLES)}, not {role!r}")
    return {"role": role, "content": parse_text(content, "a message's content")}


def _parse_split(split: object) -> str | None:
    if split is None:
        return None
    if not isinstance(split, str) or split not in SPLITS:
        raise DataError(f"the split is one of {', '.join(SPLITS)}, not {split!r}")
    return split


def _parse_responses(responses: object) -> dict[str, str]:
    if not isinstance(responses, list) or len(responses) < 2:
        raise DataError("responses must be a list of two or more")
    texts: dict[str, str] = {}
    for response in responses:
        if not isinstance(response, dict) or not {"id", "text"} <= response.keys():
            raise DataError("a response needs an id and a text")
        response_id = parse_text(response["id"], "a response's id")
        if response_id in texts:
            raise DataError(f"two responses have the id {response_id!r}")
        texts[response_id] = parse_text(
            response["text"], f"the text of response {response_id!r}"
        )
    return texts


def _parse_ranks(ranks: object, responses: Iterable[str]) -> dict[str, int]:
    """Ranks from 1 by response id; null (a partial ranking) leaves a response out."""
    response_ids = list(responses)
    if not isinstance(ranks, list) or len(ranks) != len(response_ids):
        raise DataError(f"ranks must be a list of {len(response_ids)}, one a response")
    given = {}
    for response_id, rank in zip(response_ids, ranks, strict=True):
        if rank is None:
            continue
        if not isinstance(rank, int) or isinstance(rank, bool) or rank < 1:
            raise DataError(f"a rank is a whole number from 1 or null, got {rank!r}")
        given[response_id] = rank
    return given


def _parse_name(value: object) -> str | None:
    """A name as reports and figures can show it: one line of visible letters."""
    if not isinstance(value, str) or not value.strip():
        return None
    one_line = " ".join(value.split())
    return "".join(c if c.isprintable() else "\ufffd" for c in one_line)[:LONGEST_NAME]


def _parse_ratings(value: object, responses: Sequence[Any]) -> dict[str, int]:
    """Ratings by response id, where they are a list of one a response."""
    if not isinstance(value, list) or len(value) != len(responses):
        return {}
    return {
        response["id"]: rating
        for response, rating in zip(responses, value, strict=True)
        if isinstance(rating, int) and not isinstance(rating, bool)
    }


def _rankings_file(path: Path) -> Path:
    if path.is_file():
        return path
    if not path.is_dir():
        raise DataError(f"there is no file or folder {path}")
    for name in ("rankings.jsonl", "rankings.jsonl.gz"):
        if (path / name).is_file():
            return path / name
    raise DataError(
        f"{path} holds no rankings.jsonl; export the dataset with "
        "--kind rankings --format jsonl"
    )


def read_json_lines(file: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The objects of a JSONL file, plain or .gz, each with its place in words.

    Raises DataError where the file is absent or a line is no JSON object.
    """
    if not file.is_file():
        raise DataError(f"there is no file {file}")
    with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as lines:
        try:
            for number, line in enumerate(lines, start=1):
                where = f"{file.name} line {number}"
                yield where, _parse_row(line, where)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise DataError(f"{file.name} is no whole gzip file: {error}") from error


def _parse_row(line: bytes, where: str) -> Mapping[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: no JSON in UTF-8: {error}") from error
    if not isinstance(row, dict):
        raise DataError(f"{where}: a row must be a JSON object")
    return row


def _canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, ensure_ascii=False).encode()
