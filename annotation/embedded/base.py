"""Our Postgres backend, which starts the embedded servers when first used.

Django loads it by the name of this package: `ENGINE = "annotation.embedded"`. Until
a connection is opened nothing runs, so `check` and `--help` start no server.
"""

from typing import Any

from django.conf import settings
from django.db.utils import OperationalError

from annotation.embedded.attach import ensure_running
from annotation.embedded.servers import EmbeddedServerError
from annotation.postgres import base


class DatabaseWrapper(base.DatabaseWrapper):
    """A Postgres connection whose server is ours to start."""

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Start the servers if need be, then connect."""
        try:
            ensure_running(settings.EMBEDDED_PLACES)
        except EmbeddedServerError as error:
            raise OperationalError(str(error)) from error
        return super().get_new_connection(conn_params)
