"""Export folders: whole or not there, the same bytes every time, nothing invented."""

import fcntl
import hashlib
import json
import os
import re
import time
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from annotation.imports import import_prompts
from annotation.models import Instructions, Membership, Project, Prompt
from ranking.datasets import freeze
from ranking.export import folder
from ranking.export.choice import Choice, ExportRefused
from ranking.export.folder import rows_in, write
from ranking.export.reading import snapshot
from ranking.folds import folds_by_labeler
from ranking.imports import import_rankings
from ranking.models import Dataset, PromptSplit, Ranking
from tests.conftest import make_prompt
from tests.pandalm import pandalm_files, write_rows
from tests.ranking.rows import store_ranking

pytestmark = pytest.mark.django_db
RANKS = {"r1": 2, "r2": 1, "r3": 2, "r4": 3}
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


def rows(folder: Path, kind: str) -> list[dict[str, Any]]:
    raw = (folder / f"{kind}.jsonl").read_bytes()
    return [json.loads(line) for line in raw.splitlines()]


@pytest.fixture
def ranking(project: Project, alice: Membership) -> Ranking:
    return store_ranking(
        make_prompt(project),
        alice,
        RANKS,
        assignment={"display_order": [3, 1, 0, 2]},
        submitted_at=datetime(2026, 3, 1, 8, 30, tzinfo=UTC),
        active_seconds=41.5,
        instructions=Instructions.objects.get(),
        note="r4 is rude",
    )


@pytest.fixture
def dataset(project: Project, ranking: Ranking) -> Dataset:
    prompt = ranking.assignment.prompt
    PromptSplit.objects.create(prompt=prompt, group="g", split="valid1")
    return freeze(project)


@pytest.fixture
def pandalm(project: Project, tmp_path: Path) -> Dataset:
    prompts, rankings = pandalm_files(tmp_path)
    with prompts.open("rb") as file:
        import_prompts(project, file)
    with rankings.open("rb") as file:
        import_rankings(project, file)
    return freeze(project)


def test_a_row_of_rankings_has_exactly_these_fields(
    dataset: Dataset, ranking: Ranking, alice: Membership, tmp_path: Path
) -> None:
    write(dataset, kind="rankings", out=tmp_path / "out")
    [row] = rows(tmp_path / "out", "rankings")
    assert list(row.items()) == [
        ("prompt_id", "p1"),
        ("prompt", [{"role": "user", "content": "Question p1?"}]),
        (
            "responses",
            [
                {
                    "id": f"r{n}",
                    "text": f"Answer {n} to p1.",
                    "model": f"secret-model-{n}",
                }
                for n in range(1, 5)
            ],
        ),
        ("ranks", [2, 1, 2, 3]),
        ("labeler", alice.project.pseudonym(alice.pk)),
        ("ranking_id", str(ranking.pk)),
        ("display_order", [3, 1, 0, 2]),
        ("instructions_version", 1),
        ("seconds", 41.5),
        ("submitted_at", "2026-03-01T08:30:00Z"),
        ("split", "valid1"),
        ("status", "counted"),
        ("pool", "random"),
        ("tags", []),
        ("ratings", []),
        ("flags", []),
        ("note", "r4 is rude"),
    ]


def test_ratings_and_flags_are_aligned_with_the_responses(
    project: Project, alice: Membership, bob: Membership, tmp_path: Path
) -> None:
    prompt = make_prompt(project)
    said: dict[str, dict[str, Any]] = {
        "r1": {"rating": 6},
        "r3": {"rating": 1, "flags": ["rude", "wrong"]},
        "r4": {"rating": 7},
    }
    store_ranking(prompt, alice, RANKS, said=said, note="hm")
    store_ranking(prompt, bob, RANKS, said={"r2": {"flags": ["odd"]}})
    write(freeze(project), kind="rankings", out=tmp_path / "out")
    hers, his = rows(tmp_path / "out", "rankings")
    assert [response["id"] for response in hers["responses"]] == [
        "r1",
        "r2",
        "r3",
        "r4",
    ]
    assert hers["ratings"] == [6, None, 1, 7]
    assert hers["flags"] == [[], [], ["rude", "wrong"], []]
    assert hers["note"] == "hm"
    assert (his["ratings"], his["flags"]) == ([], [[], ["odd"], [], []])


def test_a_row_of_pairs_has_exactly_these_fields(
    dataset: Dataset, ranking: Ranking, alice: Membership, tmp_path: Path
) -> None:
    write(dataset, kind="pairs", out=tmp_path / "out")
    pairs = rows(tmp_path / "out", "pairs")
    assert list(pairs[2].items()) == [
        ("prompt", [{"role": "user", "content": "Question p1?"}]),
        ("chosen", [{"role": "assistant", "content": "Answer 2 to p1."}]),
        ("rejected", [{"role": "assistant", "content": "Answer 4 to p1."}]),
        ("prompt_id", "p1"),
        ("ranking_id", str(ranking.pk)),
        ("labeler", alice.project.pseudonym(alice.pk)),
        ("chosen_id", "r2"),
        ("rejected_id", "r4"),
        ("rank_gap", 2),
        ("weight", 0.2),
        ("prompt_weight", 0.2),
        ("split", "valid1"),
    ]
    # r1 and r3 are tied: 5 of the 6 pairs are strict.
    assert [(p["chosen_id"], p["rejected_id"], p["rank_gap"]) for p in pairs] == [
        ("r2", "r1", 1),
        ("r2", "r3", 1),
        ("r2", "r4", 2),
        ("r1", "r4", 1),
        ("r3", "r4", 1),
    ]


def test_weights_make_rankings_and_prompts_equal(
    project: Project, ranking: Ranking, bob: Membership, tmp_path: Path
) -> None:
    prompt = ranking.assignment.prompt
    store_ranking(prompt, bob, {"r1": 1, "r2": 1, "r3": 1, "r4": 2})
    third = Membership.objects.create(project=project, name="x", role="labeler")
    store_ranking(prompt, third, dict.fromkeys(RANKS, 1))
    write(freeze(project), kind="pairs", out=tmp_path / "out")
    pairs = rows(tmp_path / "out", "pairs")
    # 5 strict pairs of alice, 3 of bob, none of the third: two rankings have one.
    assert [p["weight"] for p in pairs] == [1 / 5] * 5 + [1 / 3] * 3
    assert [p["prompt_weight"] for p in pairs] == [1 / 10] * 5 + [1 / 6] * 3


def test_pandalm_gives_exactly_the_published_pairs(
    pandalm: Dataset, tmp_path: Path
) -> None:
    write(pandalm, kind="rankings", out=tmp_path / "rankings")
    assert len(rows(tmp_path / "rankings", "rankings")) == 98
    manifest = write(pandalm, kind="pairs", out=tmp_path / "pairs")
    pairs = rows(tmp_path / "pairs", "pairs")
    assert len(pairs) == 620
    assert manifest["counts"]["ties_dropped"] == 128
    assert sum(p["weight"] for p in pairs) == pytest.approx(92)
    assert sum(p["prompt_weight"] for p in pairs) == pytest.approx(33)
    per_ranking: dict[str, list[int]] = defaultdict(list)
    for place, pair in enumerate(pairs):
        per_ranking[pair["ranking_id"]].append(place)
    for places in per_ranking.values():
        assert places == list(range(places[0], places[-1] + 1))


def test_pairs_are_the_rankings_again(pandalm: Dataset, tmp_path: Path) -> None:
    write(pandalm, kind="rankings", out=tmp_path / "rankings")
    write(pandalm, kind="pairs", out=tmp_path / "pairs")
    expected = {
        (row["ranking_id"], better["id"], worse["id"], gap)
        for row in rows(tmp_path / "rankings", "rankings")
        for better, high in zip(row["responses"], row["ranks"], strict=True)
        for worse, low in zip(row["responses"], row["ranks"], strict=True)
        if (gap := low - high) > 0
    }
    found = [
        (p["ranking_id"], p["chosen_id"], p["rejected_id"], p["rank_gap"])
        for p in rows(tmp_path / "pairs", "pairs")
    ]
    assert set(found) == expected
    assert len(found) == len(expected)


def test_the_manifest_describes_the_file(dataset: Dataset, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    manifest = write(dataset, kind="pairs", out=out)
    assert json.loads((out / "manifest.json").read_text()) == manifest
    assert sorted(path.name for path in out.iterdir()) == [
        "README.md",
        "manifest.json",
        "pairs.jsonl",
    ]
    raw = (out / "pairs.jsonl").read_bytes()
    assert manifest["files"] == {
        "pairs.jsonl": {
            "sha256": hashlib.sha256(raw).hexdigest(),
            "bytes": len(raw),
            "rows": 5,
        }
    }
    assert (manifest["disagreement"], manifest["pairs_left_open"]) == ("each", 0)
    assert manifest["dataset_id"] == dataset.name
    assert manifest["counts"] == dataset.counts
    assert manifest["seed"] == dataset.seed
    labelers = {row["labeler"] for row in rows(out, "pairs")}
    assert manifest["folds"] == {
        "count": 5,
        "seed": dataset.seed,
        "labelers": folds_by_labeler(labelers, seed=dataset.seed),
    }
    card = (out / "README.md").read_text()
    assert dataset.name in card
    assert "| prompts left out, like prompts of two splits | 0 |" in card
    assert "alice" not in card


def test_the_same_dataset_gives_the_same_bytes(
    pandalm: Dataset, project: Project, alice: Membership, tmp_path: Path
) -> None:
    write(pandalm, kind="pairs", out=tmp_path / "first")
    store_ranking(make_prompt(project, "another"), alice, RANKS)
    write(pandalm, kind="pairs", out=tmp_path / "second")
    for name in ("pairs.jsonl", "manifest.json", "README.md"):
        first = (tmp_path / "first" / name).read_bytes()
        assert (tmp_path / "second" / name).read_bytes() == first


def test_prompts_stand_by_code_point_and_not_by_the_database_s_collation(
    project: Project, alice: Membership, tmp_path: Path
) -> None:
    ids = ["b", "B", "a", "Z", "é", "_", "10", "9", "😀", "\ufffd"]
    for prompt_id in ids:
        store_ranking(make_prompt(project, prompt_id), alice, RANKS)
    write(freeze(project), kind="rankings", out=tmp_path / "out")
    exported = [row["prompt_id"] for row in rows(tmp_path / "out", "rankings")]
    assert exported == sorted(ids)


def test_a_split_alone_can_be_written(pandalm: Dataset, tmp_path: Path) -> None:
    sizes = {}
    for split in ("train", "valid1", "valid2", "all"):
        write(pandalm, kind="pairs", out=tmp_path / split, split=split)
        exported = rows(tmp_path / split, "pairs")
        sizes[split] = len(exported)
        if split != "all":
            assert {row["split"] for row in exported} <= {split}
    assert sizes["train"] + sizes["valid1"] + sizes["valid2"] == sizes["all"] == 620


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(prompt=TEXTS, texts=st.lists(TEXTS, min_size=4, max_size=9))
def test_texts_come_out_byte_for_byte_as_they_came_in(
    project: Project, tmp_path: Path, prompt: str, texts: list[str]
) -> None:
    number = Prompt.objects.count()
    name = f"p{number:03}"
    responses = [{"id": f"r{n}", "text": text} for n, text in enumerate(texts)]
    line = {"id": name, "prompt": prompt, "responses": responses}
    ranked = {"prompt_id": name, "labeler": "x", "ranks": dict.fromkeys(["r0"], 1)}
    ranked["ranks"] = {response["id"]: n for n, response in enumerate(responses)}
    for verb, row in ((import_prompts, line), (import_rankings, ranked)):
        with write_rows(tmp_path / "line.jsonl", [row]).open("rb") as file:
            assert verb(project, file).imported == 1
    out = tmp_path / f"out{number}"
    write(freeze(project), kind="rankings", out=out)
    exported = rows(out, "rankings")[-1]
    assert exported["prompt"] == [{"role": "user", "content": prompt}]
    assert [response["text"] for response in exported["responses"]] == texts
    assert exported["ranks"] == list(range(1, len(texts) + 1))


# --- The folder -------------------------------------------------------------------


def test_a_folder_that_holds_something_else_is_left_alone(
    dataset: Dataset, tmp_path: Path
) -> None:
    for name, content in (("notes.txt", "mine"), ("manifest.json", "[]")):
        out = tmp_path / name / "out"
        out.mkdir(parents=True)
        (out / name).write_text(content)
        with pytest.raises(ExportRefused, match="is not empty, and it is no export"):
            write(dataset, kind="pairs", out=out)
        assert [path.name for path in out.iterdir()] == [name]
    with pytest.raises(ExportRefused, match="is a file"):
        write(dataset, kind="pairs", out=tmp_path / "notes.txt" / "out" / "notes.txt")


def test_an_export_of_another_dataset_is_not_replaced(
    dataset: Dataset, project: Project, bob: Membership, tmp_path: Path
) -> None:
    write(dataset, kind="pairs", out=tmp_path / "out")
    store_ranking(Prompt.objects.get(), bob, RANKS)
    with pytest.raises(ExportRefused, match="is no export of ds-"):
        write(freeze(project), kind="pairs", out=tmp_path / "out")
    assert len(rows(tmp_path / "out", "pairs")) == 5


def test_an_export_of_the_same_dataset_is_replaced_whole(
    dataset: Dataset, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    write(dataset, kind="pairs", out=out)
    write(dataset, kind="rankings", out=out)
    assert sorted(path.name for path in out.iterdir()) == [
        "README.md",
        "manifest.json",
        "rankings.jsonl",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_export_that_somebody_put_files_beside_is_not_replaced(
    dataset: Dataset, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    write(dataset, kind="pairs", out=out)
    (out / "checkpoint").mkdir()
    (out / "checkpoint" / "model.bin").write_bytes(b"weeks of work")
    (out / "results.csv").write_text("mine")
    complaint = r"also holds 'checkpoint' and 1 more: choose another folder; nothing"
    with pytest.raises(ExportRefused, match=complaint):
        write(dataset, kind="rankings", out=out)
    assert (out / "checkpoint" / "model.bin").read_bytes() == b"weeks of work"
    assert (out / "results.csv").read_text() == "mine"
    assert len(rows(out, "pairs")) == 5


def test_what_appears_beside_an_export_while_it_is_replaced_stays(
    dataset: Dataset, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    write(dataset, kind="pairs", out=out)
    with pytest.raises(ExportRefused, match=r"also holds 'notes\.txt': choose"):
        write(
            dataset,
            kind="pairs",
            out=out,
            progress=lambda _: (out / "notes.txt").write_text("mine"),
        )
    assert (out / "notes.txt").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_failure_in_the_middle_leaves_nothing_behind(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folder, "_sync", full)
    with pytest.raises(OSError, match="No space left"):
        write(dataset, kind="pairs", out=tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_export_left_is_taken_away_by_the_next_one(
    dataset: Dataset, tmp_path: Path
) -> None:
    old, fresh = tmp_path / ".out.part-0a", tmp_path / ".out.part-0b"
    other, at_work = tmp_path / ".other.part-0a", tmp_path / ".out.part-0c"
    for left in (old, fresh, other, at_work):
        left.mkdir()
    for left in (old, other, at_work):
        os.utime(left, (time.time() - 70,) * 2)
    lock = os.open(at_work, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    write(dataset, kind="pairs", out=tmp_path / "out")
    assert not old.exists()
    assert fresh.exists()
    assert other.exists()
    assert at_work.exists()
    os.close(lock)
    write(dataset, kind="pairs", out=tmp_path / "out")
    assert not at_work.exists()


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"kind": "votes"}, "kind: 'votes' is none of rankings, pairs"),
        ({"format": "xlsx"}, "format: 'xlsx' is none of jsonl, parquet, csv, json"),
        ({"format": "csv"}, "pairs cannot be written with format csv: it takes jsonl"),
        ({"disagreement": "none"}, "disagreement: 'none' is none of each, majority"),
        (
            {"kind": "kto", "disagreement": "soft"},
            "kto cannot be written with disagreement soft: it takes each or consensus",
        ),
        ({"split": "test"}, "split: 'test' is none of train, valid1, valid2, all"),
    ],
)
def test_what_cannot_be_written_is_refused_before_anything_is(
    dataset: Dataset, tmp_path: Path, wrong: dict[str, str], complaint: str
) -> None:
    wanted: dict[str, Any] = {"kind": "pairs", "out": tmp_path / "out"} | wrong
    with pytest.raises(ExportRefused, match=complaint):
        write(dataset, **wanted)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.django_db(transaction=True)
def test_an_export_reads_one_moment_and_can_write_nothing(
    dataset: Dataset,
) -> None:
    with snapshot():
        with connection.cursor() as cursor:
            cursor.execute("SHOW transaction_isolation")
            assert cursor.fetchone() == ("repeatable read",)
            cursor.execute("SHOW transaction_read_only")
            assert cursor.fetchone() == ("on",)
        parts = rows_in(dataset, Choice(kind="pairs"))
        assert [(len(part.rows), part.prompts) for part in parts] == [(5, 1)]


# --- The command ------------------------------------------------------------------


def test_the_command_freezes_and_writes(
    project: Project,
    ranking: Ranking,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    call_command("export_dataset", "tides", "--kind=pairs", f"--out={out}", "--json")
    manifest = json.loads(capsys.readouterr().out)
    dataset = Dataset.objects.get()
    assert re.fullmatch("ds-[0-9a-f]{12}", dataset.name)
    assert manifest["dataset_id"] == dataset.name
    call_command(
        "export_dataset", f"--dataset={dataset.name}", "--kind=rankings", f"--out={out}"
    )
    printed = capsys.readouterr().out
    assert "1 rankings by 1 labelers, 5 strict pairs, 1 ties dropped" in printed
    assert "wrote 1 rows to" in printed
    assert len(rows(out, "rankings")) == 1


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["nowhere"], "there is no project 'nowhere'"),
        ([], "name a project, or a frozen dataset"),
        (["--dataset=ds-0"], "there is no dataset 'ds-0'"),
        (["tides", "--dataset=ds-0"], "slug cannot be given with it"),
        (["--dataset=ds-0", "--k=4"], "k cannot be given with it"),
        (["tides", "--k=12"], "k: 12 is not between 2 and 9"),
        (["tides", "--labeler=nobody"], "no labeler 'nobody'"),
        (["tides", "--since=2030-01-01"], "there is nothing to freeze"),
        (["tides", "--format=csv"], "pairs cannot be written with format csv"),
    ],
)
def test_the_command_fails_in_one_line(
    project: Project,
    ranking: Ranking,
    tmp_path: Path,
    words: list[str],
    complaint: str,
) -> None:
    with pytest.raises(CommandError, match=complaint):
        call_command("export_dataset", *words, "--kind=pairs", f"--out={tmp_path}/o")
    assert list(tmp_path.iterdir()) == []
