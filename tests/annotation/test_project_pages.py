"""Home, a project's overview for each role, its instructions, generation by page."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db.models import Value
from django.db.models.functions import Now
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from annotation.instructions import current_instructions, write_instructions
from annotation.models import (
    Assignment,
    Instructions,
    Membership,
    Project,
    Prompt,
    Role,
)
from annotation.progress import prompt_progress, rankings_by_day
from tests.conftest import make_prompt

pytestmark = pytest.mark.django_db

SignIn = Callable[[Membership], Client]
OVERVIEW = "/p/tides/"


def complete_slots(prompt: Prompt, *members: Membership) -> None:
    for slot, member in enumerate(members):
        Assignment.objects.filter(prompt=prompt, slot=slot).update(
            labeler=member, state="completed", closed_at=Now()
        )


@pytest.fixture
def waiting(project: Project) -> Prompt:
    return Prompt.objects.create(
        project=project, external_id="w1", messages=[], line_sha256="0" * 64
    )


# --- Home -------------------------------------------------------------------------


def test_home_lists_ones_own_projects_with_the_role(
    alice: Membership, stranger: Membership, signed_in: SignIn
) -> None:
    page = signed_in(alice).get("/").content.decode()
    assert "Tides" in page
    assert "Labeler" in page
    assert "Elsewhere" not in page


def test_home_without_a_project_says_what_to_do(
    alice: Membership, signed_in: SignIn
) -> None:
    client = signed_in(alice)
    alice.delete()
    page = client.get("/").content.decode()
    assert "You belong to no project yet" in page
    assert "alice@example.org" in page


def test_home_sends_signed_out_people_to_sign_in(db: None) -> None:
    answer = Client().get("/")
    assert answer.status_code == 302
    assert answer["Location"].startswith("/accounts/login/")


def test_only_a_site_admin_makes_projects(alice: Membership, signed_in: SignIn) -> None:
    client = signed_in(alice)
    assert "New project" not in client.get("/").content.decode()
    assert client.post("/projects/new/", new_project()).status_code == 403
    assert not Project.objects.filter(slug="rivers").exists()


def new_project(**changes: object) -> dict[str, object]:
    fields = {
        "title": "Rivers",
        "slug": "rivers",
        "overlap": 3,
        "overlap_fraction": 0.5,
        "lease_minutes": 20,
    }
    return {**fields, **changes}


@pytest.fixture
def site_admin(admin: Membership) -> Membership:
    assert admin.user is not None
    admin.user.is_site_admin = True
    admin.user.save(update_fields=["is_site_admin"])
    return admin


def test_a_site_admin_makes_a_project_and_runs_it(
    site_admin: Membership, signed_in: SignIn
) -> None:
    client = signed_in(site_admin)
    assert "New project" in client.get("/").content.decode()
    answer = client.post("/projects/new/", new_project())
    assert answer["Location"] == "/p/rivers/"
    made = Project.objects.get(slug="rivers")
    assert (made.overlap, made.overlap_fraction, made.lease_minutes) == (3, 0.5, 20)
    assert made.created_by == site_admin.user
    [member] = Membership.objects.filter(project=made)
    assert (member.user, member.role) == (site_admin.user, Role.ADMIN)


@pytest.mark.parametrize(
    "changes", [{"slug": "tides"}, {"slug": "a b"}, {"overlap": 0}, {"title": ""}]
)
def test_a_project_that_cannot_be_is_refused_on_the_form(
    site_admin: Membership, signed_in: SignIn, changes: dict[str, object]
) -> None:
    answer = signed_in(site_admin).post("/projects/new/", new_project(**changes))
    assert answer.status_code == 422
    assert b"errorlist" in answer.content
    assert Project.objects.count() == 1


# --- Progress ---------------------------------------------------------------------


def test_every_prompt_is_counted_once(
    project: Project, alice: Membership, bob: Membership, waiting: Prompt
) -> None:
    Prompt.objects.create(
        project=project, external_id="f", messages=[], line_sha256="0", failure="cold"
    )
    make_prompt(project, "open")
    complete_slots(make_prompt(project, "half"), alice)
    complete_slots(make_prompt(project, "full"), alice, bob)
    imported = make_prompt(project, "imported", slots=1)
    complete_slots(imported, alice)
    Assignment.objects.filter(prompt=imported).update(source="imported")
    found = prompt_progress(project)
    assert (found.total, found.awaiting, found.failed) == (6, 1, 1)
    assert (found.being_ranked, found.completed, found.not_queued) == (2, 1, 1)


def test_rankings_are_counted_by_day(
    project: Project, alice: Membership, bob: Membership
) -> None:
    for name in ("p1", "p2", "p3"):
        complete_slots(make_prompt(project, name), alice)
    complete_slots(make_prompt(project, "p4"), alice, bob)
    Assignment.objects.filter(prompt__external_id="p4").update(
        closed_at=Now() - Value(timedelta(days=2))
    )
    assert [(day.rankings, day.share) for day in rankings_by_day(project)] == [
        (3, 1.0),
        (2, pytest.approx(2 / 3)),
    ]


# --- The overview -----------------------------------------------------------------


def test_a_labeler_is_led_to_a_page_of_their_own(
    alice: Membership, signed_in: SignIn
) -> None:
    answer = signed_in(alice).get(OVERVIEW)
    assert (answer.status_code, answer["Location"]) == (302, "/p/tides/work/")


def test_a_researcher_sees_progress_and_doors_and_no_form(
    researcher: Membership, signed_in: SignIn
) -> None:
    page = signed_in(researcher).get(OVERVIEW).content.decode()
    for door in ("agreement", "datasets", "runs", "instructions"):
        assert f'href="/p/tides/{door}/"' in page
    assert "Write responses" not in page


def test_a_stranger_cannot_tell_that_the_project_is_there(
    project: Project, stranger: Membership, signed_in: SignIn
) -> None:
    client = signed_in(stranger)
    assert client.get(OVERVIEW).status_code == 404
    assert client.get("/p/nothing-here/").status_code == 404
    assert client.get("/p/tides/instructions/").status_code == 404
    assert client.get("/p/tides/generation/progress/").status_code == 404


# Session with person, membership with project; then what the role is shown.
@pytest.mark.parametrize(
    "who_and_queries", [("alice", 2), ("researcher", 4), ("admin", 6)], ids=str
)
def test_the_overview_asks_a_fixed_number_of_queries(
    who_and_queries: tuple[str, int],
    project: Project,
    request: pytest.FixtureRequest,
    signed_in: SignIn,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    who, queries = who_and_queries
    client = signed_in(request.getfixturevalue(who))
    make_prompt(project, "p0")
    with django_assert_num_queries(queries):
        client.get(OVERVIEW)
    for number in range(1, 6):
        make_prompt(project, f"p{number}", k=9)
    with django_assert_num_queries(queries):
        client.get(OVERVIEW)


# --- Instructions -----------------------------------------------------------------


def test_members_read_the_instructions(alice: Membership, signed_in: SignIn) -> None:
    page = signed_in(alice).get("/p/tides/instructions/").content.decode()
    assert "<p>Be fair.</p>" in page
    assert "Put this version in force" not in page


def test_an_admin_writes_a_new_version_and_the_old_one_stays(
    project: Project, admin: Membership, signed_in: SignIn
) -> None:
    client = signed_in(admin)
    answer = client.post(
        "/p/tides/instructions/new/", {"text": "Be **kind**.\r\n\r\nAnd fair.\r\n"}
    )
    assert answer["Location"] == "/p/tides/instructions/"
    current = current_instructions(project)
    assert current is not None
    assert (current.version, current.text) == (2, "Be **kind**.\n\nAnd fair.\n")
    assert current.created_by == admin.user
    page = client.get("/p/tides/instructions/").content.decode()
    assert "<strong>kind</strong>" in page
    assert "<p>Be fair.</p>" in page


def test_the_same_text_again_is_no_new_version(project: Project) -> None:
    assert write_instructions(project, text="Be fair.", user=None).version == 1
    assert Instructions.objects.filter(project=project).count() == 1


def test_instructions_cannot_run_code(
    project: Project, alice: Membership, signed_in: SignIn
) -> None:
    write_instructions(
        project, text="<script>x()</script> [a](javascript:x())", user=None
    )
    page = signed_in(alice).get("/p/tides/instructions/").content.decode()
    assert "<script>x" not in page
    assert 'href="javascript' not in page


@pytest.mark.parametrize("text", ["", "  \r\n ", "a\0b", "x" * 2_000_001])
def test_instructions_that_cannot_be_stored_are_refused(
    project: Project, admin: Membership, signed_in: SignIn, text: str
) -> None:
    answer = signed_in(admin).post("/p/tides/instructions/new/", {"text": text})
    assert answer.status_code == 422
    assert Instructions.objects.filter(project=project).count() == 1


@pytest.mark.parametrize("who", ["alice", "researcher"])
def test_only_admins_write_instructions_and_have_responses_written(
    who: str, project: Project, request: pytest.FixtureRequest, signed_in: SignIn
) -> None:
    client = signed_in(request.getfixturevalue(who))
    for path in ("instructions/new/", "generation/start/", "generation/cancel/"):
        assert client.post(f"/p/tides/{path}", {"text": "x"}).status_code == 403
    assert client.get("/p/tides/generation/progress/").status_code == 403
