"""A Postgres database for the fuzzers alone, beside that of the tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from django.db import connection
from django.test.utils import setup_test_environment, teardown_test_environment
from rest_framework.throttling import UserRateThrottle

NAME = "test_fuzz"


@contextmanager
def own_database() -> Iterator[None]:
    """Make it, connect to it, and drop it at the end. Nobody is throttled."""
    name = connection.settings_dict["NAME"]
    connection.settings_dict["TEST"]["NAME"] = NAME
    setup_test_environment()
    connection.creation.create_test_db(verbosity=0, autoclobber=True)
    try:
        with patch.object(UserRateThrottle, "allow_request", return_value=True):
            yield
    finally:
        connection.creation.destroy_test_db(name, verbosity=0)
        teardown_test_environment()
