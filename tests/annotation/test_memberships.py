"""Members are removed, let in again and given other roles; their sessions and tokens
end with it (S16)."""

from collections.abc import Callable

import pytest
from django.core.exceptions import PermissionDenied
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from knox.models import AuthToken
from pytest_django.fixtures import Settings

from annotation import memberships
from annotation.accounts import make_sign_in_link
from annotation.memberships import change_role, revoke
from annotation.models import (
    Assignment,
    AssignmentState,
    Membership,
    Project,
    Role,
    Session,
    User,
)
from annotation.queue import claim
from tests.conftest import make_member, make_prompt
from tests.racing import at_once, together
from tests.ranking.rows import store_ranking

pytestmark = pytest.mark.django_db
SignIn = Callable[[Membership], Client]
RANKS = {"r1": 1, "r2": 2, "r3": 2, "r4": 3}


def account(member: Membership) -> User:
    assert member.user is not None
    return member.user


def post(browser: Client, name: str, member: Membership, **form: str) -> bytes:
    """The page after a form of the member's page."""
    address = reverse(name, args=[member.project.slug, member.pk])
    return bytes(browser.post(address, form, follow=True).content)


class Keys:
    """All that lets somebody in: two browsers, a program, and a link."""

    def __init__(
        self, member: Membership, signed_in: SignIn, settings: Settings
    ) -> None:
        self.browsers = [signed_in(member), signed_in(member)]
        _, token = AuthToken.objects.create(user=account(member))
        self.program = Client(headers={"Authorization": f"Token {token}"})
        link = make_sign_in_link(account(member))
        self.link = link.removeprefix(settings.SITE_URL)

    def statuses(self) -> list[int]:
        return [
            *(browser.get(reverse("tokens")).status_code for browser in self.browsers),
            self.program.get(reverse("api_schema")).status_code,
            Client().get(self.link).status_code,
        ]


@pytest.fixture
def keys_of(signed_in: SignIn, settings: Settings) -> Callable[[Membership], Keys]:
    """`keys_of(alice)`: hers, all of them good."""
    return lambda member: Keys(member, signed_in, settings)


OPEN, ENDED = [200, 200, 200, 200], [302, 302, 401, 410]


CHANGES = {"remove_member": {}, "change_member_role": {"new_role": "researcher"}}


@pytest.mark.parametrize("name", CHANGES)
def test_what_changes_rights_ends_every_session_token_and_link(
    project: Project,
    admin: Membership,
    signed_in: SignIn,
    keys_of: Callable[[Membership], Keys],
    name: str,
) -> None:
    changed, other = (make_member(project, one, Role.LABELER) for one in ("c", "o"))
    theirs, anothers = keys_of(changed), keys_of(other)
    assert theirs.statuses() == OPEN
    post(signed_in(admin), name, changed, **CHANGES[name])
    assert theirs.statuses() == ENDED
    assert anothers.statuses() == OPEN


def test_so_does_becoming_a_site_admin(
    alice: Membership, keys_of: Callable[[Membership], Keys]
) -> None:
    hers = keys_of(alice)
    call_command("create_admin", account(alice).email)
    assert hers.statuses() == ENDED


def test_the_same_role_again_ends_nothing(
    admin: Membership,
    alice: Membership,
    signed_in: SignIn,
    keys_of: Callable[[Membership], Keys],
) -> None:
    hers = keys_of(alice)
    page = post(signed_in(admin), "change_member_role", alice, new_role="labeler")
    assert b"is labeler already" in page
    assert hers.statuses() == OPEN


def test_a_removed_member_has_no_project_and_their_work_stays(
    project: Project, admin: Membership, alice: Membership, signed_in: SignIn
) -> None:
    ranking = store_ranking(make_prompt(project), alice, RANKS)
    make_prompt(project, "p2")
    held = claim(alice)
    assert held is not None
    page = post(signed_in(admin), "remove_member", alice)
    assert b"What they ranked is kept" in page
    assert b"alice@example.org" not in page
    ranking.refresh_from_db()
    assert ranking.status == "counted"
    held.refresh_from_db()
    assert held.state == AssignmentState.EXPIRED
    assert Assignment.objects.filter(
        prompt=held.prompt, slot=held.slot, state=AssignmentState.OPEN
    ).exists()
    browser = signed_in(alice)
    assert browser.get(reverse("project", args=["tides"])).status_code == 404
    assert browser.get(f"/p/tides/rank/{held.token}/").status_code == 404
    heartbeat = browser.post(f"/api/v1/assignments/{held.token}/heartbeat")
    assert heartbeat.status_code == 404
    assert browser.post("/api/v1/projects/tides/claim").status_code == 404
    assert b"You belong to no project yet" in browser.get(reverse("home")).content


def test_a_removed_member_who_is_let_in_again_has_their_work(
    project: Project, admin: Membership, alice: Membership, signed_in: SignIn
) -> None:
    revoke(alice, by=admin)
    form = {"email": "alice@example.org", "name": "Alice B.", "role": "researcher"}
    signed_in(admin).post(reverse("add_member", args=["tides"]), form)
    again = Membership.objects.get(project=project, user=alice.user)
    assert again.pk == alice.pk
    assert (again.name, again.role, again.revoked_at) == (
        "Alice B.",
        Role.RESEARCHER,
        None,
    )


def test_nobody_decides_about_themselves(admin: Membership, signed_in: SignIn) -> None:
    browser = signed_in(admin)
    for name, form in (
        ("remove_member", {}),
        ("change_member_role", {"new_role": "labeler"}),
    ):
        address = reverse(name, args=[admin.project.slug, admin.pk])
        assert browser.post(address, form).status_code == 403
    admin.refresh_from_db()
    assert (admin.role, admin.revoked_at) == (Role.ADMIN, None)
    page = browser.get(reverse("member_access", args=["tides", admin.pk]))
    assert b"Nobody changes their own role" in page.content


def test_who_was_removed_removes_nobody(
    project: Project, admin: Membership, alice: Membership
) -> None:
    second = make_member(project, "second", Role.ADMIN)
    revoke(admin, by=second)
    with pytest.raises(PermissionDenied):
        revoke(alice, by=admin)
    alice.refresh_from_db()
    assert alice.revoked_at is None


def test_a_role_that_there_is_not_is_refused(
    admin: Membership, alice: Membership, signed_in: SignIn
) -> None:
    address = reverse("change_member_role", args=["tides", alice.pk])
    assert signed_in(admin).post(address, {"new_role": "owner"}).status_code == 422
    alice.refresh_from_db()
    assert alice.role == Role.LABELER


# --- Tokens -----------------------------------------------------------------------


def test_an_admin_revokes_one_token_of_a_member(
    admin: Membership, alice: Membership, signed_in: SignIn
) -> None:
    keep, _ = AuthToken.objects.create(user=account(alice))
    gone, secret = AuthToken.objects.create(user=account(alice))
    browser = signed_in(admin)
    page = browser.get(reverse("member_access", args=["tides", alice.pk])).content
    assert gone.token_key[:8].encode() in page
    assert secret.encode() not in page
    assert gone.digest.encode() not in page
    said = post(browser, "revoke_member_token", alice, key=gone.token_key)
    assert b"is revoked" in said
    assert list(AuthToken.objects.all()) == [keep]
    assert b"has no such token" in post(
        browser, "revoke_member_token", alice, key=gone.token_key
    )


def test_a_token_of_another_member_is_not_theirs(
    admin: Membership, alice: Membership, bob: Membership, signed_in: SignIn
) -> None:
    token, _ = AuthToken.objects.create(user=account(bob))
    browser = signed_in(admin)
    for key in (token.token_key, "", "\0"):
        page = post(browser, "revoke_member_token", alice, key=key)
        assert b"has no such token" in page
    assert AuthToken.objects.count() == 1


# --- Two admins at once -----------------------------------------------------------


def both_remove_each_other(first: Membership, second: Membership) -> int:
    """How many admins are left."""

    def remove(pair: tuple[Membership, Membership]) -> None:
        other, by = pair
        try:
            revoke(other, by=by)
        except (PermissionDenied, Membership.DoesNotExist):
            return

    at_once(remove, [(second, first), (first, second)])
    return Membership.objects.filter(role=Role.ADMIN, revoked_at=None).count()


@pytest.mark.django_db(transaction=True)
def test_of_two_admins_who_remove_each_other_one_stays(
    project: Project, admin: Membership
) -> None:
    for number in range(5):
        second = make_member(project, f"second-{number}", Role.ADMIN)
        assert both_remove_each_other(admin, second) == 1
        Membership.objects.filter(pk=admin.pk).update(revoked_at=None)
        Membership.objects.filter(pk=second.pk).update(role=Role.RESEARCHER)


@pytest.mark.django_db(transaction=True)
def test_control_without_the_lock_nobody_stays(
    project: Project, admin: Membership, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = make_member(project, "second", Role.ADMIN)
    both_here = together(2)

    def unlocked(membership: Membership) -> dict[int, Membership]:
        found = {row.pk: row for row in Membership.objects.filter(revoked_at=None)}
        both_here()
        return found

    monkeypatch.setattr(memberships, "_locked", unlocked)
    assert both_remove_each_other(admin, second) == 0


def test_sessions_of_others_are_left_alone(
    admin: Membership, alice: Membership, signed_in: SignIn
) -> None:
    signed_in(admin)
    signed_in(alice)
    change_role(alice, Role.RESEARCHER, by=admin)
    assert [session.user for session in Session.objects.all()] == [admin.user]
