"""S9: what would bias a labeler reaches them in no page, answer, header or order.

Every address that lets a labeler in is visited with sentinels planted behind it, those
that are added later too.
"""

import re

import pytest
from django.db import connection
from django.http import HttpResponseBase
from django.urls import reverse

from annotation.models import (
    Assignment,
    AssignmentState,
    Membership,
    Project,
    Prompt,
    Response,
)
from annotation.queue import claim, open_slots
from annotation.shown import as_shown
from tests.conftest import browser_of, make_prompt
from tests.ranking.rows import store_ranking
from tests.test_access_matrix import IN, ROWS, Cast, cast, finish

__all__ = ["cast"]
pytestmark = pytest.mark.django_db

SENTINEL = "zqsentinel"
FIRST_KEY = 739_151_000  # primary keys from here on can be told from other numbers
KEYED = (
    *("annotation_prompt", "annotation_response", "annotation_assignment"),
    *("annotation_membership", "ranking_ranking", "ranking_placement"),
)
TELLING = re.compile(rf"{SENTINEL}|{str(FIRST_KEY)[:6]}\d\d\d", re.IGNORECASE)
OPEN_TO_LABELERS = sorted(
    (name, verb)
    for name, row in ROWS.items()
    for verb, answers in row.answers.items()
    if answers["labeler"] is IN
)


def plant(cast: Cast) -> None:
    """A gold prompt's worth of secrets on the next prompt of the labeler."""
    with connection.cursor() as cursor:
        for table in KEYED:
            cursor.execute(
                "SELECT setval(pg_get_serial_sequence(%s, 'id'), %s)",
                [table, FIRST_KEY + 10 * KEYED.index(table)],
            )
    Membership.objects.filter(pk=cast.other.pk).update(name=f"{SENTINEL}-name")
    prompt = Prompt.objects.create(
        project=cast.project,
        external_id=f"{SENTINEL}-prompt",
        messages=[{"role": "user", "content": "What?"}],
        tags=[f"{SENTINEL}-tag"],
        gold={f"{SENTINEL}-r{n}": n for n in range(1, 5)},
        metadata={"reward": f"{SENTINEL}-reward"},
        line_sha256="0" * 64,
        overlap=2,
    )
    for number in range(1, 5):
        Response.objects.create(
            prompt=prompt,
            external_id=f"{SENTINEL}-r{number}",
            text=f"Answer {number}.",
            model=f"{SENTINEL}-model",
            params={"temperature": f"{SENTINEL}-parameter"},
        )
    open_slots([prompt])
    ranks = {f"{SENTINEL}-r{n}": n for n in range(1, 5)}
    store_ranking(prompt, cast.other, ranks)
    held = claim(cast.labeler)
    assert held is not None
    assert held.prompt_id == prompt.pk >= FIRST_KEY


def told(response: HttpResponseBase) -> list[str]:
    """Sentinels in an answer's headers, cookies and body."""
    everything = f"{response.headers} {response.cookies} {response.getvalue().decode()}"
    return TELLING.findall(everything)


def test_a_sentinel_is_noticed_by_who_may_see_it(cast: Cast) -> None:
    """The control: the researcher's and the admin's pages hold them."""
    plant(cast)
    address = reverse("prompts", args=[cast.project.slug])
    assert told(browser_of(cast.admin.user).get(address))


@pytest.mark.parametrize(("name", "verb"), OPEN_TO_LABELERS)
def test_no_answer_to_a_labeler_tells_anything(
    cast: Cast, name: str, verb: str
) -> None:
    plant(cast)
    row = ROWS[name]
    address = reverse(name, kwargs=dict(row.points_at(cast)))
    browser = browser_of(cast.labeler.user)
    for headers in ({}, {"Accept": "application/json"}, {"HX-Request": "true"}):
        response = browser.generic(verb, address, headers=headers)
        found = told(response)
        finish(response)
        assert found == [], f"{verb} {address}"


# --- Order ------------------------------------------------------------------------


def test_letters_do_not_follow_the_ids(project: Project, alice: Membership) -> None:
    """Over 80 prompts the first response by id comes under every letter, and no one
    order of letters comes again and again (24 orders, expected 3.3 times each)."""
    orders = []
    for number in range(80):
        prompt = make_prompt(project, f"p{number}", slots=1)
        held = claim(alice)
        assert held is not None
        shown = as_shown(held, prompt.responses.all())
        orders.append("".join(one.external_id[1] for one in shown.values()))
        Assignment.objects.filter(pk=held.pk).update(state=AssignmentState.COMPLETED)
    assert {order.index("1") for order in orders} == {0, 1, 2, 3}
    assert max(map(orders.count, orders)) < 16
