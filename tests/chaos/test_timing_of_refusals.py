"""S18 in full: how long an answer takes does not tell whether somebody has an account.

With the hasher of production and the limits out of the way. What is measured is the CPU
time of an answer, which other work on the machine lengthens least; addresses with an
account and without take turns, and one comparison in three has to show nothing.
"""

import time
from collections.abc import Callable, Iterator
from itertools import count
from statistics import median
from threading import Event
from typing import Any

import pytest
from allauth.account.auth_backends import AuthenticationBackend
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import Settings

from annotation.accounts import LETTERS
from annotation.models import User

pytestmark = [pytest.mark.django_db, pytest.mark.timeout(900)]
TRIES, ROUNDS = 50, 3
MOST_SECONDS = 0.010
ARGON2 = "django.contrib.auth.hashers.Argon2PasswordHasher"
Ask = Callable[[str], object]


@pytest.fixture
def addresses(settings: Settings) -> Iterator[Iterator[str]]:
    """Every try comes from an address of its own, and no limit is met."""
    settings.PASSWORD_HASHERS = [ARGON2]
    settings.ACCOUNT_RATE_LIMITS = False
    settings.EMAIL_URL = "smtp://127.0.0.1"
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    User.objects.create_user("ada@example.org", "a quite long password")
    yield (f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}" for n in count(1))
    LETTERS.submit(bool).result(timeout=60)


def seconds(ask: Ask, email: str) -> float:
    """Of this process, with the threads that a hash takes; letters are not sent yet."""
    letters_may_go = Event()
    LETTERS.submit(letters_may_go.wait, 60)
    started = time.process_time()
    ask(email)
    took = time.process_time() - started
    letters_may_go.set()
    return took


def difference(ask: Ask) -> float:
    """Between the medians of an address with an account and one without."""
    known: list[float] = []
    unknown: list[float] = []
    for number in range(TRIES):
        pair = [(known, "ada@example.org"), (unknown, "bob@example.org")]
        for took, email in pair if number % 2 else reversed(pair):
            took.append(seconds(ask, email))
    return abs(median(known) - median(unknown))


def is_told(ask: Ask) -> bool:
    """Whether each of three comparisons shows it."""
    return all(difference(ask) >= MOST_SECONDS for _ in range(ROUNDS))


def sign_in(addresses: Iterator[str]) -> Ask:
    def ask(email: str) -> None:
        form = {"login": email, "password": "a wrong password"}
        browser = Client(REMOTE_ADDR=next(addresses))
        assert browser.post(reverse("account_login"), form).status_code == 200

    return ask


def ask_for_reset(addresses: Iterator[str]) -> Ask:
    def ask(email: str) -> None:
        browser = Client(REMOTE_ADDR=next(addresses))
        answer = browser.post(reverse("account_reset_password"), {"email": email})
        assert answer.status_code == 302

    return ask


@pytest.mark.parametrize("way", [sign_in, ask_for_reset])
def test_an_account_is_not_told_by_the_time_of_an_answer(
    addresses: Iterator[str], way: Callable[[Iterator[str]], Ask]
) -> None:
    ask = way(addresses)
    ask("ada@example.org")  # what a process makes once is not counted
    assert not is_told(ask)


def test_control_without_a_hash_for_nobody_it_is_told(
    addresses: Iterator[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def at_once(backend: Any, password: str) -> None:
        """No account, no hash."""

    monkeypatch.setattr(AuthenticationBackend, "_mitigate_timing_attack", at_once)
    assert difference(sign_in(addresses)) >= MOST_SECONDS
