"""Whatever labelers and admins do, in whatever order, the queue keeps its promises."""

import random
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection, transaction
from django.db.models import Count, F, Q
from django.db.models.functions import Now
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from annotation import queue
from annotation.models import (
    Assignment,
    AssignmentState,
    Membership,
    Project,
    Prompt,
    PromptRejection,
    Response,
    Role,
    Skip,
    SkipReason,
)
from annotation.slots import HOLDING_A_SLOT
from ranking.models import Placement, Ranking, RankingStatus
from ranking.submit import ConflictError, Submission, submit
from ranking.weak_order import dense_ranks
from tests.conftest import make_member

LABELERS = 4
ORDERS = st.lists(st.integers(1, 4), min_size=4, max_size=4)
OF_THE_QUEUE = Assignment.objects.filter(source="queue")
# What went to somebody else before its labeler saw it may come to them again.
UNSEEN = Q(state="expired", shown_at=None)


class QueueMachine(RuleBasedStateMachine):
    """Four labelers and an admin in one project."""

    def __init__(self) -> None:
        super().__init__()
        self._transaction = transaction.atomic()
        # As that of a test case, so that durable blocks may stand in it.
        self._transaction._from_testcase = True  # type: ignore[attr-defined]
        self._transaction.__enter__()
        self.handed: dict[str, Membership] = {}  # token → whose it was
        self.stored: dict[UUID, tuple[str, dict[str, int]]] = {}
        self.widest: dict[int, int] = {}  # prompt → the most slots it ever had
        self.brought = 0

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self._transaction.__exit__(None, None, None)

    @initialize(overlap=st.integers(1, 3), share=st.sampled_from([0.0, 0.4, 1.0]))
    def start(self, overlap: int, share: float) -> None:
        self.project = Project.objects.create(
            slug="tides", title="Tides", overlap=overlap, overlap_fraction=share
        )
        self.labelers = [
            make_member(self.project, f"m{number}", Role.LABELER)
            for number in range(LABELERS)
        ]
        self.bring(count=3)

    # --- What an admin does -------------------------------------------------------

    @rule(count=st.integers(1, 3))
    @precondition(lambda self: self.brought < 9)
    def bring(self, count: int) -> None:
        prompts = [
            Prompt(
                project=self.project, external_id=f"p{self.brought + n}", messages=[]
            )
            for n in range(count)
        ]
        self.brought += count
        queue.choose_overlap(project=self.project, prompts=prompts)
        Prompt.objects.bulk_create(prompts)
        Response.objects.bulk_create(
            Response(prompt=prompt, external_id=f"r{number}", text="…")
            for prompt in prompts
            for number in range(4)
        )
        queue.open_slots(prompts)

    @rule(
        overlap=st.integers(1, 4),
        share=st.sampled_from([0.0, 0.3, 0.5, 1.0]),
        seed=st.integers(0, 99),
    )
    def change_overlap(self, overlap: int, share: float, seed: int) -> None:
        rng = random.Random(seed)
        queue.change_overlap(self.project, overlap=overlap, fraction=share, rng=rng)

    @rule(data=st.data(), priority=st.integers(-2, 2))
    def change_priority(self, data: st.DataObject, priority: int) -> None:
        queue.change_priority(self._a_prompt(data), priority)

    @rule(data=st.data())
    def take_out(self, data: st.DataObject) -> None:
        queue.reject_prompt(self._a_prompt(data), reason="bad")

    @rule(data=st.data())
    def put_back(self, data: st.DataObject) -> None:
        prompt = self._a_prompt(data)
        was_out = PromptRejection.objects.filter(prompt=prompt).exists()
        assert queue.restore_prompt(prompt) == was_out

    @rule(who=st.integers(0, LABELERS - 1))
    def pause_or_let_go_on(self, who: int) -> None:
        mine = Membership.objects.filter(pk=self.labelers[who].pk)
        paused = mine.filter(paused_at__isnull=True).update(paused_at=Now())
        if not paused:
            mine.update(paused_at=None)

    # --- What labelers do ---------------------------------------------------------

    @rule(who=st.integers(0, LABELERS - 1))
    def claim(self, who: int) -> None:
        labeler = self.labelers[who]
        promised = queue.has_work_for(labeler)
        try:
            held = queue.claim(labeler)
        except queue.NothingIsServed:
            assert self._is_paused(labeler)
            return
        assert not self._is_paused(labeler)
        assert promised == (held is not None)
        if held is None:
            assert not self._could_have(labeler).exists()
            return
        assert (held.state, held.labeler_id) == (AssignmentState.CLAIMED, labeler.pk)
        self._hand(held, labeler)

    @rule(who=st.integers(0, LABELERS - 1))
    def prefetch(self, who: int) -> None:
        labeler = self.labelers[who]
        ahead = queue.prefetch(labeler)
        if ahead is None:
            assert self._is_paused(labeler) or not self._could_have(labeler).exists()
            return
        assert ahead.state == AssignmentState.PREFETCHED
        self._hand(ahead, labeler)

    @rule(data=st.data())
    @precondition(lambda self: self.handed)
    def renew(self, data: st.DataObject) -> None:
        row = self._a_handed_row(data)
        if row is None:
            return
        was_held = row.state in queue.HELD
        unseen = row.state == AssignmentState.PREFETCHED and row.shown_at is None
        out = PromptRejection.objects.filter(prompt=row.prompt_id).exists()
        assert queue.renew(row) == (was_held and not (unseen and out))

    @rule(data=st.data())
    @precondition(lambda self: self.handed)
    def release(self, data: st.DataObject) -> None:
        row = self._a_handed_row(data)
        if row is not None:
            assert queue.release(row) == (row.state in queue.HELD)

    @rule(data=st.data())
    def time_passes(self, data: st.DataObject) -> None:
        held = list(Assignment.objects.filter(state__in=queue.HELD).order_by("pk"))
        if held:
            lapsed = data.draw(st.sampled_from(held))
            Assignment.objects.filter(pk=lapsed.pk).update(
                lease_until=Now() - timedelta(seconds=1)
            )

    @rule(data=st.data(), reason=st.sampled_from(SkipReason.values))
    @precondition(lambda self: self.handed)
    def skip(self, data: st.DataObject, reason: str) -> None:
        row = self._a_handed_row(data)
        if row is None:
            return
        labeler = self.handed[row.token]
        before = Skip.objects.filter(assignment=row).first()
        try:
            skipped = queue.skip(
                membership=labeler, token=row.token, reason=reason, text="So."
            )
        except queue.RankedAlreadyError:
            assert row.state == AssignmentState.COMPLETED
            return
        assert before is None or skipped == before

    @rule(data=st.data(), order=ORDERS, replace=st.booleans())
    @precondition(lambda self: self.handed)
    def submit(self, data: st.DataObject, order: list[int], replace: bool) -> None:  # noqa: FBT001  drawn by name
        token = data.draw(st.sampled_from(sorted(self.handed)))
        self._submit(token, uuid4(), dict(zip("ABCD", order, strict=True)), replace)

    @rule(data=st.data())
    @precondition(lambda self: self.stored)
    def submit_again(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(list(self.stored)))
        token, ranks = self.stored[key]
        rankings = Ranking.objects.count()
        self._submit(token, key, ranks, replace=False)
        assert Ranking.objects.count() == rankings

    def _submit(
        self,
        token: str,
        key: UUID,
        ranks: dict[str, int],
        replace: bool,  # noqa: FBT001
    ) -> None:
        labeler = self.handed[token]
        row = Assignment.objects.filter(token=token).first()
        answered = Ranking.objects.filter(assignment__token=token).exists()
        submission = Submission(uuid=key, ranks=ranks, replace=replace)
        try:
            done = submit(membership=labeler, token=token, submission=submission)
        except Assignment.DoesNotExist:
            assert row is None  # it was given back
            return
        except ConflictError:
            assert answered
            assert not replace
            return
        assert row is not None
        if row.state in (*queue.HELD, AssignmentState.COMPLETED):
            assert done.status == RankingStatus.COUNTED or done.replayed
        if not done.replayed:
            self.stored[key] = (token, ranks)

    # --- Looking things up --------------------------------------------------------

    def _a_prompt(self, data: st.DataObject) -> Prompt:
        return data.draw(st.sampled_from(list(Prompt.objects.order_by("pk"))))

    def _a_handed_row(self, data: st.DataObject) -> Assignment | None:
        token = data.draw(st.sampled_from(sorted(self.handed)))
        return Assignment.objects.filter(token=token).first()

    def _hand(self, row: Assignment, labeler: Membership) -> None:
        assert not PromptRejection.objects.filter(
            prompt=row.prompt_id
        ).exists() or self.handed.get(row.token)
        self.handed[row.token] = labeler

    def _is_paused(self, labeler: Membership) -> bool:
        return Membership.objects.get(pk=labeler.pk).paused_at is not None

    def _could_have(self, labeler: Membership) -> Any:
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

    # --- Promises -----------------------------------------------------------------

    @invariant()
    def slots_make_up_the_overlap_exactly(self) -> None:
        work = Prompt.objects.filter(project__slug="tides")
        for prompt in work.annotate(out=Count("rejection")):
            slots = OF_THE_QUEUE.filter(prompt=prompt, state__in=HOLDING_A_SLOT)
            states = list(slots.values_list("state", flat=True))
            widest = max(self.widest.get(prompt.pk, 0), prompt.overlap)
            self.widest[prompt.pk] = widest
            assert states.count("completed") <= widest
            if prompt.out:  # type: ignore[attr-defined]
                assert "open" not in states
            else:
                beyond = len(states) > prompt.overlap
                assert len(states) >= prompt.overlap
                assert not (beyond and "open" in states)

    @invariant()
    def the_overlap_is_an_exact_share(self) -> None:
        project = Project.objects.filter(slug="tides").first()
        if project is None or project.overlap == 1:
            return
        overlaps = list(Prompt.objects.values_list("overlap", flat=True))
        wanted = round(project.overlap_fraction * len(overlaps))
        assert overlaps.count(project.overlap) == wanted
        assert overlaps.count(1) == len(overlaps) - wanted

    @invariant()
    def nobody_holds_two_or_has_a_prompt_twice(self) -> None:
        for state in queue.HELD:
            held = Assignment.objects.filter(state=state)
            assert held.count() == held.values("labeler").distinct().count()
        handed = Assignment.objects.filter(~UNSEEN, labeler__isnull=False)
        pairs = list(handed.values_list("labeler", "prompt"))
        assert len(pairs) == len(set(pairs))

    @invariant()
    def every_ranking_that_was_taken_can_be_found(self) -> None:
        for key, (token, ranks) in self.stored.items():
            ranking = Ranking.objects.get(submission_uuid=key)
            assert ranking.assignment.token == token
            placed = Placement.objects.filter(ranking=ranking)
            assert sorted(placed.values_list("rank", flat=True)) == sorted(
                dense_ranks(ranks).values()
            )
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute("SET CONSTRAINTS ALL DEFERRED")

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


@pytest.mark.django_db
def test_the_queue_keeps_its_promises() -> None:
    run_state_machine_as_test(
        QueueMachine,
        settings=settings(
            max_examples=4,
            stateful_step_count=25,
            deadline=None,
            phases=[Phase.reuse, Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
