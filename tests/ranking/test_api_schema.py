"""The OpenAPI schema is complete: no warning, every address, every answer."""

from typing import Any

import pytest
from django.test import Client
from django.urls import resolve
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema
from knox.models import AuthToken

from annotation.models import Membership
from tests.test_access_matrix import ROWS

FLOW = {
    "/api/v1/projects/{slug}/claim": {"post"},
    "/api/v1/projects/{slug}/history": {"get"},
    "/api/v1/projects/{slug}/agreement": {"get"},
    "/api/v1/projects/{slug}/agreement/own": {"get"},
    "/api/v1/projects/{slug}/archive": {"post"},
    "/api/v1/projects/{slug}/reopen": {"post"},
    "/api/v1/projects/{slug}/clone": {"post"},
    "/api/v1/projects/{slug}/imports": {"get", "post"},
    "/api/v1/projects/{slug}/imports/files/{id}": {"get", "post"},
    "/api/v1/projects/{slug}/imports/{id}/undo": {"get", "post"},
    "/api/v1/projects/{slug}/take-down": {"post"},
    "/api/v1/projects/{slug}/forget": {"post"},
    "/api/v1/assignments/{token}/draft": {"put"},
    "/api/v1/assignments/{token}/heartbeat": {"post"},
    "/api/v1/assignments/{token}/release": {"post"},
    "/api/v1/assignments/{token}/skip": {"post"},
    "/api/v1/assignments/{token}/submit": {"post"},
    "/api/v1/assignments/{token}/compare": {"get"},
}


def whole_schema() -> Any:
    generator: Any = SchemaGenerator
    return generator().get_schema(request=None, public=True)


def test_the_schema_is_valid_and_nothing_had_to_be_guessed() -> None:
    GENERATOR_STATS.reset()
    schema = whole_schema()
    validate: Any = validate_schema
    validate(schema)
    assert not GENERATOR_STATS, (
        GENERATOR_STATS._warn_cache,
        GENERATOR_STATS._error_cache,
    )
    paths = {path: set(verbs) for path, verbs in schema["paths"].items()}
    assert {path: paths.get(path) for path in FLOW} == FLOW


PARTS = {"slug": "tides", "token": "a", "id": 1, "name": "ds-1", "kind": "pairs"}
PARTS |= {"extension": "jsonl"}


def test_somebody_decided_who_may_use_each_operation_of_the_schema() -> None:
    """S8: what programs are told of is in the access matrix, verb by verb, and nothing
    of the API is there that programs are not told of."""
    told = {}
    for path, verbs in whole_schema()["paths"].items():
        name = resolve(path.format(**PARTS)).url_name
        told[name] = {verb.upper() for verb in verbs}
    decided = {
        name: set(row.answers) for name, row in ROWS.items() if name.startswith("api_")
    }
    assert told == decided


def test_the_answers_of_a_submission_are_told_apart() -> None:
    schema = whole_schema()
    submit = schema["paths"]["/api/v1/assignments/{token}/submit"]["post"]
    assert set(submit["responses"]) == {"200", "201", "409", "422"}
    body = schema["components"]["schemas"]["SubmitBody"]
    assert set(body["required"]) == {"ranks", "submission_uuid"}


@pytest.mark.django_db
def test_who_has_a_token_can_read_it(alice: Membership) -> None:
    _, token = AuthToken.objects.create(user=alice.user)
    client = Client(headers={"Authorization": f"Token {token}"})
    answer = client.get("/api/v1/schema/")
    assert answer.status_code == 200
    assert answer.json()["openapi"].startswith("3.")
    assert Client().get("/api/v1/schema/").status_code == 401
