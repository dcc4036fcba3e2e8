"""Whatever labelers and admins do, in whatever order, the queue keeps its promises."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from django.db.models.functions import Now
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from annotation import direct, overlap, queue, slots, standing
from annotation.models import (
    Assignment,
    AssignmentState,
    Membership,
    Project,
    Prompt,
    PromptRejection,
    Purpose,
    Response,
    Role,
    Skip,
    SkipReason,
)
from ranking.drafts import DraftConflictError, save_draft
from ranking.models import Draft, Ranking, RankingStatus
from ranking.submit import ConflictError, Submission, Submitted, submit
from tests.conftest import make_member
from tests.ranking.queue_promises import QueuePromises

LABELERS = 4
MOST_PROMPTS = 9
ORDERS = st.lists(st.integers(1, 4), min_size=4, max_size=4)
WHO = st.integers(0, LABELERS - 1)


class QueueMachine(QueuePromises):
    """Four labelers and an admin in one project."""

    def __init__(self) -> None:
        super().__init__()
        self.brought = 0
        self._patch = pytest.MonkeyPatch()
        for module in (slots, overlap, direct):
            self._patch.setattr(module, "secrets", _Seeded(self))
        self._patch.setattr(direct, "LATEST_NOT_REPEATED", 0)
        self._patch.setattr(direct, "SINCE_RANKED", timedelta())

    def teardown(self) -> None:
        self._patch.undo()
        super().teardown()

    @initialize(
        overlap=st.integers(1, 3),
        share=st.sampled_from([0.0, 0.4, 1.0]),
        checks=st.sampled_from([0.0, 0.3]),
    )
    def start(self, overlap: int, share: float, checks: float) -> None:
        """`checks`: the share of gold, and that of repeats."""
        self.project = Project.objects.create(
            slug="tides",
            title="Tides",
            overlap=overlap,
            overlap_fraction=share,
            gold_fraction=checks,
            repeat_fraction=checks,
        )
        self.labelers = [
            make_member(self.project, f"m{number}", Role.LABELER)
            for number in range(LABELERS)
        ]
        self._make(self._prompts(2, "g", purpose=Purpose.GOLD, gold={"r0": 1, "r1": 2}))
        self.bring(count=3)

    # --- What an admin does -------------------------------------------------------

    @rule(count=st.integers(1, 3))
    @precondition(lambda self: self.brought < MOST_PROMPTS)
    def bring(self, count: int) -> None:
        prompts = self._prompts(count, f"p{self.brought}-")
        self.brought += count
        queue.choose_overlap(project=self.project, prompts=prompts)
        self._make(prompts)
        queue.open_slots(prompts)

    def _prompts(self, count: int, name: str, **fields: object) -> list[Prompt]:
        return [
            Prompt(
                project=self.project, external_id=f"{name}{n}", messages=[], **fields
            )
            for n in range(count)
        ]

    def _make(self, prompts: list[Prompt]) -> None:
        Prompt.objects.bulk_create(prompts)
        Response.objects.bulk_create(
            Response(prompt=prompt, external_id=f"r{number}", text="…")
            for prompt in prompts
            for number in range(4)
        )

    @rule(overlap=st.integers(1, 4), share=st.sampled_from([0.0, 0.3, 0.5, 1.0]))
    def change_overlap(self, overlap: int, share: float) -> None:
        queue.change_overlap(self.project, overlap=overlap, fraction=share)

    @rule(data=st.data(), priority=st.integers(-2, 2))
    def change_priority(self, data: st.DataObject, priority: int) -> None:
        queue.change_priority(self.a_prompt(data), priority)

    @rule(data=st.data())
    def take_out(self, data: st.DataObject) -> None:
        queue.reject_prompt(self.a_prompt(data), reason="bad")

    @rule(data=st.data())
    def put_back(self, data: st.DataObject) -> None:
        prompt = self.a_prompt(data)
        was_out = PromptRejection.objects.filter(prompt=prompt).exists()
        assert queue.restore_prompt(prompt) == was_out

    @rule(who=WHO)
    def pause_or_let_go_on(self, who: int) -> None:
        labeler = self.labelers[who]
        if self.is_paused(labeler):
            standing.resume(labeler)
            return
        standing.pause(labeler)
        of_the_queue = Assignment.objects.filter(labeler=labeler, source="queue")
        assert not of_the_queue.filter(state__in=queue.HELD).exists()

    @rule(few=st.integers(0, 3))
    def change_how_many_may_be_revised(self, few: int) -> None:
        self.project.editable_rankings = few
        self.project.save(update_fields=["editable_rankings"])

    # --- What labelers do ---------------------------------------------------------

    @rule(who=WHO)
    def claim(self, who: int) -> None:
        labeler = self.labelers[who]
        promised = queue.has_work_for(labeler)
        try:
            held = queue.claim(labeler)
        except queue.NothingIsServed:
            assert self.is_paused(labeler)
            return
        assert not self.is_paused(labeler)
        assert promised == (held is not None)
        if held is None:
            assert not self.could_have(labeler).exists()
            return
        assert (held.state, held.labeler_id) == (AssignmentState.CLAIMED, labeler.pk)
        self.hand(held, labeler)

    @rule(who=WHO)
    def prefetch(self, who: int) -> None:
        labeler = self.labelers[who]
        ahead = queue.prefetch(labeler)
        if ahead is None:
            assert self.is_paused(labeler) or not self.could_have(labeler).exists()
            return
        assert ahead.state == AssignmentState.PREFETCHED
        self.hand(ahead, labeler)

    @rule(data=st.data())
    @precondition(lambda self: self.said.handed)
    def renew(self, data: st.DataObject) -> None:
        row = self.a_handed_row(data)
        if row is None:
            return
        was_held = row.state in queue.HELD
        unseen = row.state == AssignmentState.PREFETCHED and row.shown_at is None
        out = PromptRejection.objects.filter(prompt=row.prompt_id).exists()
        assert queue.renew(row) == (was_held and not (unseen and out))

    @rule(data=st.data())
    @precondition(lambda self: self.said.handed)
    def release(self, data: st.DataObject) -> None:
        row = self.a_handed_row(data)
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

    @rule()
    def ten_minutes_pass(self) -> None:
        """For who has looked from the start of the queue, and may do so again."""
        Membership.objects.update(cursor_reset_at=None)

    @rule(data=st.data(), reason=st.sampled_from(SkipReason.values))
    @precondition(lambda self: self.said.handed)
    def skip(self, data: st.DataObject, reason: str) -> None:
        row = self.a_handed_row(data)
        if row is None:
            return
        labeler = self.said.handed[row.token]
        before = Skip.objects.filter(assignment=row).first()
        try:
            skipped = queue.skip(
                membership=labeler, token=row.token, reason=reason, text="So."
            )
        except queue.RankedAlreadyError:
            assert row.state == AssignmentState.COMPLETED
            return
        assert before is None or skipped == before

    @rule(data=st.data(), note=st.sampled_from(["", "Hm."]), replace=st.booleans())
    @precondition(lambda self: self.said.handed)
    def save_a_draft(self, data: st.DataObject, note: str, replace: bool) -> None:  # noqa: FBT001  drawn by name
        row = self.a_handed_row(data)
        if row is None:
            return
        content = {"ranks": {"A": 1}, "ratings": {}, "flags": {}, "note": note}
        draft = Draft.objects.filter(assignment=row).first()
        rev = draft.rev if draft else 0
        try:
            save_draft(row, rev=rev, content=content, replace=replace)
        except DraftConflictError:
            assert Ranking.objects.filter(assignment=row).exists()
            assert not replace
        else:
            self.said.drafts[row.token] = content

    @rule(data=st.data(), order=ORDERS, replace=st.booleans())
    @precondition(lambda self: self.said.handed)
    def submit(self, data: st.DataObject, order: list[int], replace: bool) -> None:  # noqa: FBT001  drawn by name
        ranks = dict(zip("ABCD", order, strict=True))
        self._submit(self.a_token(data), uuid4(), ranks, replace=replace)

    @rule(data=st.data())
    @precondition(lambda self: self.said.stored)
    def submit_again(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(list(self.said.stored)))
        token, ranks = self.said.stored[key]
        rankings = Ranking.objects.count()
        self._submit(token, key, ranks, replace=False)
        assert Ranking.objects.count() == rankings

    def _submit(
        self, token: str, key: UUID, ranks: dict[str, int], *, replace: bool
    ) -> None:
        labeler = Membership.objects.get(pk=self.said.handed[token].pk)
        row = Assignment.objects.filter(token=token).first()
        answered = Ranking.objects.filter(assignment__token=token).exists()
        submission = Submission(uuid=key, ranks=ranks, replace=replace)
        try:
            done = submit(membership=labeler, token=token, submission=submission)
        except Assignment.DoesNotExist:
            assert row is None  # it was given back
            return
        except ConflictError as error:
            may_replace = error.may_replace
            assert answered
            assert may_replace == self.may_be_revised(token)
            assert not (replace and may_replace)
            self.said.refused.add(key)
            return
        assert row is not None
        self._taken(row, done)
        if not done.replayed:
            self.said.stored[key] = (token, ranks)
            self.said.statuses[key] = done.status
            self.said.drafts.pop(token, None)

    def _taken(self, row: Assignment, done: Submitted) -> None:
        if row.state in (*queue.HELD, AssignmentState.COMPLETED):
            assert done.status == RankingStatus.COUNTED or done.replayed


class _Seeded:
    """`secrets` without secrets."""

    def __init__(self, machine: QueuePromises) -> None:
        self._machine = machine

    def randbits(self, count: int) -> int:
        return self._machine.chance.getrandbits(count)

    def SystemRandom(self) -> object:  # noqa: N802  its name in `secrets`
        return self._machine.chance


# On every commit a taste of it; `make fuzz` runs the profile "long" until it fails.
A_TASTE = settings(
    max_examples=4, stateful_step_count=25, phases=[Phase.reuse, Phase.generate]
)


@pytest.mark.django_db
def test_the_queue_keeps_its_promises() -> None:
    in_full = settings.get_current_profile_name() == "long"
    run_state_machine_as_test(
        QueueMachine,
        settings=settings(
            settings.get_profile("long") if in_full else A_TASTE,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
