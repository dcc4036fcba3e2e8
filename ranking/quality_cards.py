"""A labeler's card: all that is known of how they work, for admins."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Final

import numpy as np

from annotation.models import Membership, Project, Purpose
from ranking import quality
from ranking.answers import Answers, answers, answers_by_labeler
from ranking.entry import Standing, scores_of, standings
from ranking.filters import Filters, gold_rankings
from ranking.gold import Score, Share, share
from ranking.quality import Comparison, Habits
from ranking.quality_lines import AGREEMENT, Line, Measure, Verdict, measure_of
from ranking.quality_rows import latest_and_beside, unread_rate, worked_of
from ranking.quality_sittings import fatigue_of_agreement, fatigue_of_pace
from ranking.worked import Worked

# The latest ones: what a person did years ago says little of today, and a page that
# somebody waits for must not grow with it.
MOST_RANKINGS: Final = 2_000
MOST_LISTED: Final = 100  # on a page with everybody's
NO_GOLD: Final = "no gold prompt was ranked"


@dataclass(frozen=True, kw_only=True)
class Card:
    """One labeler. All numbers are of `answers`: their latest rankings that count, and
    what others said of the same prompts; `gold` is of checks. Each is made when it is
    asked for: a list of everybody shows some of them."""

    labeler: Membership
    answers: Answers
    gold: Measure  # strict pairs of blind gold prompts

    @cached_property
    def work(self) -> Answers:
        """One answer for each prompt."""
        return self.answers.work

    @cached_property
    def agreement(self) -> Measure:
        """Strict pairs, with all others on the same prompts."""
        return quality.agreement(self.work)

    @cached_property
    def self_consistency(self) -> Measure:
        """Strict pairs of prompts that came again."""
        return quality.self_consistency(self.answers)

    @cached_property
    def position_bias(self) -> Measure:
        """Whether the place on the page predicts the rank."""
        return quality.position_bias(self.work)

    @cached_property
    def length_bias(self) -> Comparison:
        """How often the longer of two wins."""
        return quality.length_bias(self.work)

    @cached_property
    def tie_rate(self) -> Comparison:
        """Tied pairs."""
        return quality.tie_rate(self.work)

    @cached_property
    def seconds_per_100_words(self) -> Measure:
        """All time over all words."""
        return quality.seconds_per_100_words(self.work)

    @cached_property
    def median_pace(self) -> float | None:
        """Seconds for 100 words, the median over rankings."""
        return quality.median_pace(self.work)

    @cached_property
    def hurried(self) -> Measure:
        """Rankings faster than anybody reads."""
        return quality.hurried(self.work)

    @cached_property
    def fatigue(self) -> Measure:
        """How agreement changes within a sitting."""
        return fatigue_of_agreement(self.work)

    @cached_property
    def fatigue_of_pace(self) -> Measure:
        """How the pace changes within a sitting."""
        return fatigue_of_pace(self.work)

    @property
    def rankings(self) -> int:
        """How many rankings the numbers are of, repeats included."""
        return len(self.answers)

    def flagged(self) -> Iterator[str]:
        """The numbers that lie on the wrong side of their line, by name."""
        return self._of_verdict(Verdict.FLAGGED)

    def undecided(self) -> Iterator[str]:
        """Those of which the data do not say yet on which side they lie."""
        return self._of_verdict(Verdict.UNDECIDED)

    def _of_verdict(self, verdict: Verdict) -> Iterator[str]:
        for name, measure in self.measures().items():
            if measure.verdict is verdict:
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
            "fatigue": self.fatigue,
        }


@dataclass(frozen=True, kw_only=True)
class WholeCard(Card):
    """With what only the page of one labeler shows."""

    habits: Habits
    test: Standing  # the test that gates entry


def labeler_card(labeler: Membership, *, since: datetime | None = None) -> WholeCard:
    """The card of one labeler, of a membership with its project. Six queries.

    `since` leaves out their own rankings of before; those of others stand beside them
    whenever they came. Theirs are read also where they are withdrawn: the card says
    why, or why not.
    """
    project, filters = labeler.project, _of(labeler, since)
    answers = answers_of(labeler, since=since)
    gold = _gold_shares(project, filters, even_of=labeler.pk)[labeler.pk]
    return WholeCard(
        labeler=labeler,
        answers=answers,
        gold=measure_of(gold, line=gold_line(project), missing=NO_GOLD),
        habits=quality.habits(answers, unread_rate(labeler, answers)),
        test=standings(project, [labeler.pk])[labeler.pk],
    )


def answers_of(labeler: Membership, *, since: datetime | None = None) -> Answers:
    """What one labeler answered, as their card counts it. Two queries."""
    project, filters = labeler.project, _of(labeler, since)
    own, beside = latest_and_beside(
        project,
        worked_of(project, filters, labeler=labeler.pk),
        filters,
        most=MOST_RANKINGS,
        even_of=labeler.pk,
    )
    return answers(own, beside)


def _of(labeler: Membership, since: datetime | None) -> Filters:
    return Filters(labelers=frozenset({labeler.pk}), since=since)


def cards(
    project: Project, people: Sequence[Membership], worked: Worked, filters: Filters
) -> list[Card]:
    """The cards of many, of each one's latest MOST_LISTED of `worked` that match. Two
    queries, whatever their number.

    Rankings that are withdrawn count for nothing here: whose are has an empty card.
    """
    own, beside = latest_and_beside(project, worked, filters, most=MOST_LISTED)
    gold, line = _gold_shares(project, filters), gold_line(project)
    found = answers_by_labeler(own, beside)
    nothing = answers(own.only(np.zeros(0, np.int64)), beside)
    return [
        Card(
            labeler=person,
            answers=found.get(person.pk, nothing),
            gold=measure_of(gold[person.pk], line=line, missing=NO_GOLD),
        )
        for person in people
    ]


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
