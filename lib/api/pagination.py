"""Paging for lists of the management API: `limit` and `cursor` in, `{"items": […], "next": …}` out.

Rows are paged by their time-ordered id, newest first. The cursor is the id of the last row on the
page, so a page stays the same when new rows arrive.
"""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from django.db.models import Model, QuerySet
from pydantic import Field

from lib.api.openapi import Input
from lib.ids import id_text, parse_id, parse_number
from lib.numbers.whole_numbers import TypedWhole

LIMIT_MAX = 200
LIMIT = 50

Row = TypeVar("Row")
RowModel = TypeVar("RowModel", bound=Model)


class BadCursor(ValueError):
    """The cursor was not issued by a list of this API."""

    def __init__(self) -> None:
        super().__init__("The cursor is not valid. Use `next` of the previous page.")


class PageQuery(Input):
    """The query parameters of a list. Subclasses add filters."""

    limit: TypedWhole = Field(LIMIT, ge=1, le=LIMIT_MAX, description="Rows per page.")
    cursor: str | None = Field(None, description="`next` of the previous page.")


class NamedPageQuery(PageQuery):
    """The query of a list of named objects."""

    name: str | None = Field(None, max_length=254, description="Only those with exactly this name.")

    def filter_by_name(self, rows: QuerySet[RowModel], field: str = "name") -> QuerySet[RowModel]:
        """Filter the rows by the requested name, if there is one."""
        return rows if self.name is None else rows.filter(**{field: self.name})


class ModelPageQuery(PageQuery):
    """The query of a list whose rows belong to models."""

    model: str | None = Field(
        None, max_length=200, description="Only those for exactly this name or pattern."
    )

    def of_model(self, rows: QuerySet[RowModel]) -> QuerySet[RowModel]:
        """Filter the rows by the requested model, if there is one."""
        return rows if self.model is None else rows.filter(model=self.model)


@dataclass(frozen=True)
class Page(Generic[Row]):
    """Rows of one page, and the cursor of the next page or None."""

    items: list[Row]
    next: str | None


def after_id(cursor: str | None) -> uuid.UUID | None:
    """Return the id in a cursor; None for the first page. Raises BadCursor."""
    if cursor is None:
        return None
    last = parse_id(cursor)
    if last is None:
        raise BadCursor
    return last


def cut_page(rows: list[Row], limit: int, id_of: Callable[[Row], uuid.UUID]) -> Page[Row]:
    """Build a page from at most `limit` + 1 rows. An extra row means that there is a next page."""
    items = rows[:limit]
    return Page(items, id_text(id_of(items[-1])) if len(rows) > limit else None)


def page_by_id(rows: QuerySet[RowModel], limit: int, cursor: str | None) -> Page[RowModel]:
    """Return one page of rows whose primary key is a time-ordered id, newest first. Raises
    BadCursor."""
    return page_after(rows, limit, after_id(cursor))


def page_after(rows: QuerySet[RowModel], limit: int, last: uuid.UUID | None) -> Page[RowModel]:
    """Build the page after a given row, or the first page."""
    if last is not None:
        rows = rows.filter(pk__lt=last)
    return cut_page(list(rows.order_by("-pk")[: limit + 1]), limit, lambda row: row.pk)


def page_by_number(rows: QuerySet[RowModel], limit: int, cursor: str | None) -> Page[RowModel]:
    """Return one page of rows whose primary key is a number, oldest first. Raises BadCursor."""
    after = parse_number(cursor) if cursor is not None else 0
    if after is None:
        raise BadCursor
    items = list(rows.filter(pk__gt=after).order_by("pk")[: limit + 1])
    return Page(items[:limit], str(items[limit - 1].pk) if len(items) > limit else None)


def page_by_position(rows: Sequence[Row], limit: int, cursor: str | None) -> Page[Row]:
    """Return one page of a computed list. The cursor is the number of rows before it. Raises
    BadCursor."""
    first = 0 if cursor is None else parse_number(cursor)
    if first is None:
        raise BadCursor
    end = first + limit
    return Page(list(rows[first:end]), str(end) if len(rows) > end else None)


def page_by_key(
    rows: Sequence[Row], limit: int, cursor: str | None, key_of: Callable[[Row], str]
) -> Page[Row]:
    """Return one page of a computed list, ordered by a unique key, so that a page stays the same
    when other rows are added or removed. Raises BadCursor."""
    keys = [key_of(row) for row in rows]
    if cursor is not None and cursor not in keys:
        raise BadCursor
    first = 0 if cursor is None else keys.index(cursor) + 1
    items = list(rows[first : first + limit])
    more = first + len(items) < len(rows)
    return Page(items, key_of(items[-1]) if more else None)
