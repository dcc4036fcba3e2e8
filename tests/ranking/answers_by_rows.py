"""What labelers answered, read from the rankings themselves, one by one."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, NamedTuple

from django.contrib.postgres.aggregates import ArrayAgg
from django.db.models import F, FloatField, TextField
from django.db.models.fields.json import KeyTransform
from django.db.models.functions import Cast, Collate, Length

from annotation.models import Membership, Project, Prompt
from ranking.filters import Filters, rankings_that_count
from ranking.models import Ranking, RankingQuerySet
from ranking.quality_lines import CHARACTERS_PER_WORD
from tests.ranking.answer_by_answer import Answer

RANDOM_POOL = "random"  # the sample that agreement is measured on


@dataclass(slots=True)
class Answers:
    """One labeler's rankings: the prompts they ranked, and what they ranked again.

    `work` has one answer for each prompt, `repeats` those of prompts that came again.
    The first of a prompt holds the ranks of the later ones as `again`.
    """

    work: list[Answer] = field(default_factory=list)
    repeats: list[Answer] = field(default_factory=list)

    @property
    def all(self) -> list[Answer]:
        """Every ranking."""
        return [*self.work, *self.repeats]


class _Row(NamedTuple):
    assignment: int
    prompt: int
    labeler: int
    repeat: int
    pool: str
    display_order: list[int] | None  # None: imported
    ranks: list[int]  # in the order of the responses' ids, as display_order counts


@dataclass(slots=True)
class _Spent:
    """On one prompt by one labeler, over the first ranking and its corrections."""

    at: datetime | None = None
    seconds: float | None = None  # None: no page timed it
    unread: frozenset[str] | None = None  # letters; None: no page measured it

    def add(
        self, at: datetime, seconds: float | None, unread: list[str] | None
    ) -> None:
        """A text that was opened on any of the pages has been read."""
        self.at = at if self.at is None else min(self.at, at)
        if seconds is not None:
            self.seconds = (self.seconds or 0.0) + seconds
        if unread is not None:
            left = frozenset(unread)
            self.unread = left if self.unread is None else self.unread & left


class _Read(NamedTuple):
    words: float
    lengths: list[int]


def answers_by_labeler(
    rankings: RankingQuerySet, *, beside: RankingQuerySet | None = None
) -> defaultdict[int, Answers]:
    """The answers of these rankings, by membership. Three queries, four with `beside`.

    `beside` are the rankings that stand beside those of others on the same prompts, if
    they are not the same rankings. On prompts of the targeted pool none do: these
    never measure agreement.
    """
    rows = _rows(rankings)
    read = _read({row.prompt for row in rows})
    spent = _spent({row.assignment for row in rows})
    own = _by_prompt(rows)
    others = own if beside is None else _by_prompt(_rows(beside))
    found: defaultdict[int, Answers] = defaultdict(Answers)
    for row in rows:
        answer = replace(
            _answer(row, spent[row.assignment], read[row.prompt]),
            others=[] if row.repeat else list(_others(row, others[row.prompt])),
            again=_again(row, own[row.prompt]),
        )
        mine = found[row.labeler]
        (mine.repeats if row.repeat else mine.work).append(answer)
    return found


def _rows(rankings: RankingQuerySet) -> list[_Row]:
    found = (
        rankings.annotate(
            ranks=ArrayAgg(
                "placements__rank",
                order_by=Collate(F("placements__response__external_id"), "C"),
            ),
        )
        .order_by("pk")
        .values_list(
            "assignment",
            "assignment__prompt",
            "assignment__labeler",
            "assignment__repeat",
            "assignment__pool",
            "assignment__display_order",
            "ranks",
        )
    )
    return [_Row(*row) for row in found]


def _by_prompt(rows: Iterable[_Row]) -> defaultdict[int, list[_Row]]:
    found: defaultdict[int, list[_Row]] = defaultdict(list)
    for row in rows:
        found[row.prompt].append(row)
    return found


def _others(mine: _Row, ranked: Iterable[_Row]) -> Iterator[list[int]]:
    for row in ranked:
        both_random = row.pool == mine.pool == RANDOM_POOL
        if both_random and row.labeler != mine.labeler and not row.repeat:
            yield row.ranks


def _again(mine: _Row, ranked: Iterable[_Row]) -> list[list[int]]:
    """Their later rankings of this prompt, if this is the first that is looked at."""
    own = [row for row in ranked if row.labeler == mine.labeler]
    if any(row.repeat < mine.repeat for row in own):
        return []
    return [row.ranks for row in own if row.repeat > mine.repeat]


def _answer(row: _Row, spent: _Spent, read: _Read) -> Answer:
    assert spent.at is not None  # it has a ranking
    return Answer(
        prompt=row.prompt,
        at=spent.at.timestamp(),
        ranks=row.ranks,
        display_order=row.display_order,
        lengths=read.lengths,
        words=read.words,
        seconds=spent.seconds,
        unread=spent.unread,
    )


def _spent(assignments: set[int]) -> defaultdict[int, _Spent]:
    """By assignment. One query."""
    rows = (
        Ranking.objects.filter(assignment__in=assignments)
        .annotate(unread=KeyTransform("unread", "telemetry"))
        .values_list("assignment", "submitted_at", "active_seconds", "unread")
    )
    spent: defaultdict[int, _Spent] = defaultdict(_Spent)
    for assignment, at, seconds, unread in rows:
        spent[assignment].add(at, seconds, unread)
    return spent


def _read(prompts: set[int]) -> dict[int, _Read]:
    """About how many words there are to read, and each text's length. One query."""
    found = Prompt.objects.filter(pk__in=prompts).annotate(
        asked=Cast(Length(Cast("messages", TextField())), FloatField()),
        lengths=ArrayAgg(
            Length("responses__text"),
            order_by=Collate(F("responses__external_id"), "C"),
        ),
    )
    return {
        pk: _Read((asked + sum(lengths)) / CHARACTERS_PER_WORD, lengths)
        for pk, asked, lengths in found.values_list("pk", "asked", "lengths")
    }


def answers_of_rows(project: Project, labeler: Membership, latest: Any) -> Answers:
    """What the rankings themselves say of one labeler's `latest`."""
    chosen = dict(latest.values_list("pk", "assignment__prompt"))
    return answers_by_labeler(
        Ranking.objects.filter(pk__in=list(chosen)),
        beside=rankings_that_count(project, Filters()).filter(
            assignment__prompt__in=set(chosen.values())
        ),
    )[labeler.pk]


def latest_of(
    project: Project, labeler: Membership, filters: Filters, *, most: int, **even: int
) -> Any:
    """Their latest `most` rankings that count and match."""
    own = rankings_that_count(project, filters, with_repeats=True, **even)
    mine = own.filter(assignment__labeler=labeler)
    return mine.order_by("-submitted_at", "-pk")[:most]
