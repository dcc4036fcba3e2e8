"""Signing in at a company's own OpenID Connect server.

It says who somebody is; it lets nobody in who was not invited. The first sign-in finds
the account by the e-mail address that the server has verified, and ties it to the
server's own key for that person; from then on that key alone decides. So whoever is
given a former colleague's address does not get their account.
"""

from typing import Any

import structlog
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialAccount, SocialLogin
from allauth.socialaccount.providers.openid_connect import views as openid_connect
from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe
from requests import RequestException

from annotation.models import User

log = structlog.get_logger(__name__)
PROVIDER = settings.OIDC_PROVIDER
# What an answer that is no answer of an OpenID Connect server comes to.
UNREADABLE = (RequestException, KeyError, TypeError, ValueError)


class InvitedOnly(DefaultSocialAccountAdapter):  # type: ignore[misc]  # no types
    """Accounts are made by admins; a server elsewhere only says whose they are."""

    def is_open_for_signup(self, request: HttpRequest, sociallogin: Any) -> bool:
        """Never."""
        return False

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        """Find the account of somebody whom the server has named.

        Errors: ImmediateHttpResponse, the page that says why not.
        """
        if sociallogin.state.get("process") != "login":
            raise ImmediateHttpResponse(refused(request, "odd"))
        if not sociallogin.is_existing and not _tie(request, sociallogin):
            raise ImmediateHttpResponse(refused(request, "uninvited"))

    def on_authentication_error(
        self, request: HttpRequest, provider: Any, **about: Any
    ) -> None:
        """Cancelled, or nothing that we asked for: a page of ours says so.

        Errors: ImmediateHttpResponse, always.
        """
        error = about.get("exception") or about.get("error")
        log.warning("single_sign_on_failed", error=type(error).__name__)
        raise ImmediateHttpResponse(refused(request, "odd"))


def _tie(request: HttpRequest, sociallogin: SocialLogin) -> bool:
    """Tie the server's key for somebody to the invited account; False if none fits.

    The account is locked: of two first sign-ins at once the second one finds the tie.
    """
    given = sociallogin.account
    # Some servers send "false", which is no falsehood to Python.
    verified = [
        one.email.strip().lower()
        for one in sociallogin.email_addresses
        if one.verified in (True, "true")
    ]
    with transaction.atomic():
        user = (
            User.objects.select_for_update(no_key=True, of=("self",))
            .filter(email__in=verified, is_active=True)
            .first()
        )
        if user is None:
            return False
        tied = SocialAccount.objects.filter(user=user, provider=given.provider).first()
        if tied is not None and tied.uid != given.uid:
            return False
        given.extra_data = {}  # what else the server says of them is not ours to keep
        if tied is None:
            sociallogin.connect(request, user)
        sociallogin.user = user
    return True


def untie(user: User) -> bool:
    """Forget the server's key; the next sign-in there finds the account by e-mail."""
    removed, _ = SocialAccount.objects.filter(user=user).delete()
    return bool(removed)


@require_POST
@never_cache
def leave(request: HttpRequest, provider_id: str) -> HttpResponseBase:
    """Send somebody to the server.

    By a page and not by a redirect: the content policy lets forms lead to this site
    only, and browsers hold redirects after a form to that, too.
    """
    try:
        response: HttpResponse = openid_connect.login(request, provider_id)
    except UNREADABLE as error:
        log.warning("single_sign_on_failed", error=type(error).__name__)
        return refused(request, "away")
    if response.status_code != 302:
        return response
    context = {"address": response["Location"], "name": settings.OIDC_NAME}
    return render(request, "socialaccount/leaving.html", context)


@require_safe
@never_cache
def come_back(request: HttpRequest, provider_id: str) -> HttpResponseBase:
    """Whom the server has named is signed in, or asked for a code first."""
    try:
        response: HttpResponse = openid_connect.callback(request, provider_id)
    except UNREADABLE as error:
        log.warning("single_sign_on_failed", error=type(error).__name__)
        return refused(request, "odd")
    return response


def refused(request: HttpRequest, why: str) -> HttpResponse:
    """A page that says why nobody was signed in: `uninvited`, `odd` or `away`."""
    context = {"why": why, "name": settings.OIDC_NAME}
    status = {"uninvited": 403, "odd": 401, "away": 503}[why]
    return render(request, "socialaccount/refused.html", context, status=status)
