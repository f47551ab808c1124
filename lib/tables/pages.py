"""Answer a table: one page for a template, or all rows as a file."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone, translation
from django.utils.translation import gettext

from lib import clock
from lib.files.csv_file import stream
from lib.htmx import is_htmx, page_address, render_part, see_other
from lib.refusal import Refused
from lib.tables.exports import FORMATS, Batches, values_of
from lib.tables.filter_bar import FilterBar, bar_of
from lib.tables.keyset import Values, boundary_of
from lib.tables.sources import (
    END,
    START,
    ColumnSource,
    Count,
    Page,
    Piece,
    Position,
    Source,
    read_page,
)
from lib.tables.table import PAGE_SIZES, Column, Label, State

Make = Callable[[list[Any]], Sequence[Any]]

_BATCH: Final = 5000


@dataclass(frozen=True)
class Head:
    """The header of a column, with the addresses for a click and for a click with Shift."""

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
    """The context of `{% table %}`: converted rows, and links to other pages. `files` is the same
    as in `answer_table`."""

    state: State
    bar: FilterBar
    rows: Sequence[Any]
    count: Count | None
    path: str
    previous_href: str
    next_href: str
    first_href: str
    last_href: str
    files: str = ""

    @property
    def heads(self) -> list[Head]:
        """Return the headers of the visible columns."""
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
        """Return the available file formats and their addresses."""
        state = self.state
        columns = [*state.columns]
        if not state.columns_chosen:
            columns += [one for one in state.table.columns if one.in_files and one not in columns]
        names = ",".join(column.name for column in columns)
        return [
            (form.label, f"{self.files or '?'}{state.query(cols=names, export=ending)}")
            for ending, form in FORMATS.items()
        ]

    @property
    def sizes(self) -> tuple[int, ...]:
        return PAGE_SIZES

    @property
    def plain(self) -> str:
        """Return the address of the first page with the reader's stored settings."""
        return _address(self.path, self.state.query(cols=None, rows=None))

    @property
    def here(self) -> str:
        """Return the address of this page, to come back to."""
        return _address(self.path, self.state.query_at(self.state.position))


def answer_table(
    request: HttpRequest,
    state: State,
    source: Source[Any],
    templates: tuple[str, str],
    context: dict[str, Any],
    make: Make = list,
    bar: FilterBar | None = None,
    files: str = "",
    suffix: str = "",
) -> HttpResponseBase:
    """Answer a list: a page, its part for htmx, or a file.

    `templates` are the page and the part; the part contains `{% table page %}`. `make` converts
    source rows to the rows that columns read, one page or batch at a time. `bar` replaces the bar
    of the table's own filters. `files` is the prefix of the export addresses, if exports are not
    sent immediately. `suffix` ends the name of a file that lacks something.
    """
    if state.export:
        return export_table(request, state, source, make, suffix)
    page = page_of(request.path, state, source, make, bar, files)
    response = render_part(request, *templates, {"page": page, **context})
    if is_htmx(request) and page_address(request) != page.here:
        # A form also sends its empty fields; the address bar shows only those with a value. A list
        # that refreshes itself adds no entry to the history.
        response["HX-Push-Url"] = page.here
    return response


def page_of(
    path: str,
    state: State,
    source: Source[Any],
    make: Make = list,
    bar: FilterBar | None = None,
    files: str = "",
) -> TablePage:
    """Return one page of the list at `path`."""
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
        files=files,
    )


def export_table(
    request: HttpRequest, state: State, source: Source[Any], make: Make, suffix: str = ""
) -> HttpResponseBase:
    """Export all rows of the filter as a file, with the visible columns and order."""
    form = FORMATS[state.export]
    name = f"{state.table.name}-{clock.now():%Y-%m-%d}{suffix}.{state.export}"
    try:
        pieces = form.write(state.columns, batches_of(state, source, make))
    except Refused as refused:
        messages.error(request, refused.message)
        return see_other(_address(request.path, state.query()))
    return stream(request, name, form.content_type, iterate_in_locale(pieces))


def batches_of(state: State, source: Source[Any], make: Make = list) -> Batches:
    """Yield all rows with the visible columns and order."""
    read = _read_columns if isinstance(source, ColumnSource) else _convert_columns
    boundary: Values | None = None
    while True:
        piece = read(state, source, make, boundary)
        if piece.rows:
            yield piece.columns
        if piece.rows < _BATCH:
            return
        boundary = piece.boundary


def _read_columns(state: State, source: Any, make: Make, boundary: Values | None) -> Piece:
    names = [column.name for column in state.columns]
    piece: Piece = source.read_columns(names, state.orders, boundary, _BATCH)
    return piece


def _convert_columns(state: State, source: Any, make: Make, boundary: Values | None) -> Piece:
    orders = state.orders
    rows = source.fetch(orders, boundary, backwards=False, limit=_BATCH)
    made_rows = make(rows)
    columns = [values_of(column, made_rows) for column in state.columns]
    return Piece(columns, len(rows), boundary_of(rows[-1], orders) if rows else None)


def iterate_in_locale(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Iterate over the pieces in the current language and time zone, because they are made
    later."""
    language, zone = translation.get_language() or "en", timezone.get_current_timezone()

    def read() -> bytes | None:
        with translation.override(language), timezone.override(zone):
            return next(pieces, None)

    return iter(read, None)


def _address(path: str, query: str) -> str:
    return f"{path}?{query}" if query else path
