"""S9: what would bias a labeler reaches them in no page, answer, header or order.

Every address that lets a labeler in is visited with sentinels planted behind it, those
that are added later too.
"""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import Value
from django.db.models.functions import Now
from django.http import HttpResponseBase
from django.test import Client
from django.urls import reverse

from annotation.models import (
    Assignment,
    AssignmentSource,
    AssignmentState,
    Instructions,
    Membership,
    Project,
    Prompt,
    Purpose,
    Response,
)
from annotation.queue import claim, open_slots
from annotation.shown import as_shown
from tests.conftest import make_prompt
from tests.ranking.rows import store_ranking
from tests.test_access_matrix import IN, ROWS, Cast, browser_of, cast, finish

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


# --- Work, gold, and a repeat look alike ------------------------------------------


def a_prompt(project: Project, name: str, purpose: Purpose) -> Prompt:
    """A prompt with the same texts as any other made here."""
    prompt = Prompt.objects.create(
        project=project,
        external_id=name,
        messages=[{"role": "user", "content": "The same question?"}],
        purpose=purpose,
        gold={f"r{n}": n for n in range(4)} if purpose == Purpose.GOLD else None,
        line_sha256="0" * 64,
    )
    Response.objects.bulk_create(
        Response(prompt=prompt, external_id=f"r{n}", text=f"Answer {n}.")
        for n in range(4)
    )
    return prompt


def held_row(
    prompt: Prompt, labeler: Membership, source: AssignmentSource, repeat: int
) -> Assignment:
    """A claim on a prompt whose letters stand in a given order."""
    Assignment.objects.filter(labeler=labeler).update(state=AssignmentState.COMPLETED)
    return Assignment.objects.create(
        project_id=prompt.project_id,
        prompt=prompt,
        slot=7,
        repeat=repeat,
        source=source,
        state=AssignmentState.CLAIMED,
        labeler=labeler,
        display_order=[2, 0, 3, 1],
        instructions=Instructions.objects.get(project=prompt.project_id),
        lease_until=Now() + Value(timedelta(minutes=30)),
    )


def test_the_page_of_a_gold_prompt_and_of_a_repeat_is_that_of_any_other(
    project: Project, alice: Membership, signed_in: Callable[[Membership], Client]
) -> None:
    """Letter for letter, but for what is drawn anew for each page."""
    browser = signed_in(alice)

    def page(assignment: Assignment) -> tuple[str, dict[str, str]]:
        address = reverse("rank_prompt", args=[project.slug, assignment.token])
        response = browser.get(address)
        assert response.status_code == 200
        html = response.content.decode().replace(assignment.token, "TOKEN")
        drawn = r'(name="(?:csrfmiddlewaretoken|submission_asked)" value=)"[^"]*"'
        html = re.sub(drawn, r"\1", html)
        html = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UUID", html)
        html = re.sub(r'(data-(?:left|seconds)[\w-]*=)"\d+"', r"\1", html)
        kept = {k: v for k, v in response.items() if k != "Content-Length"}
        return html, kept

    work = a_prompt(project, "work", Purpose.WORK)
    gold = a_prompt(project, "gold", Purpose.GOLD)
    of_work = page(held_row(work, alice, AssignmentSource.QUEUE, 0))
    assert page(held_row(gold, alice, AssignmentSource.DIRECT, 0)) == of_work
    assert page(held_row(work, alice, AssignmentSource.DIRECT, 1)) == of_work
