"""Whatever is sent to the API about an assignment, it never breaks, and what it refuses
changes nothing. On the real database, through the site's own middleware."""

from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from typing import Any
from uuid import uuid4

from django.db.models import Model, QuerySet
from django.test import Client
from hypothesis import strategies as st

from annotation import queue
from annotation.models import Assignment, AssignmentState, Membership, Project, Role
from ranking.models import Draft, Placement, Ranking, RefusedSubmission, RenderMode
from tests.conftest import make_member, make_prompt
from tests.fuzz.json_texts import ANYTHING, TEXTS, documents, mostly
from tests.fuzz.search import Fuzzer

K = 4
LETTERS = st.sampled_from("ABCD")
OTHER_LETTERS = LETTERS | TEXTS | st.sampled_from("EZa")
RANK = mostly(st.integers(1, 4)) | st.sampled_from([0, -1, 9, 10, 1.0, "2", True])
RANKS = st.fixed_dictionaries(dict.fromkeys("ABCD", RANK)) | st.dictionaries(
    OTHER_LETTERS, RANK, max_size=6
)
RATINGS = st.dictionaries(OTHER_LETTERS, mostly(st.integers(1, 7)), max_size=5)
FLAG = st.sampled_from(["harmful", "hallucination", "nobody offers it"]) | TEXTS
FLAGS = st.dictionaries(
    OTHER_LETTERS, mostly(st.lists(mostly(FLAG), max_size=3)), max_size=4
)
TELEMETRY = st.dictionaries(
    st.sampled_from(["active_ms", "n_key", "visible_ms", "unread"]) | TEXTS,
    ANYTHING | st.lists(LETTERS) | st.dictionaries(LETTERS, st.floats()),
    max_size=4,
)
JUDGEMENT = {
    "ratings": mostly(RATINGS),
    "flags": mostly(FLAGS),
    "note": mostly(TEXTS),
    "replace": mostly(st.booleans()),
    "unknown": ANYTHING,
}
# A key stands for one that is fresh in every run, or nothing could be tried twice.
KEYS = {"key one": 0, "key two": 1}
SUBMIT = st.fixed_dictionaries(
    {"ranks": mostly(RANKS), "submission_uuid": mostly(st.sampled_from([*KEYS]))},
    optional=JUDGEMENT
    | {
        "telemetry": mostly(TELEMETRY),
        "render_mode": mostly(st.sampled_from(RenderMode.values)),
    },
)
DRAFT = st.fixed_dictionaries(
    {"ranks": mostly(RANKS), "rev": mostly(st.integers(0, 3))}, optional=JUDGEMENT
)


@dataclass(frozen=True)
class Call:
    """A request about the assignment in hand."""

    verb: str
    what: str  # the end of the address
    body: bytes


CALLS = st.builds(
    Call, st.just("POST"), st.just("submit"), documents(mostly(SUBMIT))
) | st.builds(Call, st.just("PUT"), st.just("draft"), documents(mostly(DRAFT)))
REFUSED = {HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY}


@cache
def labeler() -> Membership:
    """Somebody who ranks in a project of their own with flags."""
    flags = ["harmful", "hallucination"]
    project = Project.objects.create(slug="fuzz-api", title="Fuzz", flags=flags)
    return make_member(project, "fuzz", Role.LABELER)


@cache
def browser() -> Client:
    """Signed in as the labeler."""
    client, user = Client(), labeler().user
    assert user is not None
    client.force_login(user, "allauth.account.auth_backends.AuthenticationBackend")
    return client


def fresh_assignment() -> Assignment:
    """One that is claimed and about which nothing is stored."""
    member = labeler()
    claimed = {"labeler": member, "state": AssignmentState.CLAIMED}
    untouched = Assignment.objects.filter(**claimed, draft=None).first()
    if untouched is not None:
        return untouched
    for held in Assignment.objects.filter(**claimed):
        assert queue.release(held)
    make_prompt(member.project, f"p{uuid4()}", k=K, slots=1)
    assignment = queue.claim(Membership.objects.get(pk=member.pk))
    assert assignment is not None
    return assignment


def rows(found: QuerySet[Any, Any]) -> list[Any]:
    """All their columns, in a fixed order."""
    return list(found.order_by("pk").values_list())


def state(assignment: Assignment) -> dict[type[Model], list[Any]]:
    """All that a call about it could change, but for the orders kept beside."""
    mine = Ranking.objects.filter(assignment=assignment)
    return {
        Assignment: rows(Assignment.objects.filter(pk=assignment.pk)),
        Ranking: rows(mine),
        Placement: rows(Placement.objects.filter(ranking__in=mine)),
        Draft: rows(Draft.objects.filter(assignment=assignment)),
    }


def check(calls: list[Call]) -> None:
    """The calls one after the other, from an assignment that is fresh."""
    assignment, fresh = fresh_assignment(), [str(uuid4()), str(uuid4())]
    for call in calls:
        body = call.body
        for key, number in KEYS.items():
            body = body.replace(key.encode(), fresh[number].encode())
        before, kept = state(assignment), RefusedSubmission.objects.count()
        answer = browser().generic(
            call.verb,
            f"/api/v1/assignments/{assignment.token}/{call.what}",
            body,
            content_type="application/json",
        )
        after = state(assignment)
        if answer.status_code == HTTPStatus.CREATED:
            check_created(before, after)
        elif call.what == "draft" and answer.status_code == HTTPStatus.OK:
            assert [after[kind] for kind in (Ranking, Placement)] == [
                before[kind] for kind in (Ranking, Placement)
            ]
            assert len(after[Draft]) == 1
        else:
            check_refused(answer.status_code, kept)
            assert after == before, "what was refused or said before changed something"


def check_created(before: dict[Any, list[Any]], after: dict[Any, list[Any]]) -> None:
    """One whole ranking more, and what stood before stands."""
    assert len(after[Ranking]) == len(before[Ranking]) + 1
    assert after[Ranking][: len(before[Ranking])] == before[Ranking]
    assert len(after[Placement]) == len(before[Placement]) + K
    assert after[Draft] == []


def check_refused(status: int, kept: int) -> None:
    """An answer that is meant; a conflict keeps at most one order beside."""
    more = RefusedSubmission.objects.count() - kept
    if status == HTTPStatus.CONFLICT:
        assert more in (0, 1)
    else:
        assert status == HTTPStatus.OK or status in REFUSED, status
        assert more == 0


FUZZER = Fuzzer(inputs=st.lists(CALLS, min_size=1, max_size=4), check=check)
