"""S6 in full: at every address that can be read, filters that nobody offers do nothing.

On each commit they come all at once (tests/security/test_secrets_in_the_database.py),
and nobody looks whether the page is still the same.
"""

import re
from urllib.parse import urlencode

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from ranking.summaries import lock_and_summarize
from tests.conftest import browser_of, make_prompt
from tests.ranking.rows import store_ranking
from tests.security.test_names_are_kept import clock_stands_still, the_same
from tests.security.test_secrets_in_the_database import (
    FILTERS,
    HIDDEN,
    READABLE,
    conditions,
)
from tests.test_access_matrix import IN, ROWS, Cast, cast, finish

__all__ = ["cast", "clock_stands_still"]
pytestmark = pytest.mark.django_db

# The one who may read most of an address comes first.
READERS = ("admin", "researcher", "labeler", "site_admin", "anon")
AT_ONCE = 20
OPEN = [name for name in READABLE if IN in map(ROWS[name].answers["GET"].get, READERS)]
TAG = re.compile(rb"<[^>]*>")


def asked(browser: Client, address: str, query: str) -> tuple[int, bytes, list[str]]:
    """Status, what the page says (its links may repeat the query), and SQL."""
    with CaptureQueriesContext(connection) as captured:
        response = browser.get(f"{address}?{query}")
        said = TAG.sub(b"", the_same(response.getvalue()))
        finish(response)
    return (
        response.status_code,
        b" ".join(said.split()),
        [one["sql"] for one in captured],
    )


@pytest.mark.usefixtures("clock_stands_still")
@pytest.mark.parametrize("name", OPEN)
def test_no_filter_counts_by_what_nobody_may_see(cast: Cast, name: str) -> None:
    """The words and numbers are those without it, or it is 400: no row fewer, no other
    order, no 500, and no statement asks about what is hidden."""
    ranks = {f"r{number}": number for number in range(1, 5)}
    prompt = make_prompt(cast.project, "ranked by two")
    for labeler in (cast.labeler, cast.other):
        store_ranking(prompt, labeler, ranks)
    lock_and_summarize([prompt.pk])
    answers = ROWS[name].answers["GET"]
    reader = next(actor for actor in READERS if answers[actor] is IN)
    browser = browser_of(cast.user(reader))
    address = reverse(name, kwargs=dict(ROWS[name].points_at(cast)))
    finish(browser.get(address))  # what is written at the first look is written
    status, page, statements = asked(browser, address, "")
    for start in range(0, len(FILTERS), AT_ONCE):
        query = urlencode(FILTERS[start : start + AT_ONCE])
        code, said, sql = asked(browser, address, query)
        assert (code, said) == (status, page) or code in {400, 422}, query
        new = set(sql) - set(statements)
        assert [one for one in new if HIDDEN.search(conditions(one))] == [], query
