"""F19 to F22 through HTTP: real posts at once, on real connections, with controls.

A control takes one protection away and must go wrong, or the test beside it proves
nothing. What it does then differs (a row too many, or a constraint that answers 500);
that it is not the right answer is what counts.
"""

import json
from collections import Counter
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.conf import settings
from django.test import Client

from annotation import closing, queue
from annotation.closing import SlotAfter, complete
from annotation.models import Assignment, Membership, Project, Role
from annotation.shown import as_shown
from ranking import submit as submit_module
from ranking.models import Draft, Placement, Ranking, RefusedSubmission
from tests.annotation.test_queue import let_the_lease_run_out
from tests.conftest import make_member, make_prompt
from tests.faults.history import History
from tests.faults.labeler import Answer, Labeler
from tests.racing import at_once, once, together, wait_until_somebody_waits

pytestmark = pytest.mark.django_db(transaction=True)

ONE = {"A": 1, "B": 2, "C": 3, "D": 4}
OTHER = {"A": 4, "B": 3, "C": 2, "D": 1}
POSTS = 32


@pytest.fixture
def history() -> History:
    return History()


@pytest.fixture
def at_work(
    live_server: Any, signed_in: Callable[[Membership], Client], history: History
) -> Callable[[Membership], Labeler]:
    """`at_work(alice)` is a browser of hers that really sends."""

    def open_browser(member: Membership) -> Labeler:
        session = signed_in(member).cookies[settings.SESSION_COOKIE_NAME].value
        return Labeler(
            live_server.thread.port, session, history, slug=member.project.slug
        )

    return open_browser


AtWork = Callable[[Membership], Labeler]


@pytest.fixture
def carol(project: Project) -> Membership:
    return make_member(project, "carol", Role.LABELER)


def held(labeler: Labeler) -> str:
    token = labeler.claim()
    assert token is not None
    return token


def lapse(token: str) -> None:
    let_the_lease_run_out(Assignment.objects.get(token=token))


def said(answer: Answer) -> Any:
    return json.loads(answer.body)


def sent_often(browser: Labeler, token: str, key: UUID, posts: int) -> list[Answer]:
    """The same submission from many clients at once. Whom the server's short list of
    waiting connections turns away sends again."""

    def send(_number: int) -> Answer:
        return browser.until_answered(lambda: browser.submit(token, ONE, key))

    return at_once(send, list(range(posts)))


def kept_beside() -> list[tuple[UUID, dict[str, int]]]:
    """(key, order) of what was refused and kept."""
    rows = RefusedSubmission.objects.values_list("submission_uuid", "content")
    return [(key, content["ranks"]) for key, content in rows]


def placed(ranking: Ranking) -> dict[str, int]:
    """The ranks of a stored ranking, by the id of the response."""
    rows = ranking.placements.values_list("response__external_id", "rank")
    return dict(rows)


def by_id(token: str, ranks: dict[str, int]) -> dict[str, int]:
    """An order of letters as `placed` gives it."""
    assignment = Assignment.objects.select_related("prompt").get(token=token)
    shown = as_shown(assignment, assignment.prompt.responses.all())
    return {shown[letter].external_id: rank for letter, rank in ranks.items()}


def stored() -> list[tuple[UUID, str]]:
    return list(Ranking.objects.values_list("submission_uuid", "body_sha256"))


def unlocked(*, membership: Membership, token: str) -> Assignment:
    """`lock_for_answer` without its lock."""
    mine = Assignment.objects.select_related("prompt")
    return mine.get(labeler=membership, token=token)


@pytest.fixture
def _lock_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "lock_for_answer", unlocked)


@pytest.fixture
def _two_have_looked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two submissions have found nothing stored before either stores anything."""

    def slowly(assignment: Assignment) -> SlotAfter:
        both_have_looked()
        return complete(assignment)

    both_have_looked = together(2)
    monkeypatch.setattr(queue, "complete", slowly)


@pytest.fixture
def _others_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is the first to store a ranking waits until somebody waits for them."""

    def slowly(assignment: Assignment) -> SlotAfter:
        first_waits()
        return complete(assignment)

    first_waits = once(wait_until_somebody_waits)
    monkeypatch.setattr(queue, "complete", slowly)


# --- F19: three hold what two may fill --------------------------------------------


@pytest.fixture
def three(
    project: Project,
    alice: Membership,
    bob: Membership,
    carol: Membership,
    at_work: AtWork,
) -> list[tuple[Labeler, str]]:
    """Overlap 2, and three labelers who hold it: the first one lost her slot."""
    make_prompt(project, slots=2)
    first, second, third = map(at_work, (alice, bob, carol))
    tokens = [held(first), held(second)]
    lapse(tokens[0])
    return list(zip((first, second, third), [*tokens, held(third)], strict=True))


def all_submit(three: list[tuple[Labeler, str]]) -> list[Answer]:
    return at_once(lambda one: one[0].submit(one[1], ONE, uuid4()), three)


def test_of_three_who_submit_at_once_two_count(
    three: list[tuple[Labeler, str]], history: History
) -> None:
    answers = all_submit(three)
    assert [answer.status for answer in answers] == [201] * 3
    became = [said(answer)["status"] for answer in answers]
    assert became[0] in ("late", "surplus")
    assert became[1:] == ["counted", "counted"]
    assert Ranking.objects.filter(status="counted").count() == 2
    labelers = Ranking.objects.values_list("assignment__labeler", flat=True)
    assert len(set(labelers)) == 3
    assert history.problems(stored()) == []


def test_the_third_is_surplus_when_both_others_are_stored(
    three: list[tuple[Labeler, str]],
) -> None:
    became = [
        said(one.submit(token, ONE, uuid4()))["status"] for one, token in three[1:]
    ]
    became.append(said(three[0][0].submit(three[0][1], ONE, uuid4()))["status"])
    assert became == ["counted", "counted", "surplus"]


def test_control_who_does_not_look_at_the_slot_breaks_the_overlap(
    three: list[tuple[Labeler, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two rows cannot hold one slot: a constraint stops whoever of the two is later."""
    monkeypatch.setattr(closing, "_win_back", lambda _: SlotAfter.FILLED)
    answers = all_submit(three)
    assert sorted(answer.status for answer in answers) == [201, 201, 500]


# --- F20: the same submission many times ------------------------------------------


@pytest.mark.usefixtures("_others_wait")
def test_thirty_two_posts_of_one_submission_are_one_ranking(
    project: Project, alice: Membership, at_work: AtWork, history: History
) -> None:
    make_prompt(project)
    browser, key = at_work(alice), uuid4()
    token = held(browser)
    answers = sent_often(browser, token, key, POSTS)
    assert Counter(answer.status for answer in answers) == {201: 1, 200: POSTS - 1}
    replays = Counter(said(answer)["replayed"] for answer in answers)
    assert replays == {False: 1, True: POSTS - 1}
    assert Ranking.objects.count() == 1
    assert Placement.objects.count() == 4
    assert history.problems(stored()) == []


@pytest.mark.usefixtures("_lock_off", "_two_have_looked")
def test_control_without_the_lock_the_same_submission_collides(
    project: Project,
    alice: Membership,
    at_work: AtWork,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without the second try as well, which finds what the constraint refused."""
    monkeypatch.setattr(submit_module, "IntegrityError", ZeroDivisionError)
    make_prompt(project)
    browser, key = at_work(alice), uuid4()
    token = held(browser)
    answers = sent_often(browser, token, key, 2)
    assert sorted(answer.status for answer in answers) == [201, 500]


def test_a_key_that_comes_with_another_ranking_is_refused_and_both_are_kept(
    project: Project, alice: Membership, at_work: AtWork, history: History
) -> None:
    make_prompt(project)
    browser, key = at_work(alice), uuid4()
    token = held(browser)
    assert browser.submit(token, ONE, key).status == 201
    refused = browser.submit(token, OTHER, key)
    assert refused.status == 409
    assert said(refused)["submission_uuid"] != str(key)
    assert said(refused)["stored"] == ONE
    assert placed(Ranking.objects.get()) == by_id(token, ONE)
    assert kept_beside() == [(key, OTHER)]
    assert browser.submit(token, OTHER, key).status == 409
    assert len(kept_beside()) == 1, "sent again, it is kept once"
    assert history.problems(stored()) == []


# --- F21: two tabs ----------------------------------------------------------------


@pytest.mark.usefixtures("_others_wait")
def test_of_two_tabs_one_wins_and_the_other_is_asked(
    project: Project, alice: Membership, at_work: AtWork, history: History
) -> None:
    make_prompt(project)
    tabs = [(at_work(alice), ONE), (at_work(alice), OTHER)]
    token = held(tabs[0][0])
    assert tabs[1][0].claim() == token
    answers = at_once(lambda tab: tab[0].submit(token, tab[1], uuid4()), tabs)
    assert sorted(answer.status for answer in answers) == [201, 409]
    assert Ranking.objects.count() == 1

    loser = next(n for n in (0, 1) if answers[n].status == 409)
    browser, ranks = tabs[loser]
    assert said(answers[loser])["stored"] == tabs[1 - loser][1]
    assert [order for _, order in kept_beside()] == [ranks]
    key = UUID(said(answers[loser])["submission_uuid"])
    assert browser.submit(token, ranks, key, replace=True).status == 201
    first, second = Ranking.objects.order_by("pk")
    assert second.revises == first
    assert second.submission_uuid == key
    assert placed(first) == by_id(token, tabs[1 - loser][1])
    assert placed(second) == by_id(token, ranks)
    assert Ranking.objects.current().get() == second
    assert history.problems(stored()) == []


@pytest.mark.usefixtures("_lock_off", "_two_have_looked")
def test_control_without_the_lock_nobody_is_asked(
    project: Project, alice: Membership, at_work: AtWork
) -> None:
    make_prompt(project)
    browser = at_work(alice)
    token = held(browser)
    send_both = [ONE, OTHER]
    answers = at_once(lambda one: browser.submit(token, one, uuid4()), send_both)
    assert sorted(answer.status for answer in answers) == [201, 500]


# --- F22: the lease is over -------------------------------------------------------


def test_late_on_a_slot_that_nobody_took_counts(
    project: Project, alice: Membership, at_work: AtWork
) -> None:
    make_prompt(project, slots=1)
    browser = at_work(alice)
    token = held(browser)
    lapse(token)
    answer = browser.submit(token, ONE, uuid4())
    assert (answer.status, said(answer)["status"]) == (201, "counted")


@pytest.mark.parametrize("became", ["late", "surplus"])
def test_late_on_a_slot_that_somebody_took_is_kept_and_harms_nobody(
    project: Project, alice: Membership, bob: Membership, at_work: AtWork, became: str
) -> None:
    """`late` while bob is at work on it, `surplus` when he has submitted."""
    make_prompt(project, slots=1)
    hers, his = at_work(alice), at_work(bob)
    token = held(hers)
    lapse(token)
    taken = held(his)

    def his_answer() -> Answer:
        return his.submit(taken, OTHER, uuid4())

    def her_answer() -> Answer:
        return hers.submit(token, ONE, uuid4())

    in_order = (
        [her_answer, his_answer] if became == "late" else [his_answer, her_answer]
    )
    answers = {send.__name__: send() for send in in_order}
    assert [answer.status for answer in answers.values()] == [201, 201]
    assert said(answers["her_answer"])["status"] == became
    assert said(answers["his_answer"])["status"] == "counted"


def test_a_draft_outlives_the_lease_and_the_takeover_until_it_is_submitted(
    project: Project, alice: Membership, bob: Membership, at_work: AtWork
) -> None:
    """He who took the slot over sees nothing of it, and does not disturb it."""
    make_prompt(project, slots=1)
    hers, his = at_work(alice), at_work(bob)
    token = held(hers)
    address = f"/api/v1/assignments/{token}/draft"
    begun = {"ranks": {"A": 1, "C": 2}}
    assert hers.send("PUT", address, {"rev": 0, **begun}).status == 200
    lapse(token)
    taken = held(his)
    assert hers.send("PUT", address, {"rev": 1, **begun, "note": "on"}).status == 200
    given = said(his.send("POST", f"/api/v1/projects/{project.slug}/claim", {}))
    assert given["assignment"]["token"] == taken
    assert given["assignment"]["draft"] is None
    assert his.submit(taken, OTHER, uuid4()).status == 201
    kept = Draft.objects.get(assignment__token=token)
    assert (kept.rev, kept.content["ranks"]) == (2, begun["ranks"])
    assert said(hers.submit(token, ONE, uuid4()))["status"] == "surplus"
    assert not Draft.objects.exists()


def taking_over_meanwhile(
    monkeypatch: pytest.MonkeyPatch, other: Labeler
) -> list[str | None]:
    """Between the lock of an answer and its storing, `other` claims; what they got."""
    got: list[str | None] = []

    def slowly(assignment: Assignment) -> SlotAfter:
        got.append(other.claim())
        return complete(assignment)

    monkeypatch.setattr(queue, "complete", slowly)
    return got


def test_a_slot_is_not_taken_over_while_its_late_answer_is_being_stored(
    project: Project,
    alice: Membership,
    bob: Membership,
    at_work: AtWork,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_prompt(project, slots=1)
    browser = at_work(alice)
    token = held(browser)
    lapse(token)
    got = taking_over_meanwhile(monkeypatch, at_work(bob))
    answer = browser.submit(token, ONE, uuid4())
    assert (answer.status, said(answer)["status"]) == (201, "counted")
    assert got == [None]


@pytest.mark.usefixtures("_lock_off")
def test_control_without_the_lock_it_is_taken_over_and_the_answer_collides(
    project: Project,
    alice: Membership,
    bob: Membership,
    at_work: AtWork,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_prompt(project, slots=1)
    browser = at_work(alice)
    token = held(browser)
    lapse(token)
    got = taking_over_meanwhile(monkeypatch, at_work(bob))
    answer = browser.submit(token, ONE, uuid4())
    assert got != [None]
    assert answer.status == 500
