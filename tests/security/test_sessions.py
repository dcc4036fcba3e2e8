"""S16: a session has a new key at each sign-in, and ends with its password, with what
its account may do, when nobody uses it, and after its time in any case."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest
import time_machine
from allauth.account.forms import default_token_generator
from allauth.account.utils import user_pk_to_url_str
from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.test import Client
from django.urls import reverse
from knox.models import AuthToken

from annotation.accounts import make_sign_in_link
from annotation.models import Session, User
from annotation.sessions import RENEWED_AFTER

pytestmark = pytest.mark.django_db
PASSWORD, ANOTHER = "a quite long password", "another quite long password"
KEY = settings.SESSION_COOKIE_NAME


@pytest.fixture
def ada() -> User:
    return User.objects.create_user("ada@example.org", PASSWORD)


def sign_in(browser: Client, password: str = PASSWORD) -> str:
    """The key of the session that it makes."""
    form = {"login": "ada@example.org", "password": password}
    browser.post(reverse("account_login"), form)
    return browser.cookies[KEY].value


def is_in(browser: Client) -> bool:
    return browser.get(reverse("tokens")).status_code == 200


def with_key(key: str) -> Client:
    browser = Client()
    browser.cookies[KEY] = key
    return browser


def test_a_key_that_somebody_planted_opens_nothing_after_sign_in(ada: User) -> None:
    """Somebody gives ada their own key, of a session without an account."""
    planted = Client().session
    planted["theirs"] = True
    planted.save()
    assert planted.session_key is not None
    hers = with_key(planted.session_key)
    key = sign_in(hers)
    assert key != planted.session_key
    assert is_in(hers)
    assert not is_in(with_key(planted.session_key))
    assert not Session.objects.filter(session_key=planted.session_key).exists()


def test_the_key_of_a_session_is_for_this_site_and_for_no_script(ada: User) -> None:
    browser = Client()
    sign_in(browser)
    cookie = browser.cookies[KEY]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"
    assert not cookie["domain"]


def test_signing_out_ends_the_session_for_whoever_has_its_key(ada: User) -> None:
    browser = Client()
    key = sign_in(browser)
    assert is_in(with_key(key))
    browser.post(reverse("account_logout"))
    assert not is_in(with_key(key))
    assert not Session.objects.filter(session_key=key).exists()


def test_a_new_password_ends_other_sessions_and_every_token(ada: User) -> None:
    """The browser in which it was changed stays signed in, under a new key."""
    here, elsewhere = Client(), Client()
    key, _ = sign_in(here), sign_in(elsewhere)
    _, token = AuthToken.objects.create(user=ada)
    stranger = User.objects.create_user("bob@example.org", PASSWORD)
    AuthToken.objects.create(user=stranger)
    program = Client(headers={"Authorization": f"Token {token}"})
    assert is_in(elsewhere)
    assert program.get(reverse("api_schema")).status_code == 200

    form = {"oldpassword": PASSWORD, "password1": ANOTHER, "password2": ANOTHER}
    changed = here.post(reverse("account_change_password"), form)
    assert changed.status_code == 302
    assert is_in(here)
    assert here.cookies[KEY].value != key
    assert not is_in(with_key(key))
    assert not is_in(elsewhere)
    assert program.get(reverse("api_schema")).status_code == 401
    assert [one.user for one in AuthToken.objects.all()] == [stranger]


def change(browser: Client, ada: User) -> None:
    """By the form of somebody who knows the old one."""
    sign_in(browser)
    form = {"oldpassword": PASSWORD, "password1": ANOTHER, "password2": ANOTHER}
    browser.post(reverse("account_change_password"), form)


def set_for_the_first_time(browser: Client, ada: User) -> None:
    """By somebody whom an admin's link let in."""
    User.objects.filter(pk=ada.pk).update(password=make_password(None))
    ada.refresh_from_db()
    browser.force_login(ada, "allauth.account.auth_backends.AuthenticationBackend")
    form = {"password1": ANOTHER, "password2": ANOTHER}
    browser.post(reverse("account_set_password"), form)


def reset(browser: Client, ada: User) -> None:
    """By the link of a letter."""
    uid, token = user_pk_to_url_str(ada), default_token_generator.make_token(ada)
    link = reverse(
        "account_reset_password_from_key", kwargs={"uidb36": uid, "key": token}
    )
    form = browser.get(link, follow=True).redirect_chain[-1][0]
    browser.post(form, {"password1": ANOTHER, "password2": ANOTHER})


@pytest.mark.parametrize("way", [change, set_for_the_first_time, reset])
def test_no_way_to_a_new_password_leaves_an_old_key(
    ada: User, way: Callable[[Client, User], None]
) -> None:
    """A session elsewhere, a token, a one-time link: whoever held one is out, and an
    old session leads to the form to sign in."""
    elsewhere = Client()
    elsewhere.force_login(ada, "allauth.account.auth_backends.AuthenticationBackend")
    key = elsewhere.cookies[KEY].value
    _, token = AuthToken.objects.create(user=ada)
    link = urlsplit(make_sign_in_link(ada)).path
    program = Client(headers={"Authorization": f"Token {token}"})
    way(Client(), ada)

    ada.refresh_from_db()
    assert ada.check_password(ANOTHER)
    refused = with_key(key).get(reverse("tokens"))
    assert refused.status_code == 302
    assert refused["Location"].startswith(reverse("account_login"))
    assert program.get(reverse("api_schema")).status_code == 401
    assert Client().post(link).status_code == 410


def test_a_wrong_old_password_ends_nothing(ada: User) -> None:
    here = Client()
    sign_in(here)
    AuthToken.objects.create(user=ada)
    form = {"oldpassword": "wrong", "password1": ANOTHER, "password2": ANOTHER}
    assert here.post(reverse("account_change_password"), form).status_code == 200
    assert is_in(here)
    assert AuthToken.objects.filter(user=ada).exists()


# --- How long ---------------------------------------------------------------------

MORNING = datetime(2026, 11, 2, 8, tzinfo=UTC)
IDLE, ABSOLUTE = settings.SESSION_IDLE, settings.SESSION_ABSOLUTE
A_MOMENT = timedelta(minutes=1)


@pytest.fixture
def clock() -> Iterator[Callable[[timedelta], None]]:
    """`clock(since)`: it is so long after the sign-in now."""
    with time_machine.travel(MORNING, tick=False) as traveller:
        yield lambda since: traveller.move_to(MORNING + since)


def test_a_session_that_nobody_uses_ends(
    ada: User, clock: Callable[[timedelta], None]
) -> None:
    browser = Client()
    sign_in(browser)
    clock(IDLE + A_MOMENT)
    assert not is_in(browser)


def test_each_use_puts_off_the_end_until_the_last_one(
    ada: User, clock: Callable[[timedelta], None]
) -> None:
    """Used every half of the idle time, it lives on, but not beyond its whole time."""
    browser = Client()
    sign_in(browser)
    used = IDLE / 2
    while used < ABSOLUTE:
        clock(used)
        assert is_in(browser), used
        used += IDLE / 2
    clock(ABSOLUTE - A_MOMENT)
    assert is_in(browser)
    clock(ABSOLUTE + A_MOMENT)
    assert not is_in(browser)


def test_a_new_password_does_not_lengthen_the_whole_time(
    ada: User, clock: Callable[[timedelta], None]
) -> None:
    """The session has a new key then, and is the same sign-in."""
    browser = Client()
    sign_in(browser)
    clock(IDLE / 2)
    form = {"oldpassword": PASSWORD, "password1": ANOTHER, "password2": ANOTHER}
    browser.post(reverse("account_change_password"), form)
    assert is_in(browser)
    data = browser.session
    assert data["signed_in_at"] == MORNING.timestamp()


def test_a_use_writes_a_row_now_and_then_only(
    ada: User, clock: Callable[[timedelta], None]
) -> None:
    browser = Client()
    sign_in(browser)
    end = Session.objects.get().expire_date
    clock(IDLE * RENEWED_AFTER - A_MOMENT)
    assert is_in(browser)
    assert Session.objects.get().expire_date == end
    clock(IDLE * RENEWED_AFTER + A_MOMENT)
    assert is_in(browser)
    assert Session.objects.get().expire_date == end + IDLE * RENEWED_AFTER + A_MOMENT


def test_the_cookie_lives_no_longer_than_the_session_can(ada: User) -> None:
    browser = Client()
    sign_in(browser)
    assert browser.cookies[KEY]["max-age"] <= ABSOLUTE.total_seconds()
