"""Lists of ids have no length that a statement could not bear."""

import pytest
from django.db import connection

from annotation.models import Project, Prompt
from annotation.postgres.base import MOST_PARAMETERS, AnyLengthCursor

pytestmark = pytest.mark.django_db


def test_more_ids_than_the_protocol_can_count(project: Project) -> None:
    kept = Prompt.objects.create(
        project=project, external_id="100 %s", messages=[], line_sha256="0" * 64
    )
    ids = [kept.pk, *range(-MOST_PARAMETERS - 5, 0)]
    found = Prompt.objects.filter(pk__in=ids, external_id="100 %s")
    assert [prompt.pk for prompt in found] == [kept.pk]


def test_many_rows_at_once(project: Project) -> None:
    Prompt.objects.bulk_create(
        Prompt(project=project, external_id=f"{n} %s", messages=[], line_sha256="0")
        for n in range(6_000)  # a dozen columns each
    )
    assert Prompt.objects.filter(external_id__endswith=" %s").count() == 6_000


def test_statements_of_usual_length_are_bound_by_postgres() -> None:
    with connection.cursor() as cursor:
        assert isinstance(cursor.cursor, AnyLengthCursor)
        for _ in range(7):  # prepare_threshold is 5
            cursor.execute("SELECT %s + 41", [1])
        cursor.execute("SELECT statement FROM pg_prepared_statements")
        assert ("SELECT $1 + 41",) in cursor.fetchall()
