"""The labeler's pages: who gets in, what they show, and what they never show."""

import json
import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse

from annotation import queue
from annotation.models import (
    Assignment,
    AssignmentState,
    Instructions,
    Membership,
    Project,
    Prompt,
    Role,
)
from annotation.shown import as_shown
from ranking import submit as submitting
from ranking.drafts import save_draft
from ranking.models import Ranking, RefusedSubmission
from ranking.submit import BusyError
from tests.conftest import make_member, make_prompt

pytestmark = pytest.mark.django_db

SignedIn = Callable[[Membership], Client]
START = "/p/tides/rank/"
CLAIM = "/p/tides/rank/claim/"
ORDER = {"tier_A": "2", "tier_B": "1", "tier_C": "2", "tier_D": "3"}


@pytest.fixture
def her(alice: Membership, signed_in: SignedIn) -> Client:
    return signed_in(alice)


@pytest.fixture
def page(project: Project, her: Client) -> str:
    """The address of the prompt that alice holds."""
    make_prompt(project)
    return str(her.post(CLAIM)["Location"])


def form(**fields: str) -> dict[str, str]:
    return {**ORDER, "submission_uuid": str(uuid4()), **fields}


def text(response: Any) -> str:
    """What a page says, without its markup."""
    words = re.sub(r"<[^>]+>", " ", response.content.decode())
    return re.sub(r"\s+", " ", words)


def addresses() -> list[tuple[str, str]]:
    token = token_in_use()
    return [
        ("get", START),
        ("post", CLAIM),
        ("get", f"{START}{token}/"),
        ("post", f"{START}{token}/"),
        ("post", f"{START}{token}/renew/"),
        ("post", f"{START}{token}/release/"),
    ]


def token_in_use() -> str:
    return Assignment.objects.get(state=AssignmentState.CLAIMED).token


def asked_with(project: Project, **fields: Any) -> None:
    """A prompt with fields of the test's own, and four responses full of secrets."""
    fields = {"external_id": "p1", "line_sha256": "0" * 64, **fields}
    prompt = Prompt.objects.create(project=project, **fields)
    for number in range(4):
        prompt.responses.create(
            external_id=f"sentinel-response-{number}",
            text=f"Answer {number}.",
            model=f"sentinel-model-{number}",
            params={"sentinel-temperature": 0.1234567},
        )
    queue.open_slots([prompt])


# --- Who gets in ------------------------------------------------------------------


def test_a_stranger_cannot_see_that_the_project_exists(
    page: str, stranger: Membership, signed_in: SignedIn
) -> None:
    for method, path in addresses():
        assert getattr(signed_in(stranger), method)(path).status_code == 404


@pytest.mark.parametrize("role", [Role.RESEARCHER, Role.ADMIN])
def test_who_sees_model_names_does_not_rank(
    page: str, project: Project, signed_in: SignedIn, role: Role
) -> None:
    dora = signed_in(make_member(project, "dora", role))
    for method, path in addresses():
        assert getattr(dora, method)(path).status_code == 403


def test_who_is_signed_out_is_sent_to_sign_in(page: str, client: Client) -> None:
    for method, path in addresses():
        response = getattr(client, method)(path)
        assert response.status_code == 302
        assert response["Location"].startswith(reverse("account_login"))


def test_somebody_elses_prompt_does_not_exist(
    page: str, bob: Membership, signed_in: SignedIn
) -> None:
    his = signed_in(bob)
    assert his.get(page).status_code == 404
    assert his.post(page, form()).status_code == 404
    assert his.post(page, {"tier_A": "1"}).status_code == 404
    assert his.post(page + "renew/").status_code == 404
    assert his.post(page + "release/").status_code == 404
    assert Assignment.objects.filter(state=AssignmentState.CLAIMED).count() == 1


def test_a_post_without_the_token_of_the_form_is_refused(
    page: str, alice: Membership
) -> None:
    careful = Client(enforce_csrf_checks=True)
    assert alice.user is not None
    careful.force_login(
        alice.user, "allauth.account.auth_backends.AuthenticationBackend"
    )
    for path in (CLAIM, page, page + "renew/", page + "release/"):
        assert careful.post(path, form()).status_code == 403
    assert not Ranking.objects.exists()


# --- Start, and the end -----------------------------------------------------------


def test_looking_at_the_start_page_claims_nothing(
    project: Project, her: Client
) -> None:
    make_prompt(project)
    assert "Start ranking" in text(her.get(START))
    assert not Assignment.objects.exclude(state=AssignmentState.OPEN).exists()


@pytest.mark.parametrize("path", [CLAIM, "renew/", "release/"])
def test_what_changes_something_is_not_done_by_looking(
    page: str, her: Client, path: str
) -> None:
    assert her.get(path if path == CLAIM else page + path).status_code == 405


def test_who_holds_a_prompt_is_taken_back_to_it(page: str, her: Client) -> None:
    assert her.get(START)["Location"] == page
    assert her.post(CLAIM)["Location"] == page


def test_after_the_lease_the_start_page_asks_again(page: str, her: Client) -> None:
    Assignment.objects.filter(state=AssignmentState.CLAIMED).update(lease_until=Now())
    assert "Start ranking" in text(her.get(START))
    assert her.post(CLAIM)["Location"] == page


def test_an_empty_queue_is_said_kindly(project: Project, her: Client) -> None:
    assert her.post(CLAIM)["Location"] == START
    assert "Nothing left to rank" in text(her.get(START))


def test_an_archive_serves_nothing(project: Project, her: Client) -> None:
    make_prompt(project)
    Project.objects.update(archive=True)
    assert "is an archive" in text(her.post(CLAIM, follow=True))


# --- The page ---------------------------------------------------------------------


def test_the_page_shows_the_prompt_the_instructions_and_every_response(
    page: str, her: Client
) -> None:
    said = text(her.get(page))
    assert "Rank 4 responses" in said
    assert "User Question p1?" in said
    assert "Be fair." in said
    assert "version 1" in said
    for number in range(1, 5):
        assert f"Answer {number} to p1." in said


def test_responses_stand_in_the_stored_order(page: str, her: Client) -> None:
    Assignment.objects.filter(state=AssignmentState.CLAIMED).update(
        display_order=[3, 0, 2, 1]
    )
    raw = r'<div class="raw" dir="auto">Answer (\d) to'
    shown = re.findall(raw, her.get(page).content.decode())
    assert shown == ["4", "1", "3", "2"]


def test_nothing_is_ranked_beforehand(page: str, her: Client) -> None:
    assert "selected" not in her.get(page).content.decode()


def test_turns_are_marked_and_texts_are_rendered_without_danger(
    project: Project, her: Client
) -> None:
    asked_with(
        project,
        messages=[
            {"role": "system", "content": "Be **brief**."},
            {"role": "user", "content": "<script>alert(1)</script>"},
        ],
    )
    html = her.post(CLAIM, follow=True).content.decode()
    assert '<div class="turn system">' in html
    assert "<strong>brief</strong>" in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "<script>alert" not in html


@pytest.mark.parametrize("nothing", ["", " \n ", "\u200b", "\ufeff\u2060\x1f"])
def test_an_empty_response_says_that_it_is_empty(
    project: Project, her: Client, nothing: str
) -> None:
    prompt = make_prompt(project, k=3)
    prompt.responses.create(external_id="empty", text=nothing)
    assert "This response is empty." in text(her.post(CLAIM, follow=True))


@pytest.mark.parametrize("source", ["[1]: http://e.org", "![alt](http://e.org/x)"])
def test_a_response_that_markdown_would_hide_is_shown_as_it_was_written(
    project: Project, her: Client, source: str
) -> None:
    prompt = make_prompt(project, k=3)
    prompt.responses.create(external_id="hidden", text=source)
    said = text(her.post(CLAIM, follow=True))
    assert source in said
    assert "This response is empty." not in said


def test_a_prompt_that_went_to_somebody_else_says_so(
    project: Project, her: Client, bob: Membership
) -> None:
    make_prompt(project, slots=1)
    page = str(her.post(CLAIM)["Location"])
    Assignment.objects.update(lease_until=Now() - timedelta(hours=1))
    queue.claim(bob)
    assert "your ranking is kept" in text(her.get(page))


def test_the_page_holds_no_model_id_or_parameter(
    project: Project, her: Client, alice: Membership
) -> None:
    """Primary keys are made unmistakable, and everything is looked for everywhere."""
    with connection.cursor() as cursor:
        for table in ("annotation_prompt", "annotation_response"):
            cursor.execute(f"ALTER SEQUENCE {table}_id_seq RESTART 771000100")
        for table in ("annotation_assignment", "annotation_instructions"):
            cursor.execute(f"ALTER SEQUENCE {table}_id_seq RESTART 771000500")
    Instructions.objects.create(project=project, version=2, text="Be fairer.")
    asked_with(
        project,
        external_id="sentinel-prompt",
        messages=[{"role": "user", "content": "Why?"}],
        tags=["sentinel-tag"],
        metadata={"sentinel-metadata": 1},
    )
    page = str(her.post(CLAIM)["Location"])
    shown = her.get(page)
    refused = her.post(page, {"tier_A": "1"})
    done = her.post(page, form())
    again = her.get(page)
    conflict = her.post(page, form(tier_A="9"))
    assert (done.status_code, conflict.status_code) == (302, 409)
    for response in (shown, refused, done, again, conflict):
        whole = response.content.decode() + str(response.headers) + page
        assert "sentinel" not in whole
        assert "7710" not in whole
        assert "0.1234567" not in whole


# --- Submitting -------------------------------------------------------------------


def test_a_submission_leads_to_the_next_prompt(
    page: str, project: Project, her: Client
) -> None:
    make_prompt(project, "p2")
    response = her.post(page, form(), follow=True)
    assert response.redirect_chain[0][0] != page
    assert "Ranking submitted." in text(response)
    assert "Question p2?" in text(response)
    assert sorted(Ranking.objects.get().placements.values_list("rank", flat=True)) == [
        1,
        2,
        2,
        3,
    ]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"tier_D": ""}, "Not submitted: D is unranked."),
        ({"tier_B": "", "tier_D": ""}, "Not submitted: B and D are unranked."),
        ({"tier_Z": "1"}, "This page has no response Z."),
        (
            {"tier_D": "", "tier_r4": "1"},
            "D is unranked. This page has no response r4.",
        ),
        (
            {"tier_A": "0"},
            "The tier of response A is &#x27;0&#x27;; it must be 1 to 9.",
        ),
        ({"tier_A": "best"}, "The tier of response A is &#x27;best&#x27;"),
        ({"tier_A": "\u0662"}, "it must be 1 to 9."),
        ({"tier_A": "9" * 5000}, "it must be 1 to 9."),
        ({"submission_uuid": "x"}, "The page sent a broken submission key."),
    ],
)
def test_a_ranking_that_cannot_be_stored_comes_back_as_it_was_sent(
    page: str, her: Client, fields: dict[str, str], message: str
) -> None:
    response = her.post(page, form(**fields, telemetry='{"active_ms": 7}'))
    assert response.status_code == 422
    assert message in text(response)
    html = response.content.decode()
    for name, tier in (ORDER | fields).items():
        if name[5:] in "BC" and tier:
            select = html[html.index(f'name="{name}"') :]
            assert f'<option value="{tier}" selected>' in select[:600]
    assert "{&quot;active_ms&quot;: 7}" in html
    assert not Ranking.objects.exists()
    assert Assignment.objects.filter(state=AssignmentState.CLAIMED).exists()


def test_the_refusal_leads_to_the_responses_it_is_about(page: str, her: Client) -> None:
    html = her.post(page, form(tier_B="", tier_D="")).content.decode()
    assert re.findall(r'<a href="#t(\w)">', html) == ["B", "D"]
    assert re.findall(r'id="t(\w)"[^>]*aria-invalid', html) == ["B", "D"]


def test_another_order_is_not_stored_until_it_is_meant_to_replace(
    page: str, her: Client
) -> None:
    her.post(page, form())
    conflict = her.post(page, form(tier_A="9"))
    assert conflict.status_code == 409
    assert "already submitted another ranking of this prompt" in text(conflict)
    assert '<option value="9" selected>' not in conflict.content.decode()
    assert Ranking.objects.count() == 1
    html = conflict.content.decode()
    key = re.findall(r'name="submission_uuid" value="([^"]+)"', html)[0]
    assert 'name="replace" value="on"' in html
    orders = html[html.index('class="both"') :].partition("</dl>")[0]
    both = list(map(unescape, re.findall("<dd>([^<]+)</dd>", orders)))
    assert both == ["B > A = C > D", "B > C > D > A"]
    assert 'form="ranking">Replace it with this one<' in html
    assert "Keep what is stored" in html
    assert f'action="{CLAIM}"' in html  # to keep what is stored and go on
    her.post(page, form(tier_A="4", submission_uuid=key, replace="on"))
    assert Ranking.objects.count() == 2
    assert Ranking.objects.current().get().revises is not None


def test_a_late_ranking_is_kept_and_named(
    project: Project, her: Client, bob: Membership
) -> None:
    make_prompt(project, slots=1)
    page = str(her.post(CLAIM)["Location"])
    Assignment.objects.update(lease_until=Now() - timedelta(hours=1))
    queue.claim(bob)
    assert "marked as late" in text(her.post(page, form(), follow=True))
    assert Ranking.objects.get().status == "late"


def test_nobody_sets_more_of_a_ranking_than_the_form_asks(
    page: str, her: Client, project: Project
) -> None:
    """Fields that name the model's own are not read."""
    her.post(page, form(status="late", active_seconds="1", project="9", labeler="9"))
    ranking = Ranking.objects.get()
    assert (ranking.status, ranking.contradictions) == ("counted", None)
    assert (ranking.active_seconds, ranking.project) == (None, project)


def test_the_key_of_a_refused_submission_is_used_again(page: str, her: Client) -> None:
    """Nothing was stored under it, and a mended form is still the same act."""
    sent = form(tier_A="")
    html = her.post(page, sent).content.decode()
    assert f'name="submission_uuid" value="{sent["submission_uuid"]}"' in html


def test_a_busy_database_keeps_the_work_on_the_page(
    page: str, her: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_: object) -> None:
        raise BusyError("The ranking could not be stored just now.")

    monkeypatch.setattr(submitting, "_store", busy)
    response = her.post(page, form())
    assert response.status_code == 503
    assert response["Retry-After"] == "3"
    assert "could not be stored just now. Submit again in a moment." in text(response)
    assert response.content.decode().count(" selected>") == 4


def test_time_at_work_comes_from_the_page_and_nonsense_does_no_harm(
    page: str, her: Client
) -> None:
    telemetry = json.dumps({"active_ms": 42_500, "n_key": 4, "model": "x", "a": [1]})
    her.post(page, form(telemetry=telemetry))
    ranking = Ranking.objects.get()
    assert ranking.active_seconds == 42.5
    assert ranking.telemetry == {"active_ms": 42500, "n_key": 4}


@pytest.mark.parametrize("telemetry", ["\x00", "[" * 4000, "x" * 9000, '{"a":"\x00"}'])
def test_broken_telemetry_does_not_cost_the_ranking(
    page: str, her: Client, telemetry: str
) -> None:
    assert her.post(page, form(telemetry=telemetry)).status_code == 302
    assert Ranking.objects.get().telemetry == {}


# --- Ratings, flags, a note -------------------------------------------------------


def test_the_form_carries_ratings_flags_and_a_note(page: str, her: Client) -> None:
    Project.objects.update(flags=["harmful", "off topic"])
    said: dict[str, Any] = form(note=" Hm.\r\nSo. ", rating_A="7", rating_B="2")
    said |= {"flag_C": ["harmful", "off topic"], "render_mode": "raw"}
    her.post(page, said)
    ranking = Ranking.objects.get()
    assert (ranking.note, ranking.render_mode) == ("Hm.\nSo.", "raw")
    assert ranking.contradictions == 1  # A is rated above B and ranked below
    shown = as_shown(ranking.assignment, ranking.assignment.prompt.responses.all())
    placed = {one.response_id: one for one in ranking.placements.all()}
    assert [placed[shown[letter].pk].rating for letter in "ABCD"] == [7, 2, None, None]
    assert placed[shown["C"].pk].flags == ["harmful", "off topic"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rating_A": "8"}, "The rating of response A is &#x27;8&#x27;; it must be"),
        ({"rating_A": "good"}, "The rating of response A is &#x27;good&#x27;"),
        ({"rating_Z": "3"}, "Not submitted: This page has no response Z."),
        ({"flag_A": "rude"}, "Response A has the flag &#x27;rude&#x27;"),
        ({"note": "x" * 4001}, "The note has 4001 characters; the most is 4000."),
        ({"note": "\x00"}, "Null characters are not allowed."),
    ],
)
def test_what_cannot_be_said_of_a_response_is_refused_with_the_work_kept(
    page: str, her: Client, fields: dict[str, str], message: str
) -> None:
    response = her.post(page, form(**fields))
    assert response.status_code == 422
    assert message in text(response)
    assert response.content.decode().count(" selected>") == 4
    assert not Ranking.objects.exists()


def test_where_rating_comes_first_every_response_needs_one(
    page: str, her: Client
) -> None:
    Project.objects.update(rate_first=True)
    refused = her.post(page, form(rating_A="1", rating_B="7"))
    assert refused.status_code == 422
    assert "Not submitted: C and D are not rated." in text(refused)
    ratings = {f"rating_{letter}": "4" for letter in "ABCD"}
    assert her.post(page, form(**ratings)).status_code == 302
    assert Ranking.objects.get().contradictions == 0


# --- Drafts, and correcting what was submitted ------------------------------------


def select_of(html: str, letter: str) -> str:
    """The options of a letter's select."""
    start = html.index(f'name="tier_{letter}"')
    return html[start : html.index("</select>", start)]


def data_of(html: str, name: str) -> str:
    """What the page hands its script."""
    [form_tag] = re.findall(r'<form\s+id="ranking"[^>]*>', html)
    [found] = re.findall(rf'data-{name}="([^"]*)"', form_tag)
    return unescape(found)


def test_the_page_opens_with_the_draft(page: str, her: Client) -> None:
    assignment = Assignment.objects.get(labeler__isnull=False)
    content = {"ranks": {"A": 3}, "ratings": {"A": 5}, "flags": {}, "note": "Hm."}
    save_draft(assignment, rev=0, content=content)
    response = her.get(page)
    html = response.content.decode()
    assert '<option value="3" selected>' in select_of(html, "A")
    assert "selected" not in select_of(html, "B")
    assert 'data-draft="{&quot;rev&quot;: 1' in html
    saved = json.loads(data_of(html, "draft"))
    assert saved.pop("saved_at")
    assert saved == {"rev": 1, **content}
    assert '<details id="note-box" open>' in html
    assert 'dir="auto">Hm.</textarea>' in html
    assert 0 < int(data_of(html, "left")) <= 30 * 60


def test_a_page_without_a_draft_says_so(page: str, her: Client) -> None:
    html = her.get(page).content.decode()
    assert data_of(html, "draft") == "null"
    assert '<details id="note-box">' in html


def test_a_ranking_of_this_hour_opens_filled_in_and_is_revised(
    page: str, her: Client
) -> None:
    her.post(page, form())
    opened = her.get(page)
    html = opened.content.decode()
    assert "You have submitted this ranking. Submit it again to correct it" in html
    assert '<option value="3" selected>' in select_of(html, "D")
    assert 'name="replace" value="on"' in html
    [key] = re.findall(r'name="submission_uuid" value="([^"]+)"', html)
    mended = form(tier_D="1", submission_uuid=key, replace="on")
    assert her.post(page, mended).status_code == 302
    assert Ranking.objects.current().get().revises is not None


def test_who_is_paused_is_not_invited_to_start(
    project: Project, alice: Membership, her: Client
) -> None:
    make_prompt(project)
    assert "Ready when you are" in text(her.get(START))
    Membership.objects.filter(pk=alice.pk).update(paused_at=Now())
    said = text(her.get(START))
    assert "Ready when you are" not in said
    assert "Your work in this project is paused." in said


def test_the_time_for_a_correction_is_in_the_labelers_zone(
    alice: Membership, page: str, her: Client
) -> None:
    assert alice.user is not None
    alice.user.time_zone = "Asia/Manila"
    alice.user.save()
    her.post(page, form())
    said = text(her.get(page))
    assert re.search(r"correct it, until \d\d:\d\d PST;", said)


def test_a_late_ranking_is_corrected_without_talk_of_lost_time(
    project: Project, her: Client, bob: Membership
) -> None:
    make_prompt(project, slots=1)
    page = str(her.post(CLAIM)["Location"])
    Assignment.objects.update(lease_until=Now() - timedelta(hours=1))
    queue.claim(bob)
    her.post(page, form())
    assert "Your time on this prompt ran out" not in text(her.get(page))
    assert Ranking.objects.get().status == "late"


def test_a_ranking_that_cannot_be_changed_any_more_is_shown_and_says_why(
    page: str, her: Client
) -> None:
    her.post(page, form())
    Project.objects.update(editable_minutes=0)
    html = her.get(page).content.decode()
    assert "In this project a submitted ranking is not changed any more." in html
    assert 'id="ranking"' not in html
    assert html.count(" disabled") == 4
    refused = her.post(page, form(tier_D="1", replace="on"))
    assert refused.status_code == 409
    assert "what you sent now is kept beside it" in text(refused)
    assert "Next prompt" in text(refused)
    assert "Replace it" not in text(refused)
    assert Ranking.objects.count() == RefusedSubmission.objects.count() == 1


def test_a_prompt_that_was_skipped_is_not_shown(page: str, her: Client) -> None:
    token = page.split("/")[-2]
    skipper = Assignment.objects.get(token=token).labeler
    assert skipper is not None
    queue.skip(membership=skipper, token=token, reason="all_bad")
    assert "You have skipped that prompt." in text(her.get(page, follow=True))


def test_a_script_gets_the_page_in_answer_to_its_claim(
    project: Project, her: Client
) -> None:
    make_prompt(project)
    answer = her.post(CLAIM, headers={"Prefer": "return=representation"})
    assert answer.status_code == 200
    assert answer["Content-Location"] == f"{START}{token_in_use()}/"
    assert 'id="ranking"' in answer.content.decode()


# --- Keeping and giving back ------------------------------------------------------


def test_the_page_keeps_its_prompt_while_somebody_is_at_work(
    page: str, her: Client
) -> None:
    Assignment.objects.filter(state=AssignmentState.CLAIMED).update(lease_until=Now())
    assert her.post(page + "renew/").json() == {"held": True}
    assert Assignment.objects.filter(lease_until__gt=Now()).exists()


def test_a_lost_prompt_cannot_be_kept(
    project: Project, her: Client, bob: Membership
) -> None:
    make_prompt(project, slots=1)
    page = str(her.post(CLAIM)["Location"])
    Assignment.objects.update(lease_until=Now() - timedelta(hours=1))
    queue.claim(bob)
    assert her.post(page + "renew/").json() == {"held": False}


def test_a_prompt_is_given_back(page: str, her: Client) -> None:
    assert "You gave the prompt back." in text(her.post(page + "release/", follow=True))
    assert not Assignment.objects.filter(state=AssignmentState.CLAIMED).exists()
    assert her.get(page).status_code == 404


def test_a_ranked_prompt_cannot_be_given_back(page: str, her: Client) -> None:
    her.post(page, form())
    response = her.post(page + "release/", follow=True)
    assert "You did not hold that prompt any more." in text(response)
    assert Ranking.objects.current().count() == 1
