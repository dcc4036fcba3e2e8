"""The summary rows equal what the pure statistics make of the rankings, always."""

import io
import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import transaction
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from annotation import queue
from annotation.imports import import_prompts
from annotation.models import (
    Assignment,
    Membership,
    Project,
    Prompt,
    PromptImport,
    Role,
    Takedown,
)
from annotation.standing import resume
from annotation.undo_import import undo
from ranking import submit as submitting
from ranking.filters import Filters
from ranking.imports import import_rankings
from ranking.models import PromptSummary, Ranking, RankingStatus
from ranking.placements import insert
from ranking.submit import Submission, submit
from ranking.summaries import lock_and_summarize, summarize, tallies_of
from ranking.takedown import forget, take_down
from ranking.withdrawal import (
    AlreadyWithdrawnError,
    NotWithdrawnError,
    reinstate,
    withdraw,
)
from tests.conftest import make_member, make_prompt
from tests.racing import at_once, meanwhile, once, together, wait_until_somebody_waits
from tests.ranking.cards_by_rows import assert_cards_are_right
from tests.ranking.rows import revise, store_ranking
from tests.ranking.summed import assert_summaries_are_right, recomputed, summed
from tests.ranking.test_submit import ORDER, claimed

ORDERS = st.lists(st.integers(1, 9), min_size=9, max_size=9)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                *("submit", "revise", "import_rankings"),
                *("import_prompts", "undo_import"),
                *("reject", "restore", "take_down"),
                *("withdraw", "reinstate", "forget"),
            ]
        ),
        st.integers(0, 2),
        ORDERS,
    ),
    min_size=6,
    max_size=18,
)
# Each of the rarer verbs meets rankings, whatever else is drawn.
EVERY_VERB = [
    *(("submit", number, [1, 2, 3, 3, 2, 1, 4, 4, 5]) for number in (0, 1, 2, 0, 1)),
    ("revise", 1, [4, 3, 2, 1, 1, 2, 3, 4, 5]),
    ("import_prompts", 0, [1] * 9),
    ("import_prompts", 0, [1] * 9),
    *(("import_rankings", number, [2, 1, 3, 4, 4, 3, 2, 1, 1]) for number in range(4)),
    ("withdraw", 0, [1] * 9),
    ("revise", 0, [1, 2, 3, 4, 5, 6, 7, 8, 9]),
    ("reinstate", 0, [1] * 9),
    ("undo_import", 0, [1] * 9),
    ("take_down", 1, [1] * 9),
    ("forget", 1, [1] * 9),
    ("reject", 0, [1] * 9),
    ("submit", 2, [1, 1, 2, 2, 3, 3, 4, 4, 5]),
    ("restore", 0, [1] * 9),
    ("undo_import", 1, [1] * 9),
]
LETTERS = "ABCDEFGHI"


class Story:
    """Three prompts of four, six and nine responses, to which imports add others; three
    labelers, an admin and three who come with their rankings."""

    def __init__(self) -> None:
        self.project = Project.objects.create(slug="story", title="Story", overlap=3)
        self.project.editable_rankings = 50
        self.project.save()
        self.project.instructions_set.create(version=1, text="Be fair.")
        for k in (4, 6, 9):
            make_prompt(self.project, f"k{k}", k=k, slots=3)
        self.labelers = [
            make_member(self.project, name, Role.LABELER) for name in ("a", "b", "c")
        ]
        admin = make_member(self.project, "admin", Role.ADMIN).user
        assert admin is not None
        self.admin = admin
        self.answered: list[tuple[Membership, str, int]] = []
        self.lines = 0  # imported

    def prompts(self) -> list[Prompt]:
        return list(Prompt.objects.filter(project=self.project).order_by("pk"))

    def submit(self, who: int, order: list[int]) -> None:
        try:
            held = queue.claim(self.labelers[who])
        except queue.NothingIsServed:  # they are paused
            return
        if held is not None:
            k = len(held.display_order or [])
            self._send(self.labelers[who], held.token, order[:k])
            self.answered.append((self.labelers[who], held.token, k))

    def revise(self, number: int, order: list[int]) -> None:
        if self.answered:
            labeler, token, k = self.answered[number % len(self.answered)]
            try:
                self._send(labeler, token, order[:k])
            except Assignment.DoesNotExist:  # the prompt or the labeler is gone
                self.answered.remove((labeler, token, k))

    def _send(self, labeler: Membership, token: str, order: list[int]) -> None:
        ranks = dict(zip(LETTERS, order, strict=False))
        sent = Submission(uuid=uuid4(), ranks=ranks, replace=True)
        submit(membership=labeler, token=token, submission=sent)

    def import_rankings(self, number: int, order: list[int]) -> None:
        prompts = self.prompts()
        prompt = prompts[(number + self.lines) % len(prompts)]
        ids = prompt.responses.order_by("pk").values_list("external_id", flat=True)
        self.lines += 1
        line = {
            "prompt_id": prompt.external_id,
            "labeler": f"zoe{self.lines % 3}",
            "id": f"i{self.lines}",
            "ranks": dict(zip(ids, order, strict=False)),
            "submitted_at": f"2026-0{1 + self.lines % 9}-01T00:00:00Z",
        }
        done = import_rankings(self.project, io.BytesIO(json.dumps(line).encode()))
        assert done.imported == 1

    def import_prompts(self, number: int, order: list[int]) -> None:
        self.lines += 1
        responses = [{"id": f"r{n}", "text": f"{n}"} for n in range(1, 5 + number)]
        rows = [
            {"id": f"n{self.lines}-{n}", "prompt": "Why?", "responses": responses}
            for n in range(2)
        ]
        file = "\n".join(map(json.dumps, rows)).encode()
        assert import_prompts(self.project, io.BytesIO(file)).imported == 2

    def undo_import(self, number: int, order: list[int]) -> None:
        done = list(PromptImport.objects.filter(project=self.project).order_by("pk"))
        if done:
            undo(done[number % len(done)], user=self.admin)

    def reject(self, number: int, order: list[int]) -> None:
        queue.reject_prompt(self.prompts()[number], reason=f"bad {order[0]}")

    def restore(self, number: int, order: list[int]) -> None:
        try:
            queue.restore_prompt(self.prompts()[number])
        except queue.TakenDownError:
            assert Takedown.objects.filter(prompt=self.prompts()[number]).exists()

    def take_down(self, number: int, order: list[int]) -> None:
        prompts = self.prompts()
        prompt = prompts[(number + len(self.answered)) % len(prompts)]
        take_down(prompt, reason="A name.", user=self.admin)

    def withdraw(self, who: int, order: list[int]) -> None:
        with suppress(AlreadyWithdrawnError):
            withdraw(self.labelers[who], reason="Careless.", user=self.admin)

    def reinstate(self, who: int, order: list[int]) -> None:
        with suppress(NotWithdrawnError):
            reinstate(self.labelers[who], user=self.admin)
            resume(self.labelers[who])

    def forget(self, who: int, order: list[int]) -> None:
        """Also somebody who came with their rankings."""
        everybody = Membership.objects.filter(project=self.project, role=Role.LABELER)
        forget(everybody.order_by("pk")[(who + order[0]) % everybody.count()])


@pytest.mark.django_db
@settings(
    max_examples=10,
    deadline=None,
    # Shrinking takes minutes: each step is a transaction of its own.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
@given(steps=STEPS)
@example(steps=EVERY_VERB)
def test_whatever_is_stored_the_rows_equal_a_recomputation(steps: Any) -> None:
    everything = transaction.atomic()
    # As that of a test case, so that durable blocks may stand in it.
    everything._from_testcase = True  # type: ignore[attr-defined]
    with everything:
        story = Story()
        for name, number, order in steps:
            getattr(story, name)(number, order)
            assert_summaries_are_right(story.project)
        assert_cards_are_right(story.project)
        transaction.set_rollback(True)


@pytest.mark.django_db
def test_a_row_by_hand(project: Project, alice: Membership, bob: Membership) -> None:
    """Ranks 1 2 3 4 beside 1 1 3 2. Of six pairs: the first is strict and tied; four
    are strict and equal, of which the distances are 1 - 3 against 1 - 3: 2, 1 - 4
    against 1 - 2: 1, 2 - 3 against 1 - 3: 1, 2 - 4 against 1 - 2: 1; the last is
    opposite at distance 1."""
    prompt = make_prompt(project)
    for labeler, order in ((alice, (1, 2, 3, 4)), (bob, (1, 1, 3, 2))):
        ranks = {f"r{n}": rank for n, rank in enumerate(order, 1)}
        store_ranking(prompt, labeler, ranks)
    lock_and_summarize([prompt.pk])
    found = tallies_of(project, Filters())
    assert found.compared.agree_at.tolist() == [[3, 1, 0, 0, 0, 0, 0, 0]]
    assert found.compared.differ_at.tolist() == [[1, 0, 0, 0, 0, 0, 0, 0]]
    assert found.compared.both_tied.tolist() == [0]
    assert found.compared.one_tied.tolist() == [1]
    assert found.pairs.tolist() == [6, 6]
    assert found.ties.tolist() == [0, 1]
    assert found.tiers.tolist() == [4, 3]
    # (4 - 1) / √(6 · 5)
    assert found.tau_b.tolist() == [pytest.approx(3 / 30**0.5)]


@pytest.mark.django_db
def test_a_withdrawn_labeler_is_in_no_sum_until_it_ends(
    project: Project, alice: Membership, bob: Membership, admin: Membership
) -> None:
    prompt = make_prompt(project)
    for labeler in (alice, bob):
        store_ranking(prompt, labeler, {"r1": 1, "r2": 2, "r3": 3, "r4": 4})
    lock_and_summarize([prompt.pk])
    assert admin.user is not None
    withdraw(alice, reason="Careless.", user=admin.user)
    assert_summaries_are_right(project)
    assert tallies_of(project, Filters()).judged.labeler.tolist() == [bob.pk]
    reinstate(alice, user=admin.user)
    assert_summaries_are_right(project)
    assert len(tallies_of(project, Filters()).judged) == 2


@pytest.mark.django_db
def test_filters_choose_as_they_do_in_the_report(
    project: Project, alice: Membership, bob: Membership
) -> None:
    carol = make_member(project, "carol", Role.LABELER)
    first = project.instructions_set.get()
    second = project.instructions_set.create(version=2, text="Be kind.")
    long_ago = datetime(2026, 1, 1, tzinfo=UTC)
    prompts = [make_prompt(project, "p1"), make_prompt(project, "p2", k=9)]
    Prompt.objects.filter(pk=prompts[1].pk).update(tags=["code"])
    for prompt in prompts:
        k = prompt.responses.count()
        for number, labeler in enumerate((alice, bob, carol)):
            order = [1 + (place + number) % k for place in range(k)]
            store_ranking(
                prompt,
                labeler,
                {f"r{n}": rank for n, rank in enumerate(order, 1)},
                submitted_at=long_ago + timedelta(days=number),
                instructions=second if number else first,
                assignment={
                    "pool": "random" if number < 2 else "targeted",
                    "display_order": list(range(k))[::-1],
                },
            )
    lock_and_summarize([prompt.pk for prompt in prompts])
    choices: list[dict[str, Any]] = [
        {"since": long_ago + timedelta(days=1)},
        {"until": long_ago + timedelta(days=1)},
        {"labelers": frozenset({alice.pk, carol.pk})},
        {"without_labelers": frozenset({alice.pk})},
        {"k": frozenset({9})},
        {"tags": frozenset({"code", "law"})},
        {"instructions_versions": frozenset({2})},
        {"pool": "random"},
        {"pool": "targeted"},
    ]
    everything = summed(project)
    for filters in choices:
        chosen = summed(project, **filters)
        assert chosen == recomputed(project, **filters)
        assert chosen != everything


@pytest.mark.django_db
def test_late_and_surplus_rankings_are_in_no_sum(
    project: Project, alice: Membership
) -> None:
    prompt = make_prompt(project)
    ranks = {"r1": 1, "r2": 2, "r3": 3, "r4": 4}
    store_ranking(prompt, alice, ranks, status=RankingStatus.LATE)
    lock_and_summarize([prompt.pk])
    assert PromptSummary.objects.get().rankings == 0
    assert len(tallies_of(project, Filters()).prompts) == 0


@pytest.mark.django_db
def test_a_row_counts_none_when_its_last_ranking_counts_no_more(
    project: Project, alice: Membership
) -> None:
    prompt = make_prompt(project)
    ranks = {"r1": 1, "r2": 2, "r3": 3, "r4": 4}
    first = store_ranking(prompt, alice, ranks)
    lock_and_summarize([prompt.pk])
    assert PromptSummary.objects.get().rankings == 1
    revise(first, ranks, status=RankingStatus.SURPLUS)
    lock_and_summarize([prompt.pk])
    assert PromptSummary.objects.get().rankings == 0
    assert_summaries_are_right(project)


# --- Two at once ------------------------------------------------------------------


def after_two_submissions(project: Project, *labelers: Membership) -> PromptSummary:
    """The row of a prompt that both rank in the same moment."""
    make_prompt(project, slots=2)
    held = {labeler: claimed(labeler).token for labeler in labelers}

    def post(labeler: Membership) -> str:
        sent = Submission(uuid=uuid4(), ranks=ORDER)
        return submit(membership=labeler, token=held[labeler], submission=sent).status

    assert at_once(post, list(labelers)) == ["counted", "counted"]
    return PromptSummary.objects.get()


@pytest.mark.django_db(transaction=True)
def test_two_submissions_at_once_are_both_in_the_row(
    project: Project,
    alice: Membership,
    bob: Membership,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever is first waits with their placements until the other one waits."""

    def slowly(*given: Any) -> None:
        insert(*given)
        first_waits()

    first_waits = once(wait_until_somebody_waits)
    monkeypatch.setattr(submitting, "insert", slowly)
    assert after_two_submissions(project, alice, bob).rankings == 2
    assert_summaries_are_right(project)


@pytest.mark.django_db(transaction=True)
def test_without_the_prompts_lock_one_of_two_would_be_lost(
    project: Project,
    alice: Membership,
    bob: Membership,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The control: both have placed theirs before either makes the row, and whoever
    makes it first commits when the other one's statement has begun, and waits."""

    def own_row_only(*, membership: Membership, token: str) -> Assignment:
        locked = Assignment.objects.select_for_update(no_key=True, of=("self",))
        found = locked.select_related("prompt")
        return found.get(labeler=membership, token=token)

    def slowly(*given: Any) -> None:
        insert(*given)
        both_have_placed()

    def summarize_slowly(prompt: int) -> None:
        summarize(prompt)
        first_waits()

    both_have_placed = together(2)
    first_waits = once(wait_until_somebody_waits)
    monkeypatch.setattr(queue, "lock_for_answer", own_row_only)
    monkeypatch.setattr(submitting, "insert", slowly)
    monkeypatch.setattr(submitting, "summarize", summarize_slowly)
    assert after_two_submissions(project, alice, bob).rankings == 1
    assert Ranking.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_an_import_and_a_submission_at_once_are_both_in_the_row(
    project: Project, alice: Membership
) -> None:
    prompt = make_prompt(project, slots=1)
    token = claimed(alice).token
    ranks = {f"r{number}": number for number in range(1, 5)}
    line = {"prompt_id": prompt.external_id, "labeler": "zoe", "ranks": ranks}

    def bring() -> None:
        import_rankings(project, io.BytesIO(json.dumps(line).encode()))

    def post() -> str:
        sent = Submission(uuid=uuid4(), ranks=ORDER)
        return submit(membership=alice, token=token, submission=sent).status

    assert meanwhile(bring, post) == "counted"
    assert PromptSummary.objects.get().rankings == 2
    assert_summaries_are_right(project)
