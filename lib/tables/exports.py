"""A list as a file: CSV, JSON lines, an Excel workbook or Parquet, with exactly the rows, columns
and order that its page shows.

Values keep their types: money is an exact decimal of USD, a time knows its zone, a duration is a
whole number of milliseconds. Rows are read in batches, so that no length of a list has to be held
in memory; a workbook and a Parquet file are written to the disk before their first byte is sent.
"""

import datetime as dt
import tempfile
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from lib.csv_file import CSV_TYPE, csv_text, stream
from lib.tables.table import Badge, Column, Kind, Label

Rows = Sequence[Sequence[Any]]
Batches = Iterator[Rows]

_MONEY: Final[frozenset[Kind]] = frozenset({"money", "total", "meter", "price"})
_TIMES: Final[frozenset[Kind]] = frozenset({"time", "ago"})
_COUNTS: Final[frozenset[Kind]] = frozenset({"number", "duration"})
_NUMBERS: Final = (int, float, Decimal)
_PIECE: Final = 256 * 1024
# What a sheet of Excel has room for, below its head; and a cell.
SHEET_ROWS: Final = 1_048_575
_CELL_LETTERS: Final = 32_767
_DECIMALS: Final = 15


class Format(NamedTuple):
    """One form of file. `write` gives its pieces."""

    label: Label
    content_type: str
    write: Callable[[Sequence[Column], Batches], Iterator[bytes]]


def export(
    request: HttpRequest, name: str, form: str, columns: Sequence[Column], batches: Batches
) -> HttpResponseBase:
    """The rows as a file of one of `FORMATS` to be saved under that name, without its ending;
    `batches` are the values of `typed`, in the order of the columns."""
    made = FORMATS[form]
    return stream(request, f"{name}.{form}", made.content_type, made.write(columns, batches))


def export_name(column: Column) -> str:
    """The head of a column in a file: for programs, so never translated, with its unit."""
    units = {
        "money": "_usd",
        "total": "_usd",
        "meter": "_usd",
        "duration": "_ms",
        "price": "_usd_per_1m",
    }
    return f"{column.name}{units.get(column.kind, '')}"


def typed(column: Column) -> Callable[[Any], Any]:
    """What reads the cells of a column for a file: a decimal of USD, a time in the current zone, a
    number, or a text; None for nothing."""
    read, convert = column.reader, _converter(column.kind)

    def cell(row: Any) -> Any:
        value = read(row)
        return None if value is None or value == "" else convert(value)

    return cell


def _converter(kind: Kind) -> Callable[[Any], Any]:
    if kind in _MONEY:
        return lambda nano: Decimal(nano).scaleb(-9)
    if kind in _TIMES:
        zone = timezone.get_current_timezone()
        return lambda value: value.astimezone(zone) if isinstance(value, dt.datetime) else value
    if kind in _COUNTS:
        return lambda value: value if isinstance(value, _NUMBERS) else str(value)
    return _text


def _text(value: Any) -> str:
    return str(value.text if isinstance(value, Badge) else value)


def usd(nano: int | Decimal) -> str:
    """Nano, or parts of it, as an exact decimal, with two places at least."""
    return _usd(Decimal(nano).scaleb(-9))


def _usd(amount: Decimal) -> str:
    whole, _, fraction = f"{amount:.{_DECIMALS}f}".partition(".")
    return f"{whole}.{fraction.rstrip('0').ljust(2, '0')}"


def _plain(value: Any) -> Any:
    """A value as the text forms have it; what is a number there stays one."""
    if type(value) is Decimal:
        return _usd(value)
    if type(value) is dt.datetime:
        return value.isoformat(timespec="milliseconds")
    return value


def _csv(columns: Sequence[Column], batches: Batches) -> Iterator[bytes]:
    yield csv_text([[export_name(column) for column in columns]]).encode()
    for rows in batches:
        cells = ([_plain("" if cell is None else cell) for cell in row] for row in rows)
        yield csv_text(cells).encode()


def _json_lines(columns: Sequence[Column], batches: Batches) -> Iterator[bytes]:
    names = [export_name(column) for column in columns]
    encoder = msgspec.json.Encoder()
    for rows in batches:
        yield encoder.encode_lines(dict(zip(names, map(_plain, row), strict=True)) for row in rows)


def _workbook(columns: Sequence[Column], batches: Batches) -> Iterator[bytes]:
    # Loaded by who exports one: pages do without it.
    from xlsxwriter import Workbook

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.xlsx"
        book = Workbook(
            path,
            # A row is on the disk as soon as the next one begins. A text is a text.
            {
                "constant_memory": True,
                "remove_timezone": True,
                "strings_to_formulas": False,
                "strings_to_numbers": False,
                "strings_to_urls": False,
                "tmpdir": folder,
            },
        )
        with book:
            _write_sheets(book, columns, batches)
        yield from _pieces(path)


def _write_sheets(book: Any, columns: Sequence[Column], batches: Batches) -> None:
    head = book.add_format({"bold": True, "bottom": 1})
    money = book.add_format({"num_format": "#,##0.00#######"})
    time = book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss.000"})
    count = book.add_format({"num_format": "#,##0"})
    formats = [_chosen(column, money, time, count) for column in columns]
    zone, sheet, n = timezone.get_current_timezone_name(), None, SHEET_ROWS
    for rows in batches:
        for row in rows:
            if n == SHEET_ROWS:
                sheet, n = _new_sheet(book, columns, head, zone), 0
            n += 1
            for place, (cell, form) in enumerate(zip(row, formats, strict=True)):
                _write_cell(sheet, n, place, cell, form)
    if sheet is None:
        _new_sheet(book, columns, head, zone)


def _chosen(column: Column, money: Any, time: Any, count: Any) -> Any:
    if column.kind in _MONEY:
        return money
    if column.kind in _TIMES:
        return time
    return count if column.kind in _COUNTS else None


def _new_sheet(book: Any, columns: Sequence[Column], head: Any, zone: str) -> Any:
    sheet = book.add_worksheet()
    sheet.freeze_panes(1, 0)
    for place, column in enumerate(columns):
        name = export_name(column)
        # Excel's times have no zone of their own.
        timed = column.kind in _TIMES
        sheet.set_column(place, place, 24 if timed else 16)
        sheet.write_string(0, place, f"{name} ({zone})" if timed else name, head)
    return sheet


def _write_cell(sheet: Any, row: int, place: int, cell: Any, form: Any) -> None:
    if cell is None:
        return
    if isinstance(cell, dt.datetime):
        sheet.write_datetime(row, place, cell, form)
    elif isinstance(cell, str):
        sheet.write_string(row, place, cell[:_CELL_LETTERS])
    else:
        sheet.write_number(row, place, cell, form)


def _parquet(columns: Sequence[Column], batches: Batches) -> Iterator[bytes]:
    from arro3.core import Array, DataType, Field, RecordBatch, RecordBatchReader, Schema
    from arro3.io import write_parquet

    text, whole = DataType.utf8(), DataType.int64()
    decimal = DataType.decimal128(38, _DECIMALS)
    instant = DataType.timestamp("us", tz="UTC")
    first = next(batches, [])
    numbers = [
        _number_type([row[place] for row in first], whole, DataType.float64(), text)
        for place in range(len(columns))
    ]
    types = [
        _chosen(column, decimal, instant, number) or text
        for column, number in zip(columns, numbers, strict=True)
    ]
    names = [export_name(column) for column in columns]
    schema = Schema([Field(name, kind) for name, kind in zip(names, types, strict=True)])

    def array(cells: Sequence[Any], kind: DataType) -> Array:
        if kind == decimal:
            texts = [None if cell is None else f"{cell:.{_DECIMALS}f}" for cell in cells]
            return Array(texts, type=text).cast(decimal)
        if kind == instant:
            micros = [None if cell is None else _micros(cell) for cell in cells]
            return Array(micros, type=whole).cast(instant)
        if kind == text:
            return Array([None if cell is None else str(cell) for cell in cells], type=text)
        return Array(cells, type=kind)

    def records() -> Iterator[RecordBatch]:
        for rows in chain([first] if first else [], batches):
            cells = zip(*rows, strict=True)
            arrays = [array(list(one), kind) for one, kind in zip(cells, types, strict=True)]
            yield RecordBatch.from_arrays(arrays, schema=schema)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.parquet"
        reader = RecordBatchReader.from_batches(schema, records())
        write_parquet(reader, path, compression="zstd(3)", max_row_group_size=50_000)
        yield from _pieces(path)


def _number_type(cells: Sequence[Any], whole: Any, real: Any, text: Any) -> Any:
    """What holds the numbers of a column: a few lists write theirs as words."""
    known = [cell for cell in cells if cell is not None]
    if all(isinstance(cell, int) for cell in known):
        return whole
    return real if all(isinstance(cell, int | float) for cell in known) else text


def _micros(at: dt.datetime) -> int:
    return (at - _EPOCH) // dt.timedelta(microseconds=1)


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece


_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
FORMATS: Final[dict[str, Format]] = {
    "csv": Format(_("CSV"), CSV_TYPE, _csv),
    "jsonl": Format(_("JSON Lines"), "application/jsonl; charset=utf-8", _json_lines),
    "xlsx": Format(
        _("Excel"),
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        _workbook,
    ),
    "parquet": Format(_("Parquet"), "application/vnd.apache.parquet", _parquet),
}
"""By the ending of the file's name, which is also what asks for it: `?export=jsonl`."""
