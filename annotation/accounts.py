"""How people get in: by invitation, with a password or a one-time link."""

import hashlib
import secrets
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from smtplib import SMTPException
from typing import Any

import structlog
from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.views import LoginView, password_reset
from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.core.mail import EmailMessage
from django.db import transaction
from django.db.models import QuerySet, Value
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from knox.models import AuthToken

from annotation.models import SignInLink, User
from annotation.sessions import end_sessions
from annotation.throttling import counted_address, take_turns

log = structlog.get_logger(__name__)
# One thread; what it has not sent when its process ends, people ask for again.
LETTERS = ThreadPoolExecutor(1, thread_name_prefix="letters")
LINK_LIFETIME = timedelta(days=2)


class InvitedOnly(DefaultAccountAdapter):  # type: ignore[misc]  # allauth has no types
    """Nobody registers themselves, and links lead to the configured site only."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Never: accounts are made by admins."""
        return False

    def is_safe_url(self, url: str | None) -> bool:
        """Whether `next` stays on this very site, and on https where it is."""
        if not url or not url.isprintable():
            return False
        return url_has_allowed_host_and_scheme(
            url, {self.request.get_host()}, require_https=self.request.is_secure()
        )

    def get_reset_password_from_key_url(self, key: str) -> str:
        """The link in the letter; the request's Host header has no part in it."""
        uid, _, token = key.partition("-")
        return str(settings.SITE_URL) + reverse(
            "account_reset_password_from_key", kwargs={"uidb36": uid, "key": token}
        )

    def set_password(self, user: User, password: str) -> None:
        """Whoever held a link or a token of the account may be whom the password locks
        out; other sessions end by themselves, for they hold a hash of the old one."""
        super().set_password(user, password)
        end_keys(user)

    def authenticate(self, request: HttpRequest, **credentials: Any) -> Any:
        """The account whose password it is, or None.

        Guesses from one address wait for each other: each is counted before the next
        one is weighed, so of many at once no more than the limit are looked at.
        """
        with transaction.atomic():
            take_turns(counted_address(request))
            return super().authenticate(request, **credentials)

    def send_mail(
        self, template_prefix: str, email: str, context: dict[str, Any]
    ) -> None:
        """Send a letter after the answer: how long an answer takes must not tell
        whether an account has the address."""
        letter = self.render_mail(template_prefix, email, context)
        LETTERS.submit(_send, letter)

    def get_password_change_redirect_url(self, request: HttpRequest) -> str:
        """Back to work."""
        return reverse("home")


def _send(letter: EmailMessage) -> None:
    try:
        letter.send()
    except (OSError, SMTPException) as error:
        log.error("letter_not_sent", error=type(error).__name__)


# --- Pages ---------------------------------------------------------------------------


class SignIn(LoginView):  # type: ignore[misc]  # allauth has no types
    """The form to sign in, with the way over single sign-on where there is one."""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """The provider's key and name, if the site has one."""
        provider = settings.OIDC_PROVIDER if settings.OIDC_SERVER_URL else ""
        names = {"provider": provider, "provider_name": settings.OIDC_NAME}
        return {**super().get_context_data(**kwargs), **names}


sign_in = SignIn.as_view()


def ask_for_reset(request: HttpRequest) -> HttpResponse:
    """Ask for a letter with a reset link; a site that sends none says whom to ask."""
    if not settings.EMAIL_URL:
        return render(request, "account/no_letters.html")
    response: HttpResponse = password_reset(request)
    return response


# --- Accounts and one-time links --------------------------------------------------


def account_of(email: str) -> tuple[User, bool]:
    """The account of an address, and whether it was made by this call.

    A new one has no password: a one-time link opens it. Of two simultaneous calls
    the unique address lets one create and the other one find.
    """
    return User.objects.get_or_create(
        email=email.strip().lower(), defaults={"password": make_password(None)}
    )


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def make_sign_in_link(user: User) -> str:
    """An address that signs `user` in once, within two days.

    Earlier links of theirs end: whoever asks for a fresh one may have lost the other.
    """
    token = secrets.token_urlsafe(32)
    end_sign_in_links(user)
    SignInLink.objects.create(
        user=user,
        token_sha256=_hash(token),
        expires_at=Now() + Value(LINK_LIFETIME),
    )
    return str(settings.SITE_URL) + reverse("sign_in_link", args=[token])


def end_sign_in_links(user: User) -> None:
    """Links of the account that were not used open nothing any more."""
    _valid_links().filter(user=user).update(expires_at=Now())


def end_keys(user: User) -> None:
    """Whatever opens the account without its password ends: links and API tokens."""
    end_sign_in_links(user)
    AuthToken.objects.filter(user=user).delete()


def end_access(user: User) -> None:
    """Sign somebody out everywhere and end their links and API tokens.

    For when what the account may do has changed: whoever had got hold of a session or a
    token has to sign in anew. Other requests that are under way end with their rights.
    """
    end_sessions(user)
    end_keys(user)


def user_of_link(token: str) -> User | None:
    """Whom the link would sign in now; it is not spent by asking."""
    link = _valid_links().filter(token_sha256=_hash(token)).select_related("user")
    found = link.first()
    return found.user if found else None


def use_sign_in_link(token: str) -> User | None:
    """The user of a link that is valid now; the link is spent by this call.

    One conditional UPDATE decides, so of two simultaneous uses one succeeds. Its
    conditions are columns of the link alone: a joined table would make them a
    subquery, which Postgres does not ask again after waiting for the other use.
    None: unknown, spent, expired, or the account was closed.
    """
    fresh = SignInLink.objects.filter(
        token_sha256=_hash(token), used_at__isnull=True, expires_at__gt=Now()
    )
    if not fresh.update(used_at=Now()):
        return None
    return User.objects.filter(
        signinlink__token_sha256=_hash(token), is_active=True
    ).first()


def _valid_links() -> QuerySet[SignInLink]:
    return SignInLink.objects.filter(
        used_at__isnull=True, expires_at__gt=Now(), user__is_active=True
    )
