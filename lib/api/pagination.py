"""Lists of the management API: `limit` and `cursor` in, `{"items": […], "next": …}` out.

Rows are paged by their time-ordered id, newest first: the cursor is the last id that was shown, so
that a page stays the same while new rows arrive above it.
"""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from django.db.models import Model, QuerySet
from pydantic import ConfigDict, Field

from lib.api.openapi import Schema
from lib.ids import id_text, parse_id, parse_number
from lib.numbers.whole_numbers import TypedWhole

LIMIT_MAX = 200
LIMIT = 50

Row = TypeVar("Row")
RowModel = TypeVar("RowModel", bound=Model)


class BadCursor(ValueError):
    """The cursor is none that a list of ours has given out."""

    def __init__(self) -> None:
        super().__init__("The cursor is not valid. Use `next` of the previous page.")


class PageQuery(Schema):
    """The query of a list; what a list filters by is added in a subclass."""

    model_config = ConfigDict(extra="forbid")

    limit: TypedWhole = Field(LIMIT, ge=1, le=LIMIT_MAX, description="Rows per page.")
    cursor: str | None = Field(None, description="`next` of the previous page.")


class NamedPageQuery(PageQuery):
    """The query of a list of things that have names."""

    name: str | None = Field(None, max_length=254, description="Only those with exactly this name.")

    def named(self, rows: QuerySet[RowModel], field: str = "name") -> QuerySet[RowModel]:
        """Those of the rows whose field is the name that was asked for, if one was."""
        return rows if self.name is None else rows.filter(**{field: self.name})


class ModelPageQuery(PageQuery):
    """The query of a list of what holds for models."""

    model: str | None = Field(
        None, max_length=200, description="Only those for exactly this name or pattern."
    )

    def of_model(self, rows: QuerySet[RowModel]) -> QuerySet[RowModel]:
        """Those of the rows that are for the model that was asked for, if one was."""
        return rows if self.model is None else rows.filter(model=self.model)


@dataclass(frozen=True)
class Page(Generic[Row]):
    """Some rows, and the cursor of the page after them; None when there is none."""

    items: list[Row]
    next: str | None


def after_id(cursor: str | None) -> uuid.UUID | None:
    """The id that a cursor holds; None for the first page. Raises BadCursor."""
    if cursor is None:
        return None
    last = parse_id(cursor)
    if last is None:
        raise BadCursor
    return last


def cut(rows: list[Row], limit: int, id_of: Callable[[Row], uuid.UUID]) -> Page[Row]:
    """A page from at most `limit` + 1 rows: the one too many tells that there is a next page."""
    items = rows[:limit]
    return Page(items, id_text(id_of(items[-1])) if len(rows) > limit else None)


def page_by_id(rows: QuerySet[RowModel], limit: int, cursor: str | None) -> Page[RowModel]:
    """One page of rows whose primary key is a time-ordered id, newest first. Raises BadCursor."""
    return page_after(rows, limit, after_id(cursor))


def page_after(rows: QuerySet[RowModel], limit: int, last: uuid.UUID | None) -> Page[RowModel]:
    """The same behind a row that was shown, or from the first one."""
    if last is not None:
        rows = rows.filter(pk__lt=last)
    return cut(list(rows.order_by("-pk")[: limit + 1]), limit, lambda row: row.pk)


def page_by_number(rows: QuerySet[RowModel], limit: int, cursor: str | None) -> Page[RowModel]:
    """One page of rows whose primary key is a number, oldest first. Raises BadCursor."""
    after = parse_number(cursor) if cursor is not None else 0
    if after is None:
        raise BadCursor
    items = list(rows.filter(pk__gt=after).order_by("pk")[: limit + 1])
    return Page(items[:limit], str(items[limit - 1].pk) if len(items) > limit else None)


def page_by_position(rows: Sequence[Row], limit: int, cursor: str | None) -> Page[Row]:
    """One page of rows that are computed all at once: the cursor is how many were shown. Raises
    BadCursor."""
    first = 0 if cursor is None else parse_number(cursor)
    if first is None:
        raise BadCursor
    end = first + limit
    return Page(list(rows[first:end]), str(end) if len(rows) > end else None)


def page_by_key(
    rows: Sequence[Row], limit: int, cursor: str | None, key_of: Callable[[Row], str]
) -> Page[Row]:
    """One page of rows that are computed all at once, by a key that each has alone: the page stays
    the same while others come and go. Raises BadCursor."""
    keys = [key_of(row) for row in rows]
    if cursor is not None and cursor not in keys:
        raise BadCursor
    first = 0 if cursor is None else keys.index(cursor) + 1
    items = list(rows[first : first + limit])
    more = first + len(items) < len(rows)
    return Page(items, key_of(items[-1]) if more else None)
