"""For site admins: let in again who has lost a phone, or has a new key elsewhere."""

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from annotation.accounts import end_access
from annotation.models import User
from annotation.second_factor import turn_off
from annotation.single_sign_on import untie

WAYS = {
    "second_factor": (turn_off, "second factor"),
    "single_sign_on": (untie, "tie to single sign-on"),
}


class RescueForm(forms.Form):
    """Whose, and what."""

    email = forms.EmailField(label="E-mail address of the account", max_length=254)
    what = forms.ChoiceField(
        label="Take off",
        choices=[
            ("second_factor", "Second factor"),
            (
                "single_sign_on",
                "Tie to single sign-on",
            ),
        ],
        initial="second_factor",
    )

    def clean_email(self) -> User:
        """The account. Errors: ValidationError where there is none."""
        email = str(self.cleaned_data["email"]).strip().lower()
        user = User.objects.filter(email=email).first()
        if user is None:
            raise forms.ValidationError("No account has this address.")
        return user


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_required
def rescue(request: HttpRequest) -> HttpResponseBase:
    """Take a second factor or a tie off an account, and sign it out everywhere."""
    if not getattr(request.user, "is_site_admin", False):
        raise PermissionDenied("This page is for site admins.")
    form = RescueForm(request.POST or None)
    if not form.is_valid():
        status = 422 if form.is_bound else 200
        return _page(request, form, status)
    user = form.cleaned_data["email"]
    take_off, what = WAYS[form.cleaned_data["what"]]
    if take_off(user):
        end_access(user)
        messages.success(
            request,
            f"{user} has no {what} any more, and was signed out everywhere. They sign"
            " in with their password or a fresh link.",
        )
    else:
        messages.info(request, f"{user} had no {what}: nothing was changed.")
    return redirect("rescue")


def _page(request: HttpRequest, form: RescueForm, status: int) -> HttpResponse:
    return render(request, "account/rescue.html", {"form": form}, status=status)
