"""The same rows as JSON lines, JSON array, CSV and Parquet."""

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO, StringIO
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranking.export import formats
from ranking.export.choice import KINDS, Choice
from ranking.export.columns import Column, Rows, Type, column
from ranking.export.folder import writer_of
from ranking.export.held import HeldPrompt
from ranking.export.kinds import rows_of
from tests.ranking.held_prompts import held, prompts

CHOICES = [
    Choice(kind=name, format=format, disagreement=disagreement)
    for name, kind in KINDS.items()
    for format in kind.formats
    for disagreement in kind.disagreements
]
NAMES = [f"{one.kind}-{one.format}-{one.disagreement}" for one in CHOICES]
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


def written(format: str, *parts: Rows) -> bytes:
    sink = BytesIO()
    writer = writer_of(format, sink)
    for rows in parts:
        writer.write(rows)
    writer.close()
    return sink.getvalue()


def as_objects(rows: Rows) -> list[dict[str, Any]]:
    """The rows one by one, as JSON has them."""
    objects = []
    for row in range(len(rows)):
        cells = {c.name: _cell(c, row) for c in rows.columns}
        objects.append(json.loads(orjson.dumps(cells, option=orjson.OPT_UTC_Z)))
    return objects


def _cell(column: Column, row: int) -> Any:
    value = column.values.items[column.codes[row]]
    if column.values.type is Type.TURN:
        return [{"role": "assistant", "content": value}]
    return value


def parquet_rows(raw: bytes) -> list[dict[str, Any]]:
    """As JSON has them: times as texts."""
    return [
        {
            name: cell.isoformat().replace("+00:00", "Z")
            if isinstance(cell, datetime)
            else cell
            for name, cell in row.items()
        }
        for row in pq.read_table(BytesIO(raw)).to_pylist()
    ]


def with_texts(texts: list[str]) -> HeldPrompt:
    """A prompt whose responses say so, in the order of their ranks."""
    return replace(
        held([list(range(1, len(texts) + 1))]),
        id=texts[0] + "!",
        messages=[{"role": "user", "content": texts[0]}],
        tags=texts,
        split=None,
        texts=texts,
        models=[None, *texts[1:]],
    )


READERS: dict[str, Callable[[bytes], Any]] = {
    "jsonl": lambda raw: [json.loads(line) for line in raw.splitlines()],
    "json": json.loads,
    "parquet": parquet_rows,
}


@settings(deadline=None)
@given(prompts, st.sampled_from([one for one in CHOICES if one.format != "csv"]))
def test_every_format_holds_the_same_rows(
    some: list[HeldPrompt], choice: Choice
) -> None:
    parts = [rows_of(choice, [prompt]) for prompt in some]
    expected = [row for part in parts for row in as_objects(part)]
    raw = written(choice.format, *parts)
    assert READERS[choice.format](raw) == expected


@settings(deadline=None)
@given(prompts, st.sampled_from(CHOICES))
def test_parts_change_nothing(some: list[HeldPrompt], choice: Choice) -> None:
    at_once = as_objects(rows_of(choice, some))
    one_by_one = [row for one in some for row in as_objects(rows_of(choice, [one]))]
    assert at_once == one_by_one


@settings(deadline=None)
@given(st.lists(TEXTS, min_size=2, max_size=9))
def test_texts_are_the_same_in_json_and_parquet(texts: list[str]) -> None:
    rows = rows_of(Choice(kind="rankings"), [with_texts(texts)])
    [line] = written("jsonl", rows).splitlines()
    [row] = parquet_rows(written("parquet", rows))
    assert json.loads(line) == row
    assert [response["text"] for response in row["responses"]] == texts


def test_json_lines_are_what_orjson_writes_for_the_whole_row() -> None:
    rows = rows_of(Choice(kind="pairs"), [held([[1, 2, 2], [3, 1, 2]])])
    expected = [orjson.dumps(row) for row in as_objects(rows)]
    assert written("jsonl", rows).splitlines() == expected


def test_long_rows_are_joined_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    some = [held([[1, 2, 3, 4, 5]], name=f"p{n}", text="x" * n) for n in range(30)]
    rows = rows_of(Choice(kind="pairs"), some)
    at_once = written("jsonl", rows)
    monkeypatch.setattr(formats, "BLOCK", 1_000)
    blocks: list[bytes] = []

    class Sink:
        def write(self, data: bytes, /) -> int:
            blocks.append(data)
            return len(data)

    writer_of("jsonl", Sink()).write(rows)
    assert b"".join(blocks) == at_once
    assert len(blocks) > 50
    assert max(map(len, blocks)) < 2_000


@pytest.mark.parametrize("choice", CHOICES, ids=NAMES)
def test_a_file_without_rows_has_its_columns(choice: Choice) -> None:
    raw = written(choice.format, rows_of(choice, []))
    names = [column.name for column in rows_of(choice, [held([[1, 2]])]).columns]
    if choice.format == "parquet":
        table = pq.read_table(BytesIO(raw))
        assert (table.num_rows, table.column_names) == (0, names)
    else:
        empty = {"jsonl": "", "json": "[]\n", "csv": ",".join(names) + "\r\n"}
        assert raw.decode() == empty[choice.format]


# --- Parquet ----------------------------------------------------------------------


def test_parquet_has_plain_types_and_a_row_group_a_part() -> None:
    choice = Choice(kind="pairs", format="parquet")
    parts = [rows_of(choice, [held([[1, 2, 3]], name=name)]) for name in "abc"]
    file = pq.ParquetFile(BytesIO(written("parquet", *parts)))
    message = pa.list_(
        pa.field(
            "element", pa.struct([("role", pa.string()), ("content", pa.string())])
        )
    )
    texts = dict.fromkeys(["prompt", "chosen", "rejected"], message)
    ids = ["prompt_id", "ranking_id", "labeler", "chosen_id", "rejected_id"]
    assert {field.name: field.type for field in file.schema_arrow} == {
        **texts,
        **dict.fromkeys(ids, pa.string()),
        "rank_gap": pa.int64(),
        "weight": pa.float64(),
        "prompt_weight": pa.float64(),
        "split": pa.string(),
    }
    assert [file.metadata.row_group(n).num_rows for n in range(3)] == [3, 3, 3]
    content = file.metadata.row_group(0).column(1)
    assert content.path_in_schema == "prompt.list.element.content"
    assert (content.compression, content.has_dictionary_page) == ("ZSTD", True)


def test_the_same_rows_give_the_same_parquet() -> None:
    choice = Choice(kind="rankings", format="parquet")
    files = {written("parquet", rows_of(choice, [held([[1, 2, 2]])])) for _ in range(3)}
    assert len(files) == 1


def test_times_are_instants_in_parquet() -> None:
    rows = rows_of(Choice(kind="rankings"), [held([[1, 2]])])
    table = pq.read_table(BytesIO(written("parquet", rows)))
    assert table.schema.field("submitted_at").type == pa.timestamp("us", tz="UTC")
    assert table["submitted_at"][0].as_py() == datetime(2026, 3, 1, 8, 30, tzinfo=UTC)


# --- CSV --------------------------------------------------------------------------


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\t", "\r", "|"])
def test_a_cell_that_a_spreadsheet_would_run_gets_an_apostrophe(sign: str) -> None:
    danger = f"{sign}HYPERLINK(1)"
    rows = Rows(
        [
            column("id", Type.TEXT, [danger]),
            column("harmless", Type.TEXT, [f"a{danger}"]),
            column("below zero", Type.INTEGER, [-1]),
        ]
    )
    [_, cells] = csv.reader(StringIO(written("csv", rows).decode(), newline=""))
    assert cells == [f"'{danger}", f"a{danger}", "-1"]


def test_csv_of_rankings_holds_lists_as_json() -> None:
    prompt = held([[1, 2, 2]], text='She said "tie",\n')
    rows = rows_of(Choice(kind="rankings", format="csv"), [prompt])
    [cells] = csv.DictReader(StringIO(written("csv", rows).decode(), newline=""))
    assert json.loads(cells["ranks"]) == [1, 2, 2]
    assert json.loads(cells["responses"])[0]["text"] == 'She said "tie",\n 1 to p1.'
    assert cells["submitted_at"] == "2026-03-01T08:30:00Z"
    assert cells["display_order"] == ""
    assert cells["seconds"] == "2.5"
