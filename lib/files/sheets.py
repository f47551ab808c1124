"""Read the rows of an uploaded table, CSV or workbook (XLSX), one at a time."""

import csv
import io
import zipfile
from collections.abc import Iterator, Sequence
from typing import IO, Any, Final
from xml.etree.ElementTree import ParseError

Row = Sequence[object]
# The maximum unpacked size of a workbook: a small file can unpack to gigabytes.
_UNPACKED_MAX: Final = 256 * 1024 * 1024
_COLUMNS_MAX: Final = 200
_DELIMITERS: Final = (",", ";", "\t")
_BROKEN: Final = (
    zipfile.BadZipFile, ParseError, KeyError, ValueError, TypeError, IndexError, AttributeError,
    OSError, RecursionError, NotImplementedError,
)  # fmt: skip


class SheetUnreadable(ValueError):
    """The file is neither CSV in UTF-8 nor a workbook, or it is too large when unpacked."""


def sheet_rows(file: IO[bytes]) -> Iterator[Row]:
    """Yield the rows of a CSV file, as texts, or of a workbook's first sheet, as typed values.
    Raises SheetUnreadable, at the first row or at a later one.
    """
    if file.read(4) == b"PK\x03\x04":
        file.seek(0)
        return _workbook_rows(file)
    file.seek(0)
    return _csv_rows(file)


def _csv_rows(file: IO[bytes]) -> Iterator[Row]:
    text = io.TextIOWrapper(file, "utf-8-sig", newline="")
    try:
        head = text.readline()
        text.seek(0)
        yield from csv.reader(text, delimiter=max(_DELIMITERS, key=head.count), strict=True)
    except (csv.Error, UnicodeDecodeError) as error:
        raise SheetUnreadable from error
    finally:
        text.detach()


def _workbook_rows(file: IO[bytes]) -> Iterator[Row]:
    # Two hundred modules, which a process loads with its first workbook rather than at its start.
    import openpyxl

    try:
        with zipfile.ZipFile(file) as packed:
            if sum(member.file_size for member in packed.infolist()) > _UNPACKED_MAX:
                raise SheetUnreadable
        book = openpyxl.load_workbook(file, read_only=True, data_only=True, keep_links=False)
        sheet: Any = book.worksheets[0]
        yield from sheet.iter_rows(values_only=True, max_col=_COLUMNS_MAX)
    except _BROKEN as error:
        raise SheetUnreadable from error
