"""Django's Postgres backend, with two differences.

Its look at a kept connection costs no statement: before each request Django asks
whether the connection of the one before still works, which its own backend finds out
with a `SELECT 1`, one statement in eight of a page.

And statements that Postgres binds may have any number of parameters: the protocol
counts them in 16 bits, and Django writes a list of ids as one parameter each.
"""

import select
from typing import Any, Final, Self

from django.db.backends.postgresql import base
from psycopg import ClientCursor, Cursor

MOST_PARAMETERS: Final = 2**16 - 1


class AnyLengthCursor(Cursor[Any]):
    """Has Postgres bind the parameters; where they are too many, psycopg writes them
    into the statement."""

    def execute(self, query: Any, params: Any = None, **options: Any) -> Self:
        """As psycopg's. Errors: those of the database."""
        if params is not None and len(params) > MOST_PARAMETERS:
            query = ClientCursor(self.connection).mogrify(query, params)
            params, options["prepare"] = None, False
        return super().execute(query, params, **options)


class DatabaseWrapper(base.DatabaseWrapper):
    """A Postgres connection that notices its server's end by itself."""

    def get_connection_params(self) -> dict[str, Any]:
        """As Django's, with our cursor where Postgres is to bind."""
        params: dict[str, Any] = super().get_connection_params()
        if params["cursor_factory"] is base.ServerBindingCursor:
            params["cursor_factory"] = AnyLengthCursor
        return params

    def is_usable(self) -> bool:
        """Whether the server is still there.

        One that ends, is ended or restarts closes the connection, which then has its
        last words, or the end, to read. Where there is nothing to read there is no
        news. In doubt, and after an error, Postgres itself is asked. Only a network
        that swallows packets goes unnoticed, as it does by a `SELECT 1` for as long as
        that waits.
        """
        if self.connection is None or self.errors_occurred or self._has_news():
            return bool(super().is_usable())
        return True

    def _has_news(self) -> bool:
        if self.connection.closed:
            return True
        poll = select.poll()
        poll.register(self.connection.fileno(), select.POLLIN)
        return bool(poll.poll(0))
