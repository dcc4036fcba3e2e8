"""Signing in and out, passwords, one-time links. Each address of allauth that we
want, and none of its others: nobody signs up here, and addresses are not theirs to
change."""

from allauth.account import views as account
from allauth.mfa.base import views as second_factor
from django.urls import path, re_path
from django.views.decorators.http import require_http_methods

from annotation import (
    accounts,
    people,
    rescue_pages,
    single_sign_on,
    time_zones,
    token_pages,
)
from annotation import second_factor_pages as own_factor

# allauth takes PUT for POST; browsers send neither PUT nor DELETE.
form_page = require_http_methods(["GET", "HEAD", "POST"])

urlpatterns = [
    path("sign-in/<str:token>/", people.sign_in_link, name="sign_in_link"),
    path("accounts/login/", form_page(accounts.sign_in), name="account_login"),
    path("accounts/logout/", form_page(account.logout), name="account_logout"),
    path("accounts/time-zone/", time_zones.time_zone, name="time_zone"),
    path(
        "accounts/reauthenticate/",
        form_page(account.reauthenticate),
        name="account_reauthenticate",
    ),
    path(
        "accounts/code/", form_page(second_factor.authenticate), name="mfa_authenticate"
    ),
    path(
        "accounts/code/again/",
        form_page(second_factor.reauthenticate),
        name="mfa_reauthenticate",
    ),
    path("accounts/second-factor/", own_factor.second_factor, name="second_factor"),
    path("accounts/second-factor/begin/", own_factor.begin, name="begin_second_factor"),
    path(
        "accounts/second-factor/app/",
        own_factor.confirm,
        name="confirm_second_factor",
    ),
    path(
        "accounts/second-factor/picture.svg",
        own_factor.picture,
        name="second_factor_picture",
    ),
    path(
        "accounts/second-factor/recovery-codes/",
        own_factor.make_recovery_codes,
        name="make_recovery_codes",
    ),
    path(
        "accounts/second-factor/remove/",
        own_factor.remove,
        name="remove_second_factor",
    ),
    # allauth looks these up by its own names.
    path(
        "accounts/oidc/<slug:provider_id>/login/",
        single_sign_on.leave,
        name="openid_connect_login",
    ),
    path(
        "accounts/oidc/<slug:provider_id>/login/callback/",
        single_sign_on.come_back,
        name="openid_connect_callback",
    ),
    path("accounts/rescue/", rescue_pages.rescue, name="rescue"),
    path("accounts/tokens/", token_pages.tokens, name="tokens"),
    path("accounts/tokens/make/", token_pages.make_token, name="make_token"),
    path("accounts/tokens/revoke/", token_pages.revoke_token, name="revoke_token"),
    path("accounts/inactive/", account.account_inactive, name="account_inactive"),
    path(
        "accounts/password/change/",
        form_page(account.password_change),
        name="account_change_password",
    ),
    path(
        "accounts/password/set/",
        form_page(account.password_set),
        name="account_set_password",
    ),
    path(
        "accounts/password/reset/",
        form_page(accounts.ask_for_reset),
        name="account_reset_password",
    ),
    path(
        "accounts/password/reset/done/",
        account.password_reset_done,
        name="account_reset_password_done",
    ),
    path(
        "accounts/password/reset/key/done/",
        account.password_reset_from_key_done,
        name="account_reset_password_from_key_done",
    ),
    re_path(
        r"^accounts/password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>[^/]+)/$",
        form_page(account.password_reset_from_key),
        name="account_reset_password_from_key",
    ),
]
