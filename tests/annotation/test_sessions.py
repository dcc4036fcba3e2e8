"""A session brings its account along, and lets nobody in whom Django would not."""

from collections.abc import Callable

import pytest
from django.conf import settings
from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY, get_user
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends.base import SessionBase
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory, override_settings
from django.test.utils import CaptureQueriesContext

from annotation.models import Membership, Session, User
from annotation.sessions import SessionStore, SignedInAccount

pytestmark = pytest.mark.django_db
SignedIn = Callable[[Membership], Client]


@pytest.fixture
def store(alice: Membership, signed_in: SignedIn) -> SessionBase:
    """The session of alice's browser."""
    return signed_in(alice).session


def asking(store: SessionBase) -> HttpRequest:
    """A request with this session, as views receive it."""
    request = RequestFactory().get("/")
    request.session = SessionStore(store.session_key)
    SignedInAccount(lambda request: HttpResponse()).process_request(request)
    return request


def who_is(store: SessionBase) -> User | AnonymousUser:
    """Whom a request with this session comes from; Django must say the same."""
    plain = RequestFactory().get("/")
    plain.session = SessionStore(store.session_key)
    user: User | AnonymousUser = asking(store).user
    assert user == get_user(plain)
    return user


def test_session_and_account_are_one_query(
    store: SessionBase, alice: Membership
) -> None:
    with CaptureQueriesContext(connection) as asked:
        request = asking(store)
        assert len(asked) == 0
        assert request.user == alice.user
    assert len(asked) == 1


def test_a_session_lets_its_account_in(store: SessionBase, alice: Membership) -> None:
    assert Session.objects.get().user == alice.user
    assert who_is(store) == alice.user


def test_who_was_deactivated_is_out_at_once(store: SessionBase) -> None:
    User.objects.update(is_active=False)
    assert who_is(store) == AnonymousUser()


def test_a_new_password_ends_other_sessions(
    store: SessionBase, alice: Membership
) -> None:
    assert alice.user is not None
    alice.user.set_password("a quite different one")
    alice.user.save()
    assert who_is(store) == AnonymousUser()


def test_a_session_whose_time_is_over_is_none(store: SessionBase) -> None:
    Session.objects.update(expire_date="2020-01-01T00:00:00Z")
    assert who_is(store) == AnonymousUser()


def test_the_column_alone_lets_nobody_in(store: SessionBase, bob: Membership) -> None:
    """The data, which is signed, says who it is."""
    Session.objects.update(user=bob.user)
    assert who_is(store) != bob.user


@pytest.mark.parametrize("missing", [SESSION_KEY, HASH_SESSION_KEY])
def test_data_that_lacks_something_lets_nobody_in(
    store: SessionBase, missing: str
) -> None:
    del store[missing]
    store.save()
    assert who_is(store) == AnonymousUser()


def test_a_session_signed_with_a_former_secret_key_is_taken_over(
    store: SessionBase, alice: Membership
) -> None:
    """Django's way: the hash is renewed, and so is the session's key."""
    with override_settings(
        SECRET_KEY="another one " * 5, SECRET_KEY_FALLBACKS=[settings.SECRET_KEY]
    ):
        request = asking(store)
        assert request.user == alice.user
        assert request.session.session_key != store.session_key


def test_signing_out_forgets_the_session(
    alice: Membership, signed_in: SignedIn
) -> None:
    browser = signed_in(alice)
    browser.post("/accounts/logout/")
    assert not Session.objects.filter(user=alice.user).exists()
