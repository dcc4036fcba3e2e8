"""Reading an export: grouped by prompt, and refused by line where it is broken."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from rm_training.data import (
    DataError,
    data_sha256,
    examples_of_rows,
    parse_messages,
    read_examples,
)


def row(**changes: Any) -> dict[str, Any]:
    """A row of the rankings export, with the columns that training does not read."""
    return {
        "prompt_id": "p1",
        "prompt": [{"role": "user", "content": "Hi"}],
        "responses": [
            {"id": "a", "text": "A", "model": "m"},
            {"id": "b", "text": "B", "model": None},
        ],
        "ranks": [1, 2],
        "labeler": "L-12345678",
        "split": "train",
    } | changes


def rows_of(*rows: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [(f"line {n}", one) for n, one in enumerate(rows, start=1)]


def write(path: Path, *rows: dict[str, Any]) -> Path:
    text = "".join(json.dumps(one) + "\n" for one in rows)
    data = text.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def test_rankings_of_a_prompt_become_one_example(tmp_path: Path) -> None:
    path = write(
        tmp_path / "rankings.jsonl", row(), row(prompt_id="p2"), row(ranks=[1, 1])
    )
    first, second = read_examples(path)
    assert first.prompt_id == "p1"
    assert first.messages == ({"role": "user", "content": "Hi"},)
    assert first.responses == ("A", "B")
    assert first.rankings == ((1, 2), (1, 1))
    assert first.split == "train"
    assert second.rankings == ((1, 2),)


@pytest.mark.parametrize("name", ["rankings.jsonl", "rankings.jsonl.gz"])
def test_a_folder_and_its_file_give_the_same_examples(
    tmp_path: Path, name: str
) -> None:
    path = write(tmp_path / name, row())
    assert read_examples(tmp_path) == read_examples(path)


def test_a_partial_ranking_leaves_responses_unranked() -> None:
    c = {"id": "c", "text": "C"}
    (example,) = examples_of_rows(
        rows_of(
            row(ranks=[2, None]),
            row(responses=[*row()["responses"], c], ranks=[1, 2, 3]),
        )
    )
    assert example.response_ids == ("a", "b", "c")
    assert example.rankings == ((2, 0, 0), (1, 2, 3))


def test_a_plain_text_is_one_user_turn() -> None:
    assert parse_messages("Hi") == ({"role": "user", "content": "Hi"},)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"ranks": [1]}, "ranks must be a list of 2"),
        ({"ranks": [0, 1]}, "a rank is a whole number from 1 or null, got 0"),
        ({"ranks": [True, 2]}, "got True"),
        ({"ranks": [1.0, 2]}, r"got 1\.0"),
        ({"responses": [{"id": "a", "text": "A"}]}, "two or more"),
        ({"responses": [{"id": "a", "text": "A"}] * 2}, "two responses have the id"),
        ({"responses": [{"id": "a"}, {"id": "b"}]}, "an id and a text"),
        (
            {"responses": [{"id": "a", "text": None}, {"id": "b", "text": "B"}]},
            "the text of response 'a' must be a text, got NoneType",
        ),
        ({"prompt": []}, "a text or a list of messages"),
        ({"prompt": [{"role": "tool", "content": ""}]}, "not 'tool'"),
        ({"prompt": [{"role": "assistant", "content": ""}]}, "last turn must be"),
        ({"prompt": "\ud800"}, "lone surrogate"),
        ({"split": "test"}, "not 'test'"),
        ({"prompt_id": 3}, "prompt_id must be a text, got int"),
    ],
)
def test_a_broken_row_is_refused_by_line_and_reason(
    changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(DataError, match=f"^line 2: .*{reason}"):
        examples_of_rows(rows_of(row(), row(**changes)))


def test_a_missing_column_is_named() -> None:
    broken = row()
    del broken["ranks"]
    with pytest.raises(DataError, match="line 1: the column 'ranks' is missing"):
        examples_of_rows(rows_of(broken))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"prompt": "Other"}, "prompt 'p1' has another text"),
        ({"split": "valid1"}, "all rankings of a prompt belong to one split"),
        (
            {"responses": [{"id": "a", "text": "A"}, {"id": "b", "text": "C"}]},
            "response 'b' of prompt 'p1' has another text",
        ),
    ],
)
def test_rows_of_a_prompt_that_contradict_each_other_are_refused(
    changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(DataError, match=f"^line 2: {reason}|^line 2: .*{reason}"):
        examples_of_rows(rows_of(row(), row(**changes)))


@pytest.mark.parametrize("line", [b"{", b"[1]\n", b"\xff\n", b"[" * 200_000])
def test_a_line_that_is_no_json_object_is_named(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "rankings.jsonl"
    path.write_bytes(json.dumps(row()).encode() + b"\n" + line)
    with pytest.raises(DataError, match=r"rankings\.jsonl line 2: "):
        read_examples(path)


def test_files_that_are_absent_empty_or_torn_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no file or folder"):
        read_examples(tmp_path / "nowhere")
    with pytest.raises(DataError, match="--kind rankings --format jsonl"):
        read_examples(tmp_path)
    with pytest.raises(DataError, match="holds no ranking"):
        read_examples(write(tmp_path / "rankings.jsonl"))
    torn = write(tmp_path / "torn.jsonl.gz", *[row()] * 50)
    torn.write_bytes(torn.read_bytes()[:-9])
    with pytest.raises(DataError, match="no whole gzip file"):
        read_examples(torn)
    write(torn, *[row(prompt_id=str(number)) for number in range(50)])
    damaged = bytearray(torn.read_bytes())
    damaged[20:40] = b"\xff" * 20
    torn.write_bytes(damaged)
    with pytest.raises(DataError, match="no whole gzip file: Error -3"):
        read_examples(torn)
    torn.write_bytes(b"plain text")
    with pytest.raises(DataError, match="no whole gzip file"):
        read_examples(torn)


def test_the_hash_of_the_data_sees_texts_ranks_split_and_order() -> None:
    one, two = rows_of(row(), row(prompt_id="p2"))
    base = data_sha256(examples_of_rows([one, two]))
    assert base == data_sha256(examples_of_rows([one, two]))
    others = [
        [two, one],
        [one],
        [one, ("", row(prompt_id="p2", ranks=[2, 1]))],
        [one, ("", row(prompt_id="p2", prompt="Ho"))],
        [one, ("", row(prompt_id="p2", split="valid1"))],
    ]
    hashes = {data_sha256(examples_of_rows(rows)) for rows in others}
    assert len(hashes | {base}) == 6
    # What training does not read does not change the data's identity.
    assert base == data_sha256(examples_of_rows([one, ("", row(prompt_id="p2", x=1))]))
