"""What a dataset holds, read prompt by prompt in one canonical order and flat memory.

Rankings, placements, responses and messages never change once stored, so whoever
holds the ids of rankings can read the rest at any later time and finds the same.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any, Final, NamedTuple, TypedDict

from django.db.models import F
from django.db.models.functions import Collate

from annotation.models import Project, Prompt, Response
from ranking.models import Placement, Ranking, RankingQuerySet

PROMPTS_AT_ONCE: Final = 100


class FrozenResponse(TypedDict):
    """A response as the export shows it."""

    id: str
    text: str
    model: str | None


@dataclass(frozen=True, slots=True)
class FrozenRanking:
    """One ranking; `ranks` are dense and aligned with the prompt's responses.

    So are `ratings` (None: this one was not rated) and `flags`; each is empty where
    the labeler gave none at all.
    """

    pk: int
    labeler: str  # pseudonym
    ranks: list[int]
    display_order: list[int] | None
    instructions_version: int | None
    seconds: float | None
    submitted_at: datetime
    status: str
    pool: str
    note: str
    ratings: list[int | None]
    flags: list[list[str]]


class Placed(NamedTuple):
    """What a labeler said of one response."""

    rank: int
    rating: int | None
    flags: list[str]


@dataclass(frozen=True, slots=True)
class FrozenPrompt:
    """A prompt, its responses sorted by id, and those of its rankings that are held."""

    pk: int
    id: str
    messages: list[dict[str, str]]
    tags: list[str]
    split: str | None
    responses: list[FrozenResponse]
    rankings: list[FrozenRanking]


def in_order(rankings: RankingQuerySet) -> Iterator[tuple[int, int]]:
    """(prompt, ranking) keys by prompt id, code point by code point, then by ranking.

    The database's own collation would order ids differently on another machine.
    A server-side cursor: needs a transaction, and sees one moment of the database.
    """
    return (
        rankings.order_by(Collate(F("assignment__prompt__external_id"), "C"), "pk")
        .values_list("assignment__prompt", "pk")
        .iterator(chunk_size=5_000)
    )


def read_prompts(
    project: Project, keys: Iterable[tuple[int, int]]
) -> Iterator[list[FrozenPrompt]]:
    """The prompts of `in_order` keys with these rankings: four queries a list."""
    held: dict[int, list[int]] = {}
    for prompt, rows in groupby(keys, key=itemgetter(0)):
        held[prompt] = [ranking for _, ranking in rows]
        if len(held) == PROMPTS_AT_ONCE:
            yield _read(project, held)
            held = {}
    if held:
        yield _read(project, held)


def _read(project: Project, held: dict[int, list[int]]) -> list[FrozenPrompt]:
    responses: dict[int, list[tuple[int, FrozenResponse]]] = {}
    for prompt, pk, external_id, text, model in Response.objects.filter(
        prompt__in=held
    ).values_list("prompt", "pk", "external_id", "text", "model"):
        response = FrozenResponse(id=external_id, text=text, model=model)
        responses.setdefault(prompt, []).append((pk, response))
    for found in responses.values():
        found.sort(key=lambda response: response[1]["id"])
    rankings = _rankings(project, [pk for pks in held.values() for pk in pks])
    return [
        FrozenPrompt(
            pk=pk,
            id=external_id,
            messages=messages,
            tags=tags,
            split=split,
            responses=[response for _, response in responses[pk]],
            rankings=[
                _aligned(*rankings[ranking], [key for key, _ in responses[pk]])
                for ranking in held[pk]
            ],
        )
        for pk, external_id, messages, tags, split in _prompts(held)
    ]


def _prompts(held: dict[int, list[int]]) -> list[tuple[Any, ...]]:
    found = {
        row[0]: row
        for row in Prompt.objects.filter(pk__in=held).values_list(
            "pk", "external_id", "messages", "tags", "promptsplit__split"
        )
    }
    return [found[pk] for pk in held]


def _rankings(
    project: Project, pks: list[int]
) -> dict[int, tuple[dict[str, Any], dict[int, Placed]]]:
    """By key: the fields of the ranking, and by response where it was placed."""
    placed: dict[int, dict[int, Placed]] = {pk: {} for pk in pks}
    for ranking, response, rank, rating, flags in Placement.objects.filter(
        ranking__in=pks
    ).values_list("ranking", "response", "rank", "rating", "flags"):
        placed[ranking][response] = Placed(rank, rating, flags)
    rows = Ranking.objects.filter(pk__in=pks).values(
        "pk",
        "status",
        "submitted_at",
        "note",
        labeler=F("assignment__labeler"),
        display_order=F("assignment__display_order"),
        pool=F("assignment__pool"),
        seconds=F("active_seconds"),
        instructions_version=F("instructions__version"),
    )
    pseudonyms: dict[int, str] = {}
    found = {}
    for row in rows:
        labeler = row["labeler"]
        if labeler not in pseudonyms:
            pseudonyms[labeler] = project.pseudonym(labeler)
        found[row["pk"]] = ({**row, "labeler": pseudonyms[labeler]}, placed[row["pk"]])
    return found


def _aligned(
    fields: dict[str, Any], placed: dict[int, Placed], responses: list[int]
) -> FrozenRanking:
    in_line = [placed[response] for response in responses]
    ratings = [one.rating for one in in_line]
    flags = [one.flags for one in in_line]
    return FrozenRanking(
        **fields,
        ranks=[one.rank for one in in_line],
        ratings=ratings if any(ratings) else [],
        flags=flags if any(flags) else [],
    )
