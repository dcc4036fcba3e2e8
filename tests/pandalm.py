"""Real rankings and responses, put into our two file formats."""

import json
from pathlib import Path
from typing import Any

from tests.real_data import real_records

Record = dict[str, Any]


def records(name: str) -> dict[str, list[Record]]:
    """The records of a real data file by type; skips where it is absent."""
    found: dict[str, list[Record]] = {}
    for record in real_records(name):
        found.setdefault(record["t"], []).append(record)
    return found


def prompt_rows(found: dict[str, list[Record]]) -> list[Record]:
    """Lines of the prompts file: each prompt with its responses, category as tag."""
    responses: dict[str, list[Record]] = {}
    for response in found["response"]:
        responses.setdefault(response["prompt_id"], []).append(
            {key: response[key] for key in ("id", "text", "model")}
        )
    return [
        {
            "id": prompt["id"],
            "prompt": prompt["text"],
            "responses": responses[prompt["id"]],
            "tags": [prompt["category"]] if "category" in prompt else [],
        }
        for prompt in found["prompt"]
    ]


def ranking_rows(found: dict[str, list[Record]]) -> list[Record]:
    """Lines of the rankings file."""
    names = ("id", "prompt_id", "labeler", "ranks")
    return [
        {name: ranking[name] for name in names} for ranking in found.get("ranking", [])
    ]


def write_rows(path: Path, rows: list[Record]) -> Path:
    """One JSON object a line."""
    path.write_text(
        "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows),
        encoding="utf-8",
    )
    return path


def export_rows(found: dict[str, list[Record]]) -> list[Record]:
    """Lines of the rankings export, as training reads them."""
    prompts = {row["id"]: row for row in prompt_rows(found)}
    return [
        {
            "prompt_id": ranking["prompt_id"],
            "prompt": prompts[ranking["prompt_id"]]["prompt"],
            "responses": prompts[ranking["prompt_id"]]["responses"],
            "ranks": [
                ranking["ranks"][response["id"]]
                for response in prompts[ranking["prompt_id"]]["responses"]
            ],
        }
        for ranking in found["ranking"]
    ]


def pandalm_files(
    tmp_path: Path, name: str = "pandalm_k4_5_rankings.jsonl.gz"
) -> tuple[Path, Path]:
    """A real data file as `prompts.jsonl` and `rankings.jsonl` in `tmp_path`."""
    found = records(name)
    return (
        write_rows(tmp_path / "prompts.jsonl", prompt_rows(found)),
        write_rows(tmp_path / "rankings.jsonl", ranking_rows(found)),
    )


def pair_files(tmp_path: Path, name: str) -> tuple[Path, Path]:
    """Pair votes as an archive holds them: each pair a prompt with two responses.

    Where the data has no text of a response, its id stands for it.
    """
    found = records(name)
    texts = {one["id"]: one["text"] for one in found["prompt"]}
    said = {one["id"]: one["text"] or one["id"] for one in found["response"]}
    prompts, rankings = {}, []
    for vote in found["comparison"]:
        pair = sorted((vote["a"], vote["b"]))
        key = f"{vote['prompt_id']}: {' / '.join(pair)}"
        prompts[key] = {
            "id": key,
            "prompt": texts[vote["prompt_id"]],
            "responses": [{"id": one, "text": said[one]} for one in pair],
        }
        ranks = {vote["a"]: 1 + (vote["winner"] == "b")}
        ranks[vote["b"]] = 1 + (vote["winner"] == "a")
        rankings.append(
            {
                "id": vote["id"],
                "prompt_id": key,
                "labeler": vote["labeler"],
                "ranks": ranks,
            }
        )
    return (
        write_rows(tmp_path / "prompts.jsonl", list(prompts.values())),
        write_rows(tmp_path / "rankings.jsonl", rankings),
    )
