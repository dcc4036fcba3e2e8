"""How the tables are emptied after a test whose transactions were real.

Django truncates, which makes new files for every table and index, and then makes the
content types anew: three quarters of a second for each of hundreds of tests. Deleting
the few rows that there are takes a hundredth of that.
"""

from collections.abc import Callable
from typing import Any, Final

from django.db import connection
from django.db.utils import ProgrammingError
from django.test import TransactionTestCase

KEPT: Final = {"django_content_type", "auth_permission"}  # as the migrations left them
# Deleted rows leave holes; from here on files are made anew after all.
MOST_BYTES: Final = 4 * 2**20
LARGEST: Final = (
    "SELECT max(pg_relation_size(name::regclass)) FROM unnest(%s::text[]) AS name"
)
# Who is still writing is waited for, as a TRUNCATE does. Replicas fire no triggers: not
# those that keep rankings for good, and none that look for rows that point here.
EMPTY: Final = """
DO $$ DECLARE one text; BEGIN
    SET LOCAL session_replication_role = replica;
    LOCK TABLE {tables} IN SHARE ROW EXCLUSIVE MODE;
    FOREACH one IN ARRAY ARRAY[{names}] LOOP EXECUTE 'DELETE FROM ' || one; END LOOP;
END $$
"""

# Known to Django alone, not to its stubs.
truncate: Callable[[Any], None] = vars(TransactionTestCase)["_fixture_teardown"]


def empty_instead_of_truncating() -> None:
    """From here on, for every test whose transactions are real."""
    TransactionTestCase._fixture_teardown = empty  # type: ignore[attr-defined]


def empty(case: Any) -> None:
    """Delete all rows; truncate where they were many, or where the role may not."""
    found = connection.introspection.django_table_names(only_existing=True)
    tables = [f'"{name}"' for name in sorted(set(found) - KEPT)]
    names = ", ".join(f"'{name}'" for name in tables)
    with connection.cursor() as cursor:
        cursor.execute(LARGEST, [tables])
        if cursor.fetchone()[0] > MOST_BYTES:
            truncate(case)
            return
        try:
            cursor.execute(EMPTY.format(tables=", ".join(tables), names=names))
        except ProgrammingError:  # only a superuser may play the replica
            truncate(case)
