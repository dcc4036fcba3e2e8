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
    unread: Rate  # of those whose page measured it: a response was never opened
    hurried: Rate  # of timed ones: faster than anybody reads
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
    prompt: int
    labeler: int
    seconds: float | None
    unread: list[str] | None  # letters; None: the page did not measure it
    display_order: list[int] | None  # None: imported
    ranks: list[int]  # in the order of the responses' ids, as display_order counts


def attention(project: Project, *, since: datetime | None = None) -> list[Attention]:
    """Every labeler with an account, by name; rankings since then. Seven queries."""
    filters = Filters(since=since)
    people = list(
        Membership.objects.with_account()
        .filter(project=project, role=Role.LABELER)
        .order_by("name")
    )
    rows = _rows(project, filters)
    counts = _count(rows, _words({row.prompt for row in rows}))
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
            unread=KeyTransform("unread", "telemetry"),
            ranks=ArrayAgg(
                "placements__rank",
                order_by=Collate(F("placements__response__external_id"), "C"),
            ),
        )
        .order_by("pk")
        .values_list(
            "assignment__prompt",
            "assignment__labeler",
            "active_seconds",
            "unread",
            "assignment__display_order",
            "ranks",
        )
    )
    return [_Row(*row) for row in found]


def _words(prompts: set[int]) -> dict[int, float]:
    """About how many words a labeler has to read for each prompt. One query."""
    characters = Length(Cast("messages", TextField())) + Sum(Length("responses__text"))
    found = Prompt.objects.filter(pk__in=prompts).annotate(
        words=Cast(characters, FloatField()) / CHARACTERS_PER_WORD
    )
    return dict(found.values_list("pk", "words"))


def _count(rows: Iterable[_Row], words: dict[int, float]) -> dict[int, _Counts]:
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
        if row.unread is not None:
            mine.measured += 1
            mine.unread += bool(row.unread)
        if row.seconds is not None:
            mine.timed += 1
            mine.hurried += row.seconds < LEAST_SECONDS_PER_WORD * words[row.prompt]
        mine.by_prompt[row.prompt].append(row.ranks)
    return counts


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
