"""The definition of a list (columns, sorting, filters), and the state that an address requests.
Parsing is pure and lenient: unknown parameters are ignored, so that old bookmarks still work.
"""

import datetime as dt
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final, Literal, NamedTuple
from urllib.parse import urlencode

from django.utils import timezone
from django.utils.dateparse import parse_date
from django.utils.translation import gettext_lazy as _

from lib.tables.keyset import (
    BadCursor,
    Order,
    Path,
    decode_cursor,
    encode_cursor,
    reader_at,
    value_at,
)
from lib.tables.sources import END, START, Position

Kind = Literal[
    "text", "code", "number", "money", "total", "price", "time", "ago", "duration", "badge", "meter"
]
Card = Literal["title", "money", "first", "second", "last"]
Label = Any  # a text, possibly lazy
Sorts = tuple[tuple[str, bool], ...]
Choices = Sequence[tuple[str, Label]]

PAGE_SIZES: Final = (25, 50, 100, 200)
PAGE_SIZE: Final = 50
SORTS_MAX: Final = 3

NUMERIC: Final[frozenset[Kind]] = frozenset({"number", "money", "total", "price", "duration"})
# Columns of these kinds sort descending first: the most, or the latest.
_DESCENDING_FIRST: Final[frozenset[Kind]] = NUMERIC | {"time", "ago"}
EXPORTS: Final = ("csv", "jsonl", "xlsx", "parquet")
"""The file extensions of a list's exports; `exports.py` writes them."""
OWN_PARAMETERS: Final = ("sort", "cols", "rows", "after", "before", "export")

REGISTERED: Final[dict[str, "Table"]] = {}
"""Every table of the product by name, for which a person's column settings are stored."""


class Badge(NamedTuple):
    """A value of a badge column. `tone` is ok, warn, bad, info or neutral; `hint` is shown on
    hover. Another badge may stand `beside` it; files have only the first."""

    text: Label
    tone: str = "neutral"
    icon: str = ""
    hint: Label = ""
    beside: "Badge | None" = None


@dataclass(frozen=True)
class Column:
    """One column. `value` is the path of its raw value, by default the column's name (nano for
    money and for the price of a million units, milliseconds for a duration); an export contains the
    same value. `sort` is its sort path, `True` for its value. `href` is the path of the cell's
    link. `priority` 1 is always visible; 4, 3 and 2 disappear in this order as the page gets
    narrower. `card` is its position in the two lines of a row on a telephone. `chosen` is False for
    a column that is hidden by default. With `in_files`, exports include a hidden column unless the
    reader chose the columns. `unit` is shown in the header, once."""

    name: str
    label: Label
    kind: Kind = "text"
    value: Path | None = None
    sort: Path | bool = False
    href: str = ""
    card: Card | None = None
    priority: int = 1
    chosen: bool = True
    in_files: bool = False
    unit: Label = ""
    hint: Label = ""

    @property
    def numeric(self) -> bool:
        return self.kind in NUMERIC

    @property
    def descends_first(self) -> bool:
        return self.kind in _DESCENDING_FIRST

    @property
    def sort_path(self) -> Path | None:
        if self.sort is True:
            return self._path
        return self.sort or None

    @property
    def _path(self) -> Path:
        return self.name if self.value is None else self.value

    @property
    def reader(self) -> Callable[[Any], Any]:
        """Return a function like `read`, for many rows."""
        return reader_at(self._path)

    def read(self, row: Any) -> Any:
        """Return the raw value of a row."""
        return value_at(row, self._path)


@dataclass(frozen=True)
class Filter:
    """One filter of a list: a search field, a choice, or a day. `default` applies when the address
    has no value; a choice of "" means any."""

    name: str
    label: Label
    kind: Literal["search", "choice", "date"] = "choice"
    choices: Choices = ()
    default: str = ""


def status_filter(badges: Mapping[Any, Badge]) -> Filter:
    """Return a filter for a list whose rows each have one of these states."""
    states = ((str(state), badge.text) for state, badge in badges.items())
    return Filter("state", _("Status"), choices=(("", _("Any status")), *states))


class Preference(NamedTuple):
    """A person's settings for a table. Empty means the defaults."""

    columns: tuple[str, ...] = ()
    page_size: int = 0


NO_PREFERENCE: Final = Preference()


@dataclass(frozen=True)
class Table:
    """The description of a list, created once at import. `name` is also the name of its export.
    `key` is a unique path, by which rows are sorted last. A `big` table has an unlimited number of
    rows: it is sorted by one column at a time, and every sortable column has an index that ends
    with `key`. `href` is the path of a row's address, to which the first column links. `bulk` names
    the actions for several rows together. They are posted to the page's `bulk_url` as `act` with an
    `id` for each row; a reader without any action cannot select rows. `refresh` is an event of the
    page that reloads the list.
    """

    name: str
    label: Label
    columns: tuple[Column, ...]
    default_sort: str
    key: str = "id"
    filters: tuple[Filter, ...] = ()
    big: bool = False
    href: str = ""
    bulk: tuple[tuple[str, Label], ...] = ()
    refresh: str = ""

    def __post_init__(self) -> None:
        if self.name in REGISTERED or len(self._by_name) != len(self.columns):
            raise ValueError(f"the table {self.name}, or a column of it, is there twice")
        REGISTERED[self.name] = self

    @cached_property
    def _by_name(self) -> dict[str, Column]:
        return {column.name: column for column in self.columns}

    def read(
        self,
        query: Mapping[str, Sequence[str]],
        preference: Preference = NO_PREFERENCE,
        *,
        hidden: Collection[str] = (),
        choices: Mapping[str, Choices] | None = None,
        others: Iterable[tuple[str, str]] = (),
    ) -> "State":
        """Parse the query of an address (`dict(request.GET.lists())`). `hidden` are columns that
        this reader may not see, `choices` are filter choices known only at run time, `others` are
        parameters that the page itself reads and keeps."""
        sort = self._sort(query.get("sort", ()), hidden)
        names = [name for text in query.get("cols", ()) for name in text.split(",")]
        columns, chosen = self._columns(names or preference.columns, hidden)
        size = _page_size(_first_value(query, "rows")) or _page_size(str(preference.page_size))
        state = State(
            table=self,
            sort=sort,
            columns=columns,
            columns_chosen=chosen,
            page_size=size or PAGE_SIZE,
            filters=tuple(self._filters(query, choices or {})),
            others=tuple(others),
            hidden=frozenset(hidden),
            export=_choose_known(_first_value(query, "export"), EXPORTS),
            asked_columns=bool(names),
            asked_size=bool(_page_size(_first_value(query, "rows"))),
        )
        return state.at(_first_value(query, "after"), _first_value(query, "before"))

    def _sort(self, texts: Sequence[str], hidden: Collection[str]) -> Sorts:
        wanted = parse_sort(",".join(texts), self._sortable(hidden), 1 if self.big else SORTS_MAX)
        return wanted or parse_sort(self.default_sort, self._sortable(()), SORTS_MAX)

    def _sortable(self, hidden: Collection[str]) -> set[str]:
        return {
            column.name
            for column in self.columns
            if column.sort_path is not None and column.name not in hidden
        }

    def _columns(
        self, names: Iterable[str], hidden: Collection[str]
    ) -> tuple[tuple[Column, ...], bool]:
        """Return the visible columns in order, and whether somebody chose them."""
        known = dict.fromkeys(name for name in names if name in self._by_name)
        wanted = [self._by_name[name] for name in known if name not in hidden]
        if wanted:
            return tuple(wanted), True
        return (
            tuple(column for column in self.columns if column.chosen and column.name not in hidden),
            False,
        )

    def _filters(
        self, query: Mapping[str, Sequence[str]], choices: Mapping[str, Choices]
    ) -> Iterable["FilterState"]:
        for one in self.filters:
            options = choices.get(one.name, one.choices)
            text = _first_value(query, one.name).replace("\x00", "").strip()[:200]
            if one.kind == "choice" and text not in {value for value, _ in options}:
                text = ""
            yield FilterState(one, text or one.default, tuple(options))

    def column(self, name: str) -> Column:
        return self._by_name[name]


class FilterState(NamedTuple):
    """A filter with its value from the address."""

    filter: Filter
    value: str
    choices: Choices

    @property
    def active(self) -> bool:
        return self.value != self.filter.default

    @property
    def value_text(self) -> Label:
        """Return the value in words."""
        return dict(self.choices).get(self.value, self.value)


@dataclass(frozen=True)
class State:
    """The state of a table that an address requests. `export` is a file format, or empty."""

    table: Table
    sort: Sorts
    columns: tuple[Column, ...]
    columns_chosen: bool
    page_size: int
    filters: tuple[FilterState, ...]
    others: tuple[tuple[str, str], ...]
    hidden: frozenset[str]
    export: str
    asked_columns: bool
    asked_size: bool
    position: Position = START

    def value(self, name: str) -> str:
        """Return the value of a filter."""
        return next(one.value for one in self.filters if one.filter.name == name)

    def day(self, name: str) -> dt.date | None:
        """Return the day of a filter, None for an invalid one."""
        try:
            return parse_date(self.value(name))
        except ValueError:
            return None

    @property
    def period(self) -> tuple[dt.datetime | None, dt.datetime | None]:
        """Return when the day of the filter `since` begins, and when that of `until` is over; None
        is no bound."""
        until = self.day("until")
        end = None if until in (None, dt.date.max) else until + dt.timedelta(days=1)
        return _midnight(self.day("since")), _midnight(end)

    @property
    def filtered(self) -> bool:
        return any(one.active for one in self.filters)

    @property
    def orders(self) -> list[Order]:
        """Return the paths to sort by. The table's key comes last, in the direction of the path
        before it.
        """
        orders = [Order(_path_of(self.table.column(name)), down) for name, down in self.sort]
        if orders and orders[-1].path == self.table.key:
            return orders
        return [*orders, Order(self.table.key, orders[-1].descending)]

    @property
    def available(self) -> list[Column]:
        """Return all columns that this reader may choose, visible ones first, in their order."""
        rest = (
            c for c in self.table.columns if c not in self.columns and c.name not in self.hidden
        )
        return [*self.columns, *rest]

    def at(self, after: str, before: str) -> "State":
        """Return the same list from a cursor on, or from the start if the cursor is invalid."""
        position = START
        try:
            if before == "end":
                position = END
            elif before or after:
                boundary = decode_cursor(before or after, self._context)
                position = Position(boundary, backwards=bool(before))
        except BadCursor:
            pass
        return replace(self, position=position)

    @property
    def _context(self) -> str:
        return f"{self.table.name}:{format_sort(self.sort)}"

    @property
    def kept(self) -> list[tuple[str, str]]:
        """Return the parameters of the table itself: order, columns and page size, but not the
        page."""
        default = parse_sort(self.table.default_sort, self.table._sortable(()), SORTS_MAX)
        parts = {
            "sort": format_sort(self.sort) if self.sort != default else "",
            "cols": ",".join(c.name for c in self.columns) if self.asked_columns else "",
            "rows": str(self.page_size) if self.asked_size else "",
        }
        return [(name, value) for name, value in parts.items() if value]

    def query(self, **over: str | None) -> str:
        """Return the query string for the first page of this list, with some parts replaced."""
        parts: dict[str, str | None] = {
            **{one.filter.name: one.value if one.active else None for one in self.filters},
            **dict(self.kept),
            **over,
        }
        own = [(name, value) for name, value in parts.items() if value]
        return urlencode([*(pair for pair in self.others if pair[0] not in over), *own])

    def query_at(self, position: Position) -> str:
        """Return the query of a page."""
        if position == END:
            return self.query(before="end")
        if position.boundary is None:
            return self.query()
        cursor = encode_cursor(position.boundary, self._context)
        return self.query(**{"before" if position.backwards else "after": cursor})

    def direction(self, column: Column) -> str:
        """Return `ascending`, `descending` or nothing, for `aria-sort`."""
        for name, down in self.sort:
            if name == column.name:
                return "descending" if down else "ascending"
        return ""

    def sorted_by(self, column: Column, *, added: bool = False) -> str:
        """Return the query for a click on a header: its column alone, or after the others. A column
        that is already sorted reverses its direction.
        """
        now = dict(self.sort)
        down = not now[column.name] if column.name in now else column.descends_first
        if added and not self.table.big:
            now[column.name] = down
            return self.query(sort=format_sort(tuple(now.items())[:SORTS_MAX]))
        return self.query(sort=format_sort(((column.name, down),)))


def _midnight(day: dt.date | None) -> dt.datetime | None:
    return None if day is None else timezone.make_aware(dt.datetime.combine(day, dt.time()))


def parse_sort(text: str, sortable: Collection[str], limit: int) -> Sorts:
    """Parse `-cost,model` as ((name, descending), …): each known name once, at most `limit` of
    them.
    """
    wanted: dict[str, bool] = {}
    for part in text.split(","):
        name = part.strip().removeprefix("-")
        if name in sortable and name not in wanted and len(wanted) < limit:
            wanted[name] = part.strip().startswith("-")
    return tuple(wanted.items())


def format_sort(sort: Sorts) -> str:
    """Return a sort order as text; the inverse of `parse_sort`."""
    return ",".join(f"-{name}" if down else name for name, down in sort)


def _choose_known(text: str, known: Collection[str]) -> str:
    return text if text in known else ""


def _page_size(text: str) -> int:
    return next((size for size in PAGE_SIZES if str(size) == text), 0)


def _path_of(column: Column) -> Path:
    if column.sort_path is None:
        raise ValueError(f"nothing is sorted by {column.name}")
    return column.sort_path


def _first_value(query: Mapping[str, Sequence[str]], name: str) -> str:
    return next(iter(query.get(name, ())), "")
