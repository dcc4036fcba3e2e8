"""One's own API tokens: made, shown once, revoked."""

from datetime import timedelta
from typing import Any, cast

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe
from knox.models import AuthToken

from annotation.access import SignedInRequest
from annotation.models import User

MOST_TOKENS = 20
DAYS = [(1, "a day"), (30, "30 days"), (365, "a year")]
PREFIX = 8  # characters by which a token is known again; knox keeps them in the open


class TokenForm(forms.Form):
    """How long a token is to live."""

    days = forms.TypedChoiceField(
        label="Valid for",
        choices=DAYS,
        coerce=int,
        initial=30,
        help_text="A program that has it may do what you may do here.",
    )


@require_safe
@login_required
def tokens(request: HttpRequest) -> HttpResponse:
    """The tokens that one has, and a form for another."""
    return _page(request, TokenForm())


@require_POST
@never_cache
@login_required
def make_token(request: HttpRequest) -> HttpResponse:
    """Make a token. This answer is the only one that ever shows it."""
    form = TokenForm(request.POST)
    if not form.is_valid():
        return _page(request, form, status=422)
    user = _user(request)
    with transaction.atomic():
        # Two at once count one after the other.
        User.objects.select_for_update(no_key=True, of=("self",)).get(pk=user.pk)
        if _tokens_of(user).count() >= MOST_TOKENS:
            form.add_error(
                None, f"You have {MOST_TOKENS} tokens. Revoke one that you do not use."
            )
            return _page(request, form, status=409)
        life = timedelta(days=form.cleaned_data["days"])
        _, token = AuthToken.objects.create(user=user, expiry=life)
    return _page(request, TokenForm(), made=token, status=201)


@require_POST
@login_required
def revoke_token(request: HttpRequest) -> HttpResponseBase:
    """A token of one's own ends now."""
    if revoke(_user(request), request.POST.get("key", "")):
        messages.success(request, "The token is revoked: nothing can use it any more.")
    else:
        messages.info(request, "You have no such token.")
    return redirect("tokens")


def revoke(user: User, key: str) -> bool:
    """End the token of this person's that has the key; False if they have none such."""
    # A NUL is the one character that Postgres takes in no text.
    revoked, _ = _tokens_of(user).filter(token_key=key.replace("\0", "")).delete()
    return bool(revoked)


def tokens_shown(user: User) -> list[dict[str, Any]]:
    """What pages say of somebody's valid tokens, the newest first. One query."""
    return [
        {"key": one.token_key, "shown": one.token_key[:PREFIX], "token": one}
        for one in _tokens_of(user).order_by("-created")
    ]


def _user(request: HttpRequest) -> User:
    return cast(SignedInRequest, request).user


def _tokens_of(user: User) -> Any:
    return AuthToken.objects.filter(user=user, expiry__gt=timezone.now())


def _page(
    request: HttpRequest, form: TokenForm, *, made: str = "", status: int = 200
) -> HttpResponse:
    user = _user(request)
    context = {
        "form": form,
        "made": made,
        "tokens": tokens_shown(user),
    }
    with timezone.override(user.zone):
        return render(request, "annotation/tokens.html", context, status=status)
