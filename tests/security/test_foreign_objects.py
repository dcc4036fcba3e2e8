"""S8: an object of another project or person, named by its key or token, is not there.

The table of tests/test_access_matrix.py says who enters which project. Here people who
may use an address in their own project put into it what belongs to another one.
"""

import json
from collections.abc import Iterator

import pytest
from django.http import HttpResponseBase
from django.test import Client
from django.urls import reverse
from knox.models import AuthToken

from annotation.models import Membership, ProblemReport, Role
from annotation.queue import claim
from ranking.datasets import freeze
from ranking.models import Dataset, Draft
from rm_training.models import TrainingRun
from tests.conftest import browser_of, make_member, make_prompt
from tests.ranking.rows import store_ranking
from tests.security.test_pages import rows_written
from tests.test_access_matrix import (
    IN,
    ROWS,
    Cast,
    a_comparison_figure,
    a_dashboard_figure,
    a_picture,
    an_unknown_link,
    an_unknown_reset,
    cast,
    finish,
    nothing,
    the_labelers_token,
    the_project,
)

__all__ = ["cast"]
pytestmark = pytest.mark.django_db

NO_OBJECTS = (
    *(nothing, the_project, an_unknown_link, an_unknown_reset),
    *(
        a_picture,
        a_dashboard_figure,
        a_comparison_figure,
    ),  # one of the same names in every project
)
# Addresses that name something in a project, besides the project.
NAMING = sorted(name for name, row in ROWS.items() if row.points_at not in NO_OBJECTS)
# What stands in the objects of the first project, and in no page of the other one.
TELLING = (b"Tides", b"Question", b"Answer ", b"alice", b"cut off", b"ds-")
JSON = "application/json"
RANKS = {"A": 1, "B": 1, "C": 1, "D": 1}
# Good bodies: a refusal must not hang on a bad one.
BODY = {"rev": 0, "ranks": RANKS, "reason": "bad_prompt", "decision": "passed"} | {
    "submission_uuid": "5a9f9c1e-6f0b-4a57-9a43-0c6a0c1e4d11"
}


@pytest.fixture
def elsewhere(cast: Cast) -> dict[Role, Membership]:
    """A member of each role in the project that is not `cast.project`."""
    project = cast.stranger.project
    return {
        Role.LABELER: make_member(project, "labeler-elsewhere", Role.LABELER),
        Role.RESEARCHER: make_member(project, "researcher-elsewhere", Role.RESEARCHER),
        Role.ADMIN: cast.stranger,
    }


def test_there_are_addresses_that_name_an_object() -> None:
    assert {"prompt", "labeler", "dataset_file", "run", "rank_prompt"} <= set(NAMING)


@pytest.mark.parametrize("name", NAMING)
def test_an_object_of_another_project_is_not_in_ones_own(
    cast: Cast, elsewhere: dict[Role, Membership], name: str
) -> None:
    """404 for whoever may use the address in their own project; 403 at most for the
    others. Nothing of the object is said, nothing is written."""
    place = dict(ROWS[name].points_at(cast))
    if "slug" in place:
        place["slug"] = "elsewhere"
    address = reverse(name, kwargs=place)
    browsers = {role: browser_of(member.user) for role, member in elsewhere.items()}
    before = rows_written()
    for verb, answers in ROWS[name].answers.items():
        for role, browser in browsers.items():
            expected = {404} if answers[str(role)] is IN else {403, 404}
            for response in sent(browser, verb, address):
                assert response.status_code in expected
                assert [one for one in TELLING if one in response.getvalue()] == []
                finish(response)
    assert rows_written() == before


def sent(browser: Client, verb: str, address: str) -> Iterator[HttpResponseBase]:
    """The answers to the good bodies, as JSON and as a form."""
    yield browser.generic(verb, address, json.dumps(BODY), content_type=JSON)
    if verb == "POST":
        yield browser.post(address, BODY)


@pytest.mark.parametrize(
    "name", [name for name in NAMING if ROWS[name].points_at is the_labelers_token]
)
def test_neither_does_an_api_token_open_what_is_anothers(cast: Cast, name: str) -> None:
    """bob's token, alice's assignment; her own token is let in, as a control."""
    address = reverse(name, kwargs=dict(ROWS[name].points_at(cast)))
    [verb] = ROWS[name].answers
    _, token = AuthToken.objects.create(user=cast.other.user)
    before = rows_written()
    for _ in range(2):
        refused = Client(headers={"Authorization": f"Token {token}"}).generic(
            verb, address, json.dumps(BODY), content_type=JSON
        )
        assert refused.status_code == 404
        assert not any(one in refused.content for one in TELLING)
    assert rows_written() == before
    _, token = AuthToken.objects.create(user=cast.labeler.user)
    hers = Client(headers={"Authorization": f"Token {token}"}).generic(
        verb, address, json.dumps(BODY), content_type=JSON
    )
    assert hers.status_code in IN


# --- Objects that a query or a body names -----------------------------------------


def test_nobody_reports_about_anothers_prompt(cast: Cast) -> None:
    make_prompt(cast.project)
    held = claim(cast.labeler)
    assert held is not None
    address = reverse("report_problem", args=[cast.project.slug])
    address += f"?about={held.token}"
    browser = browser_of(cast.other.user)
    assert browser.get(address).status_code == 404
    assert browser.post(address, {"text": "Look at this."}).status_code == 404
    assert not ProblemReport.objects.exists()


def test_nobody_revokes_anothers_token(cast: Cast) -> None:
    hers, _ = AuthToken.objects.create(user=cast.labeler.user)
    address = reverse("revoke_token")
    browser_of(cast.other.user).post(address, {"key": hers.token_key})
    assert AuthToken.objects.filter(pk=hers.pk).exists()
    browser_of(cast.labeler.user).post(address, {"key": hers.token_key})
    assert not AuthToken.objects.filter(pk=hers.pk).exists()


def test_nobody_trains_on_anothers_dataset(cast: Cast) -> None:
    """By key or by name; the page of the refusal does not hold it either."""
    ranks = {f"r{n}": n for n in range(1, 5)}
    store_ranking(make_prompt(cast.project), cast.labeler, ranks)
    foreign = freeze(cast.project)
    browser = browser_of(cast.stranger.user)
    for named in (foreign.pk, foreign.name):
        refused = browser.post(
            reverse("retrain", args=["elsewhere"]), {"dataset": named}
        )
        assert refused.status_code == 422
        assert "available choices" in str(refused.context["form"].errors["dataset"])
        assert b"Tides" not in refused.content
    assert not TrainingRun.objects.exists()


def test_no_filter_chooses_the_labelers_of_another_project(cast: Cast) -> None:
    """By name and by pseudonym; the labeler's own project is the control."""
    ranks = {f"r{n}": n for n in range(1, 5)}
    store_ranking(make_prompt(cast.project), cast.labeler, ranks)
    theirs = make_member(cast.stranger.project, "carol", Role.LABELER)
    names = [theirs.name, cast.stranger.project.pseudonym(theirs.pk), str(theirs.pk)]
    freezing = reverse("freeze_dataset", args=[cast.project.slug])
    browser = browser_of(cast.admin.user)
    for name in names:
        assert browser.post(freezing, {"labeler": name}).status_code == 422
        looked = browser.get(
            reverse("agreement", args=[cast.project.slug]), {"labeler": name}
        )
        assert looked.status_code == 400
    assert not Dataset.objects.exists()
    assert browser.post(freezing, {"labeler": "alice"}).status_code == 302


# --- People whose rights have changed ---------------------------------------------


@pytest.mark.parametrize("what", ["closed", "removed", "researcher"])
def test_who_labels_no_more_keeps_no_prompt_open(cast: Cast, what: str) -> None:
    """With the session that they have: each request asks for their role anew."""
    make_prompt(cast.project)
    held = claim(cast.labeler)
    assert held is not None
    user, browser = cast.labeler.user, browser_of(cast.labeler.user)
    _, token = AuthToken.objects.create(user=user)
    program = Client(headers={"Authorization": f"Token {token}"})
    draft = reverse("api_draft", args=[held.token])
    if what == "closed":
        assert user is not None
        user.is_active = False
        user.save()
    elif what == "removed":
        Membership.objects.filter(pk=cast.labeler.pk).update(user=None)
    else:
        Membership.objects.filter(pk=cast.labeler.pk).update(role=Role.RESEARCHER)
    refused = {"closed": {302, 401}, "removed": {404}, "researcher": {403}}[what]
    page = reverse("rank_prompt", args=[cast.project.slug, held.token])
    body = json.dumps(BODY)
    for answer in (
        browser.get(page),
        browser.post(page, {"submission_uuid": BODY["submission_uuid"]}),
        browser.put(draft, body, content_type=JSON),
        program.put(draft, body, content_type=JSON),
    ):
        assert answer.status_code in refused
        assert b"Question" not in answer.content
    assert not Draft.objects.exists()
