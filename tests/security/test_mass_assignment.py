"""S12: fields that nobody offered change nothing, at every address that writes."""

import json
from typing import Any

import pytest
from django.apps import apps
from django.db.models import Count, Model, Q
from django.http import HttpResponseBase
from django.urls import reverse

from annotation.models import Assignment, Membership, Project, Session, User
from annotation.queue import claim
from ranking.models import Ranking, RankingStatus
from tests.conftest import browser_of, make_prompt
from tests.security.good_bodies import FORMS, JSON, NOTHING_TO_WRITE
from tests.security.test_pages import rows_written
from tests.security.test_requests import NEVER_ASKED
from tests.test_access_matrix import ACTORS, IN, ROWS, Cast, cast, finish

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
    Project: ("slug", "created_by_id", "created_at", "pseudonym_key", "archive"),
    Assignment: ("project_id", "prompt_id", "source", "seq", "repeat", "pool"),
    Ranking: ("status", "assignment_id", "submitted_at"),
}
LONG_AGO, FAR_OFF = "2001-01-01T00:00Z", "2099-01-01T00:00Z"
PLANTED_TIMES = ("created_at", "submitted_at", "stored_at", "lease_until", "given_at")


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
    values |= {"role": "admin", "status": "surplus", "seq": -1, "repeat": 7}
    values |= {"user": cast.stranger.user_id, "user_id": cast.stranger.user_id}
    values |= {"project": cast.stranger.project_id, "slug": "planted"}
    values |= {"project_id": cast.stranger.project_id, "archive": "on"}
    values |= {"labeler": cast.other.pk, "labeler_id": cast.other.pk}
    values |= {"membership": cast.other.pk, "membership_id": cast.other.pk}
    values |= {"reporter": cast.other.pk, "reporter_id": cast.other.pk}
    values |= {"created_by": cast.stranger.user_id, "pool": "targeted"}
    values |= {"created_by_id": cast.stranger.user_id, "external_id": "planted"}
    values |= dict.fromkeys(PLANTED_TIMES, LONG_AGO) | {"lease_until": FAR_OFF}
    values |= {"active_seconds": 1e6, "contradictions": 7, "body_sha256": "planted"}
    return {
        **values,
        "purpose": "work",
        "source": "imported",
        "qualification": "failed",
    }


def of_our_rooms() -> list[type[Model]]:
    rooms = ("annotation", "ranking", "rm_training")
    ours = [one for room in rooms for one in apps.get_app_config(room).get_models()]
    ours.remove(Session)  # the tests themselves sign people in
    return ours


def rows_of_the_planted(cast: Cast) -> dict[str, int]:
    """How many rows belong to the people and the project that were planted, and how
    many carry a planted time or mark."""
    owners = {
        "project_id": cast.stranger.project_id,
        "user_id": cast.stranger.user_id,
        "created_by_id": cast.stranger.user_id,
        "labeler_id": cast.other.pk,
        "membership_id": cast.other.pk,
        "reporter_id": cast.other.pk,
        "external_id": "planted",
        "body_sha256": "planted",
        "active_seconds": 1e6,
        "slug": "planted",
    }
    counts: dict[str, int] = {}
    for model in of_our_rooms():
        columns = {field.attname for field in model._meta.concrete_fields}
        asked = {
            column: Q(**{column: value})
            for column, value in owners.items()
            if column in columns
        }
        for column in columns & set(PLANTED_TIMES):
            early = Q(**{f"{column}__year__lt": 2010})
            asked[column] = early | Q(**{f"{column}__year__gt": 2090})
        found = model._default_manager.aggregate(
            **{f"in_{name}": Count("pk", filter=one) for name, one in asked.items()}
        )
        counts |= {f"{model.__name__}.{name}": n for name, n in found.items()}
    return counts


def send(cast: Cast, actor: str, at: tuple[str, str], **body: Any) -> HttpResponseBase:
    """`at` is a verb and an address."""
    verb, address = at
    response: HttpResponseBase = getattr(browser_of(cast.user(actor)), verb.lower())(
        address, **body
    )
    finish(response)
    assert response.status_code < 500
    return response


def check_nothing_is_planted(
    cast: Cast, before: dict[type, dict[int, tuple[Any, ...]]]
) -> None:
    """The rows that were there are as they were in what nobody may set."""
    after = guarded_rows()
    for model, rows in before.items():
        kept = {pk: after[model][pk] for pk in rows if pk in after[model]}
        assert kept == {pk: rows[pk] for pk in kept}, f"{model} was changed"
    assert User.objects.filter(is_site_admin=True).count() == 1
    assert not Ranking.objects.exclude(status=RankingStatus.COUNTED).exists()
    assert not Assignment.objects.filter(Q(source="imported") | Q(repeat=7)).exists()
    assert not Membership.objects.filter(qualification="failed").exists()


@pytest.mark.parametrize(("name", "verb"), WRITERS)
def test_what_nobody_offered_is_ignored(cast: Cast, name: str, verb: str) -> None:
    """A body of nothing else, from everybody who is let in."""
    row = ROWS[name]
    address = reverse(name, kwargs=dict(row.points_at(cast)))
    fields = planted(cast)
    before, owned = guarded_rows(), rows_of_the_planted(cast)
    for actor in [a for a in ACTORS if row.answers[verb][a] is IN and a != "anon"]:
        as_json = {"data": json.dumps(fields), "content_type": "application/json"}
        send(cast, actor, (verb, address), **as_json)
        if verb == "POST":
            send(cast, actor, (verb, address), data=fields)
    check_nothing_is_planted(cast, before)
    assert_owned_by_nobody_new(cast, name, owned)


def assert_owned_by_nobody_new(cast: Cast, name: str, owned: dict[str, int]) -> None:
    """Only where `other` acts for themselves may something new be theirs."""
    theirs = {"labeler_id", "membership_id", "reporter_id"}
    acts = ROWS[name].answers
    other_is_in = any(answers["other"] is IN for answers in acts.values())
    for column, count in rows_of_the_planted(cast).items():
        if other_is_in and column.partition(".in_")[2] in theirs:
            continue
        assert count == owned[column], column


def test_every_writer_has_a_good_body_or_nothing_to_write() -> None:
    names = {name for name, _ in WRITERS}
    assert names == set(FORMS) | set(JSON) | NOTHING_TO_WRITE


@pytest.mark.parametrize("name", sorted({*FORMS, *JSON}))
def test_a_write_takes_nothing_along_that_nobody_offered(cast: Cast, name: str) -> None:
    """A good body with all of that besides: it writes, and not one planted value."""
    row, [verb] = ROWS[name], [v for v in ROWS[name].answers if v != "GET"]
    if name in ("rank_claim", "rank_prefetch", "api_claim"):
        make_prompt(cast.project)
    place = row.points_at(cast)
    good = (FORMS.get(name) or JSON[name])(cast, place)
    extra = {key: value for key, value in planted(cast).items() if key not in good}
    if name == "project_overlap":
        make_prompt(cast.project, "p-of-overlap")
    address = reverse(name, kwargs=dict(place))
    actor = next(a for a in ACTORS if row.answers[verb][a] is IN and a != "anon")
    before, owned, written = guarded_rows(), rows_of_the_planted(cast), rows_written()
    body: dict[str, Any] = {"data": extra | good}
    if name in JSON:
        body = {"data": json.dumps(extra | good), "content_type": "application/json"}
    response = send(cast, actor, (verb, address), **body)
    assert response.status_code < 400, response.getvalue()
    assert rows_written() > written, "nothing was written, so nothing is proven"
    check_nothing_is_planted(cast, before)
    assert {k: v for k, v in rows_of_the_planted(cast).items() if v != owned[k]} == {}


def test_a_draft_keeps_what_is_offered_and_no_more(cast: Cast) -> None:
    """A draft is stored as JSON, where a field more would go unnoticed."""
    make_prompt(cast.project)
    held = claim(cast.labeler)
    assert held is not None
    body = planted(cast) | {"rev": 0, "ranks": {"A": 1}}
    response = browser_of(cast.labeler.user).put(
        reverse("api_draft", args=[held.token]),
        json.dumps(body),
        content_type="application/json",
    )
    assert response.status_code == 200
    assert set(held.draft.content) == {"ranks", "ratings", "flags", "note"}
