"""A labeler's card: all that is known of how they work, for admins."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final

from django.db.models import Q

from annotation.models import Membership, Purpose
from ranking import quality
from ranking.entry import Standing, scores_of, standings
from ranking.filters import Filters, gold_rankings, rankings_that_count
from ranking.gold import share
from ranking.models import RankingQuerySet
from ranking.quality import Comparison, Habits
from ranking.quality_lines import AGREEMENT, Line, Measure, Verdict, measure_of
from ranking.quality_rows import answers_by_labeler
from ranking.quality_sittings import Fatigue, Window, fatigue, windows

# The latest ones: what a person did years ago says little of today, and a page that
# somebody waits for must not grow with it.
MOST_RANKINGS: Final = 2_000
NO_GOLD: Final = "no gold prompt was ranked"


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """One labeler. Numbers are of their latest MOST_RANKINGS rankings that count.

    `rankings` is how many these are, repeats included. `windows` are in order of time;
    for a picture, `first_at` and `last_at` are seconds since 1970 in UTC.
    """

    labeler: Membership
    rankings: int
    agreement: Measure  # strict pairs, with all others on the same prompts
    windows: list[Window]  # the same over time
    gold: Measure  # strict pairs of blind gold prompts
    self_consistency: Measure
    position_bias: Measure
    length_bias: Comparison
    tie_rate: Comparison
    seconds_per_100_words: Measure
    hurried: Measure
    fatigue: Fatigue
    habits: Habits
    test: Standing  # the test that gates entry

    def flagged(self) -> Iterator[str]:
        """The numbers that lie on the wrong side of their line, by name."""
        for name, measure in self.measures().items():
            if measure.verdict is Verdict.FLAGGED:
                yield name

    def measures(self) -> dict[str, Measure]:
        """Every number that has a line, by what a page calls it."""
        return {
            "agreement with others": self.agreement,
            "gold": self.gold,
            "self-consistency": self.self_consistency,
            "position bias": self.position_bias,
            "length bias": self.length_bias.difference,
            "ties": self.tie_rate.difference,
            "hurried": self.hurried,
            "fatigue": self.fatigue.agreement,
        }


def labeler_card(labeler: Membership, *, since: datetime | None = None) -> Card:
    """The card of one labeler, of a membership with its project. Six queries.

    `since` leaves out their own rankings of before; those of others stand beside them
    whenever they came.
    """
    mine = answers_by_labeler(_with_others(labeler, since), only={labeler.pk})
    answers, work = mine[labeler.pk], mine[labeler.pk].work
    return Card(
        labeler=labeler,
        rankings=len(answers.all),
        agreement=quality.agreement(work),
        windows=list(windows(work)),
        gold=_gold(labeler, since),
        self_consistency=quality.self_consistency(answers.all),
        position_bias=quality.position_bias(work),
        length_bias=quality.length_bias(work),
        tie_rate=quality.tie_rate(work),
        seconds_per_100_words=quality.seconds_per_100_words(work),
        hurried=quality.hurried(work),
        fatigue=fatigue(work),
        habits=quality.habits(answers.all),
        test=standings(labeler.project, [labeler.pk])[labeler.pk],
    )


def _with_others(labeler: Membership, since: datetime | None) -> RankingQuerySet:
    """Their latest rankings, and what others said of the same prompts.

    Theirs also where they are withdrawn: the card says why, or why not.
    """
    filters = Filters(labelers=frozenset({labeler.pk}), since=since)
    counting = partial(
        rankings_that_count, labeler.project, with_repeats=True, even_of=labeler.pk
    )
    own = counting(filters)
    latest = own.order_by("-submitted_at", "-pk")[:MOST_RANKINGS]
    everybody = counting(Filters())
    others = everybody.exclude(assignment__labeler=labeler).filter(
        assignment__prompt__in=latest.values("assignment__prompt")
    )
    return everybody.filter(
        Q(pk__in=latest.values("pk")) | Q(pk__in=others.values("pk"))
    )


def _gold(labeler: Membership, since: datetime | None) -> Measure:
    """Blind gold prompts only, not training or the test; the line is the test's."""
    filters = Filters(labelers=frozenset({labeler.pk}), since=since)
    rankings = gold_rankings(labeler.project, filters, even_of=labeler.pk)
    scored = scores_of(rankings)
    found = share(one.score for one in scored if one.purpose == Purpose.GOLD)
    return measure_of(found, line=gold_line(labeler), missing=NO_GOLD)


def gold_line(labeler: Membership) -> Line:
    """What the project asks of its test; else the line for agreement with people."""
    threshold = labeler.project.qualification_threshold
    if threshold is None:
        return AGREEMENT
    return Line(least=threshold, meaning="what the project's test asks for")
