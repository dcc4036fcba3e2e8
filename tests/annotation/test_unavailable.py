"""Without its database the site says 503 and when to come back, never 500."""

from collections.abc import Callable, Iterator

import psycopg
import pytest
from django.db import InterfaceError, OperationalError, ProgrammingError, connection
from django.test import Client
from django.urls import reverse

from annotation.models import Membership, Project
from annotation.unavailable import is_outage
from tests.security.test_pages import POLICY, inline_parts, policy_of

pytestmark = pytest.mark.django_db(transaction=True)


def cut_the_connection() -> None:
    """As an admin of the database does it, from a connection of their own."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
    where = connection.get_connection_params()
    with psycopg.connect(
        host=where["host"], port=where["port"], user=where["user"], dbname="postgres"
    ) as admin:
        admin.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])


@pytest.fixture
def browser(
    alice: Membership, signed_in: Callable[[Membership], Client]
) -> Iterator[Client]:
    """Signed in, over a connection that Postgres has cut."""
    client = signed_in(alice)
    client.raise_request_exception = False
    cut_the_connection()
    yield client
    connection.close()


def test_a_page_says_when_to_come_back(project: Project, browser: Client) -> None:
    response = browser.get(reverse("project", args=[project.slug]))
    assert response.status_code == 503
    assert response["Retry-After"] == "3"
    assert b"Back in a moment" in response.content
    assert b"terminating" not in response.content
    assert policy_of(response) == POLICY
    assert inline_parts(response) == []


def test_the_next_request_has_a_new_connection(
    project: Project, browser: Client
) -> None:
    address = reverse("labeler_home", args=[project.slug])
    assert browser.get(address).status_code == 503
    connection.close_if_unusable_or_obsolete()  # as Django does after each request
    assert browser.get(address).status_code == 200


@pytest.mark.parametrize("accept", ["application/json", "text/html"])
def test_scripts_get_json(project: Project, browser: Client, accept: str) -> None:
    address = reverse("rank_claim", args=[project.slug])
    response = browser.post(address, headers={"Accept": accept})
    assert response.status_code == 503
    assert response["Retry-After"] == "3"
    is_json = response["Content-Type"] == "application/json"
    assert is_json is (accept == "application/json")
    if is_json:
        assert "stored once" in response.json()["message"]


def test_only_the_databases_absence_is_an_outage() -> None:
    assert is_outage(OperationalError("the connection is lost"))
    assert is_outage(InterfaceError("the connection is closed"))
    assert not is_outage(ProgrammingError("no such column"))
    assert not is_outage(RuntimeError("a fault of ours"))
    assert not is_outage(None)
