"""A list as a file: CSV, JSON lines, an Excel workbook or Parquet, with exactly the rows, columns
and order that its page shows.

Values keep their types: money is an exact decimal of USD, a time has its zone, a duration is a
whole number of milliseconds. Rows are read in batches, and each batch is processed by columns, so
that memory does not grow with the list and each column is prepared once for many rows. A workbook
and a Parquet file are written to the disk before their first byte is sent.
"""

import datetime as dt
import tempfile
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from lib import extras
from lib.files.csv_file import CSV_TYPE, csv_lines, csv_text, harmless
from lib.tables.table import Badge, Column, Kind, Label

Values = Sequence[Any]
Batch = Sequence[Values]
"""The values of some rows, by columns: nano for money, a time, a number, or a text; None for no
value.
"""
Batches = Iterator[Batch]

_MONEY: Final[frozenset[Kind]] = frozenset({"money", "total", "meter", "price"})
_TIMES: Final[frozenset[Kind]] = frozenset({"time", "ago"})
_COUNTS: Final[frozenset[Kind]] = frozenset({"number", "duration"})
_NUMBERS: Final = (int, float, Decimal)
_NANO: Final = 10**9
_PIECE: Final = 256 * 1024
# Limits of Excel: rows of a sheet below its head, and characters of a cell.
SHEET_ROWS: Final = 1_048_575
_CELL_LETTERS: Final = 32_767
_DECIMALS: Final = 15


class Format(NamedTuple):
    """A file format. `write` yields its pieces from batches in the order of the columns, with times
    in the current zone. It raises ExtraMissing before the first piece."""

    label: Label
    content_type: str
    write: Callable[[Sequence[Column], Batches], Iterator[bytes]]


def export_name(column: Column) -> str:
    """Return a column's header in a file. It is for programs: not translated, and with a unit."""
    units = {
        "money": "_usd",
        "total": "_usd",
        "meter": "_usd",
        "duration": "_ms",
        "price": "_usd_per_1m",
    }
    return f"{column.name}{units.get(column.kind, '')}"


def values_of(column: Column, rows: Sequence[Any]) -> list[Any]:
    """Return the values that a column reads from some rows."""
    read, convert = column.reader, _converter(column.kind)
    return [None if value is None or value == "" else convert(value) for value in map(read, rows)]


def _converter(kind: Kind) -> Callable[[Any], Any]:
    if kind in _MONEY or kind in _TIMES:
        return lambda value: value
    if kind in _COUNTS:
        return lambda value: value if isinstance(value, _NUMBERS) else str(value)
    return lambda value: str(value.text if isinstance(value, Badge) else value)


def usd(nano: int | Decimal) -> str:
    """Return nano, or fractions of it, as an exact decimal with at least two places."""
    if isinstance(nano, int):
        whole, rest = divmod(abs(nano), _NANO)
        sign, fraction = "-" if nano < 0 else "", f"{rest:09d}"
        return f"{sign}{whole}.{fraction[:2]}{fraction[2:].rstrip('0')}"
    text, _, fraction = f"{nano.scaleb(-9):.{_DECIMALS}f}".partition(".")
    return f"{text}.{fraction.rstrip('0').ljust(2, '0')}"


def _plain(column: Column, values: Values) -> Values:
    """Return the values of a column for text formats. Numbers stay numbers."""
    if column.kind in _MONEY:
        return [None if nano is None else usd(nano) for nano in values]
    if column.kind in _TIMES:
        zone = timezone.get_current_timezone()
        return [
            at.astimezone(zone).isoformat(timespec="milliseconds")
            if isinstance(at, dt.datetime)
            else at
            for at in values
        ]
    return values


def _csv(columns: Sequence[Column], batches: Batches) -> Iterator[bytes]:
    yield csv_text([[export_name(column) for column in columns]]).encode()
    for batch in batches:
        cells = [
            plain if column.kind in _MONEY or column.kind in _TIMES else harmless(plain)
            for column, plain in zip(columns, map(_plain, columns, batch), strict=True)
        ]
        yield csv_lines(zip(*cells, strict=True)).encode()


def _json_lines(columns: Sequence[Column], batches: Batches) -> Iterator[bytes]:
    names = [export_name(column) for column in columns]
    encoder = msgspec.json.Encoder()
    for batch in batches:
        rows = zip(*map(_plain, columns, batch), strict=True)
        yield encoder.encode_lines(dict(zip(names, row, strict=True)) for row in rows)


def _workbook(columns: Sequence[Column], batches: Batches) -> Iterator[bytes]:
    # Imported here, because pages do not need it.
    from xlsxwriter import Workbook

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.xlsx"
        book = Workbook(
            path,
            # A row is written to the disk when the next one begins.
            {"constant_memory": True, "remove_timezone": True, "tmpdir": folder},
        )
        with book:
            _write_sheets(book, columns, batches)
        yield from _read_pieces(path)


def _write_sheets(book: Any, columns: Sequence[Column], batches: Batches) -> None:
    head = book.add_format({"bold": True, "bottom": 1})
    money = book.add_format({"num_format": "#,##0.00#######"})
    time = book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss.000"})
    count = book.add_format({"num_format": "#,##0"})
    formats = [_choose_format(column, money, time, count) for column in columns]
    zone, sheet, n = timezone.get_current_timezone(), None, SHEET_ROWS
    for batch in batches:
        cells = (_to_cells(*one, zone) for one in zip(columns, batch, strict=True))
        for row in zip(*cells, strict=True):
            if n == SHEET_ROWS:
                sheet, n = _new_sheet(book, columns, head, str(zone)), 0
            n += 1
            for place, (cell, form) in enumerate(zip(row, formats, strict=True)):
                if cell is not None:
                    _write_cell(sheet, n, place, cell, form)
    if sheet is None:
        _new_sheet(book, columns, head, str(zone))


def _choose_format(column: Column, money: Any, time: Any, count: Any) -> Any:
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
        # Excel's times have no time zone.
        timed = column.kind in _TIMES
        sheet.set_column(place, place, 24 if timed else 16)
        sheet.write_string(0, place, f"{name} ({zone})" if timed else name, head)
    return sheet


def _to_cells(column: Column, values: Values, zone: dt.tzinfo) -> Values:
    """Convert money to numbers and times to local times. Other values stay as they are."""
    if column.kind in _MONEY:
        return [None if nano is None else nano / _NANO for nano in values]
    if column.kind in _TIMES:
        return [at.astimezone(zone) if isinstance(at, dt.datetime) else at for at in values]
    return values


def _write_cell(sheet: Any, row: int, place: int, cell: Any, form: Any) -> None:
    if isinstance(cell, str):
        # `write` would convert some texts to formulas, numbers or links.
        sheet.write_string(row, place, cell[:_CELL_LETTERS])
    elif isinstance(cell, dt.datetime):
        sheet.write_datetime(row, place, cell, form)
    else:
        sheet.write_number(row, place, cell, form)


def _parquet(columns: Sequence[Column], batches: Batches) -> Iterator[bytes]:
    extras.require("parquet")
    return _parquet_pieces(columns, batches)


def _parquet_pieces(columns: Sequence[Column], batches: Batches) -> Iterator[bytes]:
    from arro3.core import Array, DataType, Field, RecordBatch, RecordBatchReader, Schema
    from arro3.io import write_parquet

    text, whole = DataType.utf8(), DataType.int64()
    decimal = DataType.decimal128(38, _DECIMALS)
    instant = DataType.timestamp("us", tz="UTC")
    first: Batch = next(batches, [()] * len(columns))
    numbers = [_number_type(values, whole, DataType.float64(), text) for values in first]
    types = [
        _choose_format(column, decimal, instant, number) or text
        for column, number in zip(columns, numbers, strict=True)
    ]
    names = [export_name(column) for column in columns]
    schema = Schema([Field(name, kind) for name, kind in zip(names, types, strict=True)])

    def array(values: Values, kind: DataType) -> Array:
        if kind == decimal:
            texts = [None if nano is None else usd(nano) for nano in values]
            return Array(texts, type=text).cast(decimal)
        if kind == instant:
            micros = [None if at is None else _micros(at) for at in values]
            return Array(micros, type=whole).cast(instant)
        if kind == text:
            return Array([None if one is None else str(one) for one in values], type=text)
        return Array(list(values), type=kind)

    def records() -> Iterator[RecordBatch]:
        for batch in chain([first], batches):
            arrays = [array(values, kind) for values, kind in zip(batch, types, strict=True)]
            yield RecordBatch.from_arrays(arrays, schema=schema)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.parquet"
        reader = RecordBatchReader.from_batches(schema, records())
        write_parquet(reader, path, compression="zstd(3)", max_row_group_size=50_000)
        yield from _read_pieces(path)


def _number_type(cells: Values, whole: Any, real: Any, text: Any) -> Any:
    """Return the type of a column's numbers. In some lists the values are words, for which it is
    `text`."""
    known = [cell for cell in cells if cell is not None]
    if all(isinstance(cell, int) for cell in known):
        return whole
    return real if all(isinstance(cell, int | float) for cell in known) else text


def _micros(at: dt.datetime) -> int:
    return (at - _EPOCH) // dt.timedelta(microseconds=1)


def _read_pieces(path: Path) -> Iterator[bytes]:
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
"""The formats by file extension, which is also the parameter: `?export=jsonl`."""
