"""S24: a pickled message on the queue is refused unread, and the next one is served."""

import pickle
import threading
import uuid
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from celery.contrib.testing.worker import start_worker
from django.conf import settings as site
from kombu import Connection, Queue
from pytest_django import Settings

from tests.racing import SECONDS


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, sentinel: Path) -> None:
        self.sentinel = sentinel

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.sentinel,)


@pytest.fixture(autouse=True)
def no_servers(settings: Settings) -> None:
    """A worker would start the broker of the site; this one lives in memory."""
    settings.EMBEDDED_VALKEY = False


def app_of_the_site(**changes: Any) -> Celery:
    """An app with the site's settings, and a broker in memory of its own."""
    app = Celery(f"test-{uuid.uuid4()}", set_as_current=False)
    app.config_from_object("django.conf:settings", namespace="CELERY")
    app.conf.update(
        broker_url="memory://", broker_transport_options={}, task_routes={}, **changes
    )
    return app


def send_pickled(app: Celery, sentinel: Path) -> None:
    connection: Connection
    with app.connection_for_write() as connection:
        connection.Producer().publish(
            pickle.dumps([[Bomb(sentinel)], {}, {}]),
            content_type="application/x-python-serialize",
            content_encoding="binary",
            routing_key=site.CELERY_TASK_DEFAULT_QUEUE,
            declare=[Queue(site.CELERY_TASK_DEFAULT_QUEUE)],
            headers={"task": app.main, "id": str(uuid.uuid4()), "lang": "py"},
        )


def work_on_a_bomb_and_a_task(app: Celery, sentinel: Path) -> bool:
    """Whether the task that came after the bomb was served."""
    served = threading.Event()

    def serve(*_: object) -> None:
        served.set()

    task: Any = app.task(name=app.main)(serve)
    send_pickled(app, sentinel)
    with start_worker(app, perform_ping_check=False, pool="solo"):
        task.delay()
        return served.wait(SECONDS)


def test_a_pickled_message_is_not_read_and_the_worker_goes_on(tmp_path: Path) -> None:
    sentinel = tmp_path / "sentinel"
    assert work_on_a_bomb_and_a_task(app_of_the_site(), sentinel)
    assert not sentinel.exists()


def test_a_worker_that_accepts_pickles_reads_it(tmp_path: Path) -> None:
    """The control: the same message, with one setting changed."""
    sentinel = tmp_path / "sentinel"
    app = app_of_the_site(accept_content=["json", "pickle"])
    work_on_a_bomb_and_a_task(app, sentinel)
    assert sentinel.exists()
