"""Tables that people upload, and archives that they download."""

import io
import zipfile

import openpyxl
import pytest

from lib.files import sheets
from lib.files.csv_file import csv_file
from lib.files.sheets import SheetUnreadable, sheet_rows
from lib.files.zip_stream import stream_zip


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv_of_any_spreadsheet_is_read(delimiter: str, encoding: str) -> None:
    rows = [["Date", "Cost", "Name"], ["2026-11-30", '1.5"', "Grüße"]]
    quoted = [[f'"{cell.replace(chr(34), chr(34) * 2)}"' for cell in row] for row in rows]
    text = "\r\n".join(delimiter.join(row) for row in quoted)
    assert list(sheet_rows(io.BytesIO(text.encode(encoding)))) == rows


def test_delimiter_is_the_one_that_the_head_has_most_of() -> None:
    text = "a;b, with a comma;c\n1;2;3\n"
    assert list(sheet_rows(io.BytesIO(text.encode())))[1] == ["1", "2", "3"]


def workbook(*cells: object) -> io.BytesIO:
    book, file = openpyxl.Workbook(), io.BytesIO()
    sheet = book.worksheets[0]
    sheet.append(["Cost"])
    sheet.append(list(cells))
    book.create_sheet("second").append(["other"])
    book.save(file)
    file.seek(0)
    return file


def test_first_sheet_of_a_workbook_is_read_by_value() -> None:
    rows = [row[:2] for row in sheet_rows(workbook(1.5, "x"))]
    assert rows == [("Cost", None), (1.5, "x")]
    # Nobody has computed the formula, and its text is no value.
    assert list(sheet_rows(workbook("=1+1")))[1][0] is None


def test_unreadable_tables_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for raw in (b"PK\x03\x04broken", b"\xff\xfea", b'a,"b'):
        with pytest.raises(SheetUnreadable):
            list(sheet_rows(io.BytesIO(raw)))
    monkeypatch.setattr(sheets, "_UNPACKED_MAX", 10)
    with pytest.raises(SheetUnreadable):
        list(sheet_rows(workbook(1)))


def test_archive_has_each_file_once_and_whole() -> None:
    files = [("a.pdf", b"a" * 1000), ("b/ü.pdf", b"b"), ("empty", b"")]
    pieces = list(stream_zip(files))
    with zipfile.ZipFile(io.BytesIO(b"".join(pieces))) as archive:
        assert [(one, archive.read(one)) for one in archive.namelist()] == files
    # Each file goes out with its own piece, and once.
    assert sum(map(len, pieces)) < 2000


def test_file_is_downloaded_under_its_name() -> None:
    response = csv_file("keys-2026-11-30.csv", [["a", "b"], [1, 2]])
    assert response["Content-Disposition"] == 'attachment; filename="keys-2026-11-30.csv"'
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert response.content == b"a,b\r\n1,2\r\n"
