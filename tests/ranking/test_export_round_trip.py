"""Any weak order of any texts: in, out as JSON lines and Parquet, and in again."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from annotation.imports import import_prompts
from annotation.models import Project, Prompt
from ranking.datasets import freeze
from ranking.export.folder import write
from ranking.imports import import_rankings
from ranking.weak_order import dense_ranks
from tests.pandalm import write_rows

pytestmark = pytest.mark.django_db
# Everything that Postgres can store: all of Unicode but NUL and lone surrogates.
ANY = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
AWKWARD = st.sampled_from(
    [
        "".join(map(chr, [*range(1, 32), *range(127, 160)])),  # control characters
        "\u202eright to left\u202c שלום مرحبا",
        "👩‍👩‍👧‍👦🏳️‍🌈 e" + "\u0301" * 500,
        "\u200b\u200c\u200d\ufeff",
        "\u2028\u2029\x85\r\n\r\n",
        '{"not": "json"} \\u0000 \\ud800 =1+1',
        "\U0010ffff\ufffe\uffff",
        "x" * 2_000,
        "",
        " ",
    ]
)
TEXTS = st.one_of(ANY, AWKWARD)


@st.composite
def ranked_prompts(draw: st.DrawFn) -> tuple[str, list[str], list[int]]:
    """A prompt, the texts of its responses, and a rank for each."""
    k = draw(st.integers(4, 9))
    texts = draw(st.lists(TEXTS, min_size=k, max_size=k))
    ranks = draw(st.lists(st.integers(1, k), min_size=k, max_size=k))
    return draw(TEXTS.filter(str.strip)), texts, ranks


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(ranked_prompts())
def test_ranks_and_bytes_survive(
    project: Project, tmp_path: Path, ranked: tuple[str, list[str], list[int]]
) -> None:
    prompt, texts, ranks = ranked
    number = Prompt.objects.count()
    first = Project.objects.create(slug=f"in-{number}", title="In")
    again = Project.objects.create(slug=f"out-{number}", title="Out")
    take(
        first,
        tmp_path,
        {
            "prompt_id": "p",
            "prompt": prompt,
            "responses": [{"id": f"r{n}", "text": t} for n, t in enumerate(texts)],
            "labeler": "x",
            "ranks": {f"r{n}": rank for n, rank in enumerate(ranks)},
        },
    )
    [line] = rows_of(first, tmp_path / f"jsonl{number}", "jsonl")
    [row] = rows_of(first, tmp_path / f"parquet{number}", "parquet")
    row["submitted_at"] = line["submitted_at"]  # a time in one, its text in the other
    assert row == line
    row["ranks"] = {
        response["id"]: rank
        for response, rank in zip(row["responses"], row["ranks"], strict=True)
    }
    take(again, tmp_path, row)
    [second] = rows_of(again, tmp_path / f"again{number}", "jsonl")
    same = ("prompt", "responses", "ranks", "split")
    assert {name: second[name] for name in same} == {name: line[name] for name in same}
    assert [one["text"] for one in second["responses"]] == texts
    assert second["prompt"] == [{"role": "user", "content": prompt}]
    assert second["ranks"] == list(dense_ranks(dict(enumerate(ranks))).values())


def take(project: Project, tmp_path: Path, row: dict[str, Any]) -> None:
    """Import one ranking with its prompt."""
    prompt = {"id": row["prompt_id"], "prompt": row["prompt"]}
    prompt["responses"] = row["responses"]
    ranking = {name: row[name] for name in ("prompt_id", "labeler", "ranks")}
    for verb, line in ((import_prompts, prompt), (import_rankings, ranking)):
        with write_rows(tmp_path / "line.jsonl", [line]).open("rb") as file:
            report = verb(project, file)
        assert report.imported == 1, report


def rows_of(project: Project, out: Path, format: str) -> list[dict[str, Any]]:
    write(freeze(project), kind="rankings", format=format, out=out)
    file = out / f"rankings.{format}"
    if format == "parquet":
        found: list[dict[str, Any]] = pq.read_table(file).to_pylist()
        return found
    return [json.loads(line) for line in file.read_bytes().split(b"\n") if line]
