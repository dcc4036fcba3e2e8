"""S17 and S18: guessing passwords, many at a time, and who has an account."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event, Lock
from typing import Any

import pytest
from django.contrib.auth.hashers import MD5PasswordHasher
from django.core.mail.backends.locmem import EmailBackend
from django.db import connection
from django.http import HttpResponseBase
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import Settings

from annotation import accounts
from annotation.accounts import LETTERS
from annotation.models import User
from tests.racing import SECONDS, together

PASSWORD = "a quite long password"
LIMIT, GUESSES, AT_ONCE = 5, 40, 20  # `make chaos` makes 200 guesses


@contextmanager
def counted_hashing() -> Iterator[list[str]]:
    """The passwords that were hashed meanwhile: a hash is what a guess costs, and what
    makes an answer slow."""
    hashed: list[str] = []
    lock = Lock()
    encode = MD5PasswordHasher.encode

    def counting(hasher: MD5PasswordHasher, password: str, *given: Any) -> str:
        with lock:
            hashed.append(password)
        return encode(hasher, password, *given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MD5PasswordHasher, "encode", counting)
        yield hashed


def try_password(
    email: str,
    password: str = "wrong password",
    address: str = "192.0.2.1",
    **more: Any,
) -> HttpResponseBase:
    form = {"login": email, "password": password}
    return Client(REMOTE_ADDR=address, **more).post(reverse("account_login"), form)


def in_parallel(guess: Callable[[int], object], *, times: int) -> None:
    """So many guesses, twenty of them at any time."""

    def one(number: int) -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute(f"SET lock_timeout = '{SECONDS}s'")
            guess(number)
        finally:
            connection.close()

    with ThreadPoolExecutor(AT_ONCE) as threads:
        list(threads.map(one, range(times)))


# --- S17 --------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_of_many_guesses_at_once_the_limit_is_weighed() -> None:
    """And the victim gets in from elsewhere."""
    the_limit_is_weighed_of(GUESSES)


def the_limit_is_weighed_of(guesses: int) -> None:
    ada = User.objects.create_user("ada@example.org", PASSWORD)
    with counted_hashing() as hashed:
        in_parallel(lambda n: try_password(ada.email, f"wrong {n}"), times=guesses)
    assert LIMIT <= len(hashed) <= LIMIT + 2
    assert try_password(ada.email, PASSWORD).status_code == 429
    elsewhere = try_password(ada.email, PASSWORD, "198.51.100.7")
    assert elsewhere.status_code == 302


@pytest.mark.django_db(transaction=True)
def test_control_without_taking_turns_far_more_are_weighed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Twenty have found the door open before the first of them is counted."""
    ada = User.objects.create_user("ada@example.org", PASSWORD)
    all_found_it_open = together(AT_ONCE)
    monkeypatch.setattr(accounts, "take_turns", lambda address: None)
    check = User.check_password

    def when_all_are_here(user: User, password: str) -> bool:
        all_found_it_open()
        return check(user, password)

    monkeypatch.setattr(User, "check_password", when_all_are_here)
    with counted_hashing() as hashed:
        in_parallel(
            lambda number: try_password(ada.email, f"wrong {number}"), times=AT_ONCE
        )
    assert len(hashed) == AT_ONCE


# --- S18 --------------------------------------------------------------------------


def answer_to(email: str, address: str) -> tuple[int, bytes, int]:
    """Status, page without what was typed, and hashes of a wrong password."""
    with counted_hashing() as hashed:
        answer = try_password(email, address=address)
    page = answer.getvalue().replace(email.encode(), b"EMAIL")
    return answer.status_code, without_token(page), len(hashed)


def without_token(page: bytes) -> bytes:
    """A page without the one thing that differs each time."""
    before, name, rest = page.partition(b'name="csrfmiddlewaretoken" value="')
    return before + name + rest.partition(b'"')[2]


@pytest.mark.django_db
def test_a_wrong_password_tells_nothing_of_whether_there_is_an_account() -> None:
    """The same page after the same work: one hash, whatever is the matter."""
    User.objects.create_user("ada@example.org", PASSWORD)
    User.objects.create_user("by-link@example.org")
    User.objects.create_user("closed@example.org", PASSWORD)
    User.objects.filter(email="closed@example.org").update(is_active=False)
    emails = ("ada", "nobody", "by-link", "closed")
    answers = {
        answer_to(f"{name}@example.org", f"192.0.2.{number}")
        for number, name in enumerate(emails)
    }
    [(status, page, hashes)] = answers
    assert (status, hashes) == (200, 1)
    assert b"not correct" in page


class SlowServer(EmailBackend):
    """A mail server that takes its time: until the test lets it go on."""

    may_send = Event()

    def send_messages(self, messages: Any) -> int:
        assert self.may_send.wait(timeout=SECONDS)
        return super().send_messages(messages)


@pytest.mark.django_db
def test_asking_for_a_reset_tells_nothing_either(
    settings: Settings, mailoutbox: list[Any]
) -> None:
    """Both answers are there before any letter is sent, and say the same."""
    User.objects.create_user("ada@example.org", PASSWORD)
    settings.EMAIL_URL = "smtp://127.0.0.1"
    settings.EMAIL_BACKEND = f"{__name__}.SlowServer"
    SlowServer.may_send.clear()
    answers = set()
    with counted_hashing() as hashed:
        for name in ("ada", "nobody"):
            form = {"email": f"{name}@example.org"}
            answer = Client().post(reverse("account_reset_password"), form)
            answers.add((answer.status_code, answer["Location"], answer.content))
    assert len(answers) == 1
    assert hashed == []
    assert mailoutbox == []
    SlowServer.may_send.set()
    LETTERS.submit(bool).result(timeout=SECONDS)
    assert [letter.to for letter in mailoutbox] == [["ada@example.org"]]


@pytest.mark.django_db
def test_a_letter_that_cannot_be_sent_is_logged_and_told_to_nobody(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    User.objects.create_user("ada@example.org", PASSWORD)
    settings.EMAIL_URL = "smtp://127.0.0.1"
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
    form = {"email": "ada@example.org"}
    assert Client().post(reverse("account_reset_password"), form).status_code == 302
    LETTERS.submit(bool).result(timeout=SECONDS)
    assert "letter_not_sent" in caplog.text
    assert "ada@example.org" not in caplog.text
