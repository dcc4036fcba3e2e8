"""Signs of how attentively a labeler works, computed when somebody looks.

None of them proves anything by itself: a project may be full of ties, and a fast
reader is no cheat. They say where an admin should look.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from itertools import combinations
from typing import Final, NamedTuple

from django.contrib.postgres.aggregates import ArrayAgg
from django.db.models import F, FloatField, Sum, TextField
from django.db.models.fields.json import KeyTransform
from django.db.models.functions import Cast, Collate, Length

from annotation.models import Membership, Project, Prompt, Purpose, Role
from ranking.entry import Standing, scores_of, standings
from ranking.filters import Filters, gold_rankings, rankings_that_count
from ranking.gold import Score, Share, share, sign
from ranking.models import Ranking

# Four times as fast as people read: 238 words a minute (Brysbaert, Journal of Memory
# and Language 109, 2019), which is 0.25 s a word.
LEAST_SECONDS_PER_WORD: Final = 0.06
# A word of English with the blank after it. Counting words would read every text.
CHARACTERS_PER_WORD: Final = 6


@dataclass(frozen=True, slots=True)
class Rate:
    """So many of so many; without any of them there is no rate."""

    count: int
    of: int

    @property
    def value(self) -> float | None:
        """A share from 0 to 1."""
        return self.count / self.of if self.of else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Attention:
    """What is known of one labeler's attention, over their current rankings."""

    labeler: Membership
    all_tied: Rate  # of rankings: everything in one tier
    never_tied: Rate  # of rankings: no tie at all
    untouched: Rate  # of those whose order shown is known: ranked just as shown
    # Of those measured or timed with their corrections, which are quick: what is known
    # of all revisions counts together.
    unread: Rate  # one response at least was opened in none of them
    hurried: Rate  # faster than anybody reads, all of them together
    self_consistency: Share  # strict pairs of re-served prompts, both times strict
    gold: Share  # blind gold prompts only, not training or the test
    test: Standing


@dataclass(slots=True)
class _Counts:
    rankings: int = 0
    all_tied: int = 0
    never_tied: int = 0
    shown: int = 0
    untouched: int = 0
    measured: int = 0
    unread: int = 0
    timed: int = 0
    hurried: int = 0
    by_prompt: defaultdict[int, list[list[int]]] = field(
        default_factory=lambda: defaultdict(list)
    )


class _Row(NamedTuple):
    assignment: int
    prompt: int
    labeler: int
    display_order: list[int] | None  # None: imported
    ranks: list[int]  # in the order of the responses' ids, as display_order counts


def attention(project: Project, *, since: datetime | None = None) -> list[Attention]:
    """Every labeler with an account, by name; rankings since then. Eight queries."""
    filters = Filters(since=since)
    people = list(
        Membership.objects.with_account()
        .filter(project=project, role=Role.LABELER)
        .order_by("name")
    )
    rows = _rows(project, filters)
    words = _words({row.prompt for row in rows})
    counts = _count(rows, words, _spent({row.assignment for row in rows}))
    gold: defaultdict[int, list[Score]] = defaultdict(list)
    for scored in scores_of(gold_rankings(project, filters)):
        if scored.purpose == Purpose.GOLD:
            gold[scored.labeler].append(scored.score)
    tests = standings(project, [person.pk for person in people])
    return [
        _attention(person, counts[person.pk], gold[person.pk], tests[person.pk])
        for person in people
    ]


def _rows(project: Project, filters: Filters) -> list[_Row]:
    found = (
        rankings_that_count(project, filters, with_repeats=True)
        .annotate(
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
            "assignment__display_order",
            "ranks",
        )
    )
    return [_Row(*row) for row in found]


@dataclass(slots=True)
class _Spent:
    """On one prompt by one labeler, over the first ranking and its corrections."""

    seconds: float | None = None  # None: no page timed it
    unread: set[str] | None = None  # letters; None: no page measured it

    def add(self, seconds: float | None, unread: list[str] | None) -> None:
        """A text that was opened on any of the pages has been read."""
        if seconds is not None:
            self.seconds = (self.seconds or 0.0) + seconds
        if unread is not None:
            letters = set(unread)
            self.unread = letters if self.unread is None else self.unread & letters


def _spent(assignments: set[int]) -> defaultdict[int, _Spent]:
    """By assignment. One query."""
    rows = (
        Ranking.objects.filter(assignment__in=assignments)
        .annotate(unread=KeyTransform("unread", "telemetry"))
        .values_list("assignment", "active_seconds", "unread")
    )
    spent: defaultdict[int, _Spent] = defaultdict(_Spent)
    for assignment, seconds, unread in rows:
        spent[assignment].add(seconds, unread)
    return spent


def _words(prompts: set[int]) -> dict[int, float]:
    """About how many words a labeler has to read for each prompt. One query."""
    characters = Length(Cast("messages", TextField())) + Sum(Length("responses__text"))
    found = Prompt.objects.filter(pk__in=prompts).annotate(
        words=Cast(characters, FloatField()) / CHARACTERS_PER_WORD
    )
    return dict(found.values_list("pk", "words"))


def _count(
    rows: Iterable[_Row], words: dict[int, float], spent: dict[int, _Spent]
) -> dict[int, _Counts]:
    counts: defaultdict[int, _Counts] = defaultdict(_Counts)
    for row in rows:
        mine = counts[row.labeler]
        tiers = len(set(row.ranks))
        mine.rankings += 1
        mine.all_tied += tiers == 1
        mine.never_tied += tiers == len(row.ranks)
        if row.display_order is not None:
            mine.shown += 1
            mine.untouched += is_untouched(row.ranks, row.display_order)
        least = LEAST_SECONDS_PER_WORD * words[row.prompt]
        _count_spent(mine, spent[row.assignment], least)
        mine.by_prompt[row.prompt].append(row.ranks)
    return counts


def _count_spent(mine: _Counts, spent: _Spent, least: float) -> None:
    if spent.unread is not None:
        mine.measured += 1
        mine.unread += bool(spent.unread)
    if spent.seconds is not None:
        mine.timed += 1
        mine.hurried += spent.seconds < least


def is_untouched(ranks: list[int], display_order: list[int]) -> bool:
    """Whether the responses were ranked strictly in the order shown, first best.

    `ranks` by response, `display_order` the responses in the order shown:
    ranks [2, 3, 1] shown as [2, 0, 1] are 1, 2, 3.
    """
    return [ranks[place] for place in display_order] == list(range(1, len(ranks) + 1))


def same_again(first: list[int], second: list[int]) -> Score:
    """Two rankings of one prompt by one labeler: pairs that both order strictly."""
    signs = [
        (sign(first[a] - first[b]), sign(second[a] - second[b]))
        for a, b in combinations(range(len(first)), 2)
    ]
    strict = [(one, other) for one, other in signs if one and other]
    return Score(sum(one == other for one, other in strict), len(strict))


def _attention(
    labeler: Membership, counts: _Counts, gold: list[Score], test: Standing
) -> Attention:
    return Attention(
        labeler=labeler,
        all_tied=Rate(counts.all_tied, counts.rankings),
        never_tied=Rate(counts.never_tied, counts.rankings),
        untouched=Rate(counts.untouched, counts.shown),
        unread=Rate(counts.unread, counts.measured),
        hurried=Rate(counts.hurried, counts.timed),
        self_consistency=share(_pooled(ranked) for ranked in counts.by_prompt.values()),
        gold=share(gold),
        test=test,
    )


def _pooled(ranked: list[list[int]]) -> Score:
    """All pairs of rankings of one prompt together: they depend on each other."""
    scores = [same_again(a, b) for a, b in combinations(ranked, 2)]
    return Score(
        sum(one.agree for one in scores), sum(one.comparable for one in scores)
    )
