"""A prepared queryset finds what the queryset itself finds, with any values."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest
from django.db import connection
from django.db.models import F, Value
from django.db.models.functions import Concat
from django.test.utils import CaptureQueriesContext

from annotation.models import Assignment, Membership, Project, Prompt, Response
from annotation.prepared import Given, Prepared, instances
from tests.conftest import make_prompt

pytestmark = pytest.mark.django_db


@pytest.fixture
def prompt(project: Project) -> Prompt:
    return make_prompt(project, "p1", k=3, slots=2)


def columns(row: Any) -> dict[str, Any]:
    return {name: value for name, value in vars(row).items() if name != "_state"}


def by_key(rows: Iterable[Any]) -> dict[int, dict[str, Any]]:
    return {row.pk: columns(row) for row in rows}


def test_rows_are_those_of_the_queryset_for_each_value(prompt: Prompt) -> None:
    other = make_prompt(prompt.project, "p2", k=4, slots=1)
    prepared = Prepared(lambda: Response.objects.filter(prompt=Given("prompt")))
    for one in (prompt, other):
        found = prepared.run(prompt=one.pk)
        plain = Response.objects.filter(prompt=one)
        assert by_key(found) == by_key(plain)


def test_related_rows_come_along_and_absent_ones_are_none(
    prompt: Prompt, alice: Membership
) -> None:
    """JSON and arrays are read as Django reads them."""
    Assignment.objects.filter(slot=0).update(labeler=alice, state="completed")
    prepared = Prepared(
        lambda: Assignment.objects.filter(slot=Given("slot")).select_related(
            "prompt__project", "labeler", "instructions"
        )
    )
    [done], [waiting] = prepared.run(slot=0), prepared.run(slot=1)
    with CaptureQueriesContext(connection) as asked:
        assert done.prompt.messages == prompt.messages
        assert done.prompt.project == prompt.project
        assert done.labeler == alice
        assert waiting.labeler is None
        assert sorted(done.display_order or []) == [0, 1, 2]
    assert asked.captured_queries == []


def test_only_some_columns_and_annotations_are_kept(prompt: Prompt) -> None:
    prepared = Prepared(
        lambda: (
            Response.objects.filter(external_id=Given("id"))
            .only("prompt_id")
            .annotate(named=Concat(F("external_id"), Value("!")))
        )
    )
    name = prompt.responses.order_by("pk")[0].external_id
    found = prepared.first(id=name)
    assert found is not None
    assert vars(found)["named"] == f"{name}!"
    assert found.get_deferred_fields() >= {"text", "external_id", "params"}
    assert prepared.first(id="no such") is None


def test_its_sql_is_written_once(prompt: Prompt) -> None:
    made = []

    def make() -> Any:
        made.append(1)
        return Response.objects.filter(prompt=Given("prompt"))

    prepared = Prepared(make)
    for _ in range(3):
        assert len(prepared.run(prompt=prompt.pk)) == 3
    assert len(made) == 1


def test_a_value_that_was_left_out_is_an_error(prompt: Prompt) -> None:
    prepared = Prepared(lambda: Response.objects.filter(prompt=Given("prompt")))
    with pytest.raises(KeyError, match="prompt"):
        prepared.run()
    assert prepared.run(prompt=prompt.pk)


def test_a_lock_is_kept(
    prompt: Prompt, django_assert_num_queries: Callable[..., Any]
) -> None:
    prepared = Prepared(
        lambda: Assignment.objects.select_for_update(no_key=True).filter(
            prompt=Given("prompt")
        )
    )
    with django_assert_num_queries(1) as asked:
        assert len(prepared.run(prompt=prompt.pk)) == 2
    assert asked.captured_queries[0]["sql"].endswith("FOR NO KEY UPDATE")


# --- SQL of our own ---------------------------------------------------------------

OPEN_SLOTS = """
SELECT slot + 1 AS number, assignment.* FROM annotation_assignment assignment
WHERE prompt_id = %(prompt)s ORDER BY slot
"""


def test_rows_of_a_statement_are_those_of_the_queryset(prompt: Prompt) -> None:
    found = instances(Assignment, OPEN_SLOTS, {"prompt": prompt.pk})
    assert [vars(row).pop("number") for row in found] == [1, 2]
    assert by_key(found) == by_key(Assignment.objects.filter(prompt=prompt))
    assert not found[0]._state.adding


def test_columns_that_a_statement_leaves_out_are_deferred(prompt: Prompt) -> None:
    some = "SELECT slot, id FROM annotation_assignment WHERE prompt_id = %(prompt)s"
    row, _ = instances(Assignment, some, {"prompt": prompt.pk})
    assert "token" in row.get_deferred_fields()
    assert row.token == Assignment.objects.get(pk=row.pk).token


def test_a_statement_that_finds_nothing_makes_no_instance(prompt: Prompt) -> None:
    assert instances(Assignment, OPEN_SLOTS, {"prompt": prompt.pk + 1}) == []


def test_a_field_that_would_have_to_be_converted_is_refused(prompt: Prompt) -> None:
    everything = "SELECT * FROM annotation_prompt WHERE id = %(prompt)s"
    with pytest.raises(TypeError, match="converted"):
        instances(Prompt, everything, {"prompt": prompt.pk})
