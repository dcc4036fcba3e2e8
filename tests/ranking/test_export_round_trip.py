"""Any weak order of any texts: in, out by the API and as files, and in again."""

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from django.test import Client
from django.urls import reverse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from knox.models import AuthToken

from annotation.accounts import account_of
from annotation.imports import import_prompts
from annotation.models import Membership, Project, Prompt, Response
from ranking.datasets import freeze
from ranking.export.folder import write
from ranking.imports import import_rankings
from ranking.weak_order import dense_ranks
from tests.pandalm import write_rows
from tests.ranking.exported import body, write_waiting, written_at_once

__all__ = ["written_at_once"]  # a fixture

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
LONG = settings.get_current_profile_name() == "long"


@st.composite
def ranked_prompts(draw: st.DrawFn) -> tuple[str, list[str], list[int]]:
    """A prompt, the texts of its responses, and a rank for each."""
    k = draw(st.integers(4, 9))
    texts = draw(st.lists(TEXTS, min_size=k, max_size=k))
    ranks = draw(st.lists(st.integers(1, k), min_size=k, max_size=k))
    return draw(TEXTS.filter(str.strip)), texts, ranks


@pytest.fixture
def researcher_s(
    tmp_path: Path,
    settings: Any,
    written_at_once: None,
) -> Client:
    """A program of a researcher, without a project as yet."""
    settings.VAR_DIR = tmp_path / "var"
    user, _ = account_of("researcher@example.org")
    _, token = AuthToken.objects.create(user=user)
    return Client(headers={"Authorization": f"Token {token}"})


@settings(
    max_examples=settings().max_examples if LONG else 12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(ranked_prompts())
def test_ranks_and_bytes_survive(
    db: None,
    researcher_s: Client,
    tmp_path: Path,
    ranked: tuple[str, list[str], list[int]],
) -> None:
    """File → database → API → JSONL → Parquet → file → another project's database."""
    prompt, texts, ranks = ranked
    number = Prompt.objects.count()
    first, again = a_project(f"in-{number}"), a_project(f"out-{number}")
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
    assert stored_texts(first) == texts
    by_api = frozen_by_api(researcher_s, first)
    [line] = lines_of(by_api["jsonl"])
    [row] = pq.read_table(BytesIO(by_api["parquet"])).to_pylist()
    row["submitted_at"] = line["submitted_at"]  # a time in one, its text in the other
    assert row == line
    write(freeze(first), kind="rankings", format="jsonl", out=tmp_path / f"o{number}")
    assert (tmp_path / f"o{number}" / "rankings.jsonl").read_bytes() == by_api["jsonl"]
    row["ranks"] = {
        response["id"]: rank
        for response, rank in zip(row["responses"], row["ranks"], strict=True)
    }
    take(again, tmp_path, row)
    assert stored_texts(again) == texts
    [second] = lines_of(frozen_by_api(researcher_s, again)["jsonl"])
    same = ("prompt", "responses", "ranks", "split")
    assert {name: second[name] for name in same} == {name: line[name] for name in same}
    assert [one["text"] for one in second["responses"]] == texts
    assert second["prompt"] == [{"role": "user", "content": prompt}]
    assert second["ranks"] == list(dense_ranks(dict(enumerate(ranks))).values())


def a_project(slug: str) -> Project:
    """An empty one, in which the researcher works."""
    project = Project.objects.create(slug=slug, title=slug)
    user, _ = account_of("researcher@example.org")
    Membership.objects.create(project=project, user=user, name="r", role="researcher")
    return project


def stored_texts(project: Project) -> list[str]:
    rows = Response.objects.filter(prompt__project=project).order_by("external_id")
    return list(rows.values_list("text", flat=True))


def frozen_by_api(program: Client, project: Project) -> dict[str, bytes]:
    """The files of a new dataset, by format."""
    address = reverse("api_datasets", args=[project.slug])
    made = program.post(address, {}, content_type="application/json")
    assert made.status_code == 201, made.content
    files = {}
    for format in ("jsonl", "parquet"):
        which = [project.slug, made.json()["name"], "rankings", format]
        file = reverse("api_dataset_file", args=which)
        assert program.get(file).status_code == 202
        write_waiting()
        files[format] = body(program.get(file))
    return files


def take(project: Project, tmp_path: Path, row: dict[str, Any]) -> None:
    """Import one ranking with its prompt."""
    prompt = {"id": row["prompt_id"], "prompt": row["prompt"]}
    prompt["responses"] = row["responses"]
    ranking = {name: row[name] for name in ("prompt_id", "labeler", "ranks")}
    for verb, line in ((import_prompts, prompt), (import_rankings, ranking)):
        with write_rows(tmp_path / "line.jsonl", [line]).open("rb") as file:
            report = verb(project, file)
        assert report.imported == 1, report


def lines_of(content: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in content.split(b"\n") if line]
