"""S11 in the middle of the work: looking at something changes nothing.

tests/security/test_pages.py visits each page as it is at first.
"""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db.models import Value
from django.db.models.functions import Now
from django.urls import reverse

from annotation.models import Assignment
from annotation.queue import claim, prefetch
from ranking.drafts import save_draft
from ranking.submit import Submission, submit
from tests.conftest import browser_of, make_prompt
from tests.security.test_pages import READABLE, rows_written
from tests.test_access_matrix import (
    ACTORS,
    IN,
    ROWS,
    Arguments,
    Builder,
    Cast,
    cast,
    finish,
    nothing,
    the_labelers_assignment,
    the_labelers_token,
    the_project,
)

__all__ = ["cast"]
pytestmark = pytest.mark.django_db


def test_looking_changes_nothing_in_the_middle_of_the_work(cast: Cast) -> None:
    """GET and HEAD of every address, by all who are let in, while a lease has lapsed,
    a draft lies there, a prompt is loaded ahead and another is ranked."""
    for name in ("p1", "p2", "p3", "p4"):
        make_prompt(cast.project, name, slots=2)
    done = claim(cast.labeler)
    assert done is not None
    shown = dict.fromkeys("ABCD", 1)
    submit(
        membership=cast.labeler,
        token=done.token,
        submission=Submission(uuid=uuid4(), ranks=shown),
    )
    away, ahead = claim(cast.labeler), prefetch(cast.labeler)
    assert away is not None
    assert ahead is not None
    save_draft(away, rev=0, content={"ranks": {"A": 1}})
    Assignment.objects.filter(labeler=cast.labeler).update(
        lease_until=Now() - Value(timedelta(hours=1))
    )
    tokens: list[Arguments] = [{"token": row.token} for row in (done, away, ahead)]
    places: dict[Builder, list[Arguments]] = {
        nothing: [{}],
        the_project: [the_project(cast)],
        the_labelers_token: tokens,
        the_labelers_assignment: [{**the_project(cast), **token} for token in tokens],
    }
    addresses = [
        (name, reverse(name, kwargs=dict(place)))
        for name in READABLE
        for place in places.get(ROWS[name].points_at, [])
    ]
    assert len(addresses) > 30
    browsers = {actor: browser_of(cast.user(actor)) for actor in ACTORS}
    before = rows_written()
    for name, address in addresses:
        for actor, browser in browsers.items():
            if ROWS[name].answers["GET"][actor] is IN:
                for look in (browser.get, browser.head):
                    finish(look(address))
                    assert rows_written() == before, f"{actor}: {look} {address}"
