"""S17 in full: 200 guesses, twenty of them at any time; by one password for everybody,
under addresses that were made up, and by whoever has found a session."""

import pytest
from django.contrib.auth.hashers import make_password
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import Settings

from annotation.models import User
from annotation.throttling import MOST_FAILURES_PER_ADDRESS
from tests.security.test_guessing import (
    LIMIT,
    PASSWORD,
    counted_hashing,
    in_parallel,
    the_limit_is_weighed_of,
    try_password,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(900)]
GUESSES = 200


def test_of_200_guesses_at_once_the_limit_is_weighed() -> None:
    the_limit_is_weighed_of(GUESSES)


def test_a_forwarded_address_that_is_made_up_buys_no_further_guess() -> None:
    ada = User.objects.create_user("ada@example.org", PASSWORD)
    with counted_hashing() as hashed:
        in_parallel(
            lambda number: try_password(
                ada.email,
                f"wrong {number}",
                HTTP_X_FORWARDED_FOR=f"203.0.113.{number}",
            ),
            times=GUESSES,
        )
    assert LIMIT <= len(hashed) <= LIMIT + 2


def test_one_password_for_200_accounts_is_stopped_by_the_address() -> None:
    password = make_password(PASSWORD)
    User.objects.bulk_create(
        User(email=f"person{number}@example.org", password=password)
        for number in range(GUESSES)
    )
    with counted_hashing() as hashed:
        in_parallel(lambda n: try_password(f"person{n}@example.org"), times=GUESSES)
    most = MOST_FAILURES_PER_ADDRESS
    assert most <= len(hashed) <= most + 2
    assert try_password("person7@example.org", PASSWORD).status_code == 429
    elsewhere = try_password("person7@example.org", PASSWORD, "198.51.100.7")
    assert elsewhere.status_code == 302


def test_whoever_has_found_a_session_guesses_its_password_no_faster(
    settings: Settings,
) -> None:
    """The form that asks for the password again counts like the one to sign in."""
    settings.ACCOUNT_RATE_LIMITS = False  # which are a process' own, and not exact
    ada = User.objects.create_user("ada@example.org", PASSWORD)
    browser = Client()
    browser.force_login(ada, "allauth.account.auth_backends.AuthenticationBackend")
    again, key = reverse("account_reauthenticate"), settings.SESSION_COOKIE_NAME

    def guess(number: int) -> None:
        found = Client(REMOTE_ADDR="192.0.2.1")
        found.cookies[key] = browser.cookies[key].value
        found.post(again, {"password": f"wrong {number}"})

    with counted_hashing() as hashed:
        in_parallel(guess, times=GUESSES)
    assert LIMIT <= len(hashed) <= LIMIT + 2
