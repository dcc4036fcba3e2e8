"""What must hold of the queue after every step, whoever did what in whatever order."""

import random
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Count, F, Q
from django.db.models.functions import Now
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant

from annotation import queue
from annotation.models import (
    Assignment,
    Membership,
    Project,
    Prompt,
    PromptRejection,
    Purpose,
)
from annotation.slots import HOLDING_A_SLOT
from ranking.models import Draft, Placement, Ranking, RankingStatus, RefusedSubmission
from ranking.weak_order import dense_ranks
from tests.ranking.summed import assert_summaries_are_right

OF_THE_QUEUE = Assignment.objects.filter(source="queue")
# What went to somebody else before its labeler saw it may come to them again.
UNSEEN = Q(state="expired", shown_at=None)


@dataclass
class Said:
    """What the labelers were told, which the database must bear out."""

    handed: dict[str, Membership] = field(default_factory=dict)  # token → whose it was
    stored: dict[UUID, tuple[str, dict[str, int]]] = field(default_factory=dict)
    statuses: dict[UUID, str] = field(default_factory=dict)
    refused: set[UUID] = field(default_factory=set)
    drafts: dict[str, dict[str, Any]] = field(default_factory=dict)  # by token
    widest: dict[int, int] = field(default_factory=dict)  # prompt → most slots ever


class QueuePromises(RuleBasedStateMachine):
    """The invariants, and what rules look up. All chance comes from one seed, so that
    hypothesis can repeat what it found."""

    project: Project

    def __init__(self) -> None:
        super().__init__()
        self._transaction = transaction.atomic()
        # As that of a test case, so that durable blocks may stand in it.
        self._transaction._from_testcase = True  # type: ignore[attr-defined]
        self._transaction.__enter__()
        self.chance = random.Random(0)
        self.said = Said()
        self.labelers: list[Membership] = []

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self._transaction.__exit__(None, None, None)

    # --- Looking things up --------------------------------------------------------

    def a_prompt(self, data: st.DataObject) -> Prompt:
        work = Prompt.objects.filter(purpose=Purpose.WORK)
        return data.draw(st.sampled_from(list(work.order_by("pk"))))

    def a_token(self, data: st.DataObject) -> str:
        """One that was handed to somebody, the row of which may be gone."""
        return data.draw(st.sampled_from(list(self.said.handed)))

    def a_handed_row(self, data: st.DataObject) -> Assignment | None:
        return Assignment.objects.filter(token=self.a_token(data)).first()

    def hand(self, row: Assignment, labeler: Membership) -> None:
        rejected = PromptRejection.objects.filter(prompt=row.prompt_id).exists()
        assert not rejected or row.token in self.said.handed
        assert self.said.handed.setdefault(row.token, labeler) == labeler

    def is_paused(self, labeler: Membership) -> bool:
        return Membership.objects.get(pk=labeler.pk).paused_at is not None

    def could_have(self, labeler: Membership) -> Any:
        """Slots that are open or lapsed, of prompts that never came to this labeler."""
        mine = Assignment.objects.filter(~UNSEEN, labeler=labeler)
        lapsed = Q(state__in=queue.HELD, lease_until__lt=Now())
        full = OF_THE_QUEUE.filter(state__in=HOLDING_A_SLOT).values("prompt")
        full = full.annotate(n=Count("pk")).filter(n__gt=F("prompt__overlap"))
        return (
            OF_THE_QUEUE.filter(Q(state="open") | lapsed)
            .filter(prompt__rejection__isnull=True)
            .exclude(prompt__in=mine.values("prompt"))
            .exclude(prompt__in=full.values("prompt"))
        )

    def may_be_revised(self, token: str) -> bool:
        """Whether a ranking is among its labeler's last few."""
        first = Ranking.objects.filter(
            assignment__labeler=self.said.handed[token], revises=None
        )
        last = first.order_by("-submitted_at", "-pk")
        few = last.values_list("assignment__token", flat=True)
        return token in few[: self.project.editable_rankings]

    # --- Promises -----------------------------------------------------------------

    @invariant()
    def slots_make_up_the_overlap_exactly(self) -> None:
        work = Prompt.objects.filter(purpose=Purpose.WORK)
        for prompt in work.annotate(out=Count("rejection")):
            slots = OF_THE_QUEUE.filter(prompt=prompt, state__in=HOLDING_A_SLOT)
            states = list(slots.values_list("state", flat=True))
            widest = max(self.said.widest.get(prompt.pk, 0), prompt.overlap)
            self.said.widest[prompt.pk] = widest
            assert states.count("completed") <= widest
            if prompt.out:  # type: ignore[attr-defined]
                assert "open" not in states
            else:
                beyond = len(states) > prompt.overlap
                assert len(states) >= prompt.overlap
                assert not (beyond and "open" in states)

    @invariant()
    def the_overlap_is_an_exact_share(self) -> None:
        project = Project.objects.first()
        if project is None or project.overlap == 1:
            return
        work = Prompt.objects.filter(purpose=Purpose.WORK)
        overlaps = list(work.values_list("overlap", flat=True))
        wanted = round(project.overlap_fraction * len(overlaps))
        assert overlaps.count(project.overlap) == wanted
        assert overlaps.count(1) == len(overlaps) - wanted

    @invariant()
    def nobody_holds_two_or_has_a_prompt_twice(self) -> None:
        for state in queue.HELD:
            held = Assignment.objects.filter(state=state)
            assert held.count() == held.values("labeler").distinct().count()
        handed = Assignment.objects.filter(~UNSEEN, labeler__isnull=False)
        rows = list(handed.values_list("labeler", "prompt", "repeat"))
        assert len(rows) == len(set(rows))

    @invariant()
    def a_repeat_is_of_what_its_labeler_ranked(self) -> None:
        for row in Assignment.objects.filter(repeat__gt=0):
            firsts = Assignment.objects.filter(
                labeler=row.labeler_id, prompt=row.prompt_id, repeat=0
            )
            assert firsts.filter(state="completed").exists()

    @invariant()
    def every_ranking_that_was_taken_can_be_found(self) -> None:
        for key, (token, ranks) in self.said.stored.items():
            ranking = Ranking.objects.get(submission_uuid=key)
            assert ranking.assignment.token == token
            assert ranking.status == self.said.statuses[key]
            placed = Placement.objects.filter(ranking=ranking)
            assert sorted(placed.values_list("rank", flat=True)) == sorted(
                dense_ranks(ranks).values()
            )
        refused = RefusedSubmission.objects.values_list("submission_uuid", flat=True)
        assert self.said.refused <= set(refused)
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute("SET CONSTRAINTS ALL DEFERRED")

    @invariant()
    def what_counts_has_its_slot_and_nothing_else_has(self) -> None:
        completed = Assignment.objects.filter(state="completed").values_list("pk")
        counted = Ranking.objects.filter(status=RankingStatus.COUNTED)
        assert set(completed) == set(counted.values_list("assignment"))

    @invariant()
    def no_draft_is_lost(self) -> None:
        kept = {row.assignment.token: row.content for row in Draft.objects.all()}
        assert kept == self.said.drafts

    @invariant()
    def nothing_of_theirs_lies_behind_a_labelers_cursor(self) -> None:
        version = F("project__queue_version")
        for labeler in Membership.objects.filter(cursor_version=version):
            behind = Q(seq__lt=labeler.cursor_seq) | Q(
                seq=labeler.cursor_seq, slot__lte=labeler.cursor_slot
            )
            mine = Assignment.objects.filter(~UNSEEN, labeler=labeler)
            missed = OF_THE_QUEUE.filter(behind, state="open")
            assert not missed.exclude(prompt__in=mine.values("prompt")).exists()

    @invariant()
    def summaries_are_what_the_rankings_make_them(self) -> None:
        for project in Project.objects.all():
            assert_summaries_are_right(project)
