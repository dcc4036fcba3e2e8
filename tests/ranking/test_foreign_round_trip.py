"""What goes to Label Studio and to Argilla comes back with the same ranks, ties too."""

import json
from pathlib import Path
from typing import Any

import pytest

from annotation.imports import import_prompts
from annotation.models import Project, Response
from ranking.datasets import freeze
from ranking.export.folder import write
from ranking.foreign_imports import import_foreign
from ranking.imports import import_rankings
from ranking.models import Ranking
from tests.pandalm import write_rows

pytestmark = pytest.mark.django_db
TEXTS = [
    "",
    "Tides.",
    "שלום \u202e 👩‍👩‍👧",
    '"a"\n\n\\N\t\x01',
    "=1+1",
    "The moon.",
    "a",
    "b",
    " ",
]
ORDERS = [
    [1, 1, 1, 1],
    [2, 1, 2, 1],
    [4, 3, 2, 1],
    [1, 2, 3, 4, 5, 6, 7, 8, 9],
    [5, 1, 1, 2, 2, 3, 3, 4, 4],
]
DIALOGUE = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Why?"},
    {"role": "assistant", "content": "Why not?"},
    {"role": "user", "content": "Well."},
]


def told(project: Project) -> list[list[list[tuple[str, int]]]]:
    """Of each prompt, and of each labeler, the texts with their ranks."""
    found = []
    for prompt in project.prompt_set.all():
        texts = {one.pk: one.text for one in Response.objects.filter(prompt=prompt)}
        ranks = []
        for ranking in Ranking.objects.filter(assignment__prompt=prompt):
            placed = ranking.placements.values_list("response_id", "rank")
            ranks.append(sorted((texts[pk], rank) for pk, rank in placed))
        found.append(sorted(ranks))
    return sorted(found)


@pytest.mark.parametrize("kind", ["label-studio", "argilla"])
def test_ranks_come_back_from_files_for_other_tools(
    project: Project, tmp_path: Path, kind: str
) -> None:
    prompts: list[dict[str, Any]] = []
    rankings: list[dict[str, Any]] = []
    for number, order in enumerate(ORDERS):
        ids = [f"r{place}" for place in range(len(order))]
        prompts.append(
            {
                "id": f"p{number}",
                "prompt": DIALOGUE if number == 1 else f"Why {number}?",
                "responses": [
                    {"id": name, "text": text}
                    for name, text in zip(ids, TEXTS, strict=False)
                ],
            }
        )
        for labeler, ranks in (("vera", order), ("wim", order[::-1])):
            rankings.append(
                {
                    "prompt_id": f"p{number}",
                    "labeler": labeler,
                    "ranks": dict(zip(ids, ranks, strict=True)),
                    "seconds": 42.5,
                }
            )
    for verb, rows in ((import_prompts, prompts), (import_rankings, rankings)):
        with write_rows(tmp_path / "rows.jsonl", rows).open("rb") as file:
            assert verb(project, file).refused == 0
    write(freeze(project), kind=kind, format="json", out=tmp_path / "out")
    again = Project.objects.create(slug="again", title="Again")
    [exported] = (tmp_path / "out").glob(f"{kind}*.json")
    for wanted in (len(ORDERS), 0):  # the same file again brings nothing
        with exported.open("rb") as file:
            report = import_foreign(again, file, shape=kind)
        assert (report.imported, report.refused) == (wanted, 0)
    assert told(again) == told(project)
    if kind == "label-studio":
        kept = again.prompt_set.get(external_id="label-studio-p1")
        assert kept.messages == DIALOGUE
    assert json.loads(exported.read_bytes())
