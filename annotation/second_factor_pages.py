"""One's own second factor: set up with an app, new recovery codes, taken off."""

from collections.abc import Callable
from typing import cast

from allauth.account.decorators import reauthentication_required
from allauth.mfa.adapter import get_adapter
from allauth.mfa.totp.internal.auth import generate_totp_secret, validate_totp_code
from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import IntegrityError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import (
    require_http_methods,
    require_POST,
    require_safe,
)

from annotation.access import SignedInRequest
from annotation.models import User
from annotation.second_factor import (
    has_second_factor,
    new_recovery_codes,
    recovery_codes_left,
    turn_off,
    turn_on,
)

# Where the session keeps a secret until the app has shown that it has it, too.
IN_SETUP = "second factor in setup"
View = Callable[[HttpRequest], HttpResponseBase]


def again(view: View) -> View:
    """Ask for password or code once more before a change, if there is one."""
    return cast(View, reauthentication_required(app="allauth.mfa")(view))


class FirstCodeForm(forms.Form):
    """What the app shows once it has the secret."""

    code = forms.CharField(
        label="Code that the app shows now",
        widget=forms.TextInput(
            attrs={"autocomplete": "one-time-code", "inputmode": "numeric"}
        ),
    )

    def __init__(self, data: object = None, *, secret: str) -> None:
        super().__init__(data)  # type: ignore[arg-type]  # a QueryDict or nothing
        self.secret = secret

    def clean_code(self) -> str:
        """Errors: ValidationError for another code than the secret's."""
        code = str(self.cleaned_data["code"])
        if not validate_totp_code(self.secret, code):
            raise forms.ValidationError(
                "That is not the code of this secret. Nothing was changed: wait for the"
                " app's next code, and see that the clock of your phone is right."
            )
        return code


@require_safe
@never_cache
@login_required
def second_factor(request: HttpRequest) -> HttpResponse:
    """Whether one has one, and what can be done about it."""
    return _page(request)


@require_POST
@login_required
@again
def begin(request: HttpRequest) -> HttpResponseBase:
    """Make a secret for the app to take over."""
    if has_second_factor(_user(request)):
        return redirect("second_factor")
    request.session[IN_SETUP] = generate_totp_secret()
    return redirect("confirm_second_factor")


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_required
def confirm(request: HttpRequest) -> HttpResponseBase:
    """Show the secret; turn it on once the app has it, and show the recovery codes.

    That answer is the only one that shows them.
    """
    secret = request.session.get(IN_SETUP)
    if not secret:
        return redirect("second_factor")
    form = FirstCodeForm(request.POST or None, secret=secret)
    if not form.is_valid():
        context = {"form": form, "secret": secret}
        status = 422 if form.is_bound else 200
        return render(request, "account/second_factor_app.html", context, status=status)
    try:
        codes = turn_on(_user(request), secret=secret, but=request.session.session_key)
    except IntegrityError:
        messages.info(request, "Your second factor was on already; it stays as it is.")
        return redirect("second_factor")
    finally:
        del request.session[IN_SETUP]
    return _page(request, codes=codes, status=201)


@require_safe
@never_cache
@login_required
def picture(request: HttpRequest) -> HttpResponse:
    """The secret as a picture for the app's camera."""
    secret = request.session.get(IN_SETUP)
    if not secret:
        raise Http404("No second factor is being set up.")
    adapter = get_adapter()
    svg = adapter.build_totp_svg(adapter.build_totp_url(_user(request), secret))
    return HttpResponse(svg, content_type="image/svg+xml")


@require_POST
@never_cache
@login_required
@again
def make_recovery_codes(request: HttpRequest) -> HttpResponseBase:
    """Ten new codes. This answer is the only one that shows them."""
    user = _user(request)
    if not has_second_factor(user):
        return redirect("second_factor")
    return _page(request, codes=new_recovery_codes(user), status=201)


@require_POST
@login_required
@again
def remove(request: HttpRequest) -> HttpResponseBase:
    """Take the second factor off one's own account."""
    if turn_off(_user(request)):
        messages.success(request, "The second factor is off: no code is asked for.")
    return redirect("second_factor")


def _user(request: HttpRequest) -> User:
    return cast(SignedInRequest, request).user


def _page(
    request: HttpRequest, *, codes: list[str] | None = None, status: int = 200
) -> HttpResponse:
    user = _user(request)
    context = {
        "is_on": has_second_factor(user),
        "codes": codes,
        "left": recovery_codes_left(user),
    }
    return render(request, "account/second_factor.html", context, status=status)
