"""Getting in: passwords, throttling, one-time links, members."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from axes.models import AccessAttempt
from django.core import mail
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models.functions import Now
from django.http import HttpResponseBase
from django.test import Client, RequestFactory
from django.urls import reverse
from pytest_django.fixtures import Settings

from annotation.accounts import (
    LETTERS,
    make_sign_in_link,
    use_sign_in_link,
    user_of_link,
)
from annotation.models import Membership, Project, Role, Session, SignInLink, User
from annotation.people import add_member
from annotation.throttling import (
    MOST_FAILURES_PER_ADDRESS,
    client_address,
    counted_address,
)
from tests.conftest import make_member
from tests.racing import at_once, together

pytestmark = pytest.mark.django_db
PASSWORD = "a quite long password"
SignIn = Callable[[Membership], Client]


@pytest.fixture
def ada() -> User:
    return User.objects.create_user("Ada@Example.org", PASSWORD)


def try_password(
    email: str, password: str, *, address: str = "192.0.2.1", **headers: Any
) -> HttpResponseBase:
    """The sign-in form, sent from an address by a browser without cookies."""
    form = {"login": email, "password": password}
    browser = Client(REMOTE_ADDR=address, **headers)
    return browser.post(reverse("account_login"), form)


def is_in(response: HttpResponseBase) -> bool:
    """Whether the form led home."""
    return response.status_code == 302 and response["Location"] == reverse("home")


# --- Passwords --------------------------------------------------------------------


def test_the_right_password_lets_in_whatever_the_case_of_the_address(ada: User) -> None:
    assert is_in(try_password("ADA@example.ORG", PASSWORD))


def test_a_wrong_password_does_not(ada: User) -> None:
    response = try_password(ada.email, "wrong password")
    assert response.status_code == 200
    assert b"not correct" in response.getvalue()


def test_nobody_registers_themselves() -> None:
    assert Client().get("/accounts/signup/").status_code == 404


def test_a_closed_account_stays_out(ada: User) -> None:
    User.objects.update(is_active=False)
    assert not is_in(try_password(ada.email, PASSWORD))


def test_signing_out_takes_a_post(ada: User) -> None:
    browser = Client()
    browser.force_login(ada, "allauth.account.auth_backends.AuthenticationBackend")
    assert b"Sign out?" in browser.get(reverse("account_logout")).content
    assert browser.get(reverse("home")).status_code == 200
    browser.post(reverse("account_logout"))
    assert browser.get(reverse("home")).status_code == 302


def test_a_person_without_password_sets_one(
    alice: Membership, signed_in: SignIn
) -> None:
    browser = signed_in(alice)
    form = {"password1": PASSWORD, "password2": PASSWORD}
    assert browser.post(reverse("account_set_password"), form).status_code == 302
    assert alice.user is not None
    assert is_in(try_password(alice.user.email, PASSWORD))


def test_a_short_password_is_refused(alice: Membership, signed_in: SignIn) -> None:
    form = {"password1": "elevenchars", "password2": "elevenchars"}
    page = signed_in(alice).post(reverse("account_set_password"), form)
    assert b"at least 12 characters" in page.content


def test_a_changed_password_ends_the_other_sessions(ada: User) -> None:
    here, there = Client(), Client()
    for browser in (here, there):
        browser.post(
            reverse("account_login"), {"login": ada.email, "password": PASSWORD}
        )
    form = {
        "oldpassword": PASSWORD,
        "password1": "another long password",
        "password2": "another long password",
    }
    assert here.post(reverse("account_change_password"), form).status_code == 302
    assert here.get(reverse("home")).status_code == 200
    assert there.get(reverse("home")).status_code == 302


def test_without_email_a_forgotten_password_leads_to_the_admin() -> None:
    page = Client().get(reverse("account_reset_password"))
    assert b"This site sends no e-mail" in page.content


@pytest.fixture
def letters(settings: Settings) -> list[mail.EmailMessage]:
    """Letters that were sent, on a site that sends some."""
    settings.EMAIL_URL = "smtp://127.0.0.1"
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    mail.outbox = []
    return mail.outbox


def test_a_reset_link_changes_the_password_once(
    ada: User, letters: list[mail.EmailMessage], settings: Settings
) -> None:
    Client().post(reverse("account_reset_password"), {"email": ada.email})
    LETTERS.submit(bool).result()  # whatever was to be sent before is sent
    [letter] = letters
    link = re.search(r"http\S+", str(letter.body))
    assert link is not None
    assert link[0].startswith(settings.SITE_URL + "/accounts/password/reset/key/")
    path = link[0].removeprefix(settings.SITE_URL)
    browser = Client()
    form = browser.get(path, follow=True)
    there = form.redirect_chain[-1][0]
    new = {"password1": "another long password", "password2": "another long password"}
    assert browser.post(there, new).status_code == 302
    assert is_in(try_password(ada.email, "another long password"))
    assert b"does not work any more" in Client().get(path, follow=True).content


def test_a_reset_says_the_same_for_a_stranger_and_sends_nothing(
    ada: User, letters: list[mail.EmailMessage]
) -> None:
    answers = [
        Client().post(reverse("account_reset_password"), {"email": email})
        for email in (ada.email, "nobody@example.org")
    ]
    assert {answer["Location"] for answer in answers} == {
        reverse("account_reset_password_done")
    }
    LETTERS.submit(bool).result()
    assert len(letters) == 1


# --- Throttling -------------------------------------------------------------------


def test_five_wrong_passwords_close_the_door_to_the_right_one(ada: User) -> None:
    for _ in range(5):
        try_password(ada.email, "wrong password")
    response = try_password(ada.email, PASSWORD)
    assert response.status_code == 429
    assert response["Retry-After"] == "900"
    assert b"for 15 minutes" in response.getvalue()


def test_four_wrong_passwords_do_not(ada: User) -> None:
    for _ in range(4):
        try_password(ada.email, "wrong password")
    assert is_in(try_password(ada.email, PASSWORD))


def test_the_victim_of_guessing_gets_in_from_elsewhere(ada: User) -> None:
    for _ in range(6):
        try_password(ada.email, "wrong password")
    assert is_in(try_password(ada.email, PASSWORD, address="192.0.2.2"))


def test_another_browser_or_spelling_is_the_same_guesser(ada: User) -> None:
    for number in range(5):
        try_password(
            ada.email.upper() if number % 2 else f" {ada.email}",
            "wrong password",
            HTTP_USER_AGENT=f"browser {number}",
        )
    assert try_password(ada.email, PASSWORD).status_code == 429


def test_the_door_opens_again_after_the_cool_off(ada: User) -> None:
    for _ in range(6):
        try_password(ada.email, "wrong password")
    attempt = AccessAttempt.objects.get()
    attempt.attempt_time -= timedelta(minutes=16)
    attempt.save()
    assert is_in(try_password(ada.email, PASSWORD))


def test_trying_while_locked_out_does_not_prolong_it(ada: User) -> None:
    for _ in range(5):
        try_password(ada.email, "wrong password")
    before = AccessAttempt.objects.values_list("attempt_time", flat=True).get()
    assert try_password(ada.email, "wrong password").status_code == 429
    assert AccessAttempt.objects.values_list("attempt_time", flat=True).get() == before


def test_one_password_for_many_accounts_is_stopped_by_the_address(ada: User) -> None:
    for number in range(MOST_FAILURES_PER_ADDRESS):
        try_password(f"person{number}@example.org", "wrong password")
    assert try_password(ada.email, PASSWORD).status_code == 429
    assert is_in(try_password(ada.email, PASSWORD, address="192.0.2.2"))


def test_a_forged_forwarded_address_changes_nothing(ada: User) -> None:
    for number in range(5):
        try_password(
            ada.email, "wrong password", HTTP_X_FORWARDED_FOR=f"203.0.113.{number}"
        )
    assert try_password(ada.email, PASSWORD).status_code == 429


@pytest.mark.parametrize(
    ("forwarded", "expected"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("10.0.0.1, 203.0.113.9", "203.0.113.9"),
        ("", "192.0.2.1"),
        ("not an address", None),
        ("2001:db8::1", "2001:db8::1"),
    ],
)
def test_only_a_proxy_of_ours_is_believed(
    settings: Settings, forwarded: str, expected: str | None
) -> None:
    request = RequestFactory().get(
        "/", REMOTE_ADDR="192.0.2.1", HTTP_X_FORWARDED_FOR=forwarded
    )
    settings.BEHIND_PROXY = False
    assert client_address(request) == "192.0.2.1"
    settings.BEHIND_PROXY = True
    assert client_address(request) == expected


def test_of_ipv6_the_network_is_counted() -> None:
    request = RequestFactory().get("/", REMOTE_ADDR="2001:db8:1:2:3:4:5:6")
    assert counted_address(request) == "2001:db8:1:2::"


# --- One-time links ---------------------------------------------------------------


def path_of(link: str, settings: Settings) -> str:
    """The link without the site."""
    assert link.startswith(settings.SITE_URL + "/sign-in/")
    return link.removeprefix(settings.SITE_URL)


def test_a_link_signs_in_once_and_the_session_key_is_new(
    ada: User, settings: Settings
) -> None:
    path = path_of(make_sign_in_link(ada), settings)
    browser = Client()
    page = browser.get(path)
    assert b"Sign in as ada@example.org" in page.content
    session = browser.session
    session["planted"] = "by somebody else"
    session.save()
    planted = session.session_key
    response = browser.post(path)
    assert response["Location"] == reverse("home")
    assert browser.session.session_key != planted
    assert not Session.objects.filter(session_key=planted).exists()
    assert browser.get(reverse("home")).status_code == 200
    again = Client().post(path)
    assert again.status_code == 410
    assert b"does not work any more" in again.content
    assert Client().get(path).status_code == 410


def test_looking_at_a_link_spends_nothing(ada: User, settings: Settings) -> None:
    path = path_of(make_sign_in_link(ada), settings)
    for _ in range(3):
        assert Client().get(path).status_code == 200
        assert Client().head(path).status_code == 200
    assert SignInLink.objects.get().used_at is None


def test_an_expired_link_is_gone(ada: User, settings: Settings) -> None:
    path = path_of(make_sign_in_link(ada), settings)
    link = SignInLink.objects.get()
    link.expires_at -= timedelta(days=2, seconds=1)
    link.save(update_fields=["expires_at"])
    assert Client().get(path).status_code == 410
    assert Client().post(path).status_code == 410


def test_a_fresh_link_ends_the_earlier_one(ada: User, settings: Settings) -> None:
    earlier = path_of(make_sign_in_link(ada), settings)
    later = path_of(make_sign_in_link(ada), settings)
    assert Client().get(earlier).status_code == 410
    assert Client().get(later).status_code == 200


def test_the_link_of_a_closed_account_is_gone(ada: User, settings: Settings) -> None:
    path = path_of(make_sign_in_link(ada), settings)
    User.objects.update(is_active=False)
    assert Client().post(path).status_code == 410


def test_only_a_hash_of_the_token_is_kept(ada: User) -> None:
    token = make_sign_in_link(ada).rstrip("/").rpartition("/")[2]
    assert token not in str(SignInLink.objects.values().get())


@pytest.mark.django_db(transaction=True)
def test_of_two_simultaneous_uses_of_a_link_one_succeeds() -> None:
    user = User.objects.create_user("ada@example.org")
    start = Barrier(8)

    def use(token: str) -> User | None:
        start.wait()
        try:
            return use_sign_in_link(token)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as threads:
        for _ in range(10):  # the window is short
            token = make_sign_in_link(user).rstrip("/").rpartition("/")[2]
            winners = [winner for winner in threads.map(use, [token] * 8) if winner]
            assert winners == [user]


@pytest.mark.django_db(transaction=True)
def test_control_who_looks_and_then_writes_lets_several_in() -> None:
    """The same without the conditional UPDATE."""
    user = User.objects.create_user("ada@example.org")
    token = make_sign_in_link(user).rstrip("/").rpartition("/")[2]
    all_looked = together(4)

    def look_then_write(_: int) -> bool:
        found = user_of_link(token)
        all_looked()
        SignInLink.objects.update(used_at=Now())
        return found is not None

    assert at_once(look_then_write, list(range(4))) == [True] * 4


def test_a_link_signs_in_whom_it_was_made_for_whatever_is_sent_with_it(
    ada: User, alice: Membership, settings: Settings
) -> None:
    path = path_of(make_sign_in_link(ada), settings)
    browser = Client()
    other = {"email": "alice@example.org", "login": "alice@example.org"}
    browser.post(f"{path}?email=alice@example.org", other | {"user": alice.user_id})
    assert browser.session["_auth_user_id"] == str(ada.pk)


# --- Members ----------------------------------------------------------------------


def new_member(**changes: str) -> dict[str, str]:
    """A filled form."""
    return {
        "email": "carol@example.org",
        "name": "Carol",
        "role": "labeler",
        **changes,
    }


def test_an_admin_lets_somebody_in_and_gets_a_link_for_them(
    project: Project, admin: Membership, signed_in: SignIn, settings: Settings
) -> None:
    page = signed_in(admin).post(
        reverse("add_member", args=[project.slug]), new_member(), follow=True
    )
    carol = Membership.objects.get(project=project, name="Carol")
    assert carol.role == Role.LABELER
    link = re.search(rf"{settings.SITE_URL}(/sign-in/[^<]+)", page.content.decode())
    assert link is not None
    browser = Client()
    browser.post(link[1])
    assert browser.get(reverse("labeler_home", args=[project.slug])).status_code == 200


def test_the_page_lists_members_with_roles_but_no_imported_labelers(
    project: Project, admin: Membership, alice: Membership, signed_in: SignIn
) -> None:
    Membership.objects.create(project=project, name="imported", role=Role.LABELER)
    page = signed_in(admin).get(reverse("members", args=[project.slug]))
    assert [person.name for person in page.context["people"]] == ["admin", "alice"]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"email": "ADMIN@example.org"}, "is a member of this project already"),
        ({"name": "admin"}, "Another member is called admin already"),
    ],
)
def test_somebody_twice_is_a_friendly_error_and_changes_nothing(
    admin: Membership, signed_in: SignIn, changes: dict[str, str], complaint: str
) -> None:
    page = signed_in(admin).post(
        reverse("add_member", args=[admin.project.slug]), new_member(**changes)
    )
    assert page.status_code == 409
    assert complaint in page.content.decode()
    assert Membership.objects.get() == admin
    assert not User.objects.filter(email="carol@example.org").exists()


@pytest.mark.parametrize("changes", [{"email": "no address"}, {"role": "owner"}])
def test_a_form_that_makes_no_sense_says_so(
    project: Project, admin: Membership, signed_in: SignIn, changes: dict[str, str]
) -> None:
    page = signed_in(admin).post(
        reverse("add_member", args=[project.slug]), new_member(**changes)
    )
    assert page.status_code == 422
    assert b"errorlist" in page.content


def test_an_existing_account_joins_without_a_link(
    project: Project, admin: Membership, stranger: Membership, signed_in: SignIn
) -> None:
    page = signed_in(admin).post(
        reverse("add_member", args=[project.slug]),
        new_member(email="stranger@example.org"),
        follow=True,
    )
    assert b"Their account existed before" in page.content
    assert not SignInLink.objects.exists()


def fresh_link(browser: Client, member: Membership) -> str:
    """The page after asking for a link for a member."""
    address = reverse("fresh_link", args=[member.project.slug, member.pk])
    return browser.post(address, follow=True).content.decode()


def test_a_member_who_lost_a_link_gets_a_fresh_one(
    admin: Membership, alice: Membership, signed_in: SignIn
) -> None:
    assert "/sign-in/" in fresh_link(signed_in(admin), alice)


def test_an_admin_gets_no_link_into_the_account_of_a_site_admin(
    project: Project, admin: Membership, signed_in: SignIn
) -> None:
    User.objects.create(email="boss@example.org", is_site_admin=True)
    browser = signed_in(admin)
    browser.post(
        reverse("add_member", args=[project.slug]), new_member(email="boss@example.org")
    )
    page = fresh_link(browser, Membership.objects.get(name="Carol"))
    assert "No link was made" in page
    assert not SignInLink.objects.exists()


def test_an_admin_gets_no_link_into_projects_of_others(
    project: Project, admin: Membership, stranger: Membership, signed_in: SignIn
) -> None:
    twin = make_member(project, "stranger", Role.LABELER)
    assert "No link was made" in fresh_link(signed_in(admin), twin)
    make_member(stranger.project, "admin", Role.ADMIN)
    assert "/sign-in/" in fresh_link(signed_in(admin), twin)


def test_a_member_of_another_project_does_not_exist_for_the_admin(
    project: Project, admin: Membership, stranger: Membership, signed_in: SignIn
) -> None:
    address = reverse("fresh_link", args=[project.slug, stranger.pk])
    assert signed_in(admin).post(address).status_code == 404


# --- Commands ---------------------------------------------------------------------


def test_create_admin_prints_a_link_that_works(
    capsys: pytest.CaptureFixture[str], settings: Settings
) -> None:
    call_command("create_admin", "Boss@Example.org")
    path = path_of(capsys.readouterr().out.strip(), settings)
    browser = Client()
    browser.post(path)
    boss = User.objects.get(email="boss@example.org")
    assert boss.is_site_admin
    assert browser.session["_auth_user_id"] == str(boss.pk)


def test_create_admin_again_makes_a_fresh_link_for_the_same_account(
    ada: User, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("create_admin", ada.email)
    call_command("create_admin", ada.email.upper())
    first, second = capsys.readouterr().out.split()
    assert first != second
    assert User.objects.get().is_site_admin
    assert User.objects.get().check_password(PASSWORD)


def test_create_admin_refuses_what_is_no_address() -> None:
    with pytest.raises(CommandError, match=r"'boss' is not an e-mail address\."):
        call_command("create_admin", "boss")


def test_sign_in_link_is_for_existing_accounts(
    ada: User, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("sign_in_link", ada.email)
    assert "/sign-in/" in capsys.readouterr().out
    with pytest.raises(CommandError, match="Nobody with an open account"):
        call_command("sign_in_link", "nobody@example.org")


def test_create_project_has_the_promised_defaults() -> None:
    call_command("create_project", "tides", verbosity=0)
    project = Project.objects.get()
    assert (project.slug, project.title, project.archive) == ("tides", "tides", False)
    assert (project.overlap, project.overlap_fraction) == (1, 1.0)
    assert project.lease_minutes == 30


def test_create_project_takes_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    options = "--title Tides --overlap 3 --overlap-fraction 0.2 --lease-minutes 5"
    call_command("create_project", "t", *options.split(), "--archive", "--json")
    project = Project.objects.get()
    assert capsys.readouterr().out == f'{{"slug": "t", "id": {project.pk}}}\n'
    assert (project.title, project.overlap, project.archive) == ("Tides", 3, True)
    assert (project.overlap_fraction, project.lease_minutes) == (0.2, 5)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["no spaces"], "slug: "),
        (["t", "--overlap", "0"], "overlap: "),
        (["t", "--overlap-fraction", "1.5"], "overlap_fraction: "),
        (["t", "--lease-minutes", "0"], "lease_minutes: "),
    ],
)
def test_create_project_names_what_is_wrong(
    arguments: list[str], complaint: str
) -> None:
    with pytest.raises(CommandError, match=complaint):
        call_command("create_project", *arguments)
    assert not Project.objects.exists()


def test_create_project_refuses_a_name_that_is_taken(project: Project) -> None:
    with pytest.raises(CommandError, match=r"slug: .*already exists"):
        call_command("create_project", project.slug)


def test_joining_another_project_ends_links_made_before(
    project: Project, settings: Settings
) -> None:
    member, _ = add_member(project, email="new@example.org", name="new", role="labeler")
    assert member.user is not None
    address = make_sign_in_link(member.user).removeprefix(settings.SITE_URL)
    secret = Project.objects.create(slug="secret", title="Secret")
    add_member(secret, email="new@example.org", name="new", role="admin")
    assert Client().post(address).status_code == 410


def test_setting_a_password_ends_the_links_of_the_account(
    alice: Membership, signed_in: SignIn, settings: Settings
) -> None:
    assert alice.user is not None
    address = make_sign_in_link(alice.user).removeprefix(settings.SITE_URL)
    chosen = {"password1": "correct horse staple", "password2": "correct horse staple"}
    signed_in(alice).post("/accounts/password/set/", chosen)
    assert Client().post(address).status_code == 410


def test_the_page_that_shows_a_link_is_kept_by_no_cache(
    admin: Membership, signed_in: SignIn
) -> None:
    browser = signed_in(admin)
    form = {"email": "new@example.org", "name": "new", "role": "labeler"}
    page = browser.post("/p/tides/members/add/", form, follow=True)
    assert "/sign-in/" in page.content.decode()
    assert "no-store" in page["Cache-Control"]


def test_ipv4_in_the_dress_of_ipv6_is_counted_as_ipv4(rf: RequestFactory) -> None:
    request = rf.get("/", REMOTE_ADDR="::ffff:192.0.2.1")
    assert counted_address(request) == "192.0.2.1"


def test_a_project_of_the_command_line_is_open_to_site_admins(
    capsys: pytest.CaptureFixture[str],
) -> None:
    call_command("create_admin", "boss@example.org")
    call_command("create_project", "archive", archive=True)
    boss = User.objects.get(email="boss@example.org")
    browser = Client()
    browser.force_login(boss, "allauth.account.auth_backends.AuthenticationBackend")
    assert browser.get("/p/archive/").status_code == 200
