"""How people get in: by invitation, with a password or a one-time link."""

import hashlib
import secrets
from datetime import timedelta

from allauth.account.adapter import DefaultAccountAdapter
from django.conf import settings
from django.db.models import Value
from django.db.models.functions import Now
from django.http import HttpRequest
from django.urls import reverse

from annotation.models import SignInLink, User

LINK_LIFETIME = timedelta(days=2)


class InvitedOnly(DefaultAccountAdapter):  # type: ignore[misc]  # allauth has no types
    """Nobody registers themselves."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Never: accounts are made by admins."""
        return False


def attempted_email(
    request: HttpRequest | None, credentials: dict[str, str] | None = None
) -> str:
    """The address that a throttled sign-in was tried with."""
    given = (credentials or {}).get("email") or (
        request.POST.get("login", "") if request else ""
    )
    return given.strip().lower()


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def make_sign_in_link(user: User) -> str:
    """An address that signs `user` in once, within two days."""
    token = secrets.token_urlsafe(32)
    SignInLink.objects.create(
        user=user,
        token_sha256=_hash(token),
        expires_at=Now() + Value(LINK_LIFETIME),
    )
    return settings.SITE_URL + reverse("sign_in_link", args=[token])


def use_sign_in_link(token: str) -> User | None:
    """The user of a link that is valid now; the link is spent by this call.

    One conditional UPDATE decides, so of two simultaneous uses one succeeds.
    None: unknown, spent, expired, or the account was closed.
    """
    fresh = SignInLink.objects.filter(
        token_sha256=_hash(token),
        used_at__isnull=True,
        expires_at__gt=Now(),
        user__is_active=True,
    )
    if not fresh.update(used_at=Now()):
        return None
    return User.objects.get(signinlink__token_sha256=_hash(token))
