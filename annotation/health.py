"""Probes: is this process alive, and can it do its work?

No answer holds a host name, a user or a message of a server: probes are public.
"""

import redis
import structlog
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

log = structlog.get_logger(__name__)
BROKER_SECONDS = 1.0


@require_safe
@never_cache
def livez(request: HttpRequest) -> JsonResponse:
    """The process answers. Asks no server, so a database's fault restarts no web."""
    return JsonResponse({"alive": True})


@require_safe
@never_cache
def readyz(request: HttpRequest) -> JsonResponse:
    """200 when rankings can be stored safely, else 503; every part says how it is.

    The broker is reported and never fails: submits need Postgres only, and jobs wait
    in Postgres until it is back.
    """
    database, broker = _database_state(), broker_state()
    ready = database == "ok"
    return JsonResponse(
        {"ready": ready, "database": database, "broker": broker},
        status=200 if ready else 503,
    )


def _database_state() -> str:
    try:
        unsafe = unsafe_settings()
        executor = MigrationExecutor(connection)
        waiting = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError:
        log.exception("database unreachable")
        return "unreachable"
    if unsafe:
        return f"must be on: {', '.join(unsafe)}"
    return f"{len(waiting)} migrations to apply" if waiting else "ok"


def unsafe_settings() -> list[str]:
    """Settings of Postgres without which an acknowledged commit may be lost.

    One query each. Errors: django.db.Error when the database cannot be asked.
    """
    with connection.cursor() as cursor:
        return [
            name for name in settings.DURABLE_WHEN_ON if _shows(cursor, name) != "on"
        ]


def _shows(cursor: object, name: str) -> str:
    cursor.execute("SELECT current_setting(%s)", [name])  # type: ignore[attr-defined]
    return str(cursor.fetchone()[0])  # type: ignore[attr-defined]


def broker_state() -> str:
    """ "ok", or what is wrong with the broker in words. Takes a second at most."""
    try:
        with _broker() as client:
            facts = client.info()
    except (redis.RedisError, OSError):
        log.warning("broker unreachable", exc_info=True)
        return "unreachable: jobs wait in the database"
    if facts.get("maxmemory_policy") != "noeviction":
        return "maxmemory-policy must be noeviction: messages may be dropped"
    if not facts.get("aof_enabled"):
        return "appendonly must be yes: a restart forgets its messages"
    return "ok"


def messages_waiting(queue: str) -> int:
    """How many messages no worker has taken yet; 0 of a broker that is away."""
    try:
        with _broker() as client:
            return int(client.llen(queue))
    except (redis.RedisError, OSError):
        return 0


def _broker() -> redis.Redis:
    url = settings.CELERY_BROKER_URL.replace("redis+socket://", "unix://", 1)
    return redis.Redis.from_url(
        url, socket_timeout=BROKER_SECONDS, socket_connect_timeout=BROKER_SECONDS
    )
