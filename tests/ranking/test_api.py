"""The labeler's flow for programs: who gets in, what is given, what is refused."""

import json
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from knox.models import AuthToken

from annotation import queue
from annotation.models import Assignment, Membership, Project, Skip
from annotation.shown import as_shown
from ranking.models import Draft, Ranking, RefusedSubmission
from tests.conftest import make_prompt

pytestmark = pytest.mark.django_db
SignedIn = Callable[[Membership], Client]
ORDER = {"A": 2, "B": 1, "C": 2, "D": 3}
PROJECT = "/api/v1/projects/tides/"


class Program:
    """A front end of somebody's own, signed in by token."""

    def __init__(self, member: Membership) -> None:
        _, token = AuthToken.objects.create(user=member.user)
        self.client = Client(headers={"Authorization": f"Token {token}"})

    def send(self, verb: str, address: str, body: Any = None) -> Any:
        """`body` as JSON; bytes as they are."""
        sent = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
        return self.client.generic(verb, address, sent, content_type="application/json")

    def claim(self) -> dict[str, Any]:
        """The assignment that was handed out."""
        answer = json.loads(self.send("POST", f"{PROJECT}claim").content)
        assert answer["assignment"] is not None
        return dict(answer["assignment"])


@pytest.fixture
def program(alice: Membership) -> Program:
    return Program(alice)


@pytest.fixture
def held(project: Project, program: Program) -> str:
    """The address of the prompt that alice holds."""
    make_prompt(project, slots=1)
    return f"/api/v1/assignments/{program.claim()['token']}/"


def ranking(**more: Any) -> dict[str, Any]:
    return {"submission_uuid": str(uuid4()), "ranks": ORDER, **more}


def answer_of(response: Any) -> Any:
    assert response["Content-Type"] == "application/json"
    return json.loads(response.content)


# --- Who gets in ------------------------------------------------------------------


@pytest.mark.parametrize(
    "header",
    ["", "Token", "Token nonsense", "Token \xff\xfe", "Basic YTpi", "Token a b"],
)
def test_who_is_not_signed_in_gets_401_in_json(held: str, header: str) -> None:
    headers = {"Authorization": header} if header else {}
    response = Client(headers=headers).post(f"{held}heartbeat")
    assert response.status_code == 401
    assert answer_of(response)["detail"]


def test_a_browser_needs_the_token_of_its_session_for_every_change(
    held: str, alice: Membership
) -> None:
    careful = Client(enforce_csrf_checks=True)
    assert alice.user is not None
    careful.force_login(
        alice.user, "allauth.account.auth_backends.AuthenticationBackend"
    )
    for path in ("heartbeat", "release", "skip", "submit"):
        assert careful.post(held + path).status_code == 403
    assert careful.put(held + "draft").status_code == 403
    assert not Ranking.objects.exists()


def test_somebody_elses_prompt_does_not_exist(held: str, bob: Membership) -> None:
    his = Program(bob)
    for verb, path in [
        ("PUT", "draft"),
        ("POST", "heartbeat"),
        ("POST", "release"),
        ("POST", "skip"),
        ("POST", "submit"),
        ("GET", "compare?a=A&b=B"),
    ]:
        response = his.send(verb, held + path, ranking(rev=0, reason="all_bad"))
        assert (path, response.status_code) == (path, 404)
    assert not Ranking.objects.exists()


# --- Claiming ---------------------------------------------------------------------


def test_a_claim_gives_all_that_a_page_needs(
    project: Project, alice: Membership, program: Program
) -> None:
    prompt = make_prompt(project, slots=1)
    given = program.claim()
    assignment = Assignment.objects.get(labeler=alice)
    assert given["token"] == assignment.token
    assert given["prompt"] == [
        {"role": "user", "content": "Question p1?", "html": "<p>Question p1?</p>\n"}
    ]
    shown = as_shown(assignment, prompt.responses.all())
    assert given["responses"] == [
        {"position": letter, "text": one.text, "html": f"<p>{one.text}</p>\n"}
        for letter, one in shown.items()
    ]
    assert given["instructions_version"] == 1
    assert given["draft"] is None
    assert given["lease_until"]
    again = program.claim()
    assert again["token"] == given["token"]
    assert again["submission_uuid"] != given["submission_uuid"]


def test_one_prompt_is_loaded_ahead(project: Project, program: Program) -> None:
    make_prompt(project, "p1")
    make_prompt(project, "p2")
    first = program.claim()
    ahead = answer_of(program.send("POST", f"{PROJECT}claim", {"prefetch": True}))
    assert ahead["assignment"]["token"] != first["token"]
    assert Assignment.objects.filter(state="prefetched").count() == 1
    assert program.claim()["token"] == first["token"]


def test_without_work_there_is_no_assignment(
    project: Project, program: Program
) -> None:
    assert answer_of(program.send("POST", f"{PROJECT}claim")) == {"assignment": None}


def test_who_is_served_nothing_is_told_why(project: Project, program: Program) -> None:
    Project.objects.update(archive=True)
    given = answer_of(program.send("POST", f"{PROJECT}claim"))
    assert given["assignment"] is None
    assert "archive" in given["reason"]


def test_no_answer_holds_a_model_an_id_or_a_parameter(
    project: Project, alice: Membership, program: Program
) -> None:
    with connection.cursor() as cursor:
        for table in ("prompt", "response", "assignment", "instructions"):
            cursor.execute(
                f"ALTER SEQUENCE annotation_{table}_id_seq RESTART 771000100"
            )
        cursor.execute("ALTER SEQUENCE ranking_ranking_id_seq RESTART 771000100")
    make_prompt(project, "sentinel-prompt", slots=1)
    Assignment.objects.update(pool="random")
    claim = program.send("POST", f"{PROJECT}claim")
    token = answer_of(claim)["assignment"]["token"]
    held = f"/api/v1/assignments/{token}/"
    answers = [
        program.send("PUT", f"{held}draft", {"rev": 0, "ranks": ORDER}),
        program.send("PUT", f"{held}draft", {"rev": 0, "ranks": ORDER}),
        program.send("POST", f"{held}heartbeat"),
        program.send("GET", f"{held}compare?a=A&b=B"),
        program.send("POST", f"{held}submit", ranking(ranks={"A": 1})),
        program.send("POST", f"{held}submit", ranking()),
        program.send("POST", f"{held}submit", ranking(ranks=ORDER | {"A": 9})),
        program.send("GET", f"{PROJECT}history"),
    ]
    assert [one.status_code for one in answers] == [
        *(200, 409, 200, 200, 422, 201, 409, 200)
    ]
    for one in [claim, *answers]:
        whole = one.content.decode() + str(one.headers)
        assert "secret-model" not in whole
        assert "temperature" not in whole
        assert "7710" not in whole


# --- Drafts -----------------------------------------------------------------------


def test_a_draft_is_kept_and_given_with_the_prompt(program: Program, held: str) -> None:
    said = {"ranks": {"A": 1}, "ratings": {"B": 7}, "flags": {"C": ["x"]}, "note": "?"}
    saved = answer_of(program.send("PUT", f"{held}draft", {"rev": 0, **said}))
    assert saved["rev"] == 1
    draft = program.claim()["draft"]
    assert draft.pop("saved_at")
    assert draft == {"rev": 1, **said}
    refused = program.send("PUT", f"{held}draft", {"rev": 0, "ranks": {}})
    assert (refused.status_code, answer_of(refused)) == (409, {"rev": 1, "draft": said})


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "ranks: This field is required."),
        ({"ranks": {}}, "rev: This field is required."),
        ({"rev": -1, "ranks": {}}, "rev: Ensure this value is greater"),
        ({"rev": 2**40, "ranks": {}}, "rev: Ensure this value is less"),
        ({"rev": 0, "ranks": []}, "ranks: Expected a dictionary"),
        ({"rev": 0, "ranks": {"A": "best"}}, "ranks.A: A valid integer"),
        ({"rev": 0, "ranks": {"A": 10}}, "ranks.A: Ensure this value is less"),
        ({"rev": 0, "ranks": {"A": True}}, "ranks.A: A valid integer"),
        ({"rev": 0, "ranks": {"A" * 41: 1}}, "ranks: These are not the letters"),
        ({"rev": 0, "ranks": {f"r{n}": 1 for n in range(21)}}, "ranks: These are not"),
        ({"rev": 0, "ranks": {}, "note": "x" * 4001}, "note: Ensure this field has no"),
        ({"rev": 0, "ranks": {}, "ratings": {"A": 8}}, "ratings.A: Ensure this value"),
        ({"rev": 0, "ranks": {}, "flags": {"A": "x"}}, "flags.A: Expected a list"),
        ([], "Not stored: Invalid data."),
    ],
)
def test_a_draft_of_another_shape_is_refused_in_words(
    program: Program, held: str, body: Any, message: str
) -> None:
    sent = json.dumps(body).encode()
    response = program.send("PUT", f"{held}draft", sent)
    assert response.status_code == 422
    assert message in answer_of(response)["message"]
    assert not Draft.objects.exists()


@pytest.mark.parametrize(
    "body", [b"{", b'{"a":1,"a":2}', b'{"note":"\\u0000"}', b"[" * 100, b"\xff", b"NaN"]
)
def test_what_is_no_json_of_ours_is_a_400(
    program: Program, held: str, body: bytes
) -> None:
    response = program.send("POST", f"{held}submit", body)
    assert response.status_code == 400
    assert answer_of(response)["detail"]


# --- Holding, giving back, skipping -----------------------------------------------


def test_a_heartbeat_keeps_the_prompt(program: Program, held: str) -> None:
    beat = answer_of(program.send("POST", f"{held}heartbeat"))
    assert beat.pop("lease_until")
    assert beat == {"held": True, "seconds_left": 30 * 60}


def test_what_was_skipped_is_not_held_and_cannot_be_given_back(
    program: Program, held: str
) -> None:
    skip = {"reason": "cannot_judge", "active_ms": 2500}
    for _ in range(2):
        answer = program.send("POST", f"{held}skip", skip)
        assert (answer.status_code, answer_of(answer)) == (200, {"skipped": True})
    assert Skip.objects.get().active_seconds == 2.5
    lost = {"held": False, "lease_until": None, "seconds_left": 0}
    assert answer_of(program.send("POST", f"{held}heartbeat")) == lost
    assert answer_of(program.send("POST", f"{held}release")) == {"released": False}


def test_another_reason_needs_words(program: Program, held: str) -> None:
    refused = program.send("POST", f"{held}skip", {"reason": "other", "text": " "})
    assert refused.status_code == 422
    assert "say in a few words why" in answer_of(refused)["message"]
    unknown = program.send("POST", f"{held}skip", {"reason": "tired"})
    assert unknown.status_code == 422
    assert not Skip.objects.exists()


def test_what_was_ranked_is_not_skipped(program: Program, held: str) -> None:
    program.send("POST", f"{held}submit", ranking())
    refused = program.send("POST", f"{held}skip", {"reason": "all_bad"})
    assert refused.status_code == 409
    assert "the ranking is kept" in answer_of(refused)["message"]


def test_a_prompt_is_given_back(program: Program, held: str) -> None:
    assert answer_of(program.send("POST", f"{held}release")) == {"released": True}
    assert program.send("POST", f"{held}heartbeat").status_code == 404


# --- Submitting -------------------------------------------------------------------


def test_a_ranking_is_stored_once_and_named(program: Program, held: str) -> None:
    body = ranking(telemetry={"active_ms": 1500, "n_compare": 2}, render_mode="rich")
    first = program.send("POST", f"{held}submit", body)
    again = program.send("POST", f"{held}submit", body)
    assert (first.status_code, again.status_code) == (201, 200)
    said = {
        "ranking": body["submission_uuid"],
        "status": "counted",
        "replayed": False,
        "feedback": None,
    }
    assert answer_of(first) == said
    assert answer_of(again) == said | {"replayed": True}
    stored = Ranking.objects.get()
    assert (stored.active_seconds, stored.render_mode) == (1.5, "rich")
    assert stored.telemetry == {"active_ms": 1500, "n_compare": 2}


@pytest.mark.parametrize("telemetry", ["x", [1], None, 7, {"active_ms": "x"}])
def test_telemetry_of_any_shape_never_refuses_a_ranking(
    program: Program, held: str, telemetry: Any
) -> None:
    response = program.send("POST", f"{held}submit", ranking(telemetry=telemetry))
    assert response.status_code == 201
    assert Ranking.objects.get().telemetry == {}


def test_an_incomplete_ranking_names_the_letters(program: Program, held: str) -> None:
    body = ranking(ranks={"A": 1, "C": 2, "Z": 3})
    refused = program.send("POST", f"{held}submit", body)
    assert refused.status_code == 422
    assert answer_of(refused) == {
        "message": "Not submitted: B and D are unranked. This page has no response Z.",
        "missing": ["B", "D"],
        "unknown": ["Z"],
    }


def test_missing_ratings_are_named_by_letter(program: Program, held: str) -> None:
    Project.objects.update(rate_first=True)
    refused = program.send("POST", f"{held}submit", ranking(ratings={"A": 7, "B": 1}))
    assert refused.status_code == 422
    assert answer_of(refused)["missing"] == ["C", "D"]


def test_a_second_tab_sees_what_is_stored_and_may_replace_it(
    program: Program, held: str
) -> None:
    """F21: the answer holds the order that stands, and the key to replace it."""
    program.send("POST", f"{held}submit", ranking())
    other = ranking(ranks=ORDER | {"D": 1})
    refused = program.send("POST", f"{held}submit", other)
    answer = answer_of(refused)
    assert refused.status_code == 409
    assert (answer["stored"], answer["may_replace"]) == (ORDER, True)
    assert answer["submission_uuid"] != other["submission_uuid"]
    other |= {"submission_uuid": answer["submission_uuid"], "replace": True}
    assert program.send("POST", f"{held}submit", other).status_code == 201
    assert Ranking.objects.current().get().revises is not None
    assert RefusedSubmission.objects.count() == 1


def test_an_answer_after_somebody_elses_is_surplus(
    program: Program, held: str, bob: Membership
) -> None:
    Assignment.objects.update(lease_until="2020-01-01T00:00:00Z")
    his = Program(bob)
    address = f"/api/v1/assignments/{his.claim()['token']}/submit"
    assert answer_of(his.send("POST", address, ranking()))["status"] == "counted"
    late = program.send("POST", f"{held}submit", ranking())
    assert (late.status_code, answer_of(late)["status"]) == (201, "surplus")


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(st.integers(1, 9), min_size=9, max_size=9), st.booleans())
def test_any_weak_order_is_stored_as_that_order(
    project: Project,
    alice: Membership,
    signed_in: SignedIn,
    tiers: list[int],
    by_form: bool,  # noqa: FBT001  hypothesis gives it by position
) -> None:
    """By the API and by the form alike."""
    prompt = make_prompt(project, str(uuid4()), k=9, slots=1)
    assignment = queue.claim(alice)
    assert assignment is not None
    ranks = dict(zip("ABCDEFGHI", tiers, strict=True))
    if by_form:
        fields = {f"tier_{letter}": str(rank) for letter, rank in ranks.items()}
        fields["submission_uuid"] = str(uuid4())
        address = f"/p/tides/rank/{assignment.token}/"
        assert signed_in(alice).post(address, fields).status_code == 302
    else:
        address = f"/api/v1/assignments/{assignment.token}/submit"
        body = ranking(ranks=ranks)
        assert Program(alice).send("POST", address, body).status_code == 201
    shown = as_shown(assignment, prompt.responses.all())
    stored = Ranking.objects.get(assignment=assignment)
    placed = dict(stored.placements.values_list("response_id", "rank"))
    dense = {tier: place for place, tier in enumerate(sorted(set(tiers)), 1)}
    for letter, tier in ranks.items():
        assert placed[shown[letter].pk] == dense[tier]


# --- Comparing, looking back ------------------------------------------------------


def test_two_responses_are_compared_word_by_word(program: Program, held: str) -> None:
    """Answer n to p1.: 3 of 4 words match."""
    diff = answer_of(program.send("GET", f"{held}compare?a=A&b=B"))
    assert diff["ratio"] == 0.75
    assert diff["a"].startswith("Answer <del>")
    assert "<ins>" in diff["b"]


@pytest.mark.parametrize("query", ["", "?a=A", "?a=A&b=Z", "?a=A&b=%00"])
def test_only_letters_of_the_page_are_compared(
    program: Program, held: str, query: str
) -> None:
    refused = program.send("GET", f"{held}compare{query}")
    assert refused.status_code == 422
    assert answer_of(refused)["unknown"]


def test_the_latest_rankings_are_listed_without_texts(
    program: Program, held: str
) -> None:
    program.send("POST", f"{held}submit", ranking())
    [one] = answer_of(program.send("GET", f"{PROJECT}history"))
    assert one.pop("submitted_at")
    assert one.pop("editable_until")
    assert one == {"token": held.split("/")[-2], "status": "counted"}
