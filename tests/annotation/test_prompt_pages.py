"""The admin's list of prompts, and imports through the browser."""

import gzip
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from annotation import prompt_pages
from annotation.models import Assignment, AssignmentState, Membership, Project, Prompt
from ranking.models import Ranking
from tests.conftest import make_prompt

pytestmark = pytest.mark.django_db
SignIn = Callable[[Membership], Client]
LIST, FORM = "/p/tides/prompts/", "/p/tides/prompts/import/"
RANKINGS = "/p/tides/rankings/import/"


def row(prompt_id: str, *, k: int = 4) -> dict[str, Any]:
    responses = [{"id": f"r{n}", "text": f"Answer {n}"} for n in range(k)]
    return {"id": prompt_id, "prompt": "Why?", "responses": responses}


def upload(*rows: dict[str, Any], name: str = "prompts.jsonl") -> SimpleUploadedFile:
    raw = b"".join(json.dumps(line).encode() + b"\n" for line in rows)
    return SimpleUploadedFile(name, raw)


@pytest.fixture
def everybody(
    alice: Membership,
    researcher: Membership,
    admin: Membership,
    stranger: Membership,
    signed_in: SignIn,
) -> dict[str, Client]:
    return {who.name: signed_in(who) for who in (alice, researcher, admin, stranger)}


@pytest.fixture
def visitor(project: Project, admin: Membership, signed_in: SignIn) -> Client:
    """The admin's."""
    return signed_in(admin)


def test_the_list_says_how_far_each_prompt_is(
    project: Project, alice: Membership, admin: Membership, signed_in: SignIn
) -> None:
    make_prompt(project, "open-one")
    done = make_prompt(project, "done-one", slots=1)
    Assignment.objects.filter(prompt=done).update(
        state=AssignmentState.COMPLETED, labeler=alice
    )
    make_prompt(project, "waiting-one", k=0, slots=0)
    failed = make_prompt(project, "failed-one", k=0, slots=0)
    Prompt.objects.filter(pk=failed.pk).update(failure="Fewer than four texts.")
    Assignment.objects.filter(
        prompt__external_id__in=["waiting-one", "failed-one"]
    ).delete()
    response = signed_in(admin).get(LIST)
    states = {row.prompt.external_id: row.state for row in response.context["rows"]}
    assert states == {
        "open-one": "open",
        "done-one": "done",
        "waiting-one": "awaiting responses",
        "failed-one": "failed",
    }
    assert response.context["counts"] == {
        "prompts": 4,
        "failed": 1,
        "awaiting": 1,
        "ranked": 1,
        "missing": 2,
    }
    assert "Fewer than four texts." in response.content.decode()


def test_the_list_goes_on_to_older_prompts(
    project: Project,
    admin: Membership,
    signed_in: SignIn,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(prompt_pages, "PROMPTS_PER_PAGE", 2)
    for number in range(5):
        make_prompt(project, f"p{number}")
    browser, address, seen = signed_in(admin), LIST, []
    for _ in range(3):
        context = browser.get(address).context
        seen.append([row.prompt.external_id for row in context["rows"]])
        address = f"{LIST}?before={context['older']}"
    assert seen == [["p4", "p3"], ["p2", "p1"], ["p0"]]
    assert context["older"] is None


@pytest.mark.parametrize("before", ["x", "-1", "9" * 400, "1%00", "1' or 1=1"])
def test_a_page_that_is_not_there_is_the_first_one(
    project: Project, admin: Membership, signed_in: SignIn, before: str
) -> None:
    make_prompt(project)
    response = signed_in(admin).get(f"{LIST}?before={before}")
    assert len(response.context["rows"]) == 1


def test_the_list_costs_the_same_however_many_prompts_it_shows(
    project: Project,
    admin: Membership,
    signed_in: SignIn,
    django_assert_num_queries: Any,
) -> None:
    browser = signed_in(admin)
    for number in range(20):
        make_prompt(project, f"p{number}")
    # Session with user, and membership; then five of the page's own.
    with django_assert_num_queries(8):
        assert len(browser.get(LIST).context["rows"]) == 20


def test_a_file_is_imported_and_the_report_shown(
    project: Project, admin: Membership, signed_in: SignIn
) -> None:
    response = signed_in(admin).post(FORM, {"file": upload(row("a"), row("b"))})
    assert response.status_code == 200
    assert "2 imported." in response.content.decode()
    assert Prompt.objects.count() == 2


def test_a_gzipped_file_with_any_name_is_imported(
    project: Project, admin: Membership, signed_in: SignIn
) -> None:
    packed = gzip.compress(upload(row("a")).read())
    file = SimpleUploadedFile("../../x\u202e.exe", packed)
    assert signed_in(admin).post(FORM, {"file": file}).status_code == 200
    assert Prompt.objects.get().external_id == "a"


def test_a_bad_line_is_shown_and_nothing_is_imported(
    project: Project, admin: Membership, signed_in: SignIn
) -> None:
    file = upload(row("a"), row("<script>", k=3))
    response = signed_in(admin).post(FORM, {"file": file})
    page = response.content.decode()
    assert response.status_code == 422
    assert "Nothing was imported: 1 of 2 lines was refused." in " ".join(page.split())
    assert "k_out_of_range" in page
    assert 'type="file"' in page
    assert not Prompt.objects.exists()


def test_partial_imports_the_good_lines_and_a_dry_run_none(
    project: Project, admin: Membership, signed_in: SignIn
) -> None:
    browser = signed_in(admin)
    lines = row("a"), row("b", k=3)
    both = {"file": upload(*lines), "dry_run": "on", "partial": "on"}
    response = browser.post(FORM, both)
    assert "Dry run: nothing was written." in response.content.decode()
    assert not Prompt.objects.exists()
    browser.post(FORM, {"file": upload(*lines), "partial": "on"})
    assert Prompt.objects.get().external_id == "a"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "The submitted file is empty."),
        (
            gzip.compress(b"x" * 50_000, mtime=0)[:-9],
            "the gzip file is cut off or damaged",
        ),
        (gzip.compress(b" " * 200_000, mtime=0), "unpacks to more than 100000 bytes"),
    ],
)
def test_a_file_that_cannot_be_read_is_said_on_the_form(
    visitor: Client,
    monkeypatch: pytest.MonkeyPatch,
    content: bytes,
    complaint: str,
) -> None:
    monkeypatch.setattr(prompt_pages, "MOST_UNPACKED", 100_000)
    response = visitor.post(FORM, {"file": SimpleUploadedFile("x", content)})
    assert response.status_code == 422
    assert complaint in response.content.decode()


def test_a_file_beyond_the_limit_is_left_to_the_command(
    visitor: Client,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(prompt_pages, "MOST_UPLOADED", 50)
    response = visitor.post(FORM, {"file": upload(row("a"))})
    assert response.status_code == 422
    assert "Import it with the command." in response.content.decode()
    assert not Prompt.objects.exists()


def test_no_file_is_said_on_the_form(
    project: Project, admin: Membership, signed_in: SignIn
) -> None:
    response = signed_in(admin).post(FORM, {})
    assert response.status_code == 422
    assert "This field is required." in response.content.decode()


def test_rankings_are_imported_through_the_same_form(
    project: Project, admin: Membership, signed_in: SignIn
) -> None:
    make_prompt(project)
    ranks = {f"r{n}": n for n in range(1, 5)}
    line = {"prompt_id": "p1", "labeler": "vera", "ranks": ranks}
    browser = signed_in(admin)
    refused = browser.post(RANKINGS, {"file": upload(line, line | {"prompt_id": "x"})})
    assert refused.status_code == 422
    assert "unknown_prompt" in refused.content.decode()
    assert not Ranking.objects.exists()
    assert browser.post(RANKINGS, {"file": upload(line)}).status_code == 200
    assert Ranking.objects.count() == 1


@pytest.mark.parametrize("address", [LIST, FORM, RANKINGS])
def test_only_admins_of_the_project_come_in(
    everybody: dict[str, Client], address: str
) -> None:
    found = {
        name: client.get(address).status_code for name, client in everybody.items()
    }
    assert found == {"alice": 403, "researcher": 403, "admin": 200, "stranger": 404}
    assert Client().get(address).status_code == 302


@pytest.mark.parametrize("address", [FORM, RANKINGS])
def test_an_upload_without_the_session_s_token_is_refused(
    project: Project, admin: Membership, address: str
) -> None:
    browser = Client(enforce_csrf_checks=True)
    assert admin.user is not None
    browser.force_login(
        admin.user, "allauth.account.auth_backends.AuthenticationBackend"
    )
    assert browser.post(address, {"file": upload(row("a"))}).status_code == 403
    assert not Prompt.objects.exists()
