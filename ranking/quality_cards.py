"""A labeler's card: all that is known of how they work, for admins."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db.models import F, Window
from django.db.models.functions import RowNumber

from annotation.models import Membership, Project, Purpose
from ranking import quality
from ranking.entry import Standing, scores_of, standings
from ranking.filters import Filters, gold_rankings, rankings_that_count
from ranking.gold import Score, Share, share
from ranking.models import Ranking, RankingQuerySet
from ranking.quality import Comparison, Habits
from ranking.quality_lines import AGREEMENT, Line, Measure, Verdict, measure_of
from ranking.quality_rows import Answers, answers_by_labeler
from ranking.quality_sittings import Fatigue, fatigue

# The latest ones: what a person did years ago says little of today, and a page that
# somebody waits for must not grow with it.
MOST_RANKINGS: Final = 2_000
MOST_LISTED: Final = 100  # on a page with everybody's
NO_GOLD: Final = "no gold prompt was ranked"


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """One labeler. All numbers are of `answers`: their latest rankings that count, and
    what others said of the same prompts; `gold` and `test` are of checks."""

    labeler: Membership
    answers: Answers
    agreement: Measure  # strict pairs, with all others on the same prompts
    gold: Measure  # strict pairs of blind gold prompts
    self_consistency: Measure
    position_bias: Measure
    length_bias: Comparison
    tie_rate: Comparison
    seconds_per_100_words: Measure
    median_pace: float | None  # seconds for 100 words, the median over rankings
    hurried: Measure
    fatigue: Fatigue
    habits: Habits
    test: Standing  # the test that gates entry

    @property
    def rankings(self) -> int:
        """How many rankings the numbers are of, repeats included."""
        return len(self.answers.all)

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
            "agreement with self": self.self_consistency,
            "position bias": self.position_bias,
            "length bias": self.length_bias.difference,
            "ties": self.tie_rate.difference,
            "faster than reading": self.hurried,
            "fatigue": self.fatigue.agreement,
        }


def labeler_card(labeler: Membership, *, since: datetime | None = None) -> Card:
    """The card of one labeler, of a membership with its project. Eight queries.

    `since` leaves out their own rankings of before; those of others stand beside them
    whenever they came. Theirs are read also where they are withdrawn: the card says
    why, or why not.
    """
    filters = Filters(labelers=frozenset({labeler.pk}), since=since)
    return _card(
        labeler,
        _answers_of(labeler, filters),
        _gold_shares(labeler.project, filters, even_of=labeler.pk)[labeler.pk],
        standings(labeler.project, [labeler.pk])[labeler.pk],
    )


def answers_of(labeler: Membership) -> Answers:
    """What one labeler answered, as their card counts it. Five queries."""
    return _answers_of(labeler, Filters(labelers=frozenset({labeler.pk})))


def _answers_of(labeler: Membership, filters: Filters) -> Answers:
    own = rankings_that_count(
        labeler.project, filters, with_repeats=True, even_of=labeler.pk
    )
    latest = own.order_by("-submitted_at", "-pk")[:MOST_RANKINGS]
    return _answers(labeler.project, latest)[labeler.pk]


def cards(
    project: Project, people: Sequence[Membership], filters: Filters
) -> list[Card]:
    """The cards of many, of each one's latest MOST_LISTED rankings that match. Eight
    queries, whatever their number.

    Rankings that are withdrawn count for nothing here: whose are has an empty card.
    """
    nth = Window(
        RowNumber(),
        partition_by="assignment__labeler",
        order_by=[F("submitted_at").desc(), F("pk").desc()],
    )
    own = rankings_that_count(project, filters, with_repeats=True)
    latest = own.annotate(nth=nth).filter(nth__lte=MOST_LISTED)
    answers = _answers(project, latest)
    gold = _gold_shares(project, filters)
    tests = standings(project, [person.pk for person in people])
    return [
        _card(person, answers[person.pk], gold[person.pk], tests[person.pk])
        for person in people
    ]


def _answers(project: Project, latest: RankingQuerySet) -> defaultdict[int, Answers]:
    """Beside everything that counts on the same prompts, whatever the filters.

    Which ones are the latest is asked once, for it looks at all that everybody ranked:
    as a subquery it would be asked for each of the statements that start from it.
    """
    chosen = dict(latest.values_list("pk", "assignment__prompt"))
    return answers_by_labeler(
        Ranking.objects.filter(pk__in=list(chosen)),
        beside=rankings_that_count(project, Filters()).filter(
            assignment__prompt__in=set(chosen.values())
        ),
    )


def _card(labeler: Membership, answers: Answers, gold: Share, test: Standing) -> Card:
    work = answers.work
    return Card(
        labeler=labeler,
        answers=answers,
        agreement=quality.agreement(work),
        gold=measure_of(gold, line=gold_line(labeler.project), missing=NO_GOLD),
        self_consistency=quality.self_consistency(answers.all),
        position_bias=quality.position_bias(work),
        length_bias=quality.length_bias(work),
        tie_rate=quality.tie_rate(work),
        seconds_per_100_words=quality.seconds_per_100_words(work),
        median_pace=quality.median_pace(work),
        hurried=quality.hurried(work),
        fatigue=fatigue(work),
        habits=quality.habits(answers.all),
        test=test,
    )


def _gold_shares(
    project: Project, filters: Filters, *, even_of: int | None = None
) -> defaultdict[int, Share]:
    """By membership; blind gold prompts only, not training or the test. One query."""
    scores: defaultdict[int, list[Score]] = defaultdict(list)
    for scored in scores_of(gold_rankings(project, filters, even_of=even_of)):
        if scored.purpose == Purpose.GOLD:
            scores[scored.labeler].append(scored.score)
    shares = {labeler: share(found) for labeler, found in scores.items()}
    return defaultdict(lambda: share([]), shares)


def gold_line(project: Project) -> Line:
    """What the project asks of its test; else the line for agreement with people."""
    threshold = project.qualification_threshold
    if threshold is None:
        return AGREEMENT
    return Line(least=threshold, meaning="what the project's test asks for")
