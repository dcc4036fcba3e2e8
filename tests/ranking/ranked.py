"""Rankings as a person writes them down, and as the tables the report takes."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import nan
from typing import Any

import numpy as np

from ranking.agreement import RankTable, report
from tests.real_data import real_records


@dataclass(frozen=True)
class Ranked:
    """One labeler's ranks of some responses of one prompt."""

    labeler: str
    prompt: int
    ranks: dict[str, int]
    repeat: int = 0
    version: int = 0
    week: int = 0
    seconds: float = nan
    shown: tuple[str, ...] = ()  # first shown first; empty when not known
    lengths: dict[str, int] = field(default_factory=dict)

    @property
    def responses(self) -> tuple[str, ...]:
        return tuple(sorted(self.ranks))


def as_tables(rows: Sequence[Ranked]) -> tuple[list[RankTable], list[str]]:
    """One table per K, columns in the order of the response ids, and the names."""
    names = sorted({row.labeler for row in rows}, reverse=True)
    sets = {key: i for i, key in enumerate(dict.fromkeys(_set(row) for row in rows))}
    by_k = defaultdict(list)
    for row in rows:
        by_k[len(row.ranks)].append(row)
    tables = [
        RankTable(
            ranks=np.array([[row.ranks[r] for r in row.responses] for row in some]),
            cluster=np.array([row.prompt for row in some]),
            labeler=np.array([names.index(row.labeler) for row in some]),
            item=np.array([sets[_set(row)] for row in some]),
            repeat=np.array([row.repeat for row in some]),
            version=np.array([row.version for row in some]),
            week=np.array([row.week for row in some]),
            seconds=np.array([row.seconds for row in some]),
            positions=np.array([_positions(row) for row in some]),
            lengths=np.array([_lengths(row) for row in some]),
        )
        for some in by_k.values()
    ]
    return tables, names


def report_of(
    rows: Sequence[Ranked], *, tags: Mapping[int, Sequence[str]] | None = None
) -> dict[str, Any]:
    """The agreement report of these rankings; `tags` by prompt."""
    tables, names = as_tables(rows)
    return report(
        tables, labelers=names, project="demo", filters={}, tags=by_tag(tags or {})
    )


def by_tag(tags: Mapping[int, Sequence[str]]) -> dict[str, list[int]]:
    """The prompts of each tag; one that is named twice stands there twice."""
    prompts = defaultdict(list)
    for prompt, some in tags.items():
        for tag in some:
            prompts[tag].append(prompt)
    return dict(prompts)


def pair(labeler: str, prompt: int, a: str, b: str, winner: str) -> Ranked:
    """A pair judgement as a ranking of two responses."""
    ranks = {a: 1 + (winner == "b"), b: 1 + (winner == "a")}
    return Ranked(labeler, prompt, ranks)


def real_rankings(name: str) -> list[Ranked]:
    """The rankings and pair judgements of a real file, prompts numbered."""
    numbers: dict[str, int] = {}
    lengths: dict[str, int] = {}
    rows = []
    for record in real_records(name):
        prompt = numbers.setdefault(record.get("prompt_id", ""), len(numbers))
        if record["t"] == "response" and record["text"] is not None:
            lengths[record["id"]] = len(record["text"])
        elif record["t"] == "ranking":
            rows.append(Ranked(record["labeler"], prompt, record["ranks"]))
        elif record["t"] == "comparison":
            a, b, winner = record["a"], record["b"], record["winner"]
            rows.append(pair(record["labeler"], prompt, a, b, winner))
    return [
        replace(row, lengths={r: lengths[r] for r in row.ranks if r in lengths})
        for row in rows
    ]


def _positions(row: Ranked) -> list[int]:
    return [row.shown.index(r) if row.shown else -1 for r in row.responses]


def _lengths(row: Ranked) -> list[int]:
    return [row.lengths.get(r, -1) for r in row.responses]


def _set(row: Ranked) -> tuple[int, tuple[str, ...]]:
    return row.prompt, row.responses
