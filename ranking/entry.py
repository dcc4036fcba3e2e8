"""Who may rank for real: the test that gates entry, and the scores behind it.

The test is the project's qualification prompts. It is decided once, in the transaction
that stores a labeler's last answer to it; what the interval leaves open is left to an
admin, and what an admin decided stays.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final

from django.contrib.postgres.aggregates import JSONBAgg
from django.db.models import F
from django.db.models.functions import JSONObject, Now

from annotation.direct import served_checks
from annotation.models import (
    AssignmentSource,
    Membership,
    Project,
    Purpose,
    Qualification,
)
from ranking.gold import Entry, Score, Share, score, share, verdict
from ranking.models import Ranking, RankingQuerySet, RankingStatus

STORED: Final = {
    Entry.PASSED: Qualification.PASSED,
    Entry.FAILED: Qualification.FAILED,
}


@dataclass(frozen=True, slots=True)
class Scored:
    """A ranking of a prompt whose right order is known; keys of the database."""

    prompt: int
    labeler: int
    purpose: str
    score: Score


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a labeler is with the test, and how they did so far."""

    answered: int
    prompts: int
    result: Share

    @property
    def complete(self) -> bool:
        """Whether every prompt of the test has its answer; a skipped one has none."""
        return 0 < self.prompts == self.answered


def scores_of(rankings: RankingQuerySet) -> Iterator[Scored]:
    """Each of these rankings beside its prompt's gold order. One query."""
    rows = rankings.annotate(
        ranks=JSONBAgg(
            JSONObject(
                id=F("placements__response__external_id"), rank=F("placements__rank")
            )
        )
    ).values_list(
        "assignment__prompt",
        "assignment__labeler",
        "assignment__prompt__purpose",
        "assignment__prompt__gold",
        "ranks",
    )
    for prompt, labeler, purpose, gold, placed in rows:
        ranks = {one["id"]: one["rank"] for one in placed}
        yield Scored(prompt, labeler, purpose, score(ranks, gold or {}))


def pairs_of_the_test(project: Project) -> list[int]:
    """Strict pairs of the gold order of each test prompt that is handed out. One
    query."""
    test = served_checks(project, Purpose.QUALIFICATION)
    known = test.order_by("pk").values_list("gold", flat=True)
    golds = [gold or {} for gold in known]
    return [score(gold, gold).comparable for gold in golds]


def standings(project: Project, labelers: Collection[int]) -> dict[int, Standing]:
    """By key, how these labelers stand with the test. Two queries."""
    test = served_checks(project, Purpose.QUALIFICATION)
    prompts = set(test.values_list("pk", flat=True))
    answers = Ranking.objects.current().filter(
        project=project,
        status=RankingStatus.COUNTED,
        assignment__prompt__in=prompts,
        assignment__labeler__in=labelers,
        assignment__repeat=0,
    )
    found: defaultdict[int, list[Score]] = defaultdict(list)
    for scored in scores_of(answers):
        found[scored.labeler].append(scored.score)
    return {
        labeler: Standing(len(found[labeler]), len(prompts), share(found[labeler]))
        for labeler in labelers
    }


def wait_for_claims(membership: Membership) -> None:
    """Before the assignment of a labeler who is not let in yet: lock the membership.

    Two last answers at once must see each other, or neither would find the test
    complete; and a claim locks the membership first, so whoever locks it after an
    assignment may deadlock with one. Costs nothing for labelers who passed, nor in
    projects without a test.
    """
    tested = membership.project.qualification_threshold is not None
    if tested and membership.qualification == Qualification.PENDING:
        Membership.objects.select_for_update(no_key=True, of=("self",)).get(
            pk=membership.pk
        )


def answered(ranking: Ranking) -> None:
    """Decide the test if this first answer completes it. Part of its transaction.

    Needs `wait_for_claims` at the start of the transaction. A correction decides
    nothing: whoever saw that a test is undecided could otherwise try again. The
    condition on `pending` keeps what an admin decided meanwhile.

    Three queries for an answer to the test, none for any other ranking.
    """
    assignment = ranking.assignment
    if (
        assignment.source != AssignmentSource.DIRECT
        or assignment.prompt.purpose != Purpose.QUALIFICATION
        or ranking.revises_id is not None
        or assignment.labeler_id is None
    ):
        return
    decide(assignment.labeler_id)


def decide_late(labeler: Membership) -> None:
    """Decide a test that became complete without an answer; sets it on `labeler` too.

    Costs nothing for labelers who are decided, nor in projects without a test.
    """
    tested = labeler.project.qualification_threshold is not None
    if tested and labeler.qualification == Qualification.PENDING:
        decided = decide(labeler.pk)
        if decided in STORED:
            labeler.qualification = STORED[decided]


def decide(labeler_id: int) -> Entry | None:
    """Store what the labeler's test says; None while it is not over. Idempotent."""
    waiting = (
        Membership.objects.select_related("project")
        .filter(
            pk=labeler_id,
            qualification=Qualification.PENDING,
            project__qualification_threshold__isnull=False,
        )
        .first()
    )
    if waiting is None:
        return None
    test = standings(waiting.project, [labeler_id])[labeler_id]
    if not test.complete:
        return None
    threshold = waiting.project.qualification_threshold
    assert threshold is not None
    decided = verdict(test.result, threshold)
    if decided in STORED:
        Membership.objects.filter(
            pk=labeler_id, qualification=Qualification.PENDING
        ).update(qualification=STORED[decided], qualification_decided_at=Now())
    return decided
