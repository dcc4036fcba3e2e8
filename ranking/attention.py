"""Signs of how attentively labelers work, for a table of all of them.

None of them proves anything by itself: a project may be full of ties, and a fast
reader is no cheat. They say where an admin should look; a labeler's card
(`quality_cards`) says how sure each number is.
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

from annotation.models import Membership, Project, Purpose, Role
from ranking.entry import Standing, scores_of, standings
from ranking.filters import Filters, gold_rankings, rankings_that_count
from ranking.gold import Score, Share, share
from ranking.quality import Habits, habits, with_oneself
from ranking.quality_rows import answers_by_labeler


@dataclass(frozen=True, kw_only=True, slots=True)
class Attention:
    """What is known of one labeler's attention, over their current rankings."""

    labeler: Membership
    habits: Habits
    self_consistency: Share  # strict pairs of re-served prompts, both times strict
    gold: Share  # blind gold prompts only, not training or the test
    test: Standing


def attention(project: Project, *, since: datetime | None = None) -> list[Attention]:
    """Every labeler with an account, by name; rankings since then. Seven queries."""
    filters = Filters(since=since)
    people = list(
        Membership.objects.with_account()
        .filter(project=project, role=Role.LABELER)
        .order_by("name")
    )
    rankings = rankings_that_count(project, filters, with_repeats=True)
    answers = answers_by_labeler(rankings)
    gold: defaultdict[int, list[Score]] = defaultdict(list)
    for scored in scores_of(gold_rankings(project, filters)):
        if scored.purpose == Purpose.GOLD:
            gold[scored.labeler].append(scored.score)
    tests = standings(project, [person.pk for person in people])
    return [
        Attention(
            labeler=person,
            habits=habits(answers[person.pk].all),
            self_consistency=share(map(with_oneself, answers[person.pk].all)),
            gold=share(gold[person.pk]),
            test=tests[person.pk],
        )
        for person in people
    ]
