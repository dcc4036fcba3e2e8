"""Archiving a project, opening it again, and copying it."""

from collections.abc import Callable

import pytest
from django.test import Client

from annotation.lifecycle import (
    Copied,
    SlugTakenError,
    archive_project,
    clone_project,
    reopen_project,
)
from annotation.memberships import revoke
from annotation.models import (
    Assignment,
    Change,
    Consent,
    Instructions,
    Membership,
    Project,
    Prompt,
    Response,
    Terms,
    User,
)
from annotation.queue import NothingIsServed, claim, prefetch, reject_prompt
from ranking.models import Ranking
from tests.conftest import make_prompt
from tests.ranking.rows import store_ranking

pytestmark = pytest.mark.django_db
SignedIn = Callable[[Membership], Client]
RANKS = {"r1": 1, "r2": 2, "r3": 2, "r4": 3}


# --- Archiving --------------------------------------------------------------------


def test_an_archived_project_hands_out_nothing_and_says_why(
    project: Project, alice: Membership
) -> None:
    make_prompt(project)
    assert archive_project(project)
    with pytest.raises(NothingIsServed, match="Tides is archived"):
        claim(alice)
    assert prefetch(alice) is None
    assert Assignment.objects.filter(state="open").count() == 2


def test_opened_again_it_goes_on_where_it_stopped(
    project: Project, alice: Membership
) -> None:
    make_prompt(project)
    archive_project(project)
    assert reopen_project(project)
    assert claim(alice) is not None


def test_doing_it_twice_changes_nothing(project: Project) -> None:
    assert archive_project(project)
    since = Project.objects.get().closed_at
    assert not archive_project(project)
    assert Project.objects.get().closed_at == since
    assert reopen_project(project)
    assert not reopen_project(project)


def test_what_was_open_can_be_submitted_and_pages_stay(
    project: Project, alice: Membership, admin: Membership, signed_in: SignedIn
) -> None:
    make_prompt(project)
    held = claim(alice)
    assert held is not None
    boss, her = signed_in(admin), signed_in(alice)
    assert boss.post("/p/tides/settings/archive/").status_code == 302
    fields = {f"tier_{letter}": "1" for letter in "ABCD"}
    uuid = "1b4e28ba-2fa1-11d2-883f-0016d3cca427"
    her.post(f"/p/tides/rank/{held.token}/", {**fields, "submission_uuid": uuid})
    assert Ranking.objects.count() == 1
    assert b"is archived" in her.get("/p/tides/rank/").content
    assert b"Archived" in boss.get("/p/tides/settings/").content
    for page in ("", "prompts/", "members/", "agreement/", "datasets/"):
        assert boss.get(f"/p/tides/{page}").status_code == 200
    assert Change.objects.filter(after__has_key="closed_at", by=admin.user).exists()
    boss.post("/p/tides/settings/reopen/")
    assert Project.objects.get().closed_at is None


# --- Copying ----------------------------------------------------------------------


def clone(project: Project, by: Membership, **copied: bool) -> Project:
    assert by.user is not None
    return clone_project(
        project, slug="copy", title="Copy", user=by.user, copied=Copied(**copied)
    )


def test_a_copy_has_the_settings_and_the_newest_texts(
    project: Project, admin: Membership
) -> None:
    Project.objects.update(flags=["harmful"], rate_first=True, lease_minutes=45)
    Instructions.objects.create(project=project, version=2, text="Be fairer.")
    Terms.objects.create(project=project, version=1, text="Be kind.")
    project.refresh_from_db()
    copy = Project.objects.get(pk=clone(project, admin).pk)
    assert (copy.flags, copy.rate_first, copy.lease_minutes) == (["harmful"], True, 45)
    assert (copy.overlap, copy.title) == (2, "Copy")
    [instructions] = Instructions.objects.filter(project=copy)
    assert (instructions.version, instructions.text) == (1, "Be fairer.")
    assert Terms.objects.get(project=copy).text == "Be kind."
    assert bytes(copy.pseudonym_key) != bytes(project.pseudonym_key)
    assert not Prompt.objects.filter(project=copy).exists()
    assert [one.name for one in Membership.objects.filter(project=copy)] == ["admin"]


def test_a_copy_with_prompts_has_a_queue_of_its_own_and_no_rankings(
    project: Project, alice: Membership, admin: Membership
) -> None:
    first, second, out = (make_prompt(project, f"p{number}") for number in range(3))
    store_ranking(first, alice, RANKS)
    reject_prompt(out, reason="A double.")
    copy = clone(project, admin, prompts=True)
    copies = Prompt.objects.filter(project=copy).order_by("pk")
    assert [prompt.external_id for prompt in copies] == ["p0", "p1"]
    assert copies[1].messages == second.messages
    texts = Response.objects.filter(prompt=copies[1]).order_by("external_id")
    assert [one.text for one in texts] == [
        f"Answer {number} to p1." for number in range(1, 5)
    ]
    assert not Ranking.objects.filter(project=copy).exists()
    rows = Assignment.objects.filter(project=copy)
    assert list(rows.values_list("state", flat=True)) == ["open"] * 4


def test_a_copy_lets_nobody_in_who_was_removed(
    project: Project, alice: Membership, bob: Membership, admin: Membership
) -> None:
    revoke(bob, by=admin)
    copy = clone(project, admin, people=True)
    people = Membership.objects.filter(project=copy).order_by("name")
    assert [one.name for one in people] == ["admin", "alice"]


def test_a_copy_with_people_keeps_who_is_paused_and_no_consent(
    project: Project, alice: Membership, bob: Membership, admin: Membership
) -> None:
    terms = Terms.objects.create(project=project, version=1, text="Be kind.")
    Consent.objects.create(membership=alice, terms=terms)
    Membership.objects.filter(pk=bob.pk).update(paused_at="2026-11-21T00:00Z")
    Membership.objects.create(project=project, name="imported", role="labeler")
    copy = clone(project, admin, people=True)
    people = Membership.objects.filter(project=copy).order_by("name")
    assert [(one.name, one.role, one.paused_at is None) for one in people] == [
        ("admin", "admin", True),
        ("alice", "labeler", True),
        ("bob", "labeler", False),
    ]
    assert not Consent.objects.filter(membership__project=copy).exists()


def test_a_name_that_is_taken_makes_nothing(
    project: Project, admin: Membership
) -> None:
    clone(project, admin)
    with pytest.raises(SlugTakenError, match="copy already"):
        clone(project, admin)
    assert Project.objects.count() == 2


def test_only_site_admins_copy(
    project: Project, admin: Membership, signed_in: SignedIn
) -> None:
    browser = signed_in(admin)
    fields = {"title": "Copy", "slug": "copy", "prompts": "on"}
    assert b"Only site admins" in browser.get("/p/tides/settings/clone/").content
    assert browser.post("/p/tides/settings/clone/", fields).status_code == 403
    User.objects.filter(membership=admin).update(is_site_admin=True)
    answer = browser.post("/p/tides/settings/clone/", fields)
    assert answer["Location"] == "/p/copy/"
    again = browser.post("/p/tides/settings/clone/", fields)
    assert again.status_code == 422
    assert Change.objects.filter(project__slug="copy", kind="project").get().by == (
        admin.user
    )
