"""S12: fields that nobody offered change nothing, at every address that writes."""

import json
from typing import Any

import pytest
from django.urls import reverse

from annotation.models import Assignment, Membership, Project, User
from ranking.models import Ranking
from tests.security.test_requests import NEVER_ASKED
from tests.test_access_matrix import ACTORS, IN, ROWS, Cast, browser_of, cast, finish

__all__ = ["cast"]
pytestmark = pytest.mark.django_db

WRITERS = sorted(
    (name, verb)
    for name, row in ROWS.items()
    for verb in row.answers
    if verb not in ("GET", "HEAD")
)
GUARDED = {
    User: ("is_site_admin", "is_active", "created_at", "email"),
    Membership: ("role", "user_id", "project_id", "created_at"),
    Project: ("slug", "created_by_id", "created_at", "pseudonym_key"),
    Assignment: ("project_id", "prompt_id", "slot", "source", "seq"),
    Ranking: ("status", "assignment_id", "submitted_at"),
}


def guarded_rows() -> dict[type, dict[int, tuple[Any, ...]]]:
    """The columns that no form may set, of every row that is there now."""
    return {
        model: {
            row[0]: tuple(
                bytes(value) if isinstance(value, memoryview) else value
                for value in row
            )
            for row in model._default_manager.values_list("pk", *columns)
        }
        for model, columns in GUARDED.items()
    }


def planted(cast: Cast) -> dict[str, Any]:
    """A value for each name in NEVER_ASKED, and some more that would be worth it."""
    values: dict[str, Any] = dict.fromkeys(NEVER_ASKED, "1")
    values |= {"is_site_admin": "on", "is_superuser": "on", "is_staff": "on"}
    values |= {"role": "admin", "status": "counted", "created_at": "2001-01-01"}
    values |= {"user": cast.stranger.user_id, "user_id": cast.stranger.user_id}
    values |= {"project": cast.stranger.project_id, "slug": "elsewhere", "seq": -1}
    return {
        **values,
        "purpose": "work",
        "source": "imported",
        "qualification": "passed",
    }


@pytest.mark.parametrize(("name", "verb"), WRITERS)
def test_what_nobody_offered_is_ignored(cast: Cast, name: str, verb: str) -> None:
    row = ROWS[name]
    address = reverse(name, kwargs=dict(row.points_at(cast)))
    fields = planted(cast)
    for actor in [a for a in ACTORS if row.answers[verb][a] is IN and a != "anon"]:
        browser, before = browser_of(cast.user(actor)), guarded_rows()
        sends: list[dict[str, Any]] = [{"content_type": "application/json"}]
        sends[0]["data"] = json.dumps(fields)
        if verb == "POST":
            sends.append({"data": fields})
        for send in sends:
            response = getattr(browser, verb.lower())(address, **send)
            assert response.status_code < 500
            finish(response)
        after = guarded_rows()
        for model, rows in before.items():
            kept = {pk: after[model][pk] for pk in rows if pk in after[model]}
            assert kept == {pk: rows[pk] for pk in kept}, f"{actor} changed {model}"
        assert User.objects.filter(is_site_admin=True).count() == 1
