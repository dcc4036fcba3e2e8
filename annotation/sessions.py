"""Sessions in the database that bring their account along: one query for both.

Whether somebody is signed in is asked of the database at every request, so who is
deactivated, or has a new password, is out at their next one.

A session ends SESSION_IDLE after its last use, and SESSION_ABSOLUTE after its sign-in
however much it is used. One column, `expire_date`, is the earlier of both.
"""

from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.contrib.auth import (
    BACKEND_SESSION_KEY,
    HASH_SESSION_KEY,
    SESSION_KEY,
    get_user,
)
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.auth.models import AnonymousUser
from django.contrib.auth.signals import user_logged_in
from django.contrib.sessions.backends import db
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.utils.functional import SimpleLazyObject

from annotation.models import Session, User
from annotation.prepared import Given, Prepared

SIGNED_IN_AT = "signed_in_at"  # in the session's data: seconds since 1970
# A use prolongs a session only when this part of the idle time has passed since the
# last one that did: reading writes a row now and then, not at every request.
RENEWED_AFTER = 0.1

_SESSION = Prepared(
    lambda: Session.objects.select_related("user").filter(
        session_key=Given("key"), expire_date__gt=Given("now")
    )
)


class SessionStore(db.SessionStore):
    """As Django's; a column names the account that the session's data names."""

    account: User | None = None  # once the session is loaded

    @classmethod
    def get_model_class(cls) -> type[Session]:
        """Our table."""
        return Session

    def create_model_instance(self, data: dict[str, Any]) -> Any:
        """The row of this session as it is now."""
        row: Any = super().create_model_instance(data)
        row.user_id = data.get(SESSION_KEY)
        row.expire_date = end_of(data)
        return row

    def _get_session_from_db(self) -> Session | None:
        row = _SESSION.first(key=self.session_key, now=timezone.now())
        if row is None:
            self._session_key = None
            return None
        self.account = row.user
        _prolong(row)
        return row


def end_of(data: dict[str, Any]) -> datetime:
    """When a session that is used now ends, if it is not used again."""
    idle = timezone.now() + settings.SESSION_IDLE
    if SIGNED_IN_AT not in data:
        return idle
    signed_in = datetime.fromtimestamp(data[SIGNED_IN_AT], UTC)
    return min(idle, signed_in + settings.SESSION_ABSOLUTE)


def _prolong(row: Session) -> None:
    """Put off the end of a session that is being used. Seldom one statement, else none.

    Its data is left alone, which another request may be changing. Without the time of
    its sign-in (it was made before such times were kept) it ends when it was to end.
    """
    gained = timezone.now() + settings.SESSION_IDLE - row.expire_date
    if gained <= settings.SESSION_IDLE * RENEWED_AFTER:
        return
    data = SessionStore().decode(row.session_data)
    if SIGNED_IN_AT in data:
        Session.objects.filter(pk=row.pk).update(expire_date=end_of(data))


def _note_sign_in(request: HttpRequest, **others: Any) -> None:
    request.session[SIGNED_IN_AT] = timezone.now().timestamp()


user_logged_in.connect(_note_sign_in, dispatch_uid="when a session began")


def end_sessions(user: User, *, but: str | None = None) -> None:
    """Sign somebody out everywhere; the session with the key `but` goes on."""
    Session.objects.filter(user=user).exclude(session_key=but).delete()


class SignedInAccount(AuthenticationMiddleware):
    """Says who is signed in: `request.user`."""

    def process_request(self, request: HttpRequest) -> None:
        """Nothing is asked before somebody looks at the user."""
        super().process_request(request)
        request.user = SimpleLazyObject(lambda: _user_of(request))  # type: ignore[assignment]


def _user_of(request: HttpRequest) -> AbstractBaseUser | AnonymousUser:
    """The session's account where all is plain, else whom Django finds.

    The same conditions as Django's: the account that the session's data names is
    active, and has the password that it had when it signed in, under the present
    SECRET_KEY. What fails one of them (a key that was changed, say) is left to Django.
    """
    session: Any = request.session
    named = session.get(SESSION_KEY)  # loads the session
    account: User | None = session.account
    if (
        account is not None
        and named == str(account.pk)
        and account.is_active
        and session.get(BACKEND_SESSION_KEY) in settings.AUTHENTICATION_BACKENDS
        and constant_time_compare(
            session.get(HASH_SESSION_KEY, ""), account.get_session_auth_hash()
        )
    ):
        return account
    return get_user(request)
