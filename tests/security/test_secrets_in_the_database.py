"""S6: no parameter of an address reaches a password or a hash."""

import re
from itertools import product
from urllib.parse import urlencode

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from annotation.models import User
from tests.conftest import browser_of
from tests.test_access_matrix import (
    ACTORS,
    IN,
    ROWS,
    Cast,
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


def asked(browser: Client, address: str, query: str) -> tuple[int, set[str]]:
    """Status and SQL of an address."""
    with CaptureQueriesContext(connection) as captured:
        response = browser.get(f"{address}?{query}")
        status = response.status_code
        finish(response)
    return status, {statement["sql"] for statement in captured}


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


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("name", READABLE)
def test_no_parameter_reaches_what_nobody_may_see(cast: Cast, name: str) -> None:
    """Over two hundred filters at once, and every word that could name an order or a
    search: no 500, and no statement asks about what is hidden."""
    assert len(FILTERS) > 200
    address = reverse(name, kwargs=dict(ROWS[name].points_at(cast)))
    for actor in ACTORS:
        if ROWS[name].answers["GET"][actor] is not IN:
            continue
        browser = browser_of(cast.user(actor))
        finish(browser.get(address))  # what is written at the first look is written
        expected, its_own = asked(browser, address, "")
        for choice in ("user__password", "-labeler__user__password"):
            chosen = [(parameter, choice) for parameter in CHOOSING]
            query = urlencode(FILTERS + chosen)
            status, statements = asked(browser, address, query)
            assert status in {expected, 400, 422}
            for sql in statements - its_own:
                assert not HIDDEN.search(conditions(sql)), sql
