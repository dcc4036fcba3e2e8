"""A second factor: set up, asked for after every way in, counted, taken off."""

import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import (
    TOTP,
    format_hotp_value,
    generate_totp_secret,
    hotp_value,
)
from django.core.management import CommandError, call_command
from django.http import HttpResponseBase
from django.test import Client
from django.urls import reverse
from knox.models import AuthToken
from pytest_django.fixtures import Settings

from annotation import second_factor
from annotation.accounts import make_sign_in_link
from annotation.models import Membership, Session, User
from annotation.second_factor import (
    COOL_OFF,
    MOST_FAILURES,
    TooManyCodesError,
    check_code,
    has_second_factor,
    new_recovery_codes,
    turn_off,
    turn_on,
)
from tests.racing import at_once, together

pytestmark = pytest.mark.django_db
PASSWORD = "a quite long password"
SECRET = generate_totp_secret()
NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
Clock = Callable[[timedelta], None]


@pytest.fixture
def ada() -> User:
    return User.objects.create_user("ada@example.org", PASSWORD)


@pytest.fixture
def clock() -> Iterator[Clock]:
    """`clock(since)`: it is so long after noon now; codes change with it alone."""
    with time_machine.travel(NOON, tick=False) as traveller:
        yield lambda since: traveller.move_to(NOON + since)


def code_now(secret: str = SECRET, *, later: int = 0) -> str:
    """What an app shows, `later` half minutes from now."""
    return str(format_hotp_value(hotp_value(secret, int(time.time()) // 30 + later)))


def wrong_code() -> str:
    right = {code_now(later=step) for step in (-1, 0, 1)}
    return next(f"{n:06}" for n in range(4) if f"{n:06}" not in right)


def password_given(browser: Client) -> HttpResponseBase:
    form = {"login": "ada@example.org", "password": PASSWORD}
    return browser.post(reverse("account_login"), form)


def is_in(browser: Client) -> bool:
    return browser.get(reverse("tokens")).status_code == 200


def code_given(browser: Client, code: str) -> HttpResponseBase:
    return browser.post(reverse("mfa_authenticate"), {"code": code})


# --- Setting it up ----------------------------------------------------------------


def proven(browser: Client, name: str) -> HttpResponseBase:
    """The answer to a POST for which the password is asked once more."""
    asked = browser.post(reverse(name))
    assert asked.status_code == 302
    assert asked["Location"].startswith(reverse("account_reauthenticate"))
    return browser.post(asked["Location"], {"password": PASSWORD})


def test_somebody_sets_it_up_with_an_app_and_gets_recovery_codes(
    ada: User, clock: Clock
) -> None:
    here, elsewhere = Client(), Client()
    password_given(here)
    password_given(elsewhere)
    assert proven(here, "begin_second_factor").status_code == 302
    page = here.get(reverse("confirm_second_factor")).content.decode()
    shown = re.search(r'class="secret">([A-Z2-7]+)<', page)
    assert shown is not None
    picture = here.get(reverse("second_factor_picture"))
    assert picture["Content-Type"] == "image/svg+xml"
    refused = here.post(reverse("confirm_second_factor"), {"code": "000000000"})
    assert refused.status_code == 422
    assert not has_second_factor(ada)
    done = here.post(reverse("confirm_second_factor"), {"code": code_now(shown[1])})
    assert done.status_code == 201
    assert "no-store" in done["Cache-Control"]
    codes = re.findall(r"<li><code>(\d+)</code></li>", done.content.decode())
    assert len(codes) == len(set(codes)) == 10
    assert has_second_factor(ada)
    assert is_in(here)
    assert not is_in(elsewhere), "a session that began without a code goes on"
    assert codes[0] not in here.get(reverse("second_factor")).content.decode()
    assert here.get(reverse("second_factor_picture")).status_code == 404


def test_the_password_is_asked_before_anything_is_changed(ada: User) -> None:
    browser = Client()
    password_given(browser)
    turn_on(ada, secret=SECRET, but=browser.session.session_key)
    for name in ("begin_second_factor", "make_recovery_codes", "remove_second_factor"):
        asked = browser.post(reverse(name))
        assert asked["Location"].startswith(reverse("account_reauthenticate")), name
    assert has_second_factor(ada)


def test_new_recovery_codes_end_the_old_ones(ada: User, clock: Clock) -> None:
    old = turn_on(ada, secret=SECRET, but=None)
    new = new_recovery_codes(ada)
    assert check_code(ada, old[0]) is None
    assert check_code(ada, new[0]) is not None


def test_taken_off_no_code_is_asked_for(ada: User) -> None:
    browser = Client()
    password_given(browser)
    turn_on(ada, secret=SECRET, but=browser.session.session_key)
    assert proven(browser, "remove_second_factor").status_code == 302
    assert not Authenticator.objects.exists()
    fresh = Client()
    password_given(fresh)
    assert is_in(fresh)


# --- Being asked for it -----------------------------------------------------------


def test_the_right_password_alone_lets_nobody_in(ada: User, clock: Clock) -> None:
    turn_on(ada, secret=SECRET, but=None)
    browser = Client()
    answer = password_given(browser)
    assert answer["Location"] == reverse("mfa_authenticate")
    assert not is_in(browser)
    assert b"Your code" in browser.get(reverse("mfa_authenticate")).content
    refused = code_given(browser, wrong_code())
    assert b"That code is not right" in refused.getvalue()
    assert not is_in(browser)
    before = browser.session.session_key
    assert code_given(browser, code_now())["Location"] == reverse("home")
    assert is_in(browser)
    assert browser.session.session_key != before


def test_neither_does_a_one_time_link(
    ada: User, clock: Clock, settings: Settings
) -> None:
    turn_on(ada, secret=SECRET, but=None)
    path = make_sign_in_link(ada).removeprefix(settings.SITE_URL)
    browser = Client()
    assert browser.post(path)["Location"] == reverse("mfa_authenticate")
    assert not is_in(browser)
    code_given(browser, code_now())
    assert is_in(browser)


def test_a_link_in_the_browser_of_somebody_else_asks_for_the_code_of_its_account(
    ada: User, alice: Membership, settings: Settings, clock: Clock
) -> None:
    turn_on(ada, secret=SECRET, but=None)
    browser = Client()
    assert alice.user is not None
    browser.force_login(
        alice.user, "allauth.account.auth_backends.AuthenticationBackend"
    )
    path = make_sign_in_link(ada).removeprefix(settings.SITE_URL)
    assert browser.post(path)["Location"] == reverse("mfa_authenticate")
    assert not is_in(browser)
    code_given(browser, code_now())
    assert browser.session["_auth_user_id"] == str(ada.pk)


def test_a_recovery_code_is_good_once(ada: User, clock: Clock) -> None:
    codes = turn_on(ada, secret=SECRET, but=None)
    for browser, code, lets_in in (
        (Client(), codes[3], True),
        (Client(), codes[3], False),
        (Client(), codes[4], True),
    ):
        password_given(browser)
        code_given(browser, code)
        assert is_in(browser) is lets_in


def test_a_code_that_somebody_looked_at_is_good_no_more(
    ada: User, clock: Clock
) -> None:
    """Also not the one before it, which the tolerance would let through."""
    turn_on(ada, secret=SECRET, but=None)
    assert check_code(ada, code_now()) is not None
    assert check_code(ada, code_now()) is None
    assert check_code(ada, code_now(later=-1)) is None
    clock(timedelta(seconds=30))
    assert check_code(ada, code_now()) is not None


@pytest.mark.parametrize(
    ("later", "right"), [(-2, False), (-1, True), (1, True), (2, False)]
)
def test_a_phone_may_be_half_a_minute_off(
    ada: User, clock: Clock, *, later: int, right: bool
) -> None:
    turn_on(ada, secret=SECRET, but=None)
    assert (check_code(ada, code_now(later=later)) is not None) is right


# --- Guessing ---------------------------------------------------------------------


def test_five_wrong_codes_close_the_door_to_the_right_one_for_a_while(
    ada: User, clock: Clock
) -> None:
    codes = turn_on(ada, secret=SECRET, but=None)
    for _ in range(MOST_FAILURES):
        assert check_code(ada, wrong_code()) is None
    for code in (code_now(), codes[0], wrong_code()):
        with pytest.raises(TooManyCodesError):
            check_code(ada, code)
    clock(COOL_OFF + timedelta(seconds=1))
    assert check_code(ada, code_now()) is not None


def test_the_page_says_how_long_to_wait(ada: User, clock: Clock) -> None:
    turn_on(ada, secret=SECRET, but=None)
    browser = Client()
    password_given(browser)
    for _ in range(MOST_FAILURES):
        code_given(browser, wrong_code())
    page = code_given(browser, code_now())
    assert b"Wait 15 minutes" in page.getvalue()
    assert not is_in(browser)


def test_a_right_code_forgets_the_wrong_ones(ada: User, clock: Clock) -> None:
    turn_on(ada, secret=SECRET, but=None)
    for half_minute in range(3):
        clock(timedelta(seconds=30 * half_minute))
        for _ in range(MOST_FAILURES - 1):
            assert check_code(ada, wrong_code()) is None
        assert check_code(ada, code_now()) is not None


GUESSERS = 24


def tried_at_once(user: User, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many of the guesses were compared with the right code."""
    looked_at: list[str] = []
    compare = second_factor._matching

    def counting(app: Authenticator, code: str) -> Authenticator | None:
        looked_at.append(code)
        return compare(app, code)

    def guess(number: int) -> None:
        try:
            check_code(user, wrong_code())
        except TooManyCodesError:
            return

    monkeypatch.setattr(second_factor, "_matching", counting)
    at_once(guess, list(range(GUESSERS)))
    return len(looked_at)


@pytest.mark.django_db(transaction=True)
def test_of_guesses_that_come_at_once_five_are_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    user = User.objects.create_user("ada@example.org", PASSWORD)
    turn_on(user, secret=SECRET, but=None)
    assert tried_at_once(user, monkeypatch) == MOST_FAILURES


@pytest.mark.django_db(transaction=True)
def test_control_without_the_lock_all_of_them_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each has looked at the count before the first one is counted."""
    user = User.objects.create_user("ada@example.org", PASSWORD)
    turn_on(user, secret=SECRET, but=None)
    app = Authenticator.objects.filter(user=user, type=Authenticator.Type.TOTP)

    class Unlocked:
        """The rows, without the lock."""

        def select_for_update(self, **_: object) -> object:
            return app.all()

    all_here = together(GUESSERS)
    monkeypatch.setattr(second_factor, "_app_of", lambda user: Unlocked())
    is_closed = second_factor._is_closed

    def after_all_looked(data: dict[str, object]) -> bool:
        closed = is_closed(data)
        all_here()
        return closed

    monkeypatch.setattr(second_factor, "_is_closed", after_all_looked)
    assert tried_at_once(user, monkeypatch) == GUESSERS


# --- Losing it --------------------------------------------------------------------


@pytest.fixture
def boss() -> Client:
    """The browser of a site admin."""
    user = User.objects.create_user("boss@example.org", PASSWORD)
    User.objects.filter(pk=user.pk).update(is_site_admin=True)
    browser = Client()
    browser.force_login(user, "allauth.account.auth_backends.AuthenticationBackend")
    return browser


def test_a_site_admin_takes_a_lost_second_factor_off(ada: User, boss: Client) -> None:
    turn_on(ada, secret=SECRET, but=None)
    AuthToken.objects.create(user=ada)
    form = {"email": "Ada@Example.org", "what": "second_factor"}
    page = boss.post(reverse("rescue"), form, follow=True)
    assert b"has no second factor any more" in page.content
    assert not has_second_factor(ada)
    assert not AuthToken.objects.exists()
    browser = Client()
    password_given(browser)
    assert is_in(browser)


def test_a_rescue_of_nobody_changes_nothing(ada: User, boss: Client) -> None:
    turn_on(ada, secret=SECRET, but=None)
    form = {"email": "nobody@example.org", "what": "second_factor"}
    assert boss.post(reverse("rescue"), form).status_code == 422
    assert boss.post(reverse("rescue"), {"email": ada.email}).status_code == 422
    assert has_second_factor(ada)


def test_an_admin_of_a_project_takes_nobodys_second_factor_off(
    ada: User, admin: Membership, signed_in: Callable[[Membership], Client]
) -> None:
    turn_on(ada, secret=SECRET, but=None)
    form = {"email": ada.email, "what": "second_factor"}
    assert signed_in(admin).post(reverse("rescue"), form).status_code == 403
    assert has_second_factor(ada)


def test_the_command_does_it_for_the_last_site_admin(
    ada: User, capsys: pytest.CaptureFixture[str]
) -> None:
    turn_on(ada, secret=SECRET, but=None)
    password_given(Client())
    call_command("reset_second_factor", "ADA@example.org")
    assert "no second factor any more" in capsys.readouterr().out
    assert not has_second_factor(ada)
    assert not Session.objects.filter(user=ada).exists()
    with pytest.raises(CommandError, match="Nobody with a second factor"):
        call_command("reset_second_factor", "ada@example.org")


def test_secrets_and_codes_are_on_no_page_of_an_admin(
    admin: Membership, alice: Membership, signed_in: Callable[[Membership], Client]
) -> None:
    assert alice.user is not None
    turn_on(alice.user, secret=SECRET, but=None)
    address = reverse("member_access", args=[admin.project.slug, alice.pk])
    page = signed_in(admin).get(address).content.decode()
    assert "<dd>on</dd>" in page
    assert SECRET not in page
    assert turn_off(alice.user)
    assert "<dd>off</dd>" in signed_in(admin).get(address).content.decode()


def test_somebody_with_an_app_that_is_on_keeps_it(ada: User) -> None:
    """A second setup that was begun before the first one was over."""
    browser = Client()
    password_given(browser)
    proven(browser, "begin_second_factor")
    TOTP.activate(ada, SECRET)
    secret = browser.session["second factor in setup"]
    answer = browser.post(
        reverse("confirm_second_factor"), {"code": code_now(secret)}, follow=True
    )
    assert b"on already" in answer.content
    kept = Authenticator.objects.get(user=ada, type=Authenticator.Type.TOTP)
    assert kept.data["secret"] == SECRET
