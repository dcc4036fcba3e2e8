"""Querysets whose SQL is written once, for what every request of a labeler asks.

Django writes the SQL of a queryset anew each time that it is run, which takes several
times as long as running it. Here the queryset is written down with `Given` in the
places of what differs, compiled at its first use, and run with values from then on.

`instances` does for SQL of our own what `Model.objects.raw` does, and finds out only
once which column is what.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache, cached_property
from operator import itemgetter
from typing import Any, Generic, TypeVar

from django.db import DEFAULT_DB_ALIAS, connection
from django.db.models import Expression, Model, QuerySet
from django.db.models.query import get_related_populators

M = TypeVar("M", bound=Model)


class Given(Expression):
    """The place of a value that is named when the queryset is run.

    It goes to the database as it is, so it has the type of its column already. Where a
    column may be NULL, `None` finds nothing, as it does in SQL.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        """A parameter that `Prepared` fills in."""
        return "%s", [self]


class Prepared(Generic[M]):
    """A queryset of model instances with `Given` values in its filters.

    `make` is called once, at the first use, for models can be asked only when all are
    loaded. `select_related`, `only`, annotations, slices and locks are kept; what works
    after the query, as `prefetch_related`, is not. Django refuses a lock outside a
    transaction while it writes the SQL, so here at the first use only.
    """

    def __init__(self, make: Callable[[], QuerySet[M]]) -> None:
        self._make = make

    def run(self, **given: Any) -> list[M]:
        """The instances, in one query. Errors: KeyError for a value left out."""
        sql, parameters = self._compiled.sql
        values = [given[it.name] if isinstance(it, Given) else it for it in parameters]
        with connection.cursor() as cursor:
            cursor.execute(sql, values)
            return [self._compiled.instance(row) for row in cursor.fetchall()]

    def first(self, **given: Any) -> M | None:
        """The first of them, or None. The queryset limits itself where need be."""
        return next(iter(self.run(**given)), None)

    @cached_property
    def _compiled(self) -> "_Compiled":
        return _Compiled(self._make())


class _Compiled:
    """The SQL of a queryset, and how its rows become instances: as `ModelIterable`."""

    def __init__(self, queryset: QuerySet[Any]) -> None:
        compiler = queryset.query.get_compiler(DEFAULT_DB_ALIAS)
        self.sql: tuple[str, Sequence[Any]] = compiler.as_sql()
        columns: Any = compiler.select
        about: Any = compiler.klass_info
        place = about["select_fields"]
        self._own = slice(place[0], place[-1] + 1)
        self._names = [column.target.attname for column, *_ in columns[self._own]]
        self._model = about["model"]
        populators: Any = get_related_populators
        self._related = populators(about, columns, DEFAULT_DB_ALIAS)
        self._annotations = list((compiler.annotation_col_map or {}).items())
        converters = compiler.get_converters([column for column, *_ in columns])
        self._converters = list(converters.items())

    def instance(self, row: Sequence[Any]) -> Any:
        values = self._converted(row)
        made = self._model.from_db(DEFAULT_DB_ALIAS, self._names, values[self._own])
        for populator in self._related:
            populator.populate(values, made)
        for name, place in self._annotations:
            setattr(made, name, values[place])
        return made

    def _converted(self, row: Sequence[Any]) -> list[Any]:
        values = list(row)
        for place, (converters, column) in self._converters:
            for convert in converters:
                values[place] = convert(values[place], column, connection)
        return values


def instances(model: type[M], sql: str, given: Mapping[str, Any]) -> list[M]:
    """The rows of a statement, one query. Columns that are no field become attributes.

    Fields whose columns are not among them are deferred. Raises TypeError for a field
    that Django converts, as JSON is; ask for that by a queryset.
    """
    with connection.cursor() as cursor:
        cursor.execute(sql, given)
        columns = tuple(column.name for column in cursor.description)
        rows = cursor.fetchall()
    layout = _layout(model, columns)
    return [layout.instance(row) for row in rows]


class _Layout:
    """Where in a row the fields of a model stand, and what else is there."""

    def __init__(self, model: type[Model], columns: Sequence[str]) -> None:
        own = [
            field for field in model._meta.concrete_fields if field.column in columns
        ]
        if any(field.get_db_converters(connection) for field in own):
            raise TypeError(f"A field of {model.__name__} must be converted.")
        self._model = model
        self._names = [field.attname for field in own]
        self._values = itemgetter(*(columns.index(field.column) for field in own))
        known = {field.column for field in own}
        self._others = [
            (name, place) for place, name in enumerate(columns) if name not in known
        ]

    def instance(self, row: Sequence[Any]) -> Any:
        made = self._model.from_db(DEFAULT_DB_ALIAS, self._names, self._values(row))
        for name, place in self._others:
            setattr(made, name, row[place])
        return made


_layout = cache(_Layout)
