"""The site as `annotation.wsgi` has it, in a process that dies when it is told to.

Only tests load this module. A request with the header `X-Die: after-commit` kills the
process when the answer is made and not yet sent; `X-Die: before-commit` kills it when
the first transaction of the request is about to be committed; `X-Die: before-message`
when a job is committed and the message that wakes a worker is about to be sent.
"""

import os
import signal
from collections.abc import Iterable
from typing import Any

from celery.signals import before_task_publish
from django.db.backends.base.base import BaseDatabaseWrapper

from annotation.wsgi import application as site

_commit = BaseDatabaseWrapper._commit  # type: ignore[attr-defined]
_wish = {"die": ""}  # sync workers: one request at a time


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _commit_or_die(connection: BaseDatabaseWrapper) -> None:
    if _wish["die"] == "before-commit":
        _die()
    _commit(connection)


@before_task_publish.connect
def _send_or_die(**_: Any) -> None:
    if _wish["die"] == "before-message":
        _die()


BaseDatabaseWrapper._commit = _commit_or_die  # type: ignore[attr-defined]


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """One request."""
    _wish["die"] = environ.get("HTTP_X_DIE", "")
    answer = site(environ, start_response)
    if _wish["die"] == "after-commit":
        _die()
    return answer
