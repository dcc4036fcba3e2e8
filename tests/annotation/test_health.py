"""The probes: alive without any server, ready only when a commit is safe."""

from uuid import uuid4

import pytest
import redis
from django.db import connection
from django.test import Client
from pytest_django import DjangoAssertNumQueries
from pytest_django.fixtures import Settings

from annotation.health import messages_waiting

SECRETS = ("rankwell@", "password", "/run", "127.0.0.1")


def test_livez_asks_no_server() -> None:
    # No database mark: a query would fail this test.
    response = Client().get("/livez")
    assert (response.status_code, response.json()) == (200, {"alive": True})


@pytest.mark.django_db
def test_readyz_is_green_when_everything_is_there() -> None:
    response = Client().get("/readyz")
    assert response.status_code == 200
    assert response.json() == {"ready": True, "database": "ok", "broker": "ok"}


@pytest.mark.django_db
def test_readyz_is_red_when_a_commit_may_be_lost(settings: Settings) -> None:
    settings.DURABLE_WHEN_ON = ["synchronous_commit", "fsync"]  # off in tests
    response = Client().get("/readyz")
    assert response.status_code == 503
    assert response.json()["database"] == "must be on: synchronous_commit"


@pytest.mark.django_db
def test_readyz_is_red_when_a_migration_waits() -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'rm_training'")
    response = Client().get("/readyz")
    assert response.status_code == 503
    assert response.json()["database"].endswith("migrations to apply")


@pytest.mark.django_db
def test_a_broker_that_is_away_is_told_but_not_fatal(settings: Settings) -> None:
    settings.CELERY_BROKER_URL = "redis://:very-secret-password@127.0.0.1:1/0"
    response = Client().get("/readyz")
    assert response.status_code == 200
    assert response.json()["broker"] == "unreachable: jobs wait in the database"
    assert "very-secret" not in response.content.decode()


@pytest.mark.django_db
def test_messages_that_wait_are_counted_and_a_broker_that_is_away_holds_none(
    settings: Settings,
) -> None:
    connection.ensure_connection()  # starts the broker, too
    queue = f"test-{uuid4()}"
    url = settings.CELERY_BROKER_URL.replace("redis+socket://", "unix://", 1)
    with redis.Redis.from_url(url) as broker:
        assert messages_waiting(queue) == 0
        broker.lpush(queue, "one", "two", "three")
        assert messages_waiting(queue) == 3
        broker.delete(queue)
    settings.CELERY_BROKER_URL = "redis://127.0.0.1:1/0"
    assert messages_waiting(queue) == 0


@pytest.mark.django_db
def test_a_database_that_is_away_is_red_and_tells_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SAVEPOINT here")
        # The next statement of this transaction fails, as with a broken server.
        with pytest.raises(Exception, match="nowhere"):
            cursor.execute("SELECT FROM nowhere")
    response = Client().get("/readyz")
    with connection.cursor() as cursor:
        cursor.execute("ROLLBACK TO SAVEPOINT here")
    assert response.status_code == 503
    assert response.json()["database"] == "unreachable"
    assert not any(secret in response.content.decode() for secret in SECRETS)


@pytest.mark.django_db
def test_readyz_asks_a_handful_of_queries(
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    with django_assert_max_num_queries(6):
        Client().get("/readyz")


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_probes_take_no_post(path: str) -> None:
    assert Client().post(path).status_code == 405
