"""A table as an answer: one page of it for a template, or all of it as a file."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone, translation
from django.utils.translation import gettext

from lib import clock
from lib.htmx import is_htmx, page_address, render_part
from lib.tables.exports import FORMATS, export, typed
from lib.tables.filter_bar import FilterBar, bar_of
from lib.tables.keyset import boundary_of
from lib.tables.sources import END, START, Count, Page, Position, Source, read_page
from lib.tables.table import PAGE_SIZES, Column, Label, State

Make = Callable[[list[Any]], Sequence[Any]]

_BATCH: Final = 1000


@dataclass(frozen=True)
class Head:
    """One head: where a click leads, and where one with Shift."""

    column: Column
    direction: str
    place: int
    href: str
    added_href: str

    @property
    def text(self) -> str:
        label, unit = self.column.label, self.column.unit
        return gettext("%(label)s, %(unit)s") % {"label": label, "unit": unit} if unit else label

    @property
    def icon(self) -> str:
        icons = {"ascending": "arrow-up", "descending": "arrow-down"}
        return icons.get(self.direction, "chevrons-up-down")


@dataclass(frozen=True)
class TablePage:
    """What `{% table %}` shows: rows as the page has made them, and the links around them."""

    state: State
    bar: FilterBar
    rows: Sequence[Any]
    count: Count | None
    path: str
    previous_href: str
    next_href: str
    first_href: str
    last_href: str

    @property
    def heads(self) -> list[Head]:
        """The heads of the columns that are shown."""
        return [self._head(column) for column in self.state.columns]

    def _head(self, column: Column) -> Head:
        state = self.state
        names = [name for name, _ in state.sort]
        if column.sort_path is None:
            return Head(column, "", 0, "", "")
        return Head(
            column,
            state.direction(column),
            names.index(column.name) + 1 if column.name in names and len(names) > 1 else 0,
            f"?{state.sorted_by(column)}",
            f"?{state.sorted_by(column, added=True)}",
        )

    @property
    def exports(self) -> list[tuple[Label, str]]:
        """The forms of file that there are, and where each is."""
        names = ",".join(column.name for column in self.state.columns)
        return [
            (form.label, f"?{self.state.query(cols=names, export=ending)}")
            for ending, form in FORMATS.items()
        ]

    @property
    def sizes(self) -> tuple[int, ...]:
        return PAGE_SIZES

    @property
    def plain(self) -> str:
        """The first page, as wide and as long as its reader keeps it."""
        return _address(self.path, self.state.query(cols=None, rows=None))

    @property
    def here(self) -> str:
        """The address of this page, to come back to."""
        return _address(self.path, self.state.query_at(self.state.position))


def answer_table(
    request: HttpRequest,
    state: State,
    source: Source[Any],
    templates: tuple[str, str],
    context: dict[str, Any],
    make: Make = list,
    bar: FilterBar | None = None,
) -> HttpResponseBase:
    """The list as it was asked for: a page, its part for htmx, or a file.

    `templates` are the page and the part; the part shows `{% table page %}`. `make` turns some rows
    of the source into what the columns read: it sees only those of one page or batch. `bar` stands
    in for that of the table's own filters.
    """
    if state.export:
        return export_table(request, state, source, make)
    page = page_of(request.path, state, source, make, bar)
    response = render_part(request, *templates, {"page": page, **context})
    if is_htmx(request) and page_address(request) != page.here:
        # A form sends its empty fields too; the address bar shows only what was asked. A list that
        # reads itself anew leaves no step in the history.
        response["HX-Push-Url"] = page.here
    return response


def page_of(
    path: str,
    state: State,
    source: Source[Any],
    make: Make = list,
    bar: FilterBar | None = None,
) -> TablePage:
    """One page of the list that is shown at `path`."""
    page: Page[Any] = read_page(source, state.orders, state.page_size, state.position)

    def href(position: Position | None, beside: Position | None) -> str:
        return f"?{state.query_at(position)}" if position and beside else ""

    return TablePage(
        state,
        bar or bar_of(state),
        make(page.rows),
        source.count(),
        path,
        previous_href=href(page.previous, page.previous),
        next_href=href(page.next, page.next),
        first_href=href(START, page.previous),
        last_href=href(END, page.next),
    )


def export_table(
    request: HttpRequest, state: State, source: Source[Any], make: Make
) -> HttpResponseBase:
    """All rows of the filter, in the columns and the order that are shown, as a file."""
    name = f"{state.table.name}-{clock.now():%Y-%m-%d}"
    batches = as_here(_batches(state, source, make))
    return export(request, name, state.export, state.columns, batches)


def _batches(state: State, source: Source[Any], make: Make) -> Iterator[list[list[Any]]]:
    boundary, orders = None, state.orders
    cells = [typed(column) for column in state.columns]
    while rows := source.fetch(orders, boundary, backwards=False, limit=_BATCH):
        boundary = boundary_of(rows[-1], orders)
        yield [[cell(row) for cell in cells] for row in make(rows)]
        if len(rows) < _BATCH:
            return


def as_here(batches: Iterator[Any]) -> Iterator[Any]:
    """The batches, each made in the language and the zone that hold now: they are made later."""
    language, zone = translation.get_language() or "en", timezone.get_current_timezone()

    def read() -> Any:
        with translation.override(language), timezone.override(zone):
            return next(batches, None)

    return iter(read, None)


def _address(path: str, query: str) -> str:
    return f"{path}?{query}" if query else path
