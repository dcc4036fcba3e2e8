"""Reads what a dataset holds, part by part, from one moment of the database.

Three range queries a part, with arrays made by Postgres instead of an object for each
of a million placements. The order is that of `ranking.frozen.in_order`.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from operator import itemgetter
from typing import Any, Final, NamedTuple, TypeVar

from django.db import connection, transaction

from annotation.models import Project
from ranking.export.held import HeldPrompt, Said
from ranking.frozen import in_order
from ranking.models import Dataset, Ranking, RankingQuerySet

Cell = TypeVar("Cell")

PROMPTS_AT_ONCE: Final = 400
# Of all texts of a part; a prompt that has more makes a part of its own. Each takes up
# to four bytes, several times over while it is written.
CHARACTERS_AT_ONCE: Final = 2_750_000

PROMPTS: Final = """
    SELECT prompt.id, prompt.external_id, prompt.messages::text, prompt.tags,
        fixed.split
    FROM annotation_prompt prompt
    LEFT JOIN ranking_promptsplit fixed ON fixed.prompt_id = prompt.id
    WHERE prompt.id = ANY(%s)
"""
RESPONSES: Final = """
    SELECT prompt_id, array_agg(id ORDER BY external_id COLLATE "C"),
        array_agg(external_id ORDER BY external_id COLLATE "C"),
        array_agg(text ORDER BY external_id COLLATE "C"),
        array_agg(model ORDER BY external_id COLLATE "C")
    FROM annotation_response WHERE prompt_id = ANY(%s) GROUP BY prompt_id
"""
# Ranks in the order of the responses' keys, two bytes each, the high one first.
RANKINGS: Final = """
    SELECT ranking.id, assignment.labeler_id, assignment.display_order,
        instructions.version, ranking.active_seconds, ranking.submitted_at,
        ranking.status, assignment.pool, ranking.note, placed.ranks, placed.more
    FROM (
        SELECT ranking_id,
            string_agg(int2send(rank), ''::bytea ORDER BY response_id) ranks,
            bool_or(rating IS NOT NULL OR flags <> '{}') more
        FROM ranking_placement WHERE ranking_id = ANY(%s) GROUP BY ranking_id
    ) placed
    JOIN ranking_ranking ranking ON ranking.id = placed.ranking_id
    JOIN annotation_assignment assignment ON assignment.id = ranking.assignment_id
    LEFT JOIN annotation_instructions instructions
        ON instructions.id = ranking.instructions_id
"""
# In the order of the responses' keys, too.
RATINGS: Final = """
    SELECT ranking_id, rating, flags FROM ranking_placement
    WHERE ranking_id = ANY(%s) ORDER BY ranking_id, response_id
"""
# Of the prompt, which is read for it, and of its responses, whose lengths are stored.
LENGTHS: Final = """
    SELECT prompt.id, length(prompt.messages::text) + sum(response.characters)
    FROM annotation_prompt prompt
    JOIN annotation_response response ON response.prompt_id = prompt.id
    WHERE prompt.id = ANY(%s) GROUP BY prompt.id
"""


@contextmanager
def snapshot() -> Iterator[None]:
    """One moment of the database, read only, for all that is read inside.

    Within a transaction of the caller's, that one's rules hold.
    """
    outermost = not connection.in_atomic_block
    with transaction.atomic():
        if outermost:
            with connection.cursor() as cursor:
                cursor.execute(
                    "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
                )
        yield


def rankings_held(dataset: Dataset, split: str = "all") -> RankingQuerySet:
    """Those of the dataset, or of one split of it."""
    held = Ranking.objects.filter(datasetranking__dataset=dataset)
    if split != "all":
        held = held.filter(assignment__prompt__promptsplit__split=split)
    return held


def parts_of(dataset: Dataset, split: str = "all") -> Iterator[list[HeldPrompt]]:
    """The dataset's prompts with its rankings, or those of one split.

    They come by prompt id, code point by code point, each with its rankings by key; up
    to PROMPTS_AT_ONCE a part, fewer where their texts are long.

    Needs a transaction: it reads through a server-side cursor, and one moment of the
    database only within `snapshot`. Five queries a part, the texts in one of them.
    """
    reader = _Reader(dataset.project)
    for keys in _some_prompts(in_order(rankings_held(dataset, split))):
        for part in _bounded(keys):
            yield reader.read(part)


Keys = dict[int, list[int]]
"""Rankings by prompt, in the order of the export."""


def _some_prompts(keys: Iterable[tuple[int, int]]) -> Iterator[Keys]:
    some: Keys = {}
    for prompt, rows in groupby(keys, key=itemgetter(0)):
        some[prompt] = [ranking for _, ranking in rows]
        if len(some) == PROMPTS_AT_ONCE:
            yield some
            some = {}
    if some:
        yield some


def _bounded(keys: Keys) -> Iterator[Keys]:
    """The same in parts whose texts have CHARACTERS_AT_ONCE together, or one prompt."""
    characters = dict(_rows(LENGTHS, list(keys)))
    part: Keys = {}
    size = 0
    for prompt, rankings in keys.items():
        if part and size + characters[prompt] > CHARACTERS_AT_ONCE:
            yield part
            part, size = {}, 0
        part[prompt] = rankings
        size += characters[prompt]
    yield part


class _Responses(NamedTuple):
    """Those of one prompt, sorted by id; `places[i]` is where the i-th of them stands
    when they are sorted by key."""

    places: list[int]
    ids: list[str]
    texts: list[str]
    models: list[str | None]


class _Reader:
    """Reads parts of one project's prompts."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._pseudonyms: dict[int, str] = {}

    def read(self, keys: Keys) -> list[HeldPrompt]:
        """The prompts with these rankings."""
        responses = _responses(list(keys))
        rankings = self._rankings(keys, responses)
        found = {row[0]: row[1:] for row in _rows(PROMPTS, list(keys))}
        prompts = []
        for pk, pks in keys.items():
            external_id, messages, tags, split = found[pk]
            orders = [rankings[ranking] for ranking in pks]
            found_responses = responses[pk]
            prompts.append(
                HeldPrompt(
                    id=external_id,
                    messages=json.loads(messages),
                    tags=tags,
                    split=split,
                    response_ids=found_responses.ids,
                    texts=found_responses.texts,
                    models=found_responses.models,
                    orders=[ranks for ranks, _ in orders],
                    said=[said for _, said in orders],
                    labelers=len(orders),
                )
            )
        return prompts

    def _rankings(
        self, keys: Keys, responses: dict[int, _Responses]
    ) -> dict[int, tuple[list[int], Said]]:
        """Ranks, and what else was said, by the ranking's key."""
        places = {
            ranking: responses[prompt].places
            for prompt, rankings in keys.items()
            for ranking in rankings
        }
        rows = _rows(RANKINGS, list(places))
        more = _ratings([row[0] for row in rows if row[-1]])
        return {
            row[0]: (
                _aligned(row[-2][1::2], places[row[0]]),
                self._said(row, more.get(row[0], []), places[row[0]]),
            )
            for row in rows
        }

    def _said(
        self,
        row: Sequence[Any],
        more: list[tuple[int | None, list[str]]],
        at: list[int],
    ) -> Said:
        pk, labeler, order, version, seconds, submitted_at, status, pool, note = row[:9]
        ratings = _aligned([rating for rating, _ in more], at)
        flags = _aligned([flags for _, flags in more], at)
        return Said(
            ranking_id=pk,
            labeler=self._pseudonym(labeler),
            display_order=order,
            instructions_version=version,
            seconds=seconds,
            submitted_at=submitted_at,
            status=status,
            pool=pool,
            note=note,
            ratings=ratings if any(ratings) else [],
            flags=flags if any(flags) else [],
        )

    def _pseudonym(self, labeler: int) -> str:
        if labeler not in self._pseudonyms:
            self._pseudonyms[labeler] = self._project.pseudonym(labeler)
        return self._pseudonyms[labeler]


def _responses(prompts: list[int]) -> dict[int, _Responses]:
    return {
        prompt: _Responses(_places(keys), ids, texts, models)
        for prompt, keys, ids, texts, models in _rows(RESPONSES, prompts)
    }


def _places(keys: list[int]) -> list[int]:
    """Where each key stands when they are sorted."""
    in_order = sorted(keys)
    return [in_order.index(key) for key in keys]


def _ratings(rankings: list[int]) -> dict[int, list[tuple[int | None, list[str]]]]:
    """Rating and flags of each response, by the key of the ranking."""
    found: dict[int, list[tuple[int | None, list[str]]]] = {}
    if rankings:
        for ranking, rating, flags in _rows(RATINGS, rankings):
            found.setdefault(ranking, []).append((rating, flags))
    return found


def _aligned(by_key: Sequence[Cell], places: list[int]) -> list[Cell]:
    """What stands in the order of keys, in the order of ids; nothing for nothing."""
    return [by_key[place] for place in places] if by_key else []


def _rows(sql: str, keys: list[int]) -> list[tuple[Any, ...]]:
    """In the binary format: arrays and bytes need no quoting, nor any reading of it."""
    connection.ensure_connection()
    with connection.connection.cursor(binary=True) as cursor:
        cursor.execute(sql, [keys])
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows
