"""Real data through the whole product: import, freeze, export, and what comes out."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from annotation.importing import ImportMode
from annotation.imports import import_prompts
from annotation.models import Project
from ranking.datasets import freeze
from ranking.export.folder import write
from ranking.filters import Filters
from ranking.imports import import_rankings
from ranking.matching import matching


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What ../shared/data/README.md says of a file, or what follows from it."""

    prompts: int
    labelers: int
    rankings: int
    strict: int
    ties: int
    without_a_pair: int  # rankings that tie everything
    refused: int = 0  # lines of rankings
    repeats: int = 0  # a labeler's second ranking of a prompt: kept, and in no dataset


def assert_counts(
    project: Project, files: tuple[Path, Path], expected: Expected, out: Path
) -> None:
    """Every line that can be taken is, and every count of every stage is the same."""
    with files[0].open("rb") as file:
        import_prompts(project, file, mode=ImportMode.PARTIAL)
    with files[1].open("rb") as file:
        report = import_rankings(project, file, mode=ImportMode.PARTIAL)
    assert report.imported == expected.rankings + expected.repeats
    assert report.refused == expected.refused
    found = matching(project, Filters())
    sizes = (expected.rankings, expected.prompts, expected.labelers)
    assert found == (*sizes, expected.strict, expected.ties)
    dataset = freeze(project)
    assert dataset.counts == {
        "prompts": expected.prompts,
        "labelers": expected.labelers,
        "rankings": expected.rankings,
        "strict_pairs": expected.strict,
        "ties_dropped": expected.ties,
        "prompts_left_out": 0,
    }
    write(dataset, kind="rankings", out=out / "rankings")
    rankings = lines_of(out / "rankings" / "rankings.jsonl")
    assert len(rankings) == expected.rankings
    write(dataset, kind="pairs", out=out / "pairs")
    pairs = lines_of(out / "pairs" / "pairs.jsonl")
    assert len(pairs) == expected.strict
    with_a_pair = {pair["ranking_id"] for pair in pairs}
    assert len(with_a_pair) == expected.rankings - expected.without_a_pair
    # The weights of a ranking come to 1, and those of a prompt.
    assert abs(sum(pair["weight"] for pair in pairs) - len(with_a_pair)) < 1e-6
    prompts = {pair["prompt_id"] for pair in pairs}
    assert abs(sum(pair["prompt_weight"] for pair in pairs) - len(prompts)) < 1e-6


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().split(b"\n") if line]
