"""S5 and S26: nothing reaches out, and the broker carries ids only."""

import json
import secrets
import socket
import subprocess
import sys
from base64 import b64decode
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
import redis
from django.conf import settings
from django.db import transaction

from annotation.celery import app
from annotation.jobs import wake
from tests.loopback_only import sitecustomize as guard

OURS = ("annotation.", "ranking.", "rm_training.")


@pytest.mark.parametrize(
    ("family", "address", "local"),
    [
        (socket.AF_INET, ("127.0.0.1", 80), True),
        (socket.AF_INET, ("127.9.9.9", 80), True),
        (socket.AF_INET, ("localhost", 80), True),
        (socket.AF_INET6, ("::1", 80, 0, 0), True),
        (socket.AF_UNIX, "/run/x.sock", True),
        (socket.AF_INET, ("192.0.2.1", 80), False),
        (socket.AF_INET, ("0.0.0.0", 80), False),
        (socket.AF_INET, ("169.254.169.254", 80), False),
        (socket.AF_INET, ("localhost.example.org", 80), False),
        (socket.AF_INET6, ("2001:db8::1", 80, 0, 0), False),
    ],
)
def test_the_guard_knows_what_is_local(
    family: int, address: object, *, local: bool
) -> None:
    assert guard.is_local(family, address) is local


@pytest.mark.parametrize("method", ["connect", "connect_ex"])
def test_a_connection_that_leaves_the_machine_fails(method: str) -> None:
    with (
        socket.socket() as client,
        pytest.raises(guard.OutsideTrafficError, match=r"192\.0\.2\.1"),
    ):
        getattr(client, method)(("192.0.2.1", 80))
    assert guard.outside == [("192.0.2.1", 80)]
    guard.outside.clear()


def test_a_process_with_the_guard_on_its_path_obeys_it() -> None:
    code = "import socket; socket.create_connection(('192.0.2.1', 80), timeout=1)"
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(Path(guard.__file__).parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "OutsideTrafficError" in result.stderr


def our_tasks() -> list[str]:
    """Names of the tasks that this project defines."""
    app.loader.import_default_modules()
    return sorted(name for name in app.tasks if name.startswith(OURS))


def test_there_are_tasks() -> None:
    assert "rm_training.tasks.train" in our_tasks()


@pytest.mark.parametrize("name", our_tasks())
def test_a_task_takes_ids_only(name: str) -> None:
    parameters = signature(app.tasks[name].run).parameters
    assert all(parameter.annotation is int for parameter in parameters.values())


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "name", [name for name in our_tasks() if signature(app.tasks[name].run).parameters]
)
def test_a_message_on_the_broker_holds_an_id_and_nothing_else(name: str) -> None:
    socket_path = str(settings.EMBEDDED_PLACES.valkey_socket)
    queue = settings.CELERY_TASK_ROUTES.get(name, {}).get("queue", "default")
    number = secrets.randbelow(10**9)  # other tests may send to the same queue
    with redis.Redis(unix_socket_path=socket_path) as broker:
        with transaction.atomic():
            wake(app.tasks[name], number)
            assert not envelopes(broker, queue, number), "sent before the commit"
        [envelope] = envelopes(broker, queue, number)
        broker.lrem(queue, 0, json.dumps(envelope))
    assert envelope["content-type"] == "application/json"
    arguments, keywords, _ = json.loads(b64decode(envelope["body"]))
    assert (arguments, keywords) == ([number], {})


def envelopes(broker: redis.Redis, queue: str, number: int) -> list[dict[str, Any]]:
    """Messages on a queue that were sent with this number."""
    waiting = [json.loads(message) for message in broker.lrange(queue, 0, -1)]
    return [one for one in waiting if one["headers"]["argsrepr"] == f"({number},)"]


def test_workers_accept_json_only() -> None:
    assert list(app.conf.accept_content) == ["json"]
    assert list(app.conf.result_accept_content) == ["json"]
    assert app.conf.task_serializer == "json"
    assert app.conf.task_ignore_result
