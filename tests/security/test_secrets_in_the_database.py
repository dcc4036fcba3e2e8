"""S6 and S13: no parameter of an address reaches a password or a hash, and no page of
anybody's shows one."""

import re
from collections.abc import Iterator
from itertools import product
from urllib.parse import urlencode

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import generate_totp_secret
from django.apps import apps
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from knox.models import AuthToken

from annotation.accounts import make_sign_in_link
from annotation.models import SignInLink, User
from annotation.second_factor import turn_on
from tests.test_access_matrix import (
    ACTORS,
    IN,
    ROWS,
    Cast,
    browser_of,
    cast,
    finish,
)

__all__ = ["cast"]
pytestmark = pytest.mark.django_db

# Paths from what pages list to what nobody may see, and ways to ask of them.
PATHS = (
    *("password", "user__password", "created_by__password", "labeler__user__password"),
    *("assignment__labeler__user__password", "membership__user__password"),
    *("reporter__user__password", "user__signinlink__token_sha256"),
    *("user__auth_token_set__digest", "user__authenticator__data", "pk", "id"),
    *(
        "project__pseudonym_key",
        "prompt__project__pseudonym_key",
        "user__is_site_admin",
    ),
)
OPERATORS = (
    *("", "__startswith", "__istartswith", "__regex", "__iregex", "__contains", "__gt"),
    *("__lt", "__in", "__isnull", "__range", "__exact", "__iexact", "__endswith"),
)
FILTERS = [
    (path + operator, value)
    for (path, operator), value in zip(
        product(PATHS, OPERATORS), ["argon2", ".*", "1", "True"] * 1000, strict=False
    )
] + [("_connector", "OR"), ("_negated", "1"), ("fields", "password")]
# What lists and searches may call their own parameters, asked to lead there.
CHOOSING = (
    *("order", "order_by", "ordering", "sort", "search", "q", "fields", "include"),
    *("group", "by", "filter", "state", "show", "cursor", "tag", "labeler"),
)
HIDDEN = re.compile(
    r'"(password|token_sha256|digest|pseudonym_key)"|"mfa_authenticator"\."data"'
)
READABLE = sorted(name for name, row in ROWS.items() if "GET" in row.answers)


def asked(
    cast: Cast, name: str, address: str, query: str
) -> Iterator[tuple[int, list[str]]]:
    """Status and SQL of an address, for everybody whom it lets in."""
    for actor in ACTORS:
        if ROWS[name].answers["GET"][actor] is not IN:
            continue
        browser = browser_of(cast.user(actor))
        finish(browser.get(address))  # what is written at the first look is written
        with CaptureQueriesContext(connection) as captured:
            response = browser.get(f"{address}?{query}")
            status = response.status_code
            finish(response)
        yield status, [statement["sql"] for statement in captured]


def conditions(sql: str) -> str:
    """A statement without the columns that it reads: joins, conditions, order."""
    return sql.partition(" FROM ")[2]


def test_a_condition_on_a_password_is_noticed() -> None:
    with CaptureQueriesContext(connection) as captured:
        list(User.objects.filter(password__startswith="argon2"))
        list(User.objects.order_by("password"))
        list(User.objects.all())
    found = [bool(HIDDEN.search(conditions(one["sql"]))) for one in captured]
    assert found == [True, True, False]


@pytest.mark.parametrize("name", READABLE)
def test_no_parameter_reaches_what_nobody_may_see(cast: Cast, name: str) -> None:
    """Over two hundred filters at once, and every word that could name an order or a
    search: no 500, and no statement asks about what is hidden."""
    assert len(FILTERS) > 200
    address = reverse(name, kwargs=dict(ROWS[name].points_at(cast)))
    plain = list(asked(cast, name, address, ""))
    for choice in ("user__password", "-labeler__user__password"):
        chosen = [(parameter, choice) for parameter in CHOOSING]
        answers = asked(cast, name, address, urlencode(FILTERS + chosen))
        for (expected, its_own), (status, statements) in zip(
            plain, answers, strict=True
        ):
            assert status in {expected, 400, 422}
            for sql in set(statements) - set(its_own):
                assert not HIDDEN.search(conditions(sql)), sql


# --- S13 --------------------------------------------------------------------------


def secrets_of(user: User) -> list[str]:
    """All that is kept of them which lets somebody in, or nearly."""
    user.set_password("a quite long password")
    user.save()
    make_sign_in_link(user)
    token, _ = AuthToken.objects.create(user=user)
    turn_on(user, secret=generate_totp_secret(), but=None)
    kept = [user.password, token.digest, SignInLink.objects.get(user=user).token_sha256]
    for authenticator in Authenticator.objects.filter(user=user):
        kept += [v for v in authenticator.data.values() if isinstance(v, str)]
        if authenticator.type == Authenticator.Type.RECOVERY_CODES:
            kept += authenticator.wrap().get_unused_codes()
    return kept


@pytest.mark.parametrize("name", READABLE)
def test_no_page_shows_a_hash_a_token_or_a_code(cast: Cast, name: str) -> None:
    """Neither of others nor one's own, whoever looks."""
    people = [user for actor in ACTORS if (user := cast.user(actor))]
    secrets = [secret for user in people for secret in secrets_of(user)]
    assert len(secrets) >= 15 * len(people)
    address = reverse(name, kwargs=dict(ROWS[name].points_at(cast)))
    for actor in ACTORS:
        response = browser_of(cast.user(actor)).get(address)
        page = b"".join(response) if response.streaming else response.content
        assert [one for one in secrets if one.encode() in page] == [], actor
        finish(response)


def test_there_is_no_ready_made_admin_whose_rights_could_be_too_wide() -> None:
    """Accounts are changed by the pages of this site alone, and it has no staff."""
    assert not apps.is_installed("django.contrib.admin")
    fields = {field.name for field in User._meta.get_fields()}
    assert fields.isdisjoint({"is_staff", "is_superuser", "user_permissions", "groups"})
