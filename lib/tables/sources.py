"""Sources of a table's rows: a list in memory, a query, or a statement."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cmp_to_key, partial
from typing import Any, Final, Generic, NamedTuple, Protocol, TypeVar, runtime_checkable

from django.db import connection
from django.db.models import Model, QuerySet

from lib.tables.keyset import (
    Order,
    Values,
    boundary_of,
    compare,
    condition,
    condition_text,
    ordering,
    ordering_text,
    sort_key,
)

Row = TypeVar("Row")
RowModel = TypeVar("RowModel", bound=Model)

# Rows are counted exactly up to this number; a longer list shows a lower bound.
COUNTED_MAX: Final = 10_000


@dataclass(frozen=True)
class Count:
    """The number of rows. If not `exact`, it is an estimate or a lower bound."""

    n: int
    exact: bool = True
    at_least: bool = False


@dataclass(frozen=True)
class Position:
    """The position of a page: after or before a boundary; without one, at that end of the list."""

    boundary: Values | None = None
    backwards: bool = False


START: Final = Position()
END: Final = Position(backwards=True)


class Source(Protocol[Row]):
    """Rows in an order, from a boundary on."""

    def fetch(
        self, orders: Sequence[Order], boundary: Values | None, *, backwards: bool, limit: int
    ) -> list[Row]:
        """Return at most `limit` rows beyond the boundary, the nearest first."""

    def count(self) -> Count | None:
        """Count all rows. Return None if that would require reading all of them."""


class Piece(NamedTuple):
    """Rows as columns: the values of each column, the number of rows, and the boundary of the last
    row or None."""

    columns: Sequence[Sequence[Any]]
    rows: int
    boundary: Values | None


@runtime_checkable
class ColumnSource(Protocol):
    """A source that also yields columns for files, without an object for each row. The values are
    those of `exports.Batch`, in the order of the columns' names."""

    def read_columns(
        self, names: Sequence[str], orders: Sequence[Order], boundary: Values | None, limit: int
    ) -> Piece:
        """Return at most `limit` rows after the boundary."""


class ListSource(Generic[Row]):
    """All rows in memory; any column can sort them."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = rows

    def fetch(
        self, orders: Sequence[Order], boundary: Values | None, *, backwards: bool, limit: int
    ) -> list[Row]:
        rows = list(self._rows)
        for order in reversed(orders):  # sorting is stable, so later keys are sorted first
            rows.sort(key=sort_key(order), reverse=order.descending)
        if boundary is not None:
            key = cmp_to_key(partial(compare, orders=orders))
            bisect = bisect_left if backwards else bisect_right
            at = bisect(rows, key(boundary), key=lambda row: key(boundary_of(row, orders)))
            rows = rows[:at] if backwards else rows[at:]
        return rows[::-1][:limit] if backwards else rows[:limit]

    def count(self) -> Count:
        return Count(len(self._rows))


class QuerySource(Generic[RowModel]):
    """The rows of a query; every sort path is a column of the database."""

    def __init__(self, rows: QuerySet[RowModel]) -> None:
        self._rows = rows

    def fetch(
        self, orders: Sequence[Order], boundary: Values | None, *, backwards: bool, limit: int
    ) -> list[RowModel]:
        rows, model = self._rows, self._rows.model
        if boundary is not None:
            rows = rows.filter(condition(model, orders, boundary, backwards=backwards))
        return list(rows.order_by(*ordering(model, orders, backwards=backwards))[:limit])

    def count(self) -> Count:
        return count_text(self._rows.order_by()[: COUNTED_MAX + 1].count())


class StatementSource(Generic[Row]):
    """The rows of an SQL statement. A path names one of its columns, which is never null.
    `make_row` takes all columns in order."""

    def __init__(
        self, text: str, parameters: Mapping[str, Any], make_row: Callable[..., Row]
    ) -> None:
        self._text = text
        self._parameters = parameters
        self._make_row = make_row

    def fetch(
        self, orders: Sequence[Order], boundary: Values | None, *, backwards: bool, limit: int
    ) -> list[Row]:
        where, edges = (
            ("true", dict[str, Any]())
            if boundary is None
            else condition_text(orders, boundary, backwards=backwards)
        )
        order = ordering_text(orders, backwards=backwards)
        text = f"WHERE {where} ORDER BY {order} LIMIT {limit:d}"
        return [self._make_row(*row) for row in self._run("*", text, edges)]

    def count(self) -> Count:
        ((n,),) = self._run("count(*)", "", {}, f"LIMIT {COUNTED_MAX + 1}")
        return count_text(n)

    def _run(
        self, columns: str, text: str, edges: Mapping[str, Any], limit: str = ""
    ) -> list[tuple[Any, ...]]:
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT {columns} FROM ({self._text} {limit}) listed {text}",  # noqa: S608 - declared names only
                {**self._parameters, **edges},
            )
            rows: list[tuple[Any, ...]] = cursor.fetchall()
            return rows


def count_text(n: int) -> Count:
    """Format a count of at most COUNTED_MAX + 1 rows."""
    return Count(min(n, COUNTED_MAX), exact=n <= COUNTED_MAX, at_least=n > COUNTED_MAX)


@dataclass(frozen=True)
class Page(Generic[Row]):
    """Some rows in order, and the positions of the neighbouring pages."""

    rows: list[Row]
    previous: Position | None
    next: Position | None


def read_page(
    source: Source[Row], orders: Sequence[Order], limit: int, position: Position = START
) -> Page[Row]:
    """Return one page, or the first page if no row is left beyond the boundary."""
    boundary, backwards = position.boundary, position.backwards
    rows = source.fetch(orders, boundary, backwards=backwards, limit=limit + 1)
    if not rows and boundary is not None:
        return read_page(source, orders, limit)
    more, rows = len(rows) > limit, rows[:limit]
    if backwards:
        rows.reverse()
    beyond = boundary is not None
    before, after = (more, beyond) if backwards else (beyond, more)
    return Page(
        rows,
        Position(boundary_of(rows[0], orders), backwards=True) if rows and before else None,
        Position(boundary_of(rows[-1], orders)) if rows and after else None,
    )
