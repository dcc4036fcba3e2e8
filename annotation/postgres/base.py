"""Django's Postgres backend, whose look at a kept connection costs no statement.

Before each request Django asks whether the connection of the one before still works,
which its own backend finds out with a `SELECT 1`: one statement in eight of a page.
"""

import select

from django.db.backends.postgresql import base


class DatabaseWrapper(base.DatabaseWrapper):
    """A Postgres connection that notices its server's end by itself."""

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
