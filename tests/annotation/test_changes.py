"""The history: what is in it, who is named, and what it costs a labeler (nothing)."""

from collections.abc import Callable

import pytest
from django.db import DatabaseError, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from annotation.changes import acting, changes_of
from annotation.models import Change, Membership, Project, Qualification, User
from annotation.queue import reject_prompt, restore_prompt
from annotation.standing import decide_qualification
from tests.conftest import make_prompt
from tests.security.good_bodies import SETTINGS

pytestmark = pytest.mark.django_db
SignedIn = Callable[[Membership], Client]


def newest() -> Change:
    return Change.objects.latest("pk")


def test_a_saved_setting_is_noted_with_who_and_before_and_after(
    project: Project, admin: Membership, signed_in: SignedIn
) -> None:
    answer = signed_in(admin).post("/p/tides/settings/", SETTINGS)
    assert answer.status_code == 302
    change = newest()
    assert (change.kind, change.action, change.by) == ("project", "changed", admin.user)
    assert change.before == {"lease_minutes": 30, "flags": []}
    assert change.after == {"lease_minutes": 31, "flags": ["wrong"]}


def test_saving_the_same_settings_again_is_no_change(
    project: Project, admin: Membership, signed_in: SignedIn
) -> None:
    browser = signed_in(admin)
    browser.post("/p/tides/settings/", SETTINGS)
    before = Change.objects.count()
    browser.post("/p/tides/settings/", SETTINGS)
    assert Change.objects.count() == before


def test_a_bulk_update_and_raw_sql_are_noted_too(project: Project) -> None:
    Project.objects.filter(pk=project.pk).update(title="Seas")
    assert newest().after == {"title": "Seas"}
    with connection.cursor() as cursor:
        cursor.execute("UPDATE annotation_project SET title = 'Oceans'")
    assert (newest().before, newest().after) == ({"title": "Seas"}, {"title": "Oceans"})
    assert newest().by is None


def test_the_page_says_it_in_words(
    project: Project, alice: Membership, admin: Membership, signed_in: SignedIn
) -> None:
    browser = signed_in(admin)
    browser.post(f"/p/tides/members/{alice.pk}/pause/")
    browser.post(
        f"/p/tides/prompts/{make_prompt(project).pk}/take-out/", {"reason": "A double."}
    )
    [taken, paused, *_] = changes_of(project)[0]
    assert (taken.subject, taken.deed, taken.by) == (
        "p1",
        "taken out",
        "admin@example.org",
    )
    assert [(one.label, one.after) for one in taken.differences] == [
        ("Reason", "A double.")
    ]
    assert (paused.subject, paused.deed) == ("alice", "changed")
    assert paused.differences[0].label == "Paused since"
    page = browser.get("/p/tides/changes/").content.decode()
    assert "A double." in page
    assert "alice" in page
    assert "alice" not in browser.get("/p/tides/changes/?kind=prompt").content.decode()


def test_putting_back_and_the_tests_own_decisions_are_noted(
    project: Project, alice: Membership, admin: Membership
) -> None:
    assert admin.user is not None
    prompt = make_prompt(project)
    reject_prompt(prompt, reason="A double.", user=admin.user)
    assert newest().by == admin.user  # without a request, the row itself says for whom
    restore_prompt(prompt)
    assert (newest().kind, newest().action, newest().by) == ("prompt", "ended", None)
    decide_qualification(alice, decision=Qualification.PASSED, user=admin.user)
    assert newest().after == {"qualification": "passed"}


def test_removing_a_member_and_letting_them_in_again_are_noted(
    project: Project, alice: Membership, admin: Membership, signed_in: SignedIn
) -> None:
    browser = signed_in(admin)
    assert alice.user is not None
    browser.post(f"/p/tides/members/{alice.pk}/remove/")
    again = {"email": alice.user.email, "name": "alice", "role": "researcher"}
    browser.post("/p/tides/members/add/", again)
    [let_in, removed, *_] = changes_of(project, kind="member")[0]
    assert (removed.subject, removed.deed) == ("alice", "removed")
    assert removed.by == let_in.by == "admin@example.org"
    [since] = removed.differences
    assert (since.label, since.before) == ("Removed since", "")
    assert let_in.deed == "let in again"
    assert [(one.label, one.before, one.after) for one in let_in.differences] == [
        ("Removed since", since.after, ""),
        ("Role", "labeler", "researcher"),
    ]


def test_of_somebody_new_only_what_is_set_is_said(
    project: Project, alice: Membership
) -> None:
    [made] = changes_of(project, kind="member")[0]
    assert (made.subject, made.deed) == ("alice", "let in")
    assert [(one.label, one.after) for one in made.differences] == [
        ("Qualification", "pending"),
        ("Role", "labeler"),
    ]


def test_nobody_inherits_the_name_of_who_was_at_work(
    project: Project, admin: Membership
) -> None:
    assert admin.user is not None

    def work(by: User) -> None:
        with acting(by):
            Project.objects.update(title="Seas")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work(admin.user)
    assert newest().by == admin.user
    Project.objects.update(title="Oceans")
    assert newest().by is None


def test_a_labelers_claim_notes_nothing_and_says_nothing(
    project: Project, alice: Membership, signed_in: SignedIn
) -> None:
    Membership.objects.update(
        qualification="passed", qualification_decided_at="2026-11-21T00:00Z"
    )
    make_prompt(project)
    browser = signed_in(alice)
    before = Change.objects.count()
    with CaptureQueriesContext(connection) as captured:
        assert browser.post("/p/tides/rank/claim/").status_code == 302
    assert Change.objects.count() == before
    assert not any("rankwell" in query["sql"] for query in captured.captured_queries)


def test_the_history_cannot_be_changed(project: Project) -> None:
    for write in (
        lambda: Change.objects.update(kind="terms"),
        lambda: Change.objects.all().delete(),
    ):
        with pytest.raises(DatabaseError, match="never changes"), transaction.atomic():
            write()


def test_pages_follow_one_another_by_cursor_and_miss_nothing(project: Project) -> None:
    for number in range(120):
        Project.objects.update(title=f"Tides {number}")
    seen: list[int] = []
    before = None
    while True:
        lines, before = changes_of(project, before=before)
        seen += [line.change.pk for line in lines]
        if before is None:
            break
    assert seen == sorted(Change.objects.values_list("pk", flat=True), reverse=True)


def test_the_api_gives_the_same_and_only_to_admins(
    project: Project, alice: Membership, admin: Membership, signed_in: SignedIn
) -> None:
    Project.objects.update(title="Seas")
    address = "/api/v1/projects/tides/changes"
    given = signed_in(admin).get(f"{address}?kind=project").json()
    assert given["changes"][0]["after"] == {"title": "Seas"}
    assert given["changes"][0]["subject"] == "The project"
    assert given["older"] is None
    assert signed_in(alice).get(address).status_code == 403


def test_a_project_made_by_a_site_admin_names_them(
    admin: Membership, signed_in: SignedIn
) -> None:
    User.objects.update(is_site_admin=True)
    fields = {"title": "New", "slug": "new", "overlap": 1, "overlap_fraction": 1}
    signed_in(admin).post("/projects/new/", {**fields, "lease_minutes": 30})
    made = Project.objects.get(slug="new")
    assert Change.objects.get(project=made, kind="project").by == admin.user
